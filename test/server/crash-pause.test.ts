import { setTimeout as sleep } from "node:timers/promises";

import { expect, test } from "vitest";

import { defaultTransportLimits } from "../../server/transport/limits.js";
import { ENGINE_NAMES, type EngineName } from "../../server/engines.js";
import { tellCrashStory, type Scene } from "../harness/crash-story.js";
import { Links } from "../harness/links.js";
import { ProcessCluster } from "../harness/process-cluster.js";
import { builtProgram } from "../harness/processes.js";
import { until } from "../harness/waiting.js";

const program = builtProgram();

const TIMEOUT_MS = 300;
/** All others have stood for election by then. */
const SHORT_PAUSE_MS = 3 * TIMEOUT_MS;
/** All others have closed their connections to it by then. */
const LONG_PAUSE_MS = defaultTransportLimits.idleMs + 1000;
const KEY = "the leader's";
const READS = 5;
/** What a read may take when the old leader goes on. As a follower that never answers, and its client asks nobody else. */
const READ_MS = 600;
const STEP_DOWN_MS = 10_000;

interface Pauses extends Scene {
  readonly links: Links;
}

/**
 * Stops the leader until another leads, and something else is written. Reads wait in the old leader's socket then. Where
 * the news of the other leader wait there too, it may find either first; where it `isCutOff`, they are all that it finds
 * when it goes on, still a leader by its own lights. It must not answer with what it has.
 */
async function pauseLeader(scene: Pauses, pauseMs: number, isCutOff: boolean): Promise<void> {
  const { cluster, load, random, links } = scene;
  const old = await cluster.leader();
  await using insider = cluster.connect([old.id]);
  await insider.ready();
  await using outsider = cluster.connect(cluster.others(old.id));
  const readers = Array.from({ length: READS }, () => load.newProcess());
  await load.get(insider, readers[0] as number, KEY, READ_MS);

  cluster.running(old.id).signal("SIGSTOP");
  if (isCutOff) links.isolate(old.id);
  cluster.leaderTaken(old.id);
  const pausedAt = performance.now();
  const { term } = await cluster.leader(old.term);
  await load.progress();
  // Only this test writes it: whatever else the reads show is old.
  const value = `of term ${term}`;
  expect(await load.put(outsider, load.newProcess(), KEY, value)).toBe(true);
  const reads = Promise.all(readers.map((process) => load.get(insider, process, KEY, pauseMs + READ_MS)));
  await sleep(Math.max(0, pauseMs + random.int(0, TIMEOUT_MS) - (performance.now() - pausedAt)));
  cluster.running(old.id).signal("SIGCONT");
  for (const found of await reads) expect([null, value]).toContain(found);
  links.heal();

  await until(STEP_DOWN_MS, `node ${old.id} has learned of term ${term}`, async () => {
    const group = await cluster.statusOf(insider, old.id);
    return group !== undefined && group.term >= term;
  });
  await load.progress();
}

/** The leader alone is left: it can commit nothing, and must not answer reads from what it has. */
async function pauseFollowers({ cluster, load }: Scene): Promise<void> {
  const { id } = await cluster.leader();
  const stopped = cluster.others(id);
  for (const each of stopped) cluster.running(each).signal("SIGSTOP");
  await using client = cluster.connect([id]);
  await until(STEP_DOWN_MS, `node ${id}, which hears nobody, leads no longer`, async () => {
    const group = await cluster.statusOf(client, id);
    return group !== undefined && group.role !== "leader";
  });
  const { acknowledged } = load;
  await sleep(SHORT_PAUSE_MS);
  expect(load.acknowledged).toBe(acknowledged);
  for (const each of stopped) cluster.running(each).signal("SIGCONT");
  await load.progress();
}

interface Pause {
  readonly pauseMs: number;
  readonly isCutOff: boolean;
}

const SHORT: readonly Pause[] = [true, false].map((isCutOff) => ({ pauseMs: SHORT_PAUSE_MS, isCutOff }));
/** What a long one adds is done by the connections, whatever runs over them. */
const PAUSES: Readonly<Record<EngineName, readonly Pause[]>> = {
  raft: [...SHORT, ...SHORT, { pauseMs: LONG_PAUSE_MS, isCutOff: false }],
  paxos: SHORT,
};

const TITLE = "a leader stopped with SIGSTOP steps down when it goes on, and answers no read with what is old (%s)";

test.each(ENGINE_NAMES)(TITLE, { timeout: 180_000 }, async (engine) => {
  let links: Links | undefined;
  const pauses = PAUSES[engine];
  const summary = await tellCrashStory({
    file: "test/server/crash-pause.test.ts",
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
      const all = { ...scene, links: links as Links };
      for (const { pauseMs, isCutOff } of pauses) await pauseLeader(all, pauseMs, isCutOff);
      await pauseFollowers(all);
    },
  });
  console.log(`${engine}, pauses of the leader: ${pauses.length}, of the others: 1; ${summary}`);
});
