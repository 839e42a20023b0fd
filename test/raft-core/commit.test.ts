import { describe, expect, test } from "vitest";

import { CoreCluster } from "../harness/core-cluster.js";
import { appendEntries, appendReply, entriesFrom, terms } from "../harness/core-messages.js";

describe("what is committed (§5.4.2)", () => {
  /** Figure 8 up to (c): server 0 leads term 4 and has brought its entry of term 2 to a majority. */
  function figure8(): CoreCluster {
    const cluster = new CoreCluster(5, { disks: [0, 1, 2, 3, 4].map(() => ({ log: terms("1") })) });
    cluster.elect(0);
    expect(cluster.core(0).state.term).toBe(2);
    cluster.propose(0, "two");
    cluster.deliver({ to: 1 });
    cluster.mail = [];
    cluster.crash(0);
    cluster.elect(4, [2, 3]);
    cluster.propose(4, "three");
    cluster.mail = [];
    cluster.crash(4);
    cluster.restart(0);
    cluster.elect(0, [1, 2]);
    expect(cluster.core(0).state.term).toBe(4);
    for (let heartbeat = 0; heartbeat < 3; heartbeat++) {
      cluster.tick(0);
      cluster.deliverAll({ with: 0, where: ({ from, to }) => from + to < 3 });
    }
    for (const n of [0, 1, 2]) expect(cluster.logTerms(n)).toEqual([1, 2]);
    return cluster;
  }

  test("figure 8 (e): it is committed along with the first entry of the leader's own term", () => {
    const cluster = figure8();
    cluster.propose(0, "four");
    cluster.deliverAll({ with: 0, where: ({ from, to }) => from + to < 3 });
    expect(cluster.commitIndex(0)).toBe(3);
    cluster.crash(0);
    cluster.mail = [];
    cluster.restart(4);
    expect(() => cluster.elect(4, [1, 2, 3])).toThrow("does not win");
  });

  test("with noopOnElection entries of earlier terms commit at once", () => {
    const disks = [0, 1, 2].map(() => ({ log: terms("1x3") }));
    const cluster = new CoreCluster(3, { disks, config: { noopOnElection: true } });
    cluster.elect(0);
    expect(cluster.commitIndex(0)).toBe(4);
    expect(cluster.committed(0).at(-1)).toBe("");
  });

  test("mutation 16: half of four is no majority", () => {
    const cluster = new CoreCluster(4);
    cluster.elect(0);
    cluster.propose(0, "x");
    cluster.deliverAll({ with: 1 });
    expect(cluster.commitIndex(0)).toBe(0);
    cluster.deliverAll({ with: 2 });
    expect(cluster.commitIndex(0)).toBe(1);
  });

  test("mutation 18: an answer counts up to what it answers, not up to what was sent since", () => {
    const cluster = new CoreCluster(3);
    cluster.elect(0);
    cluster.propose(0, "a");
    cluster.deliver({ to: 1 });
    cluster.propose(0, "b", "c");
    cluster.deliver({ from: 1 });
    expect(cluster.commitIndex(0)).toBe(1);
  });

  test("mutation 15: a heartbeat commits nothing beyond the entries that it vouches for", () => {
    // Its tail of an earlier leader is not ours, and the leader learns nothing of it.
    const disks = [
      { log: terms("1x2"), term: 3 },
      { log: terms("1x2 2x50"), term: 3 },
      { log: terms("1x2"), term: 3 },
    ];
    const cluster = new CoreCluster(3, { disks });
    cluster.elect(0, [2]);
    cluster.propose(0, "x");
    cluster.deliverAll({ with: 2 });
    cluster.drop();
    expect(cluster.commitIndex(0)).toBe(3);
    const heartbeat = appendEntries({ term: 4, leader: 0, seq: 999, prevLogIndex: 2, prevLogTerm: 1, leaderCommit: 3 });
    expect(cluster.ask(1, heartbeat)).toMatchObject({ success: true, index: 2 });
    expect(cluster.commitIndex(1)).toBe(2);
    expect(cluster.logTerms(1)).toHaveLength(52);
  });

  test("mutations 20 and 21: neither counts nor answers of an earlier leadership count", () => {
    const cluster = new CoreCluster(5);
    cluster.elect(0);
    cluster.propose(0, "a");
    cluster.deliverAll({ with: 1 });
    cluster.propose(0, "b");
    cluster.deliver({ to: 1 });
    const late = cluster.take({ from: 1 });
    cluster.mail = [];
    expect(cluster.core(0).state.progressOf(1)!.matchIndex).toBe(1);
    cluster.stepDown(0);
    // A leader of term 2, which nobody hears of again, cuts the entries off.
    cluster.ask(1, appendEntries({ term: 2, leader: 2, prevLogIndex: 0, entries: entriesFrom(1, "2") }));
    expect(cluster.logTerms(1)).toEqual([2]);
    cluster.elect(0, [2, 3, 4]);
    cluster.mail = [];
    cluster.propose(0, "c");
    expect(cluster.core(0).state.progressOf(1)!.matchIndex).toBe(0);
    for (const packet of late) cluster.arrive(packet);
    expect(cluster.core(0).state.progressOf(1)!.matchIndex).toBe(0);
    // Answers that nobody could honestly give are not believed either.
    cluster.answer(0, 1, appendReply({ term: cluster.core(0).state.term, seq: 1e9, index: 99 }));
    expect(cluster.core(0).state.progressOf(1)!.matchIndex).toBe(0);
    expect(cluster.commitIndex(0)).toBe(0);
  });
});

describe("what is durable", () => {
  test("mutation 7: nor is its duplicate, nor a heartbeat that speaks of it, while the first write is under way", () => {
    const cluster = new CoreCluster(3);
    cluster.elect(0);
    cluster.holdDisk(1);
    cluster.propose(0, "x");
    cluster.drop({ to: 2 });
    const [append] = cluster.take({ to: 1 });
    cluster.arrive(append!);
    cluster.arrive(append!);
    cluster.ask(1, appendEntries({ leader: 0, prevLogIndex: 1, prevLogTerm: 1 }));
    expect(cluster.count({ from: 1, type: "appendEntriesReply" })).toBe(1); // To the heartbeat of the election.
    cluster.releaseDisk(1);
    expect(cluster.count({ from: 1, type: "appendEntriesReply" })).toBe(4);
  });

  test("a leader counts its own log only as far as it is durable", () => {
    const cluster = new CoreCluster(3);
    cluster.elect(0);
    cluster.holdDisk(0);
    cluster.propose(0, "x");
    cluster.deliverAll({ with: 1 });
    expect(cluster.commitIndex(0)).toBe(0);
    cluster.releaseDisk(0);
    expect(cluster.commitIndex(0)).toBe(1);
  });

  test("what a later write left of an earlier one counts once it is durable", () => {
    const cluster = new CoreCluster(3);
    cluster.holdDisk(0);
    cluster.ask(0, appendEntries({ entries: entriesFrom(1, "1x4") }));
    cluster.ask(
      0,
      appendEntries({ term: 2, leader: 2, prevLogIndex: 2, prevLogTerm: 1, entries: entriesFrom(3, "2") }),
    );
    cluster.releaseDisk(0, 1);
    expect(cluster.core(0).state.durableIndex).toBe(2);
    cluster.releaseDisk(0);
    expect(cluster.core(0).state.durableIndex).toBe(3);
    // Cut off again after it was durable.
    cluster.holdDisk(0);
    cluster.ask(0, appendEntries({ term: 3, prevLogIndex: 1, prevLogTerm: 1, entries: entriesFrom(2, "3x5") }));
    expect(cluster.core(0).state.durableIndex).toBe(1);
    cluster.releaseDisk(0);
    expect(cluster.core(0).state.durableIndex).toBe(6);
  });

  test("mutation 5: whatever was acknowledged or committed is there after a crash of all", () => {
    const cluster = new CoreCluster(3);
    cluster.elect(0);
    cluster.propose(0, "a", "b");
    cluster.run(500);
    for (const n of cluster.all) cluster.crash(n);
    cluster.mail = [];
    for (const n of cluster.all) cluster.restart(n);
    for (const n of cluster.all) expect(cluster.core(n).state.commitIndex).toBe(0);
    cluster.run(5000);
    cluster.propose(cluster.leader()!, "c");
    cluster.run(500);
    for (const n of cluster.all) expect(cluster.committed(n)).toEqual(["a", "b", "c"]);
  });

  test("a crash may leave more on the disk than was ever confirmed", () => {
    const cluster = new CoreCluster(3);
    cluster.elect(0);
    cluster.holdDisk(1);
    cluster.propose(0, "a");
    cluster.propose(0, "b");
    cluster.deliverAll({ with: 1 });
    cluster.crash(1, 1);
    cluster.restart(1);
    expect(cluster.logTerms(1)).toEqual([1]);
    cluster.run(1000);
    expect(cluster.committed(1)).toEqual(["a", "b"]);
  });

  test("leading with unwritten entries of its own, a server that loses them to a crash loses nothing committed", () => {
    const cluster = new CoreCluster(3);
    cluster.elect(0);
    cluster.holdDisk(0);
    cluster.propose(0, "a");
    cluster.deliverAll();
    expect(cluster.commitIndex(0)).toBe(1);
    cluster.propose(0, "lost");
    cluster.drop();
    cluster.crash(0);
    cluster.restart(0);
    cluster.run(5000);
    cluster.propose(cluster.leader()!, "b");
    cluster.run(500);
    for (const n of cluster.all) expect(cluster.committed(n)).toEqual(["a", "b"]);
  });
});
