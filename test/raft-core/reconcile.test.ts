import { describe, expect, test } from "vitest";

import { CoreCluster } from "../harness/core-cluster.js";
import { bytes, terms } from "../harness/core-messages.js";

const WIDE = { maxAppendBytes: 1 << 26, maxInflightBytes: 1 << 27 };

/** Servers 0 and 2 hold `leader`, server 1 holds `follower`; 0 is elected by 2 and then meets 1. */
function meet(leader: number[], follower: number[], config = WIDE): CoreCluster {
  const term = Math.max(leader.at(-1) ?? 0, follower.at(-1) ?? 0);
  const disks = [
    { log: leader, term },
    { log: follower, term },
    { log: leader, term },
  ];
  const cluster = new CoreCluster(3, { disks, config });
  cluster.elect(0, [2]);
  cluster.propose(0, "new");
  cluster.deliverAll({ with: 2 });
  cluster.drop();
  cluster.sent.length = 0;
  return cluster;
}

/** Delivers everything between 0 and 1, at heartbeat pace, until the logs are equal; returns the appends it took. */
function reconcile(cluster: CoreCluster): number {
  for (let heartbeat = 0; heartbeat < 20; heartbeat++) {
    cluster.tick(0);
    cluster.deliverAll();
    if (cluster.core(0).state.progressOf(1)!.matchIndex === cluster.core(0).state.log.lastIndex) {
      expect(cluster.logTerms(1).join(" ") === cluster.logTerms(0).join(" ")).toBe(true);
      return cluster.count({ from: 0, to: 1, type: "appendEntries" });
    }
  }
  throw new Error("the logs do not become equal");
}

/** `count` terms from `first` on in steps of `step`, each `length` entries long. */
function runs(count: number, length: number, first = 1, step = 1): number[] {
  return terms(Array.from({ length: count }, (_, i) => `${first + i * step}x${length}`).join(" "));
}

describe("figure 7: whatever the followers hold, the leader's log wins", () => {
  const LEADER = "1x3 4x2 5x2 6x3";
  const FOLLOWERS = {
    a: "1x3 4x2 5x2 6x2",
    b: "1x3 4",
    c: "1x3 4x2 5x2 6x4",
    d: "1x3 4x2 5x2 6x3 7x2",
    e: "1x3 4x4",
    f: "1x3 2x3 3x5",
  };

  test.each(Object.entries(FOLLOWERS))("(%s)", (_, follower) => {
    const cluster = meet(terms(LEADER), terms(follower));
    // Down to the last common entry in at most one step for each term that differs.
    expect(reconcile(cluster)).toBeLessThanOrEqual(4);
  });

  test("all six at once; those whose logs are ahead refuse their votes", () => {
    const disks = [LEADER, ...Object.values(FOLLOWERS)].map((log) => ({ log: terms(log), term: 7 }));
    const cluster = new CoreCluster(7, { disks });
    cluster.tick(0);
    cluster.deliverAll();
    const refused = cluster.sent.filter(({ message }) => message.type === "requestVoteReply" && !message.granted);
    expect(new Set(refused.map(({ from }) => from))).toEqual(new Set([3, 4]));
    cluster.propose(0, "new");
    cluster.run(1000);
    for (const n of cluster.all) {
      expect(cluster.logTerms(n)).toEqual([...terms(LEADER), 8]);
      expect(cluster.commitIndex(n)).toBe(11);
    }
  });
});

describe("100,000 entries that differ, in many shapes", () => {
  const COUNT = 100_000;

  test("the follower has a long tail of few terms", () => {
    const cluster = meet([...terms("1x10"), 60], [...terms("1x10"), ...runs(5, COUNT / 5, 2)]);
    expect(reconcile(cluster)).toBeLessThanOrEqual(4);
  });

  test("the follower has a long tail of many terms, all later than the leader's entries before them", () => {
    const cluster = meet([...terms("1x10"), 200], [...terms("1x10"), ...runs(100, COUNT / 100, 2)]);
    expect(reconcile(cluster)).toBeLessThanOrEqual(4);
  });

  test("the leader has a long tail of many terms, the follower a short one", () => {
    const cluster = meet([...terms("1x10"), ...runs(100, COUNT / 100, 3)], terms("1x10 2x10"));
    expect(reconcile(cluster)).toBeLessThanOrEqual(5);
  });

  test("terms that alternate cost at most one round trip each", () => {
    const TERMS = 50;
    const leader = [1, ...runs(TERMS, COUNT / TERMS, 3, 2)];
    const follower = [1, ...runs(TERMS, COUNT / TERMS, 2, 2)];
    expect(reconcile(meet(leader, follower))).toBeLessThanOrEqual(TERMS + 5);
    // In small messages too the search itself is no longer.
    const cluster = meet(leader.slice(0, 3000), follower.slice(0, 3000), {
      maxAppendBytes: 100,
      maxInflightBytes: 100,
    });
    cluster.deliver();
    for (let roundTrips = 0; cluster.core(0).state.progressOf(1)!.matchIndex === 0; roundTrips++) {
      expect(roundTrips).toBeLessThan(10);
      if (cluster.mail.length === 0) cluster.tick(0);
      cluster.deliver({ from: 0 });
      cluster.deliver({ from: 1 });
      cluster.drop({ with: 2 });
    }
  });

  test("a follower that has nothing at all", () => {
    expect(reconcile(meet(runs(100, COUNT / 100), []))).toBeLessThanOrEqual(4);
  });
});

describe("beside a snapshot", () => {
  const snapshot = { index: 10, term: 3, data: bytes("up to 10") };

  /** Server 0 holds a snapshot up to (10, term 3) and then `leader`; server 1 holds `follower` from 1 on. */
  function meetBehindSnapshot(leader: string, follower: string): CoreCluster {
    const mine = { snapshot, log: terms(leader), term: 9 };
    const cluster = new CoreCluster(3, { disks: [mine, { log: terms(follower), term: 9 }, mine] });
    cluster.elect(0, [2]);
    cluster.propose(0, "new");
    cluster.deliverAll({ with: 2 });
    cluster.drop();
    cluster.sent.length = 0;
    for (let heartbeat = 0; heartbeat < 20 && cluster.commitIndex(1) < cluster.commitIndex(0); heartbeat++) {
      cluster.tick(0);
      cluster.deliverAll();
    }
    expect(cluster.core(1).state.log.lastIndex).toBe(cluster.core(0).state.log.lastIndex);
    expect(cluster.core(1).state.log.lastTerm).toBe(10);
    return cluster;
  }

  const snapshots = (cluster: CoreCluster): number => cluster.count({ type: "installSnapshot" });

  test("a follower that agrees at the snapshot's very last entry needs only the rest", () => {
    const cluster = meetBehindSnapshot("5x4", "1x8 3x2");
    expect(snapshots(cluster)).toBe(0);
    expect(cluster.logTerms(1)).toEqual(terms("1x8 3x2 5x4 10"));
  });

  test.each([
    ["an earlier term", "1x8 2x8"],
    ["a later term", "1x8 4x8"],
    ["a later term and no more", "1x9 4"],
    ["an earlier term and no more", "1x9 2"],
  ])("the hint lands on the snapshot's last index, where the follower has %s", (_, follower) => {
    for (const leader of ["", "5x4"]) {
      const cluster = meetBehindSnapshot(leader, follower);
      expect(snapshots(cluster)).toBe(1);
      expect(cluster.core(1).state.log.lastIncludedIndex).toBe(10);
      expect(cluster.appliedIndex(1)).toBe(cluster.appliedIndex(0));
    }
  });

  test("a follower that is behind the snapshot, and the leader has nothing else", () => {
    expect(snapshots(meetBehindSnapshot("", "1x5"))).toBe(1);
    expect(snapshots(meetBehindSnapshot("", ""))).toBe(1);
  });

  test("one refusal is enough to turn to the snapshot", () => {
    const mine = { snapshot, log: terms("5x4"), term: 9 };
    const cluster = new CoreCluster(3, { disks: [mine, { log: terms("1x5"), term: 9 }, mine] });
    cluster.elect(0, [2]);
    cluster.deliver({ to: 1 });
    cluster.deliver({ from: 1 });
    expect(cluster.mail.map(({ to, message }) => [to, message.type])).toEqual([[1, "installSnapshot"]]);
  });

  test("a follower whose own snapshot is ahead of the point that the leader tries", () => {
    const later = { index: 12, term: 5, data: bytes("up to 12") };
    const disks = [
      { snapshot, log: terms("5x4"), term: 9 },
      { snapshot: later, term: 9 },
      { log: terms("1x8 3x2 5x4"), term: 9 },
    ];
    const cluster = new CoreCluster(3, { disks });
    cluster.elect(0);
    cluster.propose(0, "new");
    cluster.run(500);
    expect(cluster.logTerms(1)).toEqual([5, 5, 10]);
    expect(cluster.count({ type: "installSnapshot" })).toBe(0);
    expect(cluster.commitIndex(1)).toBe(15);
  });
});
