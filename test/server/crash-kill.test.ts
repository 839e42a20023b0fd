import { setTimeout as sleep } from "node:timers/promises";

import { expect, test } from "vitest";

import { ENGINE_NAMES, type EngineName } from "../../server/engines.js";
import { tellCrashStory, type Scene } from "../harness/crash-story.js";
import { ProcessCluster } from "../harness/process-cluster.js";
import { builtProgram } from "../harness/processes.js";

// SIGKILL ends a process between any two instructions, but what it has written stays in the page cache of the machine:
// these tests would pass without a single sync. What a power cut does, the tests in test/storage do, on a simulated disk
// that loses, tears and reorders what was not synced.

const program = builtProgram();

type Kind = "leader" | "follower" | "all";

/** How often of each kind; of "all" each one is three kills. */
type Schedule = Readonly<Record<Kind, number>>;
const SCHEDULES: Readonly<Record<EngineName, Schedule>> = {
  raft: { leader: 11, follower: 9, all: 4 },
  paxos: { leader: 4, follower: 3, all: 3 },
};

/** So large that each node takes several snapshots, and starts from one. */
const MAX_RAFT_STATE = 20_000;
/** A restart is at once, or after up to so long. */
const MAX_PAUSE_MS = 600;
/** A process is killed again so soon after its start that it may be in the midst of its recovery. */
const MAX_RECOVERY_MS = 300;
const AGAIN_PART = 0.2;

class Killer {
  readonly kills: Record<Kind, number> = { leader: 0, follower: 0, all: 0 };
  /** Kills while operations were under way. */
  underLoad = 0;
  /** Kills of a process that had just been started. */
  inRecovery = 0;
  readonly #scene: Scene;

  constructor(scene: Scene) {
    this.#scene = scene;
  }

  get total(): number {
    return this.kills.leader + this.kills.follower + this.kills.all;
  }

  async strike(kind: Kind): Promise<void> {
    const { cluster, random } = this.#scene;
    const { id: leader } = await cluster.leader();
    const followers = cluster.others(leader);
    const follower = followers[random.int(0, followers.length - 1)] as number;
    const victims = kind === "all" ? cluster.ids : [kind === "leader" ? leader : follower];
    await this.#kill(kind, victims);
    const isAtOnce = random.next() < 0.5;
    for (const id of victims) {
      if (!isAtOnce) await sleep(random.int(0, MAX_PAUSE_MS));
      if (random.next() < AGAIN_PART) await this.#killInRecovery(kind, id);
    }
    await Promise.all(victims.map((id) => cluster.start(id)));
  }

  async #killInRecovery(kind: Kind, id: number): Promise<void> {
    const { cluster, random } = this.#scene;
    // Whether it comes to serve before its end is left to chance.
    const starting = Promise.allSettled([cluster.start(id)]);
    await sleep(random.int(0, MAX_RECOVERY_MS));
    await this.#kill(kind, [id]);
    const [{ status }] = await starting;
    if (status === "rejected") this.inRecovery++;
  }

  async #kill(kind: Kind, victims: readonly number[]): Promise<void> {
    const { cluster, load } = this.#scene;
    if (load.underWay === 0) await load.begin();
    if (load.underWay > 0) this.underLoad += victims.length;
    await cluster.kill(...victims);
    this.kills[kind] += victims.length;
  }
}

const TITLE =
  "SIGKILL of the leader, of a follower, of all at once, again and again: nothing acknowledged is lost (%s)";

test.each(ENGINE_NAMES)(TITLE, { timeout: 300_000 }, async (engine) => {
  let killer: Killer | undefined;
  const schedule = SCHEDULES[engine];
  const wanted = schedule.leader + schedule.follower + 3 * schedule.all;
  const summary = await tellCrashStory({
    file: "test/server/crash-kill.test.ts",
    limitMs: 270_000,
    prepare: () => ProcessCluster.prepare({ program, settings: { engine, maxRaftState: MAX_RAFT_STATE } }),
    faults: async (scene) => {
      const { load, random } = scene;
      killer = new Killer(scene);
      const left = { ...schedule };
      for (;;) {
        const kinds = (Object.keys(left) as Kind[]).flatMap((kind) => Array<Kind>(left[kind]).fill(kind));
        if (kinds.length === 0) break;
        const kind = kinds[random.int(0, kinds.length - 1)] as Kind;
        left[kind]--;
        await load.progress(random.int(20, 200));
        await killer.strike(kind);
      }
    },
  });
  const { kills, total, underLoad, inRecovery } = killer as Killer;
  const byKind = Object.entries(kills).map(([kind, count]) => `${count} ${kind}`);
  console.log(
    `${engine}, kills: ${total} (${byKind.join(", ")}; ${underLoad} under load, ${inRecovery} in recovery); ${summary}`,
  );
  expect(total).toBeGreaterThanOrEqual(wanted);
  expect(underLoad).toBeGreaterThanOrEqual(wanted / 2);
});
