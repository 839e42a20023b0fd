import { describe, expect, test } from "vitest";

import { makeRaft, Persister } from "../raft/index.js";
import { EncodeError, InvalidArgumentError, realRuntime } from "../runtime/index.js";
import { DriverCluster, story } from "./harness/driver-cluster.js";

const NOT_LEADING = { index: -1, isLeader: false };

describe("start and getState", () => {
  test(
    "a leader's commands come out on all servers, with index and term",
    story(async (cluster, leader) => {
      const { term } = cluster.rafts[leader]!.getState();
      expect(cluster.rafts[leader]!.start("a")).toEqual({ index: 1, term, isLeader: true });
      expect(cluster.rafts[leader]!.start({ b: [1, null] })).toEqual({ index: 2, term, isLeader: true });
      await cluster.until(() => cluster.nodes.every((node) => node.applied.length === 2));
      for (const node of cluster.nodes) {
        expect(node.applied).toEqual([
          { type: "command", index: 1, term, command: "a" },
          { type: "command", index: 2, term, command: { b: [1, null] } },
        ]);
      }
    }),
  );

  test(
    "elsewhere, and after kill, start says no and getState says that it does not lead",
    story(async (cluster, leader) => {
      const follower = cluster.rafts[(leader + 1) % 3]!;
      expect(follower.start("x")).toMatchObject(NOT_LEADING);
      const raft = cluster.rafts[leader]!;
      raft.kill();
      expect(raft.start("x")).toMatchObject(NOT_LEADING);
      expect(raft.getState().isLeader).toBe(false);
      expect(raft.leaderHint()).toBeNull();
      raft.kill();
      raft.snapshot(1, new Uint8Array(1));
      raft.stepDown();
    }),
  );

  test(
    "a command that cannot be carried is an error, and nothing is appended",
    story(async (cluster, leader) => {
      expect(() => cluster.rafts[leader]!.start(() => 1)).toThrow(EncodeError);
      expect(cluster.rafts[leader]!.start("x").index).toBe(1);
    }),
  );

  test(
    "the persister is written at once: what start() returned is in it",
    story(async (cluster, leader) => {
      const persister = cluster.persisters[leader]!;
      const before = persister.raftStateSize();
      cluster.rafts[leader]!.start("x".repeat(1000));
      expect(persister.raftStateSize() - before).toBeGreaterThan(1000);
      expect(persister.raftStateSize() - before).toBeLessThan(1020);
      expect(cluster.rafts[leader]!.stateSize()).toBe(persister.raftStateSize());
    }),
  );

  test(
    "what is started in one turn travels in one message to each server",
    story(async (cluster, leader, runtime) => {
      const count = (): number => cluster.network.getTotalCount();
      await runtime.clock.sleep(1);
      const before = count();
      for (let i = 0; i < 20; i++) cluster.rafts[leader]!.start(i);
      await cluster.until(() => cluster.nodes[leader]!.applied.length === 20);
      expect(count() - before).toBe(2);
    }),
  );

  test("wrong settings are refused", () => {
    const options = { peers: [], me: 0, persister: new Persister(), runtime: realRuntime(1) };
    expect(() => makeRaft(options)).toThrow("me must be the number of one of the 0 peers");
    const peers = [{ call: () => Promise.resolve(null) }];
    for (const me of [1, -1, 0.5, NaN]) expect(() => makeRaft({ ...options, peers, me })).toThrow(InvalidArgumentError);
    expect(() => makeRaft({ ...options, peers, config: { heartbeatMs: -1 } })).toThrow("heartbeatMs");
  });
});

describe("applyCh", () => {
  test(
    "is iterated once, by one caller at a time, and ends with kill",
    story(async (cluster, leader) => {
      const raft = cluster.rafts[leader]!;
      expect(() => raft.applyCh[Symbol.asyncIterator]()).toThrow("applyCh is iterated once");
      raft.kill();
      await cluster.nodes[leader]!.ended;
      const single = new DriverCluster(cluster.runtime, 1);
      single.kill(0);
      await single.nodes[0]!.ended;
      const alone = makeRaft({
        peers: [cluster.network.makeEnd("x")],
        me: 0,
        persister: new Persister(),
        runtime: cluster.runtime,
      });
      const iterator = alone.applyCh[Symbol.asyncIterator]();
      const waiting = iterator.next();
      await expect(iterator.next()).rejects.toThrow("await one next() of applyCh before the next");
      alone.kill();
      expect(await waiting).toEqual({ value: undefined, done: true });
      expect(await iterator.next()).toEqual({ value: undefined, done: true });
    }),
  );

  test(
    "a slow consumer, even the leader's, holds up nobody but itself",
    story(async (cluster, leader) => {
      let resume = (): void => {};
      const gate = new Promise<void>((resolve) => (resume = resolve));
      cluster.nodes[leader]!.onMessage = () => gate;
      for (let i = 0; i < 500; i++) {
        cluster.rafts[leader]!.start(i);
        if (i % 50 === 0) await cluster.runtime.clock.sleep(1);
      }
      await cluster.until(() => cluster.nodes.every((node, i) => i === leader || node.applied.length === 500));
      expect(cluster.nodes[leader]!.applied).toHaveLength(1);
      expect(cluster.rafts[leader]!.status()).toMatchObject({ commitIndex: 500, appliedIndex: 0 });
      resume();
      await cluster.until(() => cluster.nodes[leader]!.applied.length === 500);
      expect(cluster.nodes[leader]!.commands).toEqual(Array.from({ length: 500 }, (_, i) => i));
      expect(cluster.rafts[leader]!.status().appliedIndex).toBe(500);
    }),
  );

  test(
    "appliedIndex passes no-ops, but not a command that is still being worked on",
    story(
      async (cluster, leader) => {
        expect(cluster.rafts[leader]!.status().appliedIndex).toBeLessThanOrEqual(1);
        await cluster.until(() => cluster.rafts[leader]!.status().appliedIndex === 1);
        cluster.nodes[leader]!.onMessage = () => cluster.runtime.clock.sleep(100);
        cluster.rafts[leader]!.start("a");
        await cluster.until(() => cluster.nodes[leader]!.applied.length === 1);
        expect(cluster.rafts[leader]!.status().appliedIndex).toBe(1);
        await cluster.runtime.clock.sleep(100);
        expect(cluster.rafts[leader]!.status().appliedIndex).toBe(2);
      },
      { noopOnElection: true },
    ),
  );

  test(
    "a consumer that leaves its loop ends its channel; the server goes on serving the others",
    story(async (cluster) => {
      const server = new DriverCluster(cluster.runtime, 3);
      const leader = await server.leader();
      const follower = (leader + 1) % 3;
      server.nodes[follower]!.onMessage = () => {
        throw new Error("enough");
      };
      server.rafts[leader]!.start(1);
      await expect(server.nodes[follower]!.ended).rejects.toThrow("enough");
      server.kill((leader + 2) % 3);
      server.rafts[leader]!.start(2);
      await server.until(() => server.nodes[leader]!.applied.length === 2);
    }),
  );
});

describe("snapshots", () => {
  const bytes = (n: number): Uint8Array => new Uint8Array(n).fill(n);

  /** Each consumer takes a snapshot at every tenth index, from inside its loop. */
  function snapshotting(cluster: DriverCluster, i: number): void {
    const node = cluster.nodes[i]!;
    node.onMessage = (message) => {
      if (message.type === "command" && message.index % 10 === 0)
        node.raft.snapshot(message.index, bytes(message.index));
    };
  }

  test(
    "snapshot() inside the loop drops the prefix from the persister at once",
    story(async (cluster, leader) => {
      const node = cluster.nodes[leader]!;
      const persister = cluster.persisters[leader]!;
      const sizes: number[] = [];
      node.onMessage = (message) => {
        if (message.index !== 10) return;
        sizes.push(persister.raftStateSize());
        node.raft.snapshot(10, bytes(10));
        sizes.push(persister.raftStateSize());
        expect(persister.readSnapshot()).toEqual(bytes(10));
        expect(persister.snapshotSize()).toBe(10);
      };
      for (let i = 1; i <= 10; i++) node.raft.start("x".repeat(100));
      await cluster.until(() => sizes.length === 2);
      expect(sizes[0]).toBeGreaterThan(1000);
      expect(sizes[1]).toBeLessThan(20);
      expect(node.raft.status()).toMatchObject({ lastIncludedIndex: 10, lastIndex: 10, commitIndex: 10 });
    }),
  );

  test(
    "what is not a snapshot of what came out is refused",
    story(async (cluster, leader) => {
      const raft = cluster.rafts[leader]!;
      raft.start("a");
      await cluster.until(() => cluster.nodes[leader]!.applied.length === 1);
      expect(() => raft.snapshot(2, bytes(1))).toThrow("ahead of applyCh, which has handed out 1");
      expect(() => raft.snapshot(0.5, bytes(1))).toThrow(InvalidArgumentError);
      expect(() => raft.snapshot(-1, bytes(1))).toThrow(InvalidArgumentError);
      expect(() => raft.snapshot(1, "x" as unknown as Uint8Array)).toThrow("must be a Uint8Array");
      const mine = bytes(3);
      raft.snapshot(1, mine);
      mine.fill(0);
      expect(cluster.persisters[leader]!.readSnapshot()).toEqual(bytes(3));
      raft.snapshot(1, bytes(4));
      raft.snapshot(0, bytes(4));
      expect(cluster.persisters[leader]!.readSnapshot()).toEqual(bytes(3));
    }),
  );

  test(
    "after a restart the first message is the command right after the snapshot",
    story(async (cluster, leader) => {
      for (const i of [0, 1, 2]) snapshotting(cluster, i);
      for (let i = 1; i <= 25; i++) cluster.rafts[leader]!.start(i);
      await cluster.until(() => cluster.nodes.every((node) => node.applied.length === 25));
      for (const i of [0, 1, 2]) cluster.kill(i);
      for (const i of [0, 1, 2]) {
        cluster.start(i);
        expect(cluster.persisters[i]!.readSnapshot()).toEqual(bytes(20));
        expect(cluster.rafts[i]!.status()).toMatchObject({ appliedIndex: 20, commitIndex: 20, lastIndex: 25 });
      }
      cluster.rafts[await cluster.leader()]!.start(26);
      await cluster.until(() => cluster.nodes.every((node) => node.applied.length === 6));
      for (const node of cluster.nodes) expect(node.commands).toEqual([21, 22, 23, 24, 25, 26]);
    }),
  );

  test(
    "a follower that was away gets a newer snapshot and goes on right after it",
    story(
      async (cluster, leader) => {
        for (const i of [0, 1, 2]) snapshotting(cluster, i);
        const away = (leader + 1) % 3;
        cluster.rafts[leader]!.start(1);
        await cluster.until(() => cluster.nodes[away]!.applied.length === 1);
        cluster.connect(away, false);
        for (let i = 2; i <= 45; i++) cluster.rafts[leader]!.start(i);
        await cluster.until(() => cluster.rafts[leader]!.status().lastIncludedIndex === 40);
        cluster.connect(away, true);
        await cluster.until(() => cluster.nodes[away]!.applied.length === 7);
        const { term } = cluster.rafts[leader]!.getState();
        expect(cluster.nodes[away]!.applied[1]).toEqual({ type: "snapshot", index: 40, term, snapshot: bytes(40) });
        expect(cluster.nodes[away]!.commands).toEqual([1, 41, 42, 43, 44, 45]);
        expect(cluster.persisters[away]!.readSnapshot()).toEqual(bytes(40));
      },
      { snapshotChunkBytes: 7 },
    ),
  );

  test(
    "a consumer that is busy while snapshots arrive gets the newest of them, and nothing older afterwards",
    story(async (cluster, leader) => {
      for (const i of [0, 1, 2]) snapshotting(cluster, i);
      const away = (leader + 1) % 3;
      let resume = (): void => {};
      const gate = new Promise<void>((resolve) => (resume = resolve));
      cluster.nodes[away]!.onMessage = () => gate;
      for (let i = 1; i <= 5; i++) cluster.rafts[leader]!.start(i);
      await cluster.until(() => cluster.rafts[away]!.status().commitIndex === 5);
      for (const until of [30, 60]) {
        cluster.connect(away, false);
        for (let i = cluster.rafts[leader]!.status().lastIndex; i < until; i++) cluster.rafts[leader]!.start(i + 1);
        await cluster.until(() => cluster.rafts[leader]!.status().lastIncludedIndex === until);
        cluster.connect(away, true);
        await cluster.until(() => cluster.rafts[away]!.status().lastIncludedIndex === until);
      }
      // Its own snapshot of long ago is no news.
      cluster.rafts[away]!.snapshot(1, bytes(1));
      cluster.rafts[leader]!.start("last");
      await cluster.until(() => cluster.rafts[away]!.status().commitIndex === 61);
      cluster.nodes[away]!.onMessage = () => undefined;
      resume();
      await cluster.until(() => cluster.nodes[away]!.commands.includes("last"));
      expect(cluster.nodes[away]!.applied.map(({ type, index }) => `${type} ${index}`)).toEqual([
        "command 1",
        "snapshot 60",
        "command 61",
      ]);
    }),
  );
});
