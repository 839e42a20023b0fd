import { describe, expect, test } from "vitest";

import { BadMessageError, KilledError, NotLeaderError, Persister, type Raft } from "../raft/index.js";
import { encode, forkRandom } from "../runtime/index.js";
import { simulate, SimulationDeadlock, type SimRuntime } from "../sim/index.js";
import { DriverCluster, HeldStorage, story } from "./harness/driver-cluster.js";

/** A world of three servers over storage that the test can hold up. */
function slowDisks(
  tell: (cluster: DriverCluster, disks: HeldStorage[], leader: number, runtime: SimRuntime) => Promise<void>,
): () => Promise<void> {
  return () =>
    simulate({ seed: 3, limitMs: 300_000 }, async (runtime) => {
      const disks: HeldStorage[] = [];
      const cluster = new DriverCluster(runtime, 3, {
        storage: (i, persister) => (disks[i] = new HeldStorage(persister)),
      });
      await tell(cluster, disks, await cluster.leader(), runtime);
    });
}

/** Calls a handler of a server past the network. */
function call(raft: Raft, method: string, args: unknown): unknown {
  return raft.service.handlers.get(method)!(args);
}

describe("storage that completes later", () => {
  test(
    "a follower answers only when its write is done; two servers commit without the third",
    slowDisks(async (cluster, disks, leader, runtime) => {
      const [slow, fast] = [0, 1, 2].filter((i) => i !== leader) as [number, number];
      disks[slow]!.isHeld = true;
      cluster.rafts[leader]!.start("a");
      await cluster.until(() => cluster.nodes[fast]!.applied.length === 1);
      await runtime.clock.sleep(300);
      const row = (): number => cluster.rafts[leader]!.status().followers.find(({ id }) => id === slow)!.matchIndex;
      expect(row()).toBe(0);
      expect(cluster.rafts[slow]!.status().durableIndex).toBe(0);
      disks[slow]!.release();
      await cluster.until(() => row() === 1);
      expect(cluster.rafts[slow]!.status().durableIndex).toBe(1);
    }),
  );

  test(
    "the leader's own slow write does not hold up the others, and counts when it is done",
    slowDisks(async (cluster, disks, leader, runtime) => {
      disks[leader]!.isHeld = true;
      cluster.rafts[leader]!.start("a");
      await cluster.until(() => cluster.nodes.every((node) => node.applied.length === 1));
      expect(disks[leader]!.waiting).toBe(1);
      cluster.kill((leader + 1) % 3);
      cluster.rafts[leader]!.start("b");
      await runtime.clock.sleep(200);
      expect(cluster.rafts[leader]!.status().commitIndex).toBe(1);
      disks[leader]!.release();
      await cluster.until(() => cluster.rafts[leader]!.status().commitIndex === 2);
    }),
  );

  test(
    "a vote waits for its write: with all other disks held nobody is elected",
    slowDisks(async (cluster, disks, leader, runtime) => {
      cluster.kill(leader);
      for (const disk of disks) disk.isHeld = true;
      await runtime.clock.sleep(5000);
      expect(cluster.rafts.some((raft) => raft.getState().isLeader)).toBe(false);
      for (const disk of disks) disk.release();
      await cluster.leader([0, 1, 2].filter((i) => i !== leader));
    }),
  );

  test(
    "a write that fails stops the server: it says so once, and nothing was promised",
    slowDisks(async (cluster, disks, leader, runtime) => {
      const follower = (leader + 1) % 3;
      disks[follower]!.failure = new Error("no space left");
      cluster.rafts[leader]!.start("a");
      await cluster.nodes[follower]!.ended;
      const [failure] = cluster.nodes[follower]!.failures;
      expect(failure).toMatchObject({ code: "STORAGE_FAILED", cause: disks[follower]!.failure });
      expect(cluster.rafts[follower]!.status()).toMatchObject({ killed: true, durableIndex: 0 });
      await runtime.clock.sleep(1000);
      expect(cluster.nodes[follower]!.failures).toHaveLength(1);
      await cluster.until(() => cluster.nodes[leader]!.applied.length === 1);
      // The leader's own too.
      disks[leader]!.failure = new Error("input/output error");
      expect(cluster.rafts[leader]!.start("b").isLeader).toBe(true);
      expect(cluster.rafts[leader]!.getState().isLeader).toBe(false);
      await cluster.nodes[leader]!.ended;
      expect(cluster.nodes[leader]!.failures).toHaveLength(1);
    }),
  );

  test(
    "storage that throws stops the server as well",
    slowDisks(async (cluster, disks, leader) => {
      const broken = new Error("out of order");
      disks[leader]!.write = () => {
        throw broken;
      };
      expect(() => cluster.rafts[leader]!.start("a")).toThrow(broken);
      expect(cluster.nodes[leader]!.failures).toEqual([broken]);
      expect(cluster.rafts[leader]!.status().killed).toBe(true);
    }),
  );

  test(
    "what was kept back when a server is killed is never sent, and who waits for it is told",
    slowDisks(async (cluster, disks, leader, runtime) => {
      const follower = (leader + 1) % 3;
      disks[follower]!.isHeld = true;
      const { term } = cluster.rafts[leader]!.getState();
      const answer = call(cluster.rafts[follower]!, "AppendEntries", [
        term,
        leader,
        9,
        0,
        0,
        0,
        0,
        [term, 0, bytes(1)],
      ]);
      cluster.rafts[follower]!.kill();
      await expect(answer).rejects.toThrow(KilledError);
      disks[follower]!.release();
      await runtime.clock.sleep(100);
      expect(cluster.nodes[follower]!.failures).toEqual([]);
      expect(() => call(cluster.rafts[follower]!, "AppendEntries", [])).toThrow(KilledError);
    }),
  );
});

describe("kill", () => {
  test(
    "afterwards nothing is sent",
    story(async (cluster, leader, runtime) => {
      for (let i = 0; i < 50; i++) cluster.rafts[leader]!.start(i);
      void cluster.rafts[leader]!.readBarrier().catch(() => undefined);
      for (const raft of cluster.rafts) raft.kill();
      const before = cluster.network.getTotalCount();
      await runtime.clock.sleep(60_000);
      expect(cluster.network.getTotalCount()).toBe(before);
      for (const node of cluster.nodes) await node.ended;
    }),
  );

  test("no timer stays: a world of killed servers stands still", async () => {
    let killedAt = 0;
    const run = simulate({ seed: 1 }, async (runtime) => {
      const cluster = new DriverCluster(runtime, 3);
      const leader = await cluster.leader();
      const barrier = cluster.rafts[leader]!.readBarrier({ timeoutMs: 1e6 }).catch(() => undefined);
      const transfer = cluster.rafts[leader]!.transferLeadership(undefined, { timeoutMs: 1e6 }).catch(() => undefined);
      for (const raft of cluster.rafts) raft.kill();
      killedAt = runtime.clock.now();
      await Promise.all([barrier, transfer]);
      await new Promise(() => {});
    });
    const error = await run.catch((reason: unknown) => reason as Error);
    expect(error).toBeInstanceOf(SimulationDeadlock);
    expect((error as Error).message).not.toContain("Raft");
    expect((error as Error).message).toContain(`at ${killedAt} ms`);
  });

  test("a world that stands still names the consumers that wait for applyCh", async () => {
    const run = simulate({ seed: 1, limitMs: 2000 }, async (runtime) => {
      await new DriverCluster(runtime, 1).nodes[0]!.ended;
    });
    await expect(run).rejects.toThrow("applyCh of Raft server 0 after index 0");
  });
});

describe("messages that no server sends", () => {
  /** A follower with a snapshot up to 3, of term 2, and a log of two entries beyond. */
  function stored(): Persister {
    const persister = new Persister();
    const write = { type: "persist", write: 1, hardState: null, snapshot: null, discardLog: false } as const;
    const entry = (term: number): { term: number; type: 0; data: Uint8Array } => ({
      term,
      type: 0,
      data: encode(term),
    });
    const log = [1, 2, 2, 2, 3].map(entry);
    const hardState = { term: 4, votedFor: 1 };
    persister.write({ ...write, hardState, firstIndex: 1, entries: log }, () => {});
    const snapshot = { index: 3, term: 2, data: bytes(9) };
    persister.write({ ...write, snapshot, firstIndex: 0, entries: [] }, () => {});
    return persister;
  }

  async function follower(tell: (cluster: DriverCluster) => Promise<void> | void): Promise<void> {
    await simulate({ seed: 1, limitMs: 60_000 }, async (runtime) => {
      const cluster = new DriverCluster(runtime, 3);
      for (const i of [0, 1, 2]) cluster.kill(i);
      cluster.persisters[0] = stored();
      cluster.start(0);
      await tell(cluster);
    });
  }

  test("terms that cannot stand where they stand are refused before anything is cut off", async () => {
    await follower((cluster) => {
      const refuse = (method: string, args: unknown[], message: string): void => {
        expect(() => call(cluster.rafts[0]!, method, args)).toThrow(message);
        expect(cluster.nodes[0]!.failures).toEqual([]);
        expect(cluster.rafts[0]!.status()).toMatchObject({ lastIncludedIndex: 3, lastIndex: 5, lastTerm: 3 });
      };
      const one = encode(1);
      // Entry 3 is in the snapshot, with term 2; so entry 4 cannot be of term 1.
      refuse("AppendEntries", [5, 1, 1, 2, 1, 0, 0, [1, 0, one, 1, 0, one]], "before that of the entry in front of it");
      refuse("AppendEntries", [5, 1, 1, 5, 3, 0, 0, [2, 0, one]], "cannot stand here");
      refuse("AppendEntries", [5, 1, 1, 5, 3, 0, 0, [6, 0, one]], "cannot stand here");
      refuse("AppendEntries", [5, 1, 1, 5, 6, 0, 0, []], "at most 5");
      refuse("InstallSnapshot", [5, 1, 1, 9, 6, 0, bytes(1), true], "at most 5");
    });
  });

  test("those that claim to come from this server or from nobody are refused by name", async () => {
    await follower((cluster) => {
      for (const sender of [0, 3]) {
        expect(() => call(cluster.rafts[0]!, "TimeoutNow", [9, sender, 1])).toThrow(`a message from server ${sender}`);
      }
      expect(() => call(cluster.rafts[0]!, "AppendEntries", [])).toThrow(BadMessageError);
      expect(() => call(cluster.rafts[0]!, "AppendEntries", [9, 1, 1, 0, 0, 0, 0, [1, 7, bytes(1)]])).toThrow(
        "is the sender of a newer version?",
      );
    });
  });

  test(
    "a refused message still tells of a later term: the reads of the deposed leader end at once",
    story(async (cluster, leader, runtime) => {
      const raft = cluster.rafts[leader]!;
      raft.start("a");
      await cluster.until(() => raft.status().commitIndex === 1);
      cluster.connect(leader, false);
      const barrier = raft.readBarrier();
      await runtime.clock.sleep(10);
      const startedAt = runtime.clock.now();
      const overwrite = [9, (leader + 1) % 3, 1, 0, 0, 0, 0, [9, 0, bytes(1)]];
      expect(() => call(raft, "AppendEntries", overwrite)).toThrow("differs from the one committed here");
      await expect(barrier).rejects.toThrow(NotLeaderError);
      expect(runtime.clock.now()).toBe(startedAt);
    }),
  );

  test("answers that are none count as silence", async () => {
    await simulate({ seed: 2, limitMs: 60_000 }, async (runtime) => {
      const random = forkRandom(runtime.random, "nonsense");
      const nonsense = [{}, [], "x", [1], [1, 2, 3, 4], [NaN, 0, 0, true, 0, 0, 0], [99, 0, 0, "yes", 0, 0, 0]];
      const cluster = new DriverCluster(runtime, 3);
      const leader = await cluster.leader();
      const follower = (leader + 1) % 3;
      const handlers = cluster.rafts[follower]!.service.handlers as Map<string, unknown>;
      const honest = handlers.get("AppendEntries") as (args: unknown) => unknown;
      handlers.set("AppendEntries", (args: unknown) => {
        const reply = honest(args);
        return random.int(0, 1) === 0 ? nonsense[random.int(0, nonsense.length - 1)] : reply;
      });
      for (let i = 0; i < 50; i++) {
        cluster.rafts[leader]!.start(i);
        await runtime.clock.sleep(20);
      }
      await cluster.until(() => cluster.nodes.every((node) => node.applied.length === 50));
      expect(cluster.rafts[leader]!.getState().isLeader).toBe(true);
    });
  });
});

describe("determinism", () => {
  test("the same seed gives the same run, another seed another", async () => {
    const run = (seed: number): Promise<string> =>
      simulate({ seed }, async (runtime) => {
        const cluster = new DriverCluster(runtime, 3);
        cluster.network.reliable(false);
        const leader = await cluster.leader();
        for (let i = 0; i < 20; i++) cluster.rafts[leader]!.start(i);
        await cluster.until(() => cluster.nodes.every((node) => node.applied.length === 20));
        cluster.kill(leader);
        await cluster.leader([0, 1, 2].filter((i) => i !== leader));
        return runtime.trace.hash();
      });
    const hashes = await Promise.all([run(1), run(1), run(2)]);
    expect(hashes[0]).toBe(hashes[1]);
    expect(hashes[0]).not.toBe(hashes[2]);
  });
});

function bytes(length: number): Uint8Array {
  return new Uint8Array(length).fill(length);
}
