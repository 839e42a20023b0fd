import { expect, test } from "vitest";

import { PaxosCluster } from "../harness/paxos-cluster.js";

const many = (count: number, from = 1): string[] => Array.from({ length: count }, (_, i) => `c${from + i}`);

// ---- phases and what they cost

for (const [size, others] of [
  [3, 2],
  [5, 4],
] as const) {
  test(`the first submit to ${size} servers takes one prepare to each of the others, all later ones accepts alone`, () => {
    const cluster = new PaxosCluster(size, { config: { preVote: false } });
    // One question for all later instances to each other server, and the news of the leader; then the command.
    cluster.tick(0);
    cluster.deliverAll();
    cluster.propose(0, "first");
    cluster.deliverAll();
    const round = { accept: others, acceptReply: others };
    expect(cluster.counts()).toEqual({
      prepare: others,
      prepareReply: others,
      accept: 2 * others,
      acceptReply: 2 * others,
    });
    // From then on one round of accepts for each command, however many there are.
    for (let i = 0; i < 10; i++) {
      cluster.sent.length = 0;
      cluster.propose(0, `later ${i}`);
      cluster.deliverAll();
      expect(cluster.counts()).toEqual(round);
    }
    // A hundred in one turn are one round, too.
    cluster.sent.length = 0;
    cluster.propose(0, ...many(100));
    cluster.deliverAll();
    expect(cluster.counts()).toEqual(round);
    expect(cluster.commitIndex(0)).toBe(111);
  });
}

test("a single server chooses alone, and without a message", () => {
  const cluster = PaxosCluster.led(1);
  cluster.holdDisk(0);
  cluster.propose(0, "a");
  // Not before its vote is on the disk.
  cluster.expectCommitted(0);
  cluster.releaseDisk(0);
  cluster.expectCommitted(0, "a");
  expect(cluster.reads.get(cluster.read(0))).toBe(1);
  expect(cluster.sent).toEqual([]);
});

test("one prepare recovers a thousand instances", () => {
  const cluster = PaxosCluster.led();
  // Server 1 has voted for a thousand values, which nobody knows to be chosen; then the leader is gone.
  cluster.propose(0, ...many(1000));
  cluster.deliver({ to: 1 });
  cluster.drop();
  cluster.crash(0);
  cluster.sent.length = 0;
  cluster.elect(1, [2]);
  // One question of probing and one prepare; all values come with the answers or are here already.
  expect(cluster.count({ type: "prepare", to: 2 })).toBe(2);
  cluster.expectCommitted(1, ...many(1000));
});

test("holes are filled with no-ops, nothing else is, and the commands behind them are kept", () => {
  const cluster = PaxosCluster.led();
  cluster.commit(0, "a");
  // Of three more commands server 1 gets only the last; then the leader is gone for good.
  cluster.propose(0, "lost");
  cluster.propose(0, "lost too");
  cluster.drop();
  cluster.propose(0, "kept");
  cluster.deliver({ to: 1 });
  cluster.crash(0);
  cluster.drop();
  cluster.elect(1, [2]);
  // Instances 2 and 3 are holes; nothing follows the last command.
  for (const [instance, vote] of ["a", "noop", "noop", "kept", "-"].entries()) {
    if (instance > 0) expect(cluster.vote(1, instance + 1)).toMatch(new RegExp(`^${vote}`));
  }
  cluster.expectCommitted(1, "a", "", "", "kept");
  expect(cluster.core(1).state.log.lastIndex).toBe(4);
});

// ---- what may be chosen

test("what only a minority voted for is kept where the successor hears of it, and dropped where not: never both", () => {
  for (const heard of [true, false]) {
    const cluster = PaxosCluster.led(5);
    // Of five only leader 0 and server 1 have voted for "x".
    cluster.proposeTo(0, [1], "x");
    cluster.expectCommitted(0);
    cluster.isolate(0);
    // The successor asks server 1, or does not.
    cluster.elect(2, heard ? [1, 3] : [3, 4]);
    cluster.propose(2, "y");
    cluster.deliverAll();
    cluster.expectCommitted(2, ...(heard ? ["x", "y"] : ["y"]));
    // Whoever comes back later learns the same.
    cluster.heal();
    cluster.run(3000);
    cluster.expectAllCommitted(...(heard ? ["x", "y"] : ["y"]));
  }
});

test("of three generations of votes in one instance that of the highest ballot is adopted", () => {
  const cluster = new PaxosCluster(5, { config: { preVote: false } });
  // Three leaders in turn, each with a majority of its own, get one vote of an acceptor each, besides their own.
  for (const [leader, voters, acceptor, command] of [
    [0, [2, 3], 2, "first"],
    [1, [3, 4], 3, "second"],
    [4, [1, 0], 0, "third"],
  ] as const) {
    cluster.elect(leader, voters);
    cluster.drop();
    cluster.propose(leader, command);
    cluster.deliver({ to: acceptor });
    cluster.drop();
    cluster.stepDown(leader);
  }
  // Server 4 adopted "second" from server 1: that it proposes, and its own command comes after it.
  expect(cluster.vote(2, 1)).toMatch(/^first@/);
  expect(cluster.vote(3, 1)).toMatch(/^second@/);
  expect(cluster.vote(4, 1)).toMatch(/^second@/);
  expect(cluster.vote(4, 2)).toMatch(/^third@/);
  // Server 2 knows "first" alone; of servers 3 and 0 it hears of the two later ballots, and takes the value of the highest.
  cluster.crash(4);
  cluster.crash(1);
  cluster.elect(2, [3, 0]);
  cluster.expectCommitted(2, "second", "third");
});

test("MyPaxos 18: a promise of an earlier ballot does not count in a later one", () => {
  const cluster = new PaxosCluster(3, { config: { preVote: false } });
  // Server 0 asks, and the promises are slow; it asks again in a higher ballot, which nobody hears.
  cluster.tick(0);
  cluster.deliver({ to: 1 });
  cluster.deliver({ to: 2 });
  const old = cluster.take({ type: "prepareReply" });
  cluster.silence();
  cluster.tick(0);
  cluster.drop();
  expect(cluster.ballot(0)).toBeGreaterThan(3);
  // The old promises arrive: it does not lead.
  cluster.arriveLate(old);
  expect(cluster.core(0).state.role).toBe("candidate");
});

test("MyPaxos 19: an acceptor takes an accept in a higher ballot than it promised, without another round trip", () => {
  const cluster = PaxosCluster.led();
  cluster.commit(0, "a");
  // Server 1 takes over with the promise of server 0; server 2 hears nothing of it before the first accept.
  cluster.silence();
  cluster.stepDown(0);
  cluster.elect(1, [0]);
  cluster.drop();
  cluster.sent.length = 0;
  cluster.proposeTo(1, [2], "b");
  // One accept, one vote; with that it is chosen.
  expect(cluster.count({ from: 2, type: "acceptReply" })).toBe(1);
  expect(cluster.count({ type: "prepare" })).toBe(0);
  cluster.expectCommitted(1, "a", "b");
});

test("the refusal of a slow accept, told in the asker's own later ballot, is not a vote in it", () => {
  const cluster = PaxosCluster.led(3, { config: { preVote: false } });
  // The accept of "x" to server 1 is slow. Leader 0 steps down, and leads again in a ballot that server 1 has promised.
  cluster.propose(0, "x");
  const slow = cluster.take({ to: 1 });
  cluster.drop();
  cluster.stepDown(0);
  cluster.tick(0);
  cluster.deliver({ to: 1 });
  cluster.deliver({ from: 1 });
  cluster.drop();
  expect(cluster.core(0).state.isLeader()).toBe(true);
  // The slow accept of the earlier ballot arrives and is refused, in an answer that bears the new one.
  cluster.arriveLate(slow);
  expect(cluster.mail).toMatchObject([{ from: 1, message: { type: "acceptReply", ballot: cluster.ballot(0) } }]);
  // Server 1 has no vote at all: nothing is chosen.
  cluster.deliver();
  cluster.expectCommitted(0);
  expect(cluster.vote(1, 1)).toBe("-");
});

test("two proposers at once lose nothing: six rounds of two values, each acknowledged value is there once", () => {
  // The race in which the seed lost two values of twelve: both servers take a value and both believe that they may.
  const cluster = new PaxosCluster(3, { config: { preVote: false } });
  const acknowledged: string[] = [];
  for (let round = 0; round < 6; round++) {
    const values: [number, string, number][] = [];
    for (const n of [0, 1]) {
      cluster.silence();
      cluster.elect(n, n === 0 ? [1, 2] : [2]);
      values.push([n, `${n} of round ${round}`, cluster.propose(n, `${n} of round ${round}`)]);
    }
    // Both accepts are under way at once, and arrive in turn.
    cluster.deliverAll();
    for (const [n, command, index] of values) {
      const committed = cluster.committed(n);
      if (index > 0 && committed[index - 1] === command) acknowledged.push(command);
    }
    cluster.drop();
  }
  cluster.run(3000);
  const log = cluster.committed(cluster.leader()!);
  for (const command of acknowledged) expect(log.filter((each) => each === command)).toEqual([command]);
  expect(acknowledged.length).toBeGreaterThanOrEqual(6);
  cluster.expectAllCommitted(...log);
});

test("a deposed leader's writes are refused and not acknowledged; an acknowledged one is never lost", () => {
  const cluster = PaxosCluster.led();
  cluster.commit(0, "acknowledged");
  // Leader 0 is cut off without noticing; server 1 takes over and goes on.
  cluster.isolate(0);
  cluster.elect(1, [2]);
  cluster.propose(0, "too late");
  cluster.propose(1, "b");
  cluster.carry(1, 2);
  // Its accepts arrive late, and are refused with the higher ballot: it is deposed, and takes no more.
  const accepts = cluster.take({ from: 0 });
  cluster.heal();
  cluster.arriveLate(accepts);
  cluster.deliver({ to: 0, type: "acceptReply" });
  expect(cluster.core(0).state.isLeader()).toBe(false);
  expect(cluster.propose(0, "refused")).toBe(0);
  cluster.run(2000);
  cluster.expectAllCommitted("acknowledged", "b");
});

test("instances that are chosen out of order, each by its own majority, are committed in order", () => {
  const cluster = PaxosCluster.led(5);
  // The accepts of three commands go to different pairs of acceptors.
  cluster.propose(0, "a");
  cluster.propose(0, "b");
  cluster.propose(0, "c");
  const [first, second, third] = [1, 2, 3].map((instance) =>
    cluster.take({ where: ({ message }) => message.type === "accept" && message.first === instance }),
  );
  // The third is chosen first, by servers 3 and 4: nothing is committed, for what comes before it is open.
  cluster.arriveLate(third!.filter(({ to }) => to === 3 || to === 4));
  cluster.deliver({ type: "acceptReply" });
  expect(cluster.oracle.chosen).toBe(1);
  cluster.expectCommitted(0);
  // Then the first, by servers 1 and 2; then the second, by 1 and 3.
  cluster.arriveLate(first!.filter(({ to }) => to === 1 || to === 2));
  cluster.deliver({ type: "acceptReply" });
  cluster.expectCommitted(0, "a");
  cluster.arriveLate(second!.filter(({ to }) => to === 1 || to === 3));
  cluster.deliver({ type: "acceptReply" });
  cluster.expectCommitted(0, "a", "b", "c");
});

// ---- learning

test("a learner does not take its own old vote for the value that was chosen", () => {
  const cluster = PaxosCluster.led(5);
  // Server 4 has voted for "old" in the first ballot, nobody else but its leader.
  cluster.proposeTo(0, [4], "old");
  cluster.isolate(0);
  // The successor never hears of that, and "new" is chosen in the same instance.
  cluster.elect(1, [2, 3]);
  cluster.propose(1, "new");
  cluster.carry(1, 2, 3);
  cluster.expectCommitted(1, "new");
  // Server 4 hears that instance 1 is chosen, and nothing more: it asks what is in it.
  cluster.drop();
  cluster.tick(1);
  cluster.deliver({ from: 1, to: 4 });
  cluster.expectCommitted(4);
  cluster.carry(4, 1);
  cluster.expectCommitted(4, "new");
});

test("a learner catches up by ranges: ten thousand instances take as many questions as messages are full", () => {
  const cluster = PaxosCluster.led(3, { config: { maxAppendBytes: 50_000 } });
  cluster.isolate(2);
  cluster.propose(0, ...many(10_000));
  cluster.carry(0, 1);
  expect(cluster.commitIndex(0)).toBe(10_000);
  cluster.drop();
  cluster.heal();
  cluster.sent.length = 0;
  cluster.run(500);
  // 10,000 commands of 5 bytes or so and their frames are 210 kB: five messages.
  expect(cluster.commitIndex(2)).toBe(10_000);
  expect(cluster.count({ type: "learn" })).toBe(5);
  // All of it is voted for by a majority and chosen: no accept carries a value again.
  const values = cluster.sent.filter(({ message }) => message.type === "accept" && message.entries.length > 0);
  expect(values).toEqual([]);
});

test("a learner that is behind the snapshot gets it in parts, and then what came after it", () => {
  const cluster = PaxosCluster.led(3, { config: { snapshotChunkBytes: 10 } });
  cluster.isolate(2);
  cluster.commit(0, "a", "b", "c");
  cluster.compact(0, new Uint8Array(35));
  cluster.commit(0, "d");
  cluster.heal();
  cluster.sent.length = 0;
  cluster.run(1000);
  // Four parts, and one range.
  expect(cluster.count({ type: "learnReply", to: 2 })).toBe(5);
  expect(cluster.restores).toBe(1);
  expect(cluster.core(2).state.log.lastIncludedIndex).toBe(3);
  cluster.expectCommitted(2, "d");
  expect(cluster.appliedIndex(2)).toBe(4);
});

test("parts of two servers' snapshots are never put together", () => {
  const cluster = PaxosCluster.led(3, { config: { snapshotChunkBytes: 10 } });
  cluster.isolate(2);
  cluster.commit(0, "a");
  // Both have the same state up to instance 1, in different bytes.
  cluster.compact(0, new Uint8Array(35).fill(1));
  cluster.compact(1, new Uint8Array(31).fill(2));
  cluster.heal();
  // Server 2 has two parts of the first when the leader is gone.
  cluster.tick(0);
  cluster.deliver({ to: 2 });
  for (let i = 0; i < 4; i++) cluster.deliver({ with: 2, where: ({ message }) => message.type.startsWith("learn") });
  expect(cluster.core(2).state.incomingSnapshot?.received).toBe(20);
  cluster.crash(0);
  cluster.drop();
  cluster.elect(1, [2]);
  // It begins anew with the other's; the oracle compares every byte.
  cluster.run(1000);
  expect(cluster.appliedIndex(2)).toBe(1);
});

test("a leader that is the one behind learns what was chosen before, by snapshot and range, before it commits", () => {
  const cluster = PaxosCluster.led(3, { config: { preVote: false, snapshotChunkBytes: 10 } });
  cluster.isolate(2);
  cluster.commit(0, "a", "b");
  cluster.compact(0);
  cluster.compact(1);
  cluster.commit(0, "c");
  cluster.heal();
  cluster.stepDown(0);
  cluster.silence();
  // Server 2 asks for promises; with them it hears that three instances are chosen, and takes what comes after.
  cluster.tick(2);
  cluster.deliverAll({ type: "prepare" });
  cluster.deliver({ type: "prepareReply" });
  expect(cluster.core(2).state.isLeader()).toBe(true);
  expect(cluster.propose(2, "d")).toBe(4);
  // The vote is there at once, and chosen; committed it is after the others, once their values have come.
  cluster.deliver({ type: "accept" });
  cluster.deliver({ type: "acceptReply" });
  cluster.expectCommitted(2);
  cluster.run(1000);
  cluster.expectCommitted(2, "c", "d");
  expect(cluster.restores).toBe(1);
});

test("where the one who knew what is chosen is gone before it told, another phase 1 finds the values", () => {
  const cluster = PaxosCluster.led(3, { config: { preVote: false } });
  // Server 2 has the votes but never heard that they are chosen.
  cluster.propose(0, "a", "b");
  cluster.deliver();
  cluster.deliver();
  cluster.expectCommitted(0, "a", "b");
  cluster.stepDown(0);
  // Its phase 1 is answered by server 0 alone, which says "two are chosen", and is gone.
  cluster.silence();
  cluster.now = cluster.core(2).state.electionDeadline;
  cluster.tick(2);
  cluster.deliver({ to: 0, type: "prepare" });
  cluster.deliver({ from: 0, type: "prepareReply" });
  expect(cluster.core(2).state).toMatchObject({ role: "leader", chosenBefore: 2, commitIndex: 0 });
  cluster.crash(0);
  cluster.drop();
  const before = cluster.ballot(2);
  // With server 1 it comes to the same values, in a higher ballot, and soon.
  cluster.until(
    () => cluster.leader() !== null && cluster.commitIndex(cluster.leader()!) === 2,
    () => cluster.run(50),
  );
  expect(cluster.now).toBeLessThan(6000);
  expect(cluster.ballot(2)).toBeGreaterThan(before);
  cluster.expectCommitted(cluster.leader()!, "a", "b");
});
