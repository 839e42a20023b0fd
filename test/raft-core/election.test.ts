import { describe, expect, test } from "vitest";

import { RefusedMessageError, type RequestVoteReply } from "../../raft/core/index.js";
import { CoreCluster } from "../harness/core-cluster.js";
import { appendEntries, requestVote, terms } from "../harness/core-messages.js";

const granted = (reply: unknown): boolean => (reply as RequestVoteReply).granted;

describe("election timers (§5.2)", () => {
  test("timeouts are random within their bounds, and drawn afresh each time (mutation 32)", () => {
    const cluster = new CoreCluster(1, { config: { electionTimeoutMinMs: 300, electionTimeoutMaxMs: 450 } });
    const drawn = new Set<number>();
    for (let i = 0; i < 200; i++) {
      cluster.restart(0);
      const timeout = cluster.core(0).deadline() - cluster.now;
      expect(timeout).toBeGreaterThanOrEqual(300);
      expect(timeout).toBeLessThan(450);
      drawn.add(timeout);
    }
    expect(drawn.size).toBeGreaterThan(190);
    expect(Math.max(...drawn) - Math.min(...drawn)).toBeGreaterThan(130);
  });

  test("an append and a granted vote put the election off, a denied vote does not (mutation 33)", () => {
    const cluster = new CoreCluster(3, { disks: [{ log: terms("1") }] });
    const deadline = (): number => cluster.core(0).deadline();
    cluster.now = 400;
    const before = deadline();
    // A candidate without the entry is denied, in however many new terms it asks.
    for (let term = 2; term < 6; term++) expect(granted(cluster.ask(0, requestVote({ term })))).toBe(false);
    expect(cluster.core(0).state.term).toBe(5);
    expect(deadline()).toBe(before);
    expect(granted(cluster.ask(0, requestVote({ term: 6, candidate: 2, lastLogIndex: 1, lastLogTerm: 1 })))).toBe(true);
    expect(deadline()).toBeGreaterThanOrEqual(900);
    cluster.now = 800;
    cluster.ask(0, appendEntries({ term: 6, leader: 2 }));
    expect(deadline()).toBeGreaterThanOrEqual(1300);
    const afterAppend = deadline();
    cluster.now = 1200;
    // An append of a deposed leader is no sign of life of a leader.
    cluster.ask(0, appendEntries({ term: 5, leader: 1 }));
    expect(deadline()).toBe(afterAppend);
  });

  test("by default a leader sends each follower at most ten heartbeats a second, and at least nine", () => {
    const cluster = new CoreCluster(3);
    cluster.elect(0);
    cluster.sent.length = 0;
    cluster.run(10_000);
    for (const to of [1, 2]) {
      expect(cluster.count({ to, type: "appendEntries" })).toBeLessThanOrEqual(100);
      expect(cluster.count({ to, type: "appendEntries" })).toBeGreaterThanOrEqual(90);
    }
    expect(cluster.sent.length).toBeLessThanOrEqual(400);
    expect(cluster.leader()).toBe(0);
  });

  test.each([3, 5, 7])("of %i servers a new one leads within five seconds of a failure", (size) => {
    const waits: number[] = [];
    for (let seed = 1; seed <= 40; seed++) {
      const cluster = new CoreCluster(size, { seed });
      cluster.run(5000);
      for (let failures = 0; failures < 2; failures++) {
        const old = cluster.leader()!;
        cluster.crash(old);
        const crashedAt = cluster.now;
        cluster.until(
          () => cluster.leader() !== null,
          () => cluster.run(25),
        );
        waits.push(cluster.now - crashedAt);
        cluster.restart(old);
        cluster.run(300);
      }
    }
    expect(Math.max(...waits)).toBeLessThan(5000);
    expect(waits.reduce((sum, wait) => sum + wait) / waits.length).toBeLessThan(1500);
  });
});

describe("votes", () => {
  test.each([1, 2, 3, 5, 7])("%i servers elect one leader and agree", (size) => {
    const cluster = new CoreCluster(size);
    cluster.run(5000);
    const leader = cluster.leader()!;
    expect(cluster.all.filter((n) => cluster.core(n).state.isLeader())).toEqual([leader]);
    cluster.propose(leader, "x", "y");
    cluster.run(200);
    for (const n of cluster.all) expect(cluster.committed(n)).toEqual(["x", "y"]);
  });

  test("mutations 9 and 10: a log is up to date by its last term first, then by its length", () => {
    const cases = [
      ["2x3", 3, 2, true],
      ["2x3", 2, 3, true],
      ["2x3", 9, 1, false],
      ["2x3", 2, 2, false],
      ["2x3", 4, 2, true],
      ["", 0, 0, true],
      ["1", 0, 0, false],
    ] as const;
    for (const [log, lastLogIndex, lastLogTerm, expected] of cases) {
      for (const preVote of [true, false]) {
        const cluster = new CoreCluster(3, { disks: [{ log: terms(log) }] });
        const reply = cluster.ask(0, requestVote({ term: 5, lastLogIndex, lastLogTerm, preVote }));
        expect(granted(reply), `[${log}] asked by (${lastLogIndex}, term ${lastLogTerm})`).toBe(expected);
      }
    }
  });

  test("mutation 11: one vote a term; a repeated question gets the same answer", () => {
    const cluster = new CoreCluster(3);
    expect(granted(cluster.ask(0, requestVote({ candidate: 1 })))).toBe(true);
    expect(granted(cluster.ask(0, requestVote({ candidate: 2 })))).toBe(false);
    expect(granted(cluster.ask(0, requestVote({ candidate: 1, seq: 2 })))).toBe(true);
    expect(granted(cluster.ask(0, requestVote({ candidate: 2, term: 2 })))).toBe(true);
    expect(granted(cluster.ask(0, requestVote({ candidate: 1, term: 1 })))).toBe(false);
  });

  test("mutations 2 and 4: term and vote are one write, and survive a restart", () => {
    const cluster = new CoreCluster(3);
    cluster.holdDisk(0);
    expect(cluster.ask(0, requestVote({ term: 7, candidate: 1 }))).toBeNull();
    expect(cluster.heldWrites(0).map((write) => write.hardState)).toEqual([{ term: 7, votedFor: 1 }]);
    cluster.releaseDisk(0);
    cluster.restart(0);
    expect(cluster.core(0).state.term).toBe(7);
    expect(granted(cluster.ask(0, requestVote({ term: 7, candidate: 2 })))).toBe(false);
    expect(granted(cluster.ask(0, requestVote({ term: 7, candidate: 1 })))).toBe(true);
  });

  test("mutation 3: a vote is given only once it is durable; one that was not given is forgotten by a crash", () => {
    const cluster = new CoreCluster(3, { config: { preVote: false } });
    cluster.tick(1);
    cluster.holdDisk(0);
    cluster.deliver({ to: 0 });
    expect(cluster.count({ from: 0 })).toBe(0);
    cluster.releaseDisk(0);
    expect(cluster.sent.filter(({ from }) => from === 0).map(({ message }) => granted(message))).toEqual([true]);
    // Again, but the server crashes before the write is done.
    cluster.holdDisk(2);
    cluster.deliver({ to: 2 });
    cluster.crash(2);
    expect(cluster.count({ from: 2 })).toBe(0);
    cluster.restart(2);
    expect(granted(cluster.ask(2, requestVote({ candidate: 0 })))).toBe(true);
  });

  test("a candidate's own vote counts, and is told to others, only once it is durable", () => {
    for (const size of [1, 3]) {
      const cluster = new CoreCluster(size, { config: { preVote: false } });
      cluster.holdDisk(0);
      cluster.tick(0);
      expect(cluster.sent).toEqual([]);
      expect(cluster.core(0).state.role).toBe("candidate");
      cluster.releaseDisk(0);
      cluster.deliverAll();
      expect(cluster.core(0).state.role).toBe("leader");
    }
  });

  test("mutation 19: answers to an earlier campaign do not count in a later one", () => {
    const cluster = new CoreCluster(5, { config: { preVote: false } });
    cluster.tick(0);
    const late = cluster.take({ from: 0, type: "requestVote" });
    for (const packet of late) cluster.arrive(packet);
    const votes = cluster.take({ to: 0, type: "requestVoteReply" });
    expect(votes).toHaveLength(4);
    cluster.now = cluster.core(0).state.electionDeadline;
    cluster.tick(0);
    expect(cluster.core(0).state).toMatchObject({ role: "candidate", term: 2 });
    for (const packet of votes) cluster.arrive(packet);
    expect(cluster.core(0).state.role).toBe("candidate");
    cluster.deliverAll();
    expect(cluster.core(0).state).toMatchObject({ role: "leader", term: 2 });
  });

  test("mutation 16: half the servers are no majority", () => {
    const cluster = new CoreCluster(4, { config: { preVote: false } });
    cluster.tick(0);
    cluster.deliverAll({ with: 0, where: ({ from, to }) => from === 1 || to === 1 });
    expect(cluster.core(0).state.role).toBe("candidate");
    cluster.deliverAll({ with: 0, where: ({ from, to }) => from === 2 || to === 2 });
    expect(cluster.core(0).state.role).toBe("leader");
  });

  test("questions are repeated at heartbeat pace to those who have not answered, and not beyond", () => {
    const cluster = new CoreCluster(5, { config: { preVote: false, electionTimeoutMinMs: 900 } });
    cluster.tick(0);
    cluster.deliver({ to: 1 });
    cluster.deliver({ to: 0 });
    cluster.drop();
    cluster.sent.length = 0;
    for (let i = 0; i < 5; i++) cluster.tick(0);
    expect(cluster.sent.map(({ to }) => to)).toEqual([2, 3, 4, 2, 3, 4, 2, 3, 4, 2, 3, 4, 2, 3, 4]);
    expect(cluster.core(0).state.term).toBe(1);
    for (const packet of cluster.take({ to: 2 })) cluster.arrive(packet);
    cluster.deliverAll({ to: 0 });
    expect(cluster.core(0).state.role).toBe("leader");
  });

  test("a split vote is drawn again until somebody wins", () => {
    const cluster = new CoreCluster(4, { config: { preVote: false } });
    cluster.now = 1000;
    for (const n of cluster.all) cluster.act(n, (core) => core.step(1000, { type: "tick" }));
    expect(cluster.all.map((n) => cluster.core(n).state.role)).toEqual(new Array(4).fill("candidate"));
    cluster.run(4000);
    expect(cluster.leader()).not.toBeNull();
  });
});

describe("terms and roles", () => {
  test("mutation 34: a leader that hears of a later term steps down, whatever tells it", () => {
    const tell: ((cluster: CoreCluster) => unknown)[] = [
      (cluster) => cluster.answer(0, 1, { type: "timeoutNowReply", term: 9 }),
      (cluster) =>
        cluster.answer(0, 1, {
          type: "requestVoteReply",
          term: 9,
          requestTerm: 1,
          preVote: false,
          granted: false,
        }),
      (cluster) =>
        cluster.answer(0, 1, {
          type: "appendEntriesReply",
          term: 9,
          seq: 1,
          readContext: 0,
          success: false,
          index: 0,
          hintIndex: 0,
          hintTerm: 0,
        }),
      (cluster) =>
        cluster.answer(0, 1, {
          type: "installSnapshotReply",
          term: 9,
          seq: 1,
          lastIncludedIndex: 1,
          offset: 0,
          done: false,
        }),
      (cluster) => cluster.ask(0, appendEntries({ term: 9 })),
      (cluster) => cluster.ask(0, requestVote({ term: 9, transfer: true })),
    ];
    for (const how of tell) {
      const cluster = new CoreCluster(3, { disks: [{}, { term: 9 }, {}] });
      cluster.elect(0, [0, 2]);
      how(cluster);
      expect(cluster.core(0).state).toMatchObject({ role: "follower", term: 9 });
    }
  });

  test("mutation 17: messages of an earlier term change nothing and are told the later one", () => {
    const cluster = new CoreCluster(3, { disks: [{ log: terms("1 4"), term: 5 }] });
    const reply = cluster.ask(0, appendEntries({ term: 4, prevLogIndex: 0, entries: [], leaderCommit: 2 }));
    expect(reply).toMatchObject({ term: 5, success: false, readContext: 0 });
    expect(cluster.logTerms(0)).toEqual([1, 4]);
    expect(cluster.core(0).state).toMatchObject({ leader: null, commitIndex: 0 });
  });

  test("a second leader in a term is refused loudly", () => {
    const cluster = new CoreCluster(3);
    cluster.elect(0);
    expect(() => cluster.ask(0, appendEntries({ term: 1, leader: 1 }))).toThrow(RefusedMessageError);
    expect(cluster.core(0).state.role).toBe("leader");
  });

  test("stepDown gives up leadership at once, and does not stand again for an election timeout", () => {
    const cluster = new CoreCluster(3);
    cluster.elect(0);
    const { now } = cluster;
    cluster.stepDown(0);
    expect(cluster.core(0).state).toMatchObject({ role: "follower", term: 1, leader: null });
    expect(cluster.core(0).deadline() - now).toBeGreaterThanOrEqual(1500);
    cluster.run(5000);
    expect(cluster.leader()).not.toBe(0);
    // On a follower it does nothing.
    const deadline = cluster.core(0).deadline();
    cluster.stepDown(0);
    expect(cluster.core(0).deadline()).toBe(deadline);
  });

  test("each new term is announced, also to a candidate that stands again", () => {
    const cluster = new CoreCluster(3, { config: { preVote: false } });
    for (let campaign = 1; campaign <= 3; campaign++) {
      cluster.now = cluster.core(0).state.electionDeadline;
      cluster.tick(0);
      expect(cluster.core(0).state.term).toBe(campaign);
      expect(cluster.stateChanges[0], `announced in term ${campaign}`).toBeGreaterThanOrEqual(campaign);
    }
    cluster.restart(1);
    cluster.ask(1, appendEntries({ term: 5, leader: 2 }));
    const before = cluster.stateChanges[1]!;
    cluster.ask(1, appendEntries({ term: 5, leader: 2 }));
    expect(cluster.stateChanges[1]).toBe(before);
  });
});
