import { expect, test } from "vitest";

import { acceptOf, PaxosCluster, prepareOf, value } from "../harness/paxos-cluster.js";

const many = (count: number): string[] => Array.from({ length: count }, (_, i) => `c${i}`);

test("an acceptor that starts again has its promise and its votes", () => {
  const cluster = PaxosCluster.led();
  cluster.propose(0, "a");
  cluster.deliver({ to: 1 });
  const [ballot, vote] = [cluster.ballot(1), cluster.vote(1, 1)];
  cluster.restart(1);
  expect([cluster.ballot(1), cluster.vote(1, 1)]).toEqual([ballot, vote]);
  // A lower ballot is refused as before.
  expect(cluster.ask(1, prepareOf({ ballot: 2, sender: 2 }))).toMatchObject({ granted: false, ballot });
  expect(cluster.ask(1, acceptOf({ ballot: 2, sender: 2, entries: [value(2, "b")] }))).toMatchObject({ count: 0 });
  expect(cluster.vote(1, 1)).toBe(vote);
});

test("a promise is durable before it is given: after a crash in between nobody was promised anything", () => {
  for (const reachedDisk of [0, 1]) {
    const cluster = new PaxosCluster(3);
    cluster.holdDisk(1);
    expect(cluster.ask(1, prepareOf({ ballot: 5, sender: 2 }))).toBe(null);
    expect(cluster.sent.filter(({ from }) => from === 1)).toEqual([]);
    cluster.crash(1, reachedDisk);
    cluster.restart(1);
    expect(cluster.ballot(1)).toBe(reachedDisk === 0 ? 0 : 5);
    // It may take a lower ballot only where the higher promise was lost before anybody heard of it.
    const answer = cluster.ask(1, acceptOf({ ballot: 3, sender: 0, entries: [value(3, "low")] }));
    expect(answer).toMatchObject({ count: reachedDisk === 0 ? 1 : 0 });
  }
});

test("a vote is durable before it is given: a value that crashed disks lost was never chosen", () => {
  const cluster = PaxosCluster.led();
  cluster.holdDisk(1);
  cluster.holdDisk(2);
  cluster.propose(0, "a");
  cluster.deliverAll();
  // Two acceptors have it in memory, and have not said so.
  cluster.expectCommitted(0);
  cluster.crashAll();
  cluster.restart(1);
  cluster.restart(2);
  cluster.run(3000);
  cluster.commit(cluster.leader()!, "b");
  expect(cluster.committed(cluster.leader()!)).toEqual(["b"]);
});

test("the leader's own vote counts once it is durable", () => {
  const cluster = PaxosCluster.led();
  cluster.holdDisk(0);
  cluster.propose(0, "a");
  cluster.drop({ to: 2 });
  cluster.deliverAll();
  cluster.expectCommitted(0);
  cluster.releaseDisk(0);
  cluster.expectCommitted(0, "a");
});

test("no ballot is used again after a crash, whether its promise reached the disk or not", () => {
  for (const reachedDisk of [0, 1]) {
    const cluster = new PaxosCluster(3, { config: { preVote: false } });
    cluster.holdDisk(0);
    cluster.tick(0);
    // Before its own promise is durable nobody hears of the ballot.
    expect(cluster.sent).toEqual([]);
    cluster.crash(0, reachedDisk);
    cluster.restart(0);
    cluster.tick(0);
    expect(cluster.sent.map(({ message }) => message)).toMatchObject([
      { type: "prepare", ballot: reachedDisk === 0 ? 3 : 6 },
      { type: "prepare", ballot: reachedDisk === 0 ? 3 : 6 },
    ]);
  }
});

test("a probe leaves no trace, neither in memory nor on the disk", () => {
  const cluster = new PaxosCluster(3);
  const before = [cluster.disk(1).load(), cluster.ballot(1), cluster.core(1).state.electionDeadline];
  expect(cluster.ask(1, prepareOf({ ballot: 5, sender: 2, probe: true }))).toMatchObject({ granted: true, ballot: 0 });
  expect([cluster.disk(1).load(), cluster.ballot(1), cluster.core(1).state.electionDeadline]).toEqual(before);
  // Who was cut off and comes back probes, and the leader stays.
  const led = PaxosCluster.led();
  led.isolate(2);
  led.run(5000);
  led.heal();
  led.run(3000);
  expect([led.leader(), led.ballot(0)]).toEqual([0, 3]);
});

test("a restart takes a time that does not depend on history: ten thousand chosen instances are not proposed again", () => {
  const costs = [100, 10_000].map((history) => {
    const cluster = PaxosCluster.led();
    for (let i = 0; i < history; i += 10) {
      cluster.propose(0, ...many(10));
      cluster.deliverAll();
    }
    cluster.crashAll();
    cluster.sent.length = 0;
    cluster.restartAll();
    // The journals say what was chosen, but for what came with the last records; no value need be asked for.
    for (const n of cluster.all) expect(cluster.commitIndex(n)).toBeGreaterThanOrEqual(history - 20);
    cluster.until(
      () => cluster.leader() !== null && cluster.commitIndex(cluster.leader()!) === history,
      () => cluster.run(50),
    );
    cluster.run(200);
    for (const n of cluster.all) expect(cluster.commitIndex(n)).toBe(history);
    let values = 0;
    for (const { message } of cluster.sent) if (message.type === "accept") values += message.entries.length;
    return { messages: cluster.sent.length, values };
  });
  // No more than what the last records could not tell yet, to two acceptors; and nothing depends on the history.
  expect(costs[1]).toEqual(costs[0]);
  expect(costs[1]!.values).toBeLessThanOrEqual(40);
});

test("a leader that starts again proposes on behind what it had, whoever of the others it asks", () => {
  const cluster = PaxosCluster.led();
  cluster.commit(0, "a", "b", "c");
  cluster.propose(0, "d");
  cluster.drop();
  // "d" is on its own disk alone; after the restart it is found there and chosen.
  cluster.restart(0);
  cluster.run(2000);
  cluster.elect(0);
  cluster.run(500);
  const log = cluster.committed(0);
  expect(log.slice(0, 3)).toEqual(["a", "b", "c"]);
  cluster.commit(0, "e");
  cluster.expectAllCommitted(...log, "e");
});

test("a crash before, between and after the two writes of a compaction loses nothing", () => {
  for (const kept of [0, 1, 2]) {
    const cluster = PaxosCluster.led();
    cluster.commit(0, "a", "b", "c");
    cluster.compact(1);
    cluster.commit(0, "d", "e");
    // A vote beyond what is chosen stands behind the snapshot.
    cluster.propose(0, "f");
    cluster.deliver({ to: 1 });
    const vote = cluster.vote(1, 6);
    cluster.holdDisk(1);
    cluster.compact(1);
    expect(cluster.heldWrites(1)).toHaveLength(2);
    cluster.crash(1, kept);
    // The oracle compares promise, votes and what is chosen with all that was ever durable.
    cluster.restart(1);
    expect(cluster.core(1).state.log.lastIncludedIndex).toBe(kept === 2 ? 5 : 3);
    expect(cluster.commitIndex(1)).toBe(5);
    expect(cluster.vote(1, 6)).toBe(vote);
    // And it can be compacted again, over what the half of it left behind.
    cluster.compact(1);
    cluster.restart(1);
    expect([cluster.core(1).state.log.lastIncludedIndex, cluster.vote(1, 6)]).toEqual([5, vote]);
    cluster.run(1000);
    cluster.expectCommitted(1, "f");
  }
});

test("a journal is small after a compaction, however much went through it", () => {
  const cluster = PaxosCluster.led();
  const sizes: number[] = [];
  for (let i = 0; i < 20; i++) {
    cluster.commit(0, ...many(100));
    for (const n of cluster.all) cluster.compact(n, new Uint8Array(0));
    sizes.push(cluster.disk(1).stateSize());
  }
  // The mark, and what came with the last news; it does not grow.
  expect(Math.max(...sizes)).toBeLessThan(200);
  expect(cluster.disk(1).load().entries.length).toBeLessThanOrEqual(2);
  // So it is where nothing was voted for since the last snapshot, and where one is installed.
  cluster.isolate(2);
  cluster.commit(0, "x");
  cluster.compact(0);
  cluster.heal();
  cluster.run(1000);
  expect(cluster.disk(2).stateSize()).toBeLessThan(200);
  cluster.restart(2);
  expect(cluster.commitIndex(2)).toBe(2001);
});

test("who is taught a value promises the ballot that comes with it, and keeps that over a restart", () => {
  const cluster = PaxosCluster.led();
  cluster.isolate(2);
  cluster.commit(0, "a");
  cluster.heal();
  // Server 2 asks leader 0 for what it lacks; before that arrives server 1 takes over, and server 0 learns "b" of it.
  cluster.tick(0);
  cluster.deliver({ to: 2 });
  const question = cluster.take({ type: "learn" });
  cluster.stepDown(0);
  cluster.drop();
  cluster.elect(1, [0]);
  cluster.drop();
  cluster.proposeTo(1, [0], "b");
  cluster.tick(1);
  cluster.carry(1, 0);
  cluster.drop();
  // The answer tells of both, and of a ballot that server 2 has never heard of.
  expect(cluster.ballot(2)).toBeLessThan(cluster.ballot(1));
  cluster.arriveLate(question);
  cluster.deliver({ type: "learnReply" });
  cluster.expectCommitted(2, "a", "b");
  expect(cluster.ballot(2)).toBe(cluster.ballot(1));
  cluster.restart(2);
  expect(cluster.vote(2, 2)).toBe(cluster.vote(1, 2));
});
