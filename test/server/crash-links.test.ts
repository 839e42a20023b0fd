import { setTimeout as sleep } from "node:timers/promises";

import { test } from "vitest";

import type { Random } from "../../runtime/index.js";
import { ENGINE_NAMES } from "../../server/engines.js";
import type { GroupStatus, KvClient } from "../../server/index.js";
import { tellCrashStory, type Scene } from "../harness/crash-story.js";
import { Links } from "../harness/links.js";
import { ProcessCluster } from "../harness/process-cluster.js";
import { builtProgram } from "../harness/processes.js";
import { until } from "../harness/waiting.js";

const program = builtProgram();

const TIMEOUT_MS = 300;
/** Longer than the longest election timeout, so that whatever a fault can set off happens. */
const FAULT_MS = 4 * TIMEOUT_MS;
const STEP_DOWN_MS = 10_000;
const ENDURED_TRIES = 3;

interface Trouble extends Scene {
  readonly links: Links;
  readonly client: KvClient;
}

async function groupOf({ cluster, client }: Trouble, id: number): Promise<GroupStatus> {
  return until(STEP_DOWN_MS, `node ${id} tells its status`, () => cluster.statusOf(client, id));
}

/** The leader cannot do its work: another one takes over, and the old one steps down though it may hear nothing of it. */
async function deposed(trouble: Trouble, cut: (leader: number) => void): Promise<void> {
  const { cluster, load, links } = trouble;
  const { id, term } = await cluster.leader();
  cut(id);
  cluster.leaderTaken(id);
  await cluster.leader(term);
  await until(STEP_DOWN_MS, `node ${id}, cut off, no longer believes that it leads`, async () => {
    const { role, term: now } = await groupOf(trouble, id);
    return role !== "leader" || now > term;
  });
  await load.progress();
  links.heal();
  await load.progress();
}

/**
 * Nobody is deposed by this: the leader goes on in its term. On a busy machine a leader may be, because it is late itself;
 * so another try is allowed, which helps nobody who deposes leaders each time.
 */
async function endured(
  trouble: Trouble,
  disturb: (leader: number, followers: readonly number[]) => void,
): Promise<void> {
  const { cluster, load, links } = trouble;
  for (let tries = ENDURED_TRIES; ; tries--) {
    const before = await cluster.leader();
    disturb(before.id, cluster.others(before.id));
    await sleep(FAULT_MS);
    await load.progress();
    links.heal();
    await sleep(FAULT_MS);
    await load.progress();
    const after = await cluster.leader();
    if (after.term === before.term) return;
    if (tries === 1)
      throw new Error(`a disturbed follower deposed the leader ${ENDURED_TRIES} times, to term ${after.term}`);
  }
}

/** Whatever happens to leadership, the work goes on. */
async function worked(
  trouble: Trouble,
  disturb: (leader: number, followers: readonly number[]) => void,
): Promise<void> {
  const { cluster, load, links } = trouble;
  const { id } = await cluster.leader();
  disturb(id, cluster.others(id));
  await sleep(FAULT_MS);
  await load.progress();
  links.heal();
  await load.progress();
}

function faultsOf(trouble: Trouble): readonly (() => Promise<void>)[] {
  const { links, cluster, random } = trouble;
  const block = (from: number, to: number): void => links.change(from, to, { isBlocked: true });
  return [
    () => deposed(trouble, (leader) => links.isolate(leader)),
    () => deposed(trouble, (leader) => links.refuse(leader)),
    // It cannot send: the others hear no heartbeat. It cannot hear: it hears of no success.
    () => deposed(trouble, (leader) => cluster.others(leader).forEach((other) => block(leader, other))),
    () => deposed(trouble, (leader) => cluster.others(leader).forEach((other) => block(other, leader))),
    // A follower that hears no leader disturbs nobody, nor when it is back; nor do two that do not hear each other.
    () => endured(trouble, (leader, [follower]) => block(leader, follower as number)),
    () => endured(trouble, (_leader, [follower]) => links.isolate(follower as number)),
    () => endured(trouble, (_leader, [one, other]) => (block(one!, other!), block(other!, one!))),
    () => worked(trouble, () => links.changeAll({ delayMs: random.int(5, 30), jitterMs: random.int(0, 40) })),
    () => worked(trouble, (leader, [follower]) => links.change(leader, follower!, { bytesPerSecond: 2000 })),
    () => worked(trouble, (leader, [follower]) => links.change(follower!, leader, { bytesPerSecond: 500 })),
    async () => {
      for (let i = 0; i < 6; i++) {
        links.resetAll();
        await sleep(random.int(0, TIMEOUT_MS));
      }
      await trouble.load.progress();
    },
  ];
}

function shuffled<T>(items: readonly T[], random: Random): T[] {
  const left = [...items];
  return items.map(() => left.splice(random.int(0, left.length - 1), 1)[0] as T);
}

const TITLE = "links are cut in both directions and in one, delayed, slowed down and reset: all goes on (%s)";

test.each(ENGINE_NAMES)(TITLE, { timeout: 180_000 }, async (engine) => {
  let links: Links | undefined;
  let faults = 0;
  const summary = await tellCrashStory({
    file: "test/server/crash-links.test.ts",
    limitMs: 150_000,
    prepare: async (random) => {
      links = await Links.between(3, random);
      return ProcessCluster.prepare({
        program,
        links,
        settings: { engine, timeout: TIMEOUT_MS, maxRaftState: 20_000 },
      });
    },
    faults: async (scene) => {
      await using client = scene.cluster.connect();
      const trouble = { ...scene, links: links as Links, client };
      for (const fault of shuffled(faultsOf(trouble), scene.random)) {
        await fault();
        faults++;
      }
    },
  });
  console.log(`${engine}, link faults: ${faults}; ${summary}`);
});
