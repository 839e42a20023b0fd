import { describe, expect, test } from "vitest";

import type { RequestVoteReply } from "../../raft/core/index.js";
import { CoreCluster } from "../harness/core-cluster.js";
import { appendEntries, requestVote } from "../harness/core-messages.js";

const granted = (reply: unknown): boolean => (reply as RequestVoteReply).granted;
const term = (cluster: CoreCluster, n: number): number => cluster.core(n).state.term;

describe("pre-vote (dissertation §9.6)", () => {
  test("a server that was cut off comes back in the term in which it left, and disturbs nobody", () => {
    const cluster = new CoreCluster(3);
    cluster.elect(0);
    cluster.isolate(2);
    cluster.run(60_000);
    expect(cluster.core(2).state.role).not.toBe("leader");
    expect(term(cluster, 2)).toBe(1);
    cluster.heal();
    cluster.run(5000);
    expect(cluster.all.map((n) => term(cluster, n))).toEqual([1, 1, 1]);
    expect(cluster.leader()).toBe(0);
    expect(cluster.core(2).state.leader).toBe(0);
  });

  test("without it the same server's term grows, and its return costs the leader its place", () => {
    const cluster = new CoreCluster(3, { config: { preVote: false } });
    cluster.elect(0);
    cluster.isolate(2);
    cluster.run(60_000);
    expect(term(cluster, 2)).toBeGreaterThan(50);
    cluster.heal();
    cluster.run(5000);
    expect(term(cluster, 0)).toBeGreaterThan(50);
    expect(cluster.leader()).not.toBeNull();
  });

  test("asking and answering change nothing on either side: no term, no vote, no write, no timer", () => {
    const cluster = new CoreCluster(3);
    const writes = (n: number): number => cluster.core(n).state.lastWrite;
    const deadline = cluster.core(1).deadline();
    cluster.tick(0);
    expect(cluster.core(0).state).toMatchObject({ role: "precandidate", term: 0, votedFor: null });
    cluster.deliver({ to: 1 });
    expect(cluster.take({ from: 1 }).map(({ message }) => granted(message))).toEqual([true]);
    expect(cluster.core(1).state).toMatchObject({ role: "follower", term: 0, votedFor: null });
    expect(cluster.core(1).deadline()).toBe(deadline);
    expect([writes(0), writes(1)]).toEqual([0, 0]);
    // It promises nothing: another may have the same answer.
    expect(granted(cluster.ask(1, requestVote({ candidate: 2, preVote: true })))).toBe(true);
  });

  test("a leader whose follower went on to a later term gets that term back, and the group goes on", () => {
    const cluster = new CoreCluster(3, { disks: [{}, {}, { term: 7 }] });
    cluster.elect(0, [0, 1]);
    expect(term(cluster, 0)).toBe(1);
    cluster.run(5000);
    expect(cluster.leader()).not.toBeNull();
    expect(cluster.all.map((n) => term(cluster, n))).toEqual([8, 8, 8]);
  });

  test("a pre-candidate that hears of a leader follows it", () => {
    const cluster = new CoreCluster(3);
    cluster.tick(0);
    cluster.ask(0, appendEntries({ term: 1 }));
    expect(cluster.core(0).state).toMatchObject({ role: "follower", leader: 1, term: 1 });
    cluster.deliverAll();
    expect(cluster.core(0).state).toMatchObject({ role: "follower", term: 1 });
  });
});

describe("leader stickiness (§4.2.3)", () => {
  test("who hears from a leader refuses votes and pre-votes, and does not take over the term", () => {
    const cluster = new CoreCluster(3);
    cluster.elect(0);
    for (const preVote of [true, false]) {
      for (const n of [0, 1]) {
        const reply = cluster.ask(n, requestVote({ term: 9, candidate: 2, preVote, lastLogIndex: 9, lastLogTerm: 8 }));
        expect(reply).toMatchObject({ granted: false, term: 1 });
        expect(term(cluster, n)).toBe(1);
      }
    }
    expect(cluster.leader()).toBe(0);
  });

  test("the protection lasts the shortest election timeout, and no longer", () => {
    const cluster = new CoreCluster(3);
    cluster.elect(0);
    const heardAt = cluster.core(1).state.lastLeaderContact;
    cluster.now = heardAt + 499;
    expect(granted(cluster.ask(1, requestVote({ term: 2, candidate: 2 })))).toBe(false);
    cluster.now = heardAt + 500;
    expect(granted(cluster.ask(1, requestVote({ term: 2, candidate: 2 })))).toBe(true);
  });

  test("a candidate whom the leader itself has called is not refused", () => {
    const cluster = new CoreCluster(3);
    cluster.elect(0);
    expect(granted(cluster.ask(1, requestVote({ term: 2, candidate: 2, transfer: true })))).toBe(true);
  });

  test("a leader that stepped down does not protect itself", () => {
    const cluster = new CoreCluster(3);
    cluster.elect(0);
    cluster.stepDown(0);
    expect(granted(cluster.ask(0, requestVote({ term: 2, candidate: 2 })))).toBe(true);
  });
});

describe("check-quorum (dissertation §6.2)", () => {
  test("a leader that is cut off steps down within an election timeout and a heartbeat", () => {
    const cluster = new CoreCluster(5);
    cluster.elect(0);
    cluster.run(1000);
    const cutAt = cluster.now;
    cluster.isolate(0);
    cluster.until(
      () => !cluster.core(0).state.isLeader(),
      () => cluster.run(10),
    );
    expect(cluster.now - cutAt).toBeLessThanOrEqual(1110);
    expect(cluster.core(0).state.term).toBe(1);
    cluster.run(3000);
    expect(cluster.leader()).not.toBeNull();
  });

  test("contact with a minority is not enough, with a majority it is", () => {
    const cluster = new CoreCluster(5);
    cluster.elect(0);
    for (const n of [3, 4]) cluster.crash(n);
    cluster.run(5000);
    expect(cluster.core(0).state.role).toBe("leader");
    cluster.crash(2);
    cluster.run(1200);
    expect(cluster.core(0).state.role).not.toBe("leader");
  });

  test("a leader that can send but not hear steps down too; the others go on", () => {
    const cluster = new CoreCluster(3);
    cluster.elect(0);
    cluster.propose(0, "a");
    cluster.run(1000);
    for (const n of [1, 2]) cluster.cut(n, 0);
    cluster.run(5000);
    const next = cluster.leader()!;
    expect(next).not.toBe(0);
    expect(cluster.core(0).state.role).not.toBe("leader");
    const calm = term(cluster, next);
    cluster.propose(next, "b");
    cluster.run(60_000);
    expect(cluster.committed(next)).toEqual(["a", "b"]);
    expect(term(cluster, next)).toBe(calm);
    expect(cluster.leader()).toBe(next);
  });

  test("a leader that hears but cannot send is replaced", () => {
    const cluster = new CoreCluster(3);
    cluster.elect(0);
    for (const n of [1, 2]) cluster.cut(0, n);
    cluster.run(5000);
    const next = cluster.leader()!;
    expect(next).not.toBe(0);
    expect(cluster.core(0).state).toMatchObject({ role: "follower", leader: next });
  });

  test("switched off, a leader that is cut off goes on leading its term", () => {
    const cluster = new CoreCluster(3, { config: { checkQuorum: false } });
    cluster.elect(0);
    cluster.isolate(0);
    cluster.run(10_000);
    expect(cluster.core(0).state).toMatchObject({ role: "leader", term: 1 });
    expect(cluster.leader()).not.toBe(0);
  });
});
