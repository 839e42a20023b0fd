import { expect, test } from "vitest";

import { PaxosCluster, type PaxosPacket } from "../harness/paxos-cluster.js";

test("a leader that is cut off steps down, and answers no read", () => {
  const cluster = PaxosCluster.led();
  cluster.commit(0, "a");
  cluster.isolate(0);
  const read = cluster.read(0);
  expect(cluster.reads.get(read)).toBe("waiting");
  cluster.run(2000);
  expect(cluster.core(0).state.isLeader()).toBe(false);
  expect(cluster.reads.get(read)).toBe("lost");
  expect(cluster.read(0)).toBe(0);
  // The others have a leader, which answers.
  const leader = cluster.leader()!;
  const other = cluster.read(leader);
  cluster.run(10);
  expect(cluster.reads.get(other)).toBe(1);
});

test("a read waits until what phase 1 found is chosen: it may have been acknowledged before", () => {
  const cluster = PaxosCluster.led();
  // "a" is chosen and acknowledged by leader 0; server 1 has voted for it and does not know that.
  cluster.propose(0, "a");
  cluster.deliver();
  cluster.deliver();
  cluster.expectCommitted(0, "a");
  cluster.expectCommitted(1);
  cluster.crash(0);
  cluster.silence();
  cluster.tick(1);
  cluster.deliver({ type: "prepare" });
  cluster.deliver({ type: "prepareReply" });
  cluster.deliver({ type: "prepare" });
  cluster.deliver({ type: "prepareReply" });
  expect(cluster.core(1).state).toMatchObject({ role: "leader", commitIndex: 0, recoveredTo: 1 });
  // Its read has to wait, however many answer that they still follow it.
  const accepts = cluster.take({ where: ({ message }) => message.type === "accept" && message.entries.length > 0 });
  const read = cluster.read(1);
  cluster.deliverAll();
  cluster.tick(1);
  cluster.deliverAll({ where: ({ message }) => message.type !== "accept" || message.entries.length === 0 });
  expect(cluster.reads.get(read)).toBe("waiting");
  cluster.arriveLate(accepts);
  cluster.deliverAll();
  expect(cluster.reads.get(read)).toBe(1);
});

test("answers of an earlier ballot confirm no read", () => {
  const cluster = PaxosCluster.led(3, { config: { preVote: false } });
  cluster.read(0);
  cluster.deliver({ type: "accept" });
  const old = cluster.take({ type: "acceptReply" });
  cluster.stepDown(0);
  cluster.drop();
  cluster.tick(0);
  cluster.deliver({ type: "prepare" });
  cluster.deliver({ type: "prepareReply" });
  expect(cluster.core(0).state.isLeader()).toBe(true);
  const read = cluster.read(0);
  cluster.drop();
  cluster.arriveLate(old);
  expect(cluster.reads.get(read)).toBe("waiting");
});

test("a handover loses no command: what was proposed is chosen first", () => {
  const cluster = PaxosCluster.led();
  cluster.propose(0, "a");
  cluster.propose(0, "b");
  cluster.act(0, (core) => core.transfer(cluster.now, 1));
  // While it hands over it takes nothing new, and asks nobody before its commands are chosen.
  expect(cluster.propose(0, "c")).toBe(0);
  expect(cluster.count({ type: "takeOver" })).toBe(0);
  cluster.deliverAll();
  expect(cluster.transfers).toEqual([true]);
  expect(cluster.leader()).toBe(1);
  cluster.expectCommitted(1, "a", "b");
  cluster.commit(1, "d");
  cluster.expectAllCommitted("a", "b", "d");
});

test("a handover that is lost is asked for again, and given up after an election timeout", () => {
  const cluster = PaxosCluster.led();
  cluster.act(0, (core) => core.transfer(cluster.now, 1));
  cluster.drop();
  cluster.tick(0);
  expect(cluster.count({ type: "takeOver" })).toBe(2);
  cluster.isolate(1);
  cluster.run(1500);
  expect(cluster.transfers).toEqual([false]);
  expect(cluster.leader()).toBe(0);
  expect(cluster.propose(0, "again")).toBeGreaterThan(0);
});

test("a wish to hand over that comes late, of an earlier ballot, deposes nobody who has a lease", () => {
  const cluster = PaxosCluster.led(3, { config: { leaseReads: true } });
  // Leader 0 asks server 1 to take over, and the message is slow; it gives up, and leads again in a higher ballot.
  cluster.act(0, (core) => core.transfer(cluster.now, 1));
  const slow = cluster.take({ type: "takeOver" });
  cluster.isolate(1);
  cluster.run(1200);
  cluster.stepDown(0);
  cluster.elect(0, [2]);
  cluster.run(300);
  expect(cluster.leader()).toBe(0);
  // Now server 1 stands up for the earlier ballot, higher than the present one; server 2 protects its leader all the same.
  cluster.heal();
  cluster.drop();
  cluster.arriveLate(slow);
  expect(cluster.ballot(1)).toBeGreaterThan(cluster.ballot(0));
  cluster.carry(1, 2);
  expect(cluster.core(1).state.isLeader()).toBe(false);
  const read = cluster.read(0);
  expect(cluster.reads.get(read)).toBe(0);
});

test("a leader itself may raise its ballot at once; others may not while it is heard of", () => {
  const cluster = PaxosCluster.led(3, { config: { preVote: false } });
  cluster.commit(0, "a");
  cluster.act(2, (core) => {
    cluster.now = Math.max(cluster.now, core.state.electionDeadline);
  });
  cluster.tick(0);
  cluster.deliver({ to: 1, type: "accept" });
  cluster.drop();
  cluster.tick(2);
  cluster.deliver({ from: 2, to: 1 });
  expect(cluster.mail.at(-1)?.message).toMatchObject({ type: "prepareReply", granted: false });
  cluster.drop();
  // Server 0 starts again and needs not wait.
  cluster.restart(0);
  cluster.tick(0);
  cluster.carry(0, 1);
  expect(cluster.core(0).state.isLeader()).toBe(true);
});

test("dueling proposers come to an end", () => {
  const cluster = new PaxosCluster(5, { config: { preVote: false } });
  // All stand up at the same moment, again and again, until chance parts them.
  cluster.silence();
  for (const n of cluster.all) cluster.tick(n);
  cluster.run(5000);
  const leader = cluster.leader()!;
  cluster.commit(leader, "a");
  for (const n of cluster.all) expect(cluster.core(n).state.leader).toBe(leader);
});

test("a dead server causes no storm", () => {
  const cluster = PaxosCluster.led();
  cluster.crash(2);
  cluster.sent.length = 0;
  cluster.propose(0, ...Array.from({ length: 100 }, (_, i) => `${i}`));
  for (let i = 0; i < 10; i++) {
    cluster.deliverAll({ with: 1 });
    cluster.lose({ to: 2 });
    cluster.tick(0);
  }
  // At heartbeat pace two messages each time: the heartbeat, and what was not voted for; here all is chosen.
  expect(cluster.count({ to: 2 })).toBeLessThanOrEqual(22);
});

test("an answer of an earlier ballot is no vote in a later one", () => {
  const cluster = PaxosCluster.led(5, { config: { preVote: false } });
  // Server 1 votes for "x" of leader 0, and its answer is slow; server 3 leads, and alone votes for "y" in the same instance.
  cluster.propose(0, "x");
  cluster.deliver({ to: 1 });
  const slow = cluster.take({ from: 1 });
  cluster.drop();
  cluster.stepDown(0);
  cluster.elect(3, [2, 4]);
  cluster.drop();
  cluster.propose(3, "y");
  cluster.drop();
  cluster.stepDown(3);
  cluster.silence();
  // Server 0 leads again; servers 2 and 3 have promised, so it goes on with "y". Server 4 votes for it: two of five.
  const isAsked = ({ to }: PaxosPacket): boolean => to === 2 || to === 3;
  cluster.until(
    () => cluster.core(0).state.isLeader(),
    () => {
      cluster.drop();
      cluster.tick(0);
      cluster.deliver({ type: "prepare", where: isAsked });
      cluster.deliver({ type: "prepareReply" });
    },
  );
  cluster.carry(0, 4);
  expect([cluster.vote(0, 1), cluster.vote(4, 1)]).toEqual([`y@${cluster.ballot(0)}`, `y@${cluster.ballot(0)}`]);
  // The slow answer was a vote for "x": with it nothing is chosen.
  cluster.arriveLate(slow);
  cluster.expectCommitted(0);
});

test("a promise that takes several messages counts with the last, and each asks on from where the one before ended", () => {
  const cluster = PaxosCluster.led(3, { config: { preVote: false, maxAppendBytes: 60 } });
  // Server 1 has voted for nine values, which fill three messages, and knows nothing of their being chosen.
  const commands = Array.from({ length: 9 }, (_, i) => `c${i}`);
  for (const command of commands) cluster.propose(0, command);
  cluster.deliver({ to: 1 });
  const answers = cluster.take({ from: 1 });
  cluster.drop();
  cluster.stepDown(0);
  cluster.silence();
  cluster.now = Math.max(cluster.now, cluster.core(2).state.electionDeadline);
  cluster.tick(2);
  cluster.drop({ to: 0 });
  cluster.carry(2, 1);
  // Three questions, each from where the last answer ended; only then server 2 leads.
  const asked = cluster.sent.flatMap(({ message, to }) =>
    message.type === "prepare" && to === 1 ? [message.from] : [],
  );
  expect(asked).toEqual([1, 4, 7]);
  expect(cluster.core(2).state).toMatchObject({ role: "leader", recoveredTo: 9 });
  cluster.expectCommitted(2, ...commands);
  cluster.arriveLate(answers);
  cluster.run(1000);
  cluster.expectAllCommitted(...commands);
});

test("a promise that takes longer than an election timeout, in several messages, is waited for by both sides", () => {
  const cluster = PaxosCluster.led(3, { config: { preVote: false, maxAppendBytes: 60 } });
  const commands = Array.from({ length: 9 }, (_, i) => `c${i}`);
  for (const command of commands) cluster.propose(0, command);
  cluster.deliver({ to: 1 });
  cluster.crash(0);
  cluster.drop();
  cluster.silence();
  cluster.now = Math.max(cluster.now, cluster.core(2).state.electionDeadline);
  cluster.tick(2);
  const ballot = cluster.ballot(2);
  const began = cluster.now;
  // Each way takes most of the shortest wait; whoever runs out of patience meanwhile stands for election.
  for (let way = 0; way < 6; way++) {
    cluster.drop({ to: 0 });
    cluster.now += Math.floor(cluster.config.electionTimeoutMinMs * 0.45);
    cluster.deliver({ where: ({ message: { type } }) => type === "prepare" || type === "prepareReply" });
    for (const n of [1, 2]) if (cluster.core(n).deadline() <= cluster.now) cluster.tick(n);
  }
  expect(cluster.now - began).toBeGreaterThan(cluster.config.electionTimeoutMaxMs);
  expect(cluster.core(2).state).toMatchObject({ role: "leader", term: ballot, recoveredTo: 9 });
});
