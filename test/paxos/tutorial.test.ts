import { describe, expect, test } from "vitest";

import type { ClientEnd } from "../../labrpc/index.js";
import { Acceptor, compareBallots, NO_BALLOT, Proposer, type Ballot, type Register } from "../../paxos/index.js";
import { simulate, type SimRuntime } from "../../sim/index.js";
import { AcceptorCluster } from "./registers-cluster.js";

interface Stage {
  readonly runtime: SimRuntime;
  readonly cluster: AcceptorCluster;
  /** The channels to these acceptors only. */
  only(...numbers: readonly number[]): ClientEnd[];
  proposer(n: number, proposerId: number, register?: Register): Proposer;
}

/** Three acceptors, of which a quorum is two, and register "i" at version 0. */
function onStage(story: (stage: Stage) => Promise<void>): Promise<void> {
  return simulate({ seed: 1, limitMs: 60_000 }, async (runtime) => {
    const cluster = new AcceptorCluster(runtime);
    const ends = cluster.ends();
    await story({
      runtime,
      cluster,
      only: (...numbers) => numbers.map((i) => ends[i] as ClientEnd),
      proposer: (n, proposerId, register = { key: "i", version: 0 }) =>
        new Proposer({ register, acceptors: ends, runtime, ballot: { n, proposerId } }),
    });
  });
}

const nothingHigher = { ok: true, highest: NO_BALLOT };

describe("the tutorial's cases", () => {
  test("slide 32: X alone prepares (0,10), finds nothing, and gets 10 chosen", () =>
    onStage(async ({ only, proposer }) => {
      const x = proposer(0, 10);
      expect(await x.phase1(only(0, 1))).toEqual({ ...nothingHigher, found: null });
      expect(await x.phase2(10, only(0, 1))).toEqual({ ok: true, highest: { n: 0, proposerId: 10 } });
      expect(await x.runPaxos()).toEqual({ value: 10, ours: false });
    }));

  test("slides 33 and 34: Y overrides X, whose write is refused; X comes back and finishes what Y wrote", () =>
    onStage(async ({ only, proposer }) => {
      const x = proposer(1, 10);
      expect(await x.phase1(only(0, 1))).toEqual({ ...nothingHigher, found: null });
      const y = proposer(2, 11);
      expect(await y.phase1(only(1, 2))).toMatchObject({ ok: true, found: null });

      expect(await x.phase2(100, only(0, 1))).toEqual({ ok: false, highest: { n: 2, proposerId: 11 } });
      expect(await y.phase2(200, only(1, 2))).toMatchObject({ ok: true });

      x.outbid({ n: 2, proposerId: 11 });
      expect(x.ballot).toEqual({ n: 3, proposerId: 10 });
      const { ok, found } = await x.phase1(only(0, 1));
      // Acceptor 0 voted for X's 100 in (1,10), acceptor 1 for Y's 200 in (2,11): the higher vote counts.
      expect([ok, found?.value]).toEqual([true, 200]);
      await expect(x.phase2(100, only(0, 1))).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
      expect(await x.phase2(found?.value, only(0, 1))).toMatchObject({ ok: true });
      for (const reader of [x, y]) expect(await reader.runPaxos()).toEqual({ value: 200, ours: false });
    }));

  test("set and get: foo0 = 5 and foo1 = 6, always with ballot (0,2)", () =>
    onStage(async ({ proposer }) => {
      const at = (version: number): Proposer => proposer(0, 2, { key: "foo", version });
      expect(await at(0).runPaxos(5)).toEqual({ value: 5, ours: true });
      expect(await at(0).runPaxos()).toEqual({ value: 5, ours: false });
      expect(await at(1).runPaxos(6)).toEqual({ value: 6, ours: true });
      expect(await at(1).runPaxos()).toEqual({ value: 6, ours: false });
      // What is chosen stays.
      for (const value of [7, 9]) expect(await at(0).runPaxos(value)).toEqual({ value: 5, ours: false });
    }));

  test("a ballot with n = -1 is refused, and the answer does not change with the acceptor", () => {
    const acceptor = new Acceptor();
    const answer = acceptor.accept({ n: -1, proposerId: 1 }, 10);
    expect(answer.n).toBe(0);
    expect(acceptor.state).toMatchObject({ votedBallot: NO_BALLOT, votedValue: null });
    acceptor.accept({ n: 100, proposerId: 1 }, 10);
    expect(answer).toEqual(NO_BALLOT);
    // Nor the acceptor with the answer.
    Object.assign(acceptor.prepare({ n: 101, proposerId: 1 }).lastBallot, { n: 5 });
    Object.assign(acceptor.accept({ n: 101, proposerId: 1 }, 10), { n: 5 });
    expect(acceptor.state.lastBallot).toEqual({ n: 101, proposerId: 1 });
  });

  test("a proposer that begins with n = -1 is refused, and goes on higher", () =>
    onStage(async ({ proposer }) => {
      const x = proposer(-1, 3);
      expect(await x.phase1()).toEqual({ ok: false, highest: NO_BALLOT, found: null });
      expect(await x.runPaxos(1)).toEqual({ value: 1, ours: true });
      expect(x.ballot).toEqual({ n: 1, proposerId: 3 });
    }));
});

describe("an acceptor", () => {
  const b = (n: number, proposerId: number): Ballot => ({ n, proposerId });

  test("ballots are ordered by n, then by proposer", () => {
    const inOrder = [b(-1, 9), NO_BALLOT, b(0, 1), b(0, 2), b(1, 1), b(1, 10), b(2, 3)];
    for (const [i, a] of inOrder.entries()) {
      for (const [j, other] of inOrder.entries()) expect(Math.sign(compareBallots(a, other))).toBe(Math.sign(i - j));
    }
  });

  test("promises a ballot once, votes without a promise, and never goes back", () => {
    const acceptor = new Acceptor();
    expect(acceptor.prepare(b(1, 1)).lastBallot).toEqual(NO_BALLOT);
    expect(acceptor.prepare(b(1, 1)).lastBallot).toEqual(b(1, 1));
    expect(acceptor.prepare(b(0, 9)).lastBallot).toEqual(b(1, 1));
    expect(acceptor.accept(b(0, 9), "low")).toEqual(b(1, 1));
    expect(acceptor.accept(b(1, 1), "equal")).toEqual(b(1, 1));
    expect(acceptor.accept(b(2, 1), "higher")).toEqual(b(1, 1));
    expect(acceptor.state).toEqual({
      lastBallot: b(2, 1),
      votedBallot: b(2, 1),
      votedValue: "higher",
      author: b(2, 1),
    });
    // A promise leaves the vote as it is.
    acceptor.prepare(b(3, 1));
    expect(acceptor.state).toMatchObject({ lastBallot: b(3, 1), votedBallot: b(2, 1), votedValue: "higher" });
  });
});

describe("two proposers with the same id", () => {
  // The model lets both prepare (1,7) and finish phase 2, the one with 1 and the other with 2.
  test("a ballot is promised once: the second is refused at phase 1, and finishes the value of the first", () =>
    onStage(async ({ proposer }) => {
      const [a, b] = [proposer(1, 7), proposer(1, 7)];
      expect(await a.phase1()).toMatchObject({ ok: true });
      expect(await b.phase1()).toEqual({ ok: false, highest: { n: 1, proposerId: 7 }, found: null });
      await expect(b.phase2(2)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
      expect(await a.phase2(1)).toMatchObject({ ok: true });
      expect(await b.runPaxos(2)).toEqual({ value: 1, ours: false });
    }));

  test("whichever acceptors hear of which first, at most one gets a quorum of promises", async () => {
    for (let first = 0; first < 8; first++) {
      await onStage(async ({ proposer, only }) => {
        const [a, b] = [proposer(1, 7), proposer(1, 7)];
        const won: boolean[] = [];
        const early = [0, 1, 2].filter((i) => first & (1 << i));
        if (early.length > 0) won.push((await a.phase1(only(...early))).ok);
        won.push((await b.phase1()).ok);
        if (won[0] !== true) won.push((await a.phase1()).ok);
        expect(won.filter(Boolean).length).toBeLessThanOrEqual(1);
      });
    }
  });

  test("over many interleavings both end with the same value, and only one is told that it is its own", async () => {
    for (let seed = 1; seed <= 100; seed++) {
      await simulate({ seed, limitMs: 60_000 }, async (runtime) => {
        const cluster = new AcceptorCluster(runtime);
        cluster.network.reliable(false);
        const ballot = { n: 1, proposerId: 7 };
        const register = { key: "i", version: 0 };
        const write = (value: unknown) =>
          new Proposer({ register, acceptors: cluster.ends(), runtime, ballot }).runPaxos(value);
        // The last two write the same.
        const outcomes = await Promise.all([write(1), write(2), write(2)]);
        expect(new Set(outcomes.map(({ value }) => value)).size, `seed ${seed}`).toBe(1);
        expect(outcomes.filter(({ ours }) => ours).length, `seed ${seed}`).toBe(1);
      });
    }
  });

  test("ids are drawn where none is given", () =>
    onStage(async ({ cluster, runtime }) => {
      const register = { key: "i", version: 0 };
      const draw = (): number => new Proposer({ register, acceptors: cluster.ends(), runtime }).ballot.proposerId;
      expect(new Set(Array.from({ length: 1000 }, draw)).size).toBe(1000);
    }));
});
