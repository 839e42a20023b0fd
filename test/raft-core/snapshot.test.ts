import { describe, expect, test } from "vitest";

import type { InstallSnapshot } from "../../raft/core/index.js";
import type { Progress } from "../../raft/core/progress.js";
import { CoreCluster } from "../harness/core-cluster.js";
import type { Packet } from "../harness/core-packets.js";
import { appendEntries, bytes, entriesFrom, installSnapshot, terms } from "../harness/core-messages.js";

const STATE = new Uint8Array(1000).map((_, i) => i);
const CHUNKS = { config: { snapshotChunkBytes: 100 } };
const TO_1 = { to: 1, type: "installSnapshot" } as const;

/** Leader 0 has committed ten entries with server 2 and put them into a snapshot; server 1 is empty and was away. */
function behind(data: Uint8Array = STATE, options: { config: object } = CHUNKS): CoreCluster {
  const cluster = new CoreCluster(3, options);
  cluster.elect(0, [2]);
  cluster.mail = [];
  for (let i = 1; i <= 10; i++) cluster.propose(0, `x${i}`);
  cluster.deliverAll({ with: 2 });
  cluster.mail = [];
  cluster.sent.length = 0;
  expect(cluster.compact(0, data)).toBe(true);
  return cluster;
}

/** Runs until the leader turns to the snapshot: its first chunk is on its way. */
function firstChunk(cluster: CoreCluster): Packet {
  for (let heartbeat = 0; heartbeat < 20; heartbeat++) {
    const [chunk] = cluster.take(TO_1);
    if (chunk !== undefined) return chunk;
    if (cluster.mail.length === 0) cluster.tick(0);
    cluster.deliver();
  }
  throw new Error("no snapshot is sent");
}

const progress = (cluster: CoreCluster): Progress => cluster.core(0).state.progressOf(1)!;
const chunk = (packet: Packet | undefined): InstallSnapshot => packet?.message as InstallSnapshot;

/** One round trip: the chunk, its answer, and the next chunk, if there is one. */
function next(cluster: CoreCluster, packet: Packet): Packet {
  cluster.arrive(packet);
  cluster.deliver({ from: 1, type: "installSnapshotReply" });
  return cluster.take(TO_1)[0]!;
}

describe("taking a snapshot (§7)", () => {
  test("drops the log up to it, in memory and on the disk; what comes after stays", () => {
    const cluster = new CoreCluster(1);
    cluster.elect(0);
    for (const command of ["a", "b", "c"]) cluster.propose(0, command);
    cluster.act(0, (core) => expect(core.compact(cluster.now, 2, bytes("ab"))).toBe(true));
    const { snapshot, entries } = cluster.disk(0).load();
    expect(snapshot).toMatchObject({ index: 2, term: 1 });
    expect(entries).toHaveLength(1);
    expect(cluster.committed(0)).toEqual(["c"]);
    expect(cluster.core(0).state.log).toMatchObject({ lastIncludedIndex: 2, lastIncludedTerm: 1, lastIndex: 3 });
    cluster.restart(0);
    expect(cluster.core(0).state).toMatchObject({ commitIndex: 2, durableIndex: 3 });
    expect(cluster.appliedIndex(0)).toBe(2);
    cluster.elect(0);
    expect(cluster.propose(0, "d")).toBe(4);
    expect(cluster.committed(0)).toEqual(["c", "d"]);
  });

  test("an older one is no news; one of what is not committed is an error", () => {
    const cluster = new CoreCluster(3);
    cluster.elect(0);
    cluster.propose(0, "a");
    cluster.run(100);
    cluster.propose(0, "b");
    expect(() => cluster.core(0).compact(cluster.now, 2, STATE)).toThrow("ahead of the commit index 1");
    expect(cluster.compact(0)).toBe(true);
    expect(cluster.compact(0)).toBe(false);
    cluster.act(0, (core) => expect(core.compact(cluster.now, 0, STATE)).toBe(false));
  });
});

describe("sending a snapshot (figure 13)", () => {
  test("it travels in chunks, one at a time, and the log goes on after it", () => {
    const cluster = behind();
    let packet = firstChunk(cluster);
    for (let i = 0; i < 10; i++) {
      expect(chunk(packet)).toMatchObject({
        offset: i * 100,
        done: i === 9,
        lastIncludedIndex: 10,
        lastIncludedTerm: 1,
      });
      expect(cluster.mail).toEqual([]);
      expect(cluster.core(1).state.commitIndex).toBe(0);
      packet = next(cluster, packet);
    }
    expect(packet).toBeUndefined();
    expect(cluster.core(1).state).toMatchObject({ commitIndex: 10, snapshot: { index: 10, data: STATE } });
    expect(cluster.appliedIndex(1)).toBe(10);
    expect(progress(cluster)).toMatchObject({ state: "replicate", matchIndex: 10, inflightMessages: 0 });
    cluster.propose(0, "y");
    cluster.run(200);
    expect(cluster.committed(1)).toEqual(["y"]);
  });

  test("a snapshot without a byte arrives all the same", () => {
    const cluster = behind(new Uint8Array(0));
    expect(chunk(firstChunk(cluster))).toMatchObject({ offset: 0, done: true });
    cluster.run(500);
    expect(cluster.appliedIndex(1)).toBe(10);
  });

  test("a snapshot that fills its last chunk exactly has no empty one after it", () => {
    const cluster = behind(STATE.slice(0, 200));
    cluster.run(500);
    expect(cluster.appliedIndex(1)).toBe(10);
    expect(cluster.count(TO_1)).toBe(2);
  });

  test("a lost chunk, or a lost answer, is made good from where the follower is", () => {
    const cluster = behind();
    let packet = firstChunk(cluster);
    for (let i = 0; i < 4; i++) packet = next(cluster, packet);
    cluster.tellLoss(packet);
    packet = cluster.take(TO_1)[0]!;
    expect(chunk(packet).offset).toBe(400);
    cluster.arrive(packet);
    expect(cluster.lose({ from: 1, type: "installSnapshotReply" })).toHaveLength(1);
    // That is the second loss in a row: it waits for the heartbeat, and the follower says that it has that chunk.
    expect(cluster.take(TO_1)).toEqual([]);
    cluster.tick(0);
    packet = cluster.take(TO_1)[0]!;
    expect(chunk(packet).offset).toBe(400);
    packet = next(cluster, packet);
    expect(chunk(packet).offset).toBe(500);
    cluster.arrive(packet);
    cluster.run(100);
    expect(cluster.appliedIndex(1)).toBe(10);
    expect(cluster.count(TO_1)).toBe(12);
  });

  test("chunks and answers that vanish unreported are sent again within half an election timeout", () => {
    const cluster = behind();
    firstChunk(cluster);
    const lostAt = cluster.now;
    cluster.until(
      () => cluster.appliedIndex(1) === 10,
      () => {
        cluster.tick(0);
        cluster.deliverAll();
      },
    );
    expect(cluster.now - lostAt).toBeLessThanOrEqual(400);
  });

  test("repeated chunks and answers send nothing twice", () => {
    const cluster = behind();
    let packets = [firstChunk(cluster)];
    for (let i = 0; i < 20 && packets.length > 0; i++) {
      for (const packet of packets) for (let copy = 0; copy < 3; copy++) cluster.arrive(packet);
      const answers = cluster.take({ from: 1, type: "installSnapshotReply" });
      for (const answer of [...answers, ...answers.toReversed()]) cluster.arrive(answer);
      packets = cluster.take(TO_1);
      expect(packets.length).toBeLessThanOrEqual(1);
    }
    expect(cluster.appliedIndex(1)).toBe(10);
    expect(cluster.count(TO_1)).toBe(10);
  });

  test("chunks that come late or out of order are not mixed in", () => {
    const cluster = behind();
    const first = firstChunk(cluster);
    const second = next(cluster, first);
    const third = next(cluster, second);
    for (const packet of [first, third, second, third, first]) cluster.arrive(packet);
    expect(cluster.core(1).state.incomingSnapshot?.received).toBe(300);
    cluster.run(1000);
    expect(cluster.core(1).state.snapshot?.data).toEqual(STATE);
  });

  test("a follower that crashes in between starts over, and the leader finds out", () => {
    const cluster = behind();
    let packet = firstChunk(cluster);
    for (let i = 0; i < 5; i++) packet = next(cluster, packet);
    cluster.restart(1);
    packet = next(cluster, packet);
    expect(chunk(packet).offset).toBe(0);
    cluster.arrive(packet);
    cluster.run(1000);
    expect(cluster.core(1).state.snapshot?.data).toEqual(STATE);
  });

  test("a new leader starts over with its own snapshot; chunks of two leaders are never mixed", () => {
    const cluster = behind();
    let packet = firstChunk(cluster);
    for (let i = 0; i < 5; i++) packet = next(cluster, packet);
    cluster.run(0);
    cluster.compact(2, STATE.toReversed());
    cluster.stepDown(0);
    cluster.mail = [];
    cluster.elect(2);
    cluster.run(2000);
    expect(cluster.appliedIndex(1)).toBe(10);
    cluster.arrive(packet); // The old leader's: of no use any more.
    expect(cluster.core(1).state.snapshot?.data).toEqual(STATE.toReversed());
  });

  test("the leader goes on and takes another snapshot while the first is on its way", () => {
    const cluster = behind();
    let packet = firstChunk(cluster);
    for (let i = 0; i < 3; i++) packet = next(cluster, packet);
    cluster.propose(0, "later");
    cluster.deliverAll({ with: 2 });
    expect(cluster.compact(0, STATE.toReversed())).toBe(true);
    cluster.arrive(packet);
    cluster.run(1000);
    expect(cluster.appliedIndex(1)).toBe(11);
    expect(progress(cluster).state).toBe("replicate");
    cluster.propose(0, "last");
    cluster.run(200);
    expect(cluster.committed(1).at(-1)).toBe("last");
  });

  test("a follower that is down gets one chunk at each heartbeat, no more", () => {
    const cluster = behind();
    firstChunk(cluster);
    cluster.crash(1);
    cluster.sent.length = 0;
    for (let i = 0; i < 20; i++) {
      cluster.tick(0);
      for (let loss = 0; loss < 5; loss++) cluster.lose({ to: 1 });
      cluster.deliverAll({ with: 2 });
    }
    expect(cluster.count({ to: 1 })).toBeLessThanOrEqual(21);
  });

  test("heartbeats reach a follower that is being sent a snapshot, and keep it quiet", () => {
    const cluster = behind();
    firstChunk(cluster);
    const before = cluster.core(1).state.electionDeadline;
    cluster.tick(0);
    cluster.deliver({ to: 1, type: "appendEntries" });
    expect(cluster.core(1).state.electionDeadline).toBeGreaterThan(before);
  });
});

describe("installing a snapshot (figure 13, follower's side)", () => {
  const snapshot = { lastIncludedIndex: 5, lastIncludedTerm: 2, data: bytes("five") };

  function follower(log: string, term = 3): CoreCluster {
    const cluster = new CoreCluster(3, { disks: [{ log: terms(log), term }] });
    cluster.oracle.stored({ index: 5, term: 2, data: bytes("five") }, []);
    return cluster;
  }

  test("step 6: if the log goes on with the same history, the rest stays", () => {
    const cluster = follower("1x3 2x4 3");
    expect(cluster.ask(0, installSnapshot({ term: 3, ...snapshot }))).toMatchObject({ done: true });
    expect(cluster.logTerms(0)).toEqual([2, 2, 3]);
    expect(cluster.core(0).state).toMatchObject({ commitIndex: 5, durableIndex: 8 });
    expect(cluster.appliedIndex(0)).toBe(5);
    expect(cluster.disk(0).load().entries).toHaveLength(3);
  });

  test("step 7: otherwise all of it goes, on the disk too", () => {
    for (const log of ["1x8", "1x3 3x5", "1x4", ""]) {
      const cluster = follower(log);
      cluster.ask(0, installSnapshot({ term: 3, ...snapshot }));
      expect(cluster.core(0).state.log).toMatchObject({ lastIncludedIndex: 5, lastIncludedTerm: 2, lastIndex: 5 });
      expect(cluster.core(0).state.durableIndex).toBe(5);
      expect(cluster.disk(0).load().entries).toEqual([]);
      cluster.restart(0);
      expect(cluster.core(0).state).toMatchObject({ commitIndex: 5, durableIndex: 5, log: { lastIndex: 5 } });
    }
  });

  test("mutation 25: one that is behind what is committed changes nothing, and is said to be there", () => {
    const cluster = behind();
    cluster.run(1000);
    cluster.propose(0, "y");
    cluster.run(200);
    const { log } = cluster.core(1).state;
    for (const lastIncludedIndex of [0, 3, 10, 11]) {
      const stale = installSnapshot({ leader: 0, lastIncludedIndex, lastIncludedTerm: 1, data: bytes("old") });
      expect(cluster.ask(1, stale)).toMatchObject({ done: true, lastIncludedIndex });
    }
    expect(log).toMatchObject({ lastIncludedIndex: 10, lastIndex: 11 });
    expect(cluster.core(1).state.snapshot?.data).toEqual(STATE);
    expect(cluster.appliedIndex(1)).toBe(11);
  });

  test("mutation 17: one of a deposed leader changes nothing", () => {
    const cluster = follower("");
    const reply = cluster.ask(0, installSnapshot({ term: 2, ...snapshot }));
    expect(reply).toMatchObject({ term: 3, done: false });
    expect(cluster.core(0).state).toMatchObject({ commitIndex: 0, incomingSnapshot: null });
  });

  test("it is acknowledged, and handed to the service, only once it is durable", () => {
    const cluster = follower("1");
    cluster.holdDisk(0);
    expect(cluster.ask(0, installSnapshot({ term: 3, ...snapshot }))).toBeNull();
    expect(cluster.appliedIndex(0)).toBe(0);
    // Entries after it may come meanwhile; they wait for it.
    cluster.ask(0, appendEntries({ term: 3, prevLogIndex: 5, prevLogTerm: 2, entries: entriesFrom(6, "3") }));
    expect(cluster.core(0).state.durableIndex).toBe(0);
    cluster.releaseDisk(0, 1);
    expect(cluster.appliedIndex(0)).toBe(5);
    expect(cluster.core(0).state.durableIndex).toBe(5);
    cluster.releaseDisk(0);
    expect(cluster.core(0).state.durableIndex).toBe(6);
    expect(cluster.count({ from: 0, type: "installSnapshotReply" })).toBe(1);
  });

  test("a crash before or after the write leaves the old log or the snapshot, never a mixture", () => {
    for (const kept of [0, 1, 2]) {
      const cluster = follower("1x8");
      cluster.holdDisk(0);
      cluster.ask(0, installSnapshot({ term: 3, ...snapshot }));
      cluster.ask(0, appendEntries({ term: 3, prevLogIndex: 5, prevLogTerm: 2, entries: entriesFrom(6, "3") }));
      cluster.crash(0, kept);
      cluster.restart(0);
      const { log, commitIndex } = cluster.core(0).state;
      expect([commitIndex, log.lastIncludedIndex, log.lastIndex]).toEqual(
        [
          [0, 0, 8],
          [5, 5, 5],
          [5, 5, 6],
        ][kept],
      );
    }
  });

  test("mutation 23: appends that reach back into the snapshot are taken from where it ends", () => {
    const cluster = follower("");
    cluster.ask(0, installSnapshot({ term: 3, ...snapshot }));
    const append = (prevLogIndex: number, notation: string): unknown =>
      cluster.ask(
        0,
        appendEntries({
          term: 3,
          prevLogIndex,
          prevLogTerm: prevLogIndex === 0 ? 0 : 1,
          entries: entriesFrom(prevLogIndex + 1, notation),
        }),
      );
    expect(append(0, "1x2")).toMatchObject({ success: true, index: 5 });
    expect(append(2, "1 2")).toMatchObject({ success: true, index: 5 });
    expect(append(2, "1 2 2")).toMatchObject({ success: true, index: 5 });
    expect(cluster.core(0).state.log.lastIndex).toBe(5);
    expect(append(3, "2 2 2 3")).toMatchObject({ success: true, index: 7 });
    expect(cluster.logTerms(0)).toEqual([2, 3]);
    expect(append(0, "1x3 2x3")).toMatchObject({ success: true, index: 6 });
    expect(cluster.logTerms(0)).toEqual([2, 3]);
  });
});
