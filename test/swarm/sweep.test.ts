import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, describe, expect, test } from "vitest";

import { drawPlan, PAXOS_MARKS, testOfPlan, type Outcome, type Plan } from "../../sim/swarm/index.js";
import { parseSeedList, readPlan, shrinkPlan, type Shrunk } from "../../sweep/index.js";
import { DETERMINISM, judgePlan } from "../../sweep/judge.js";
import { runSeeds } from "../../sweep/pool.js";
import { Tally } from "../../sweep/tally.js";
import { describeStop, failureLine } from "../../sweep/words.js";
import { kvraft } from "../harness/command-line.js";

const folder = mkdtempSync(join(tmpdir(), "kvraft-sweep-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const good: Outcome = {
  ...{
    seed: 1,
    ok: true,
    violation: null,
    hash: "h",
    events: 1,
    steps: 1,
    simulatedMs: 1,
    operations: 1,
    unanswered: 0,
  },
  coverage: {},
};

const broken = (plan: Plan, rule = "a rule"): Outcome => ({
  ...good,
  ...{ seed: plan.seed, ok: false, violation: { rule, message: "so it was", atMs: plan.chaosMs, seq: 1 } },
});

const kindsOf = (plan: Plan): string[] =>
  plan.clients.flatMap(({ operations }) => operations.map(({ kind, key }) => `${kind} ${key}`));

/** A plan that has what the tests below look for. */
function rich(): Plan {
  for (let seed = 1; ; seed++) {
    const plan = drawPlan(seed);
    const appends = kindsOf(plan).filter((words) => words.startsWith("append"));
    if (plan.faults.length > 10 && plan.faults.some(({ kind }) => kind === "crashLeader") && appends.length > 5) {
      return plan;
    }
  }
}

describe("a sweep", () => {
  test("runs every seed once and adds up what it reached", async () => {
    const tally = new Tally();
    await runSeeds([3, 1, 2].values(), {
      ...{ engine: "raft", workers: 1, checkDeterminism: true, stuckMs: 60_000, signal: new AbortController().signal },
      onOutcome: (outcome) => tally.add(outcome),
    });
    expect(tally.seeds).toBe(3);
    expect(tally.failures).toEqual([]);
    expect(tally.reached("electionWon").seeds).toBe(3);
    expect(tally.neverReached).not.toContain("electionWon");
    expect(tally.coverageLines().join("\n")).toMatch(/electionWon +3 +\d+ {2}a leader was elected/);
  });

  test("of Paxos has marks of its own, and runs that are the same each time", async () => {
    const tally = new Tally(PAXOS_MARKS);
    await runSeeds([3, 1, 2].values(), {
      ...{ engine: "paxos", workers: 1, checkDeterminism: true, stuckMs: 60_000, signal: new AbortController().signal },
      onOutcome: (outcome) => tally.add(outcome),
    });
    expect(tally.failures).toEqual([]);
    expect(tally.reached("phase1Won").seeds).toBe(3);
    expect(tally.coverageLines().join("\n")).toMatch(/phase1Won +3 +\d+ {2}a server took over for the whole log/);
    expect(tally.neverReached).not.toContain("electionWon");
  });

  test("begins no more seeds once it is told to end", async () => {
    const stop = new AbortController();
    const seeds: number[] = [];
    await runSeeds([1, 2, 3].values(), {
      ...{ engine: "raft", workers: 1, checkDeterminism: false, stuckMs: 60_000, signal: stop.signal },
      onOutcome: ({ seed }) => {
        seeds.push(seed);
        stop.abort();
      },
    });
    expect(seeds).toEqual([1]);
  });

  test("a failure is one line with all that it takes to see it again", () => {
    const plan = drawPlan(7);
    const line = failureLine(broken(plan), plan, "abc1234");
    expect(line).not.toContain("\n");
    expect(line).toContain("FAILED seed 7 of abc1234 [");
    expect(line).toContain("a rule: so it was | replay: npx kvraft sweep --replay 7");
    const paxos = drawPlan(7, "paxos");
    expect(failureLine(broken(paxos), paxos, "abc1234")).toMatch(
      / of paxos.*replay: npx kvraft sweep --engine paxos --replay 7$/,
    );
  });

  test("a run that differs from itself breaks a rule", async () => {
    const plan = drawPlan(1);
    let heartbeatMs = 50;
    const moody = {
      ...plan,
      get raft() {
        return { ...plan.raft, heartbeatMs: heartbeatMs++ };
      },
    };
    expect((await judgePlan(moody, { checkDeterminism: true })).violation?.rule).toBe(DETERMINISM);
    expect((await judgePlan(plan, { checkDeterminism: true })).violation).toBeNull();
  });
});

describe("shrinking", () => {
  test("leaves the one fault and the two operations that it takes", async () => {
    const plan = rich();
    let runs = 0;
    const run = async (candidate: Plan): Promise<Outcome> => {
      runs++;
      const appends = kindsOf(candidate).filter((words) => words.startsWith("append")).length;
      const hasCrash = candidate.faults.some(({ kind }) => kind === "crashLeader");
      return hasCrash && appends >= 2 ? broken(candidate) : good;
    };
    const shrunk = await shrinkPlan(plan, { run });
    expect(shrunk?.plan.faults.map(({ kind }) => kind)).toEqual(["crashLeader"]);
    expect(kindsOf(shrunk?.plan as Plan)).toHaveLength(2);
    expect(shrunk?.runs).toBe(runs);
    expect(shrunk?.isDone).toBe(true);
    expect(describeStop(shrunk as Shrunk, plan, "p.json")).toBe("");
    expect(shrunk?.plan.clients).toHaveLength(plan.clients.length);
  });

  test("does not take another failure for the same one", async () => {
    const plan = rich();
    const run = async (candidate: Plan): Promise<Outcome> =>
      broken(candidate, candidate.faults.length === plan.faults.length ? "a rule" : "another rule");
    const shrunk = await shrinkPlan({ ...plan, chaosMs: 1e6 }, { run });
    expect(shrunk?.plan.faults).toHaveLength(plan.faults.length);
    expect(shrunk?.outcome.violation?.rule).toBe("a rule");
  });

  test("keeps to its budget, and says where there is nothing to do", async () => {
    const plan = rich();
    const shrunk = await shrinkPlan(plan, { maxRuns: 10, run: async (candidate) => broken(candidate) });
    expect(shrunk?.runs).toBeLessThanOrEqual(11);
    expect(await shrinkPlan(plan, { run: async () => good })).toBeNull();
  });

  test("says that its budget has ended it, and how to go on", async () => {
    const plan = rich();
    const run = async (candidate: Plan): Promise<Outcome> =>
      candidate.faults.some(({ kind }) => kind === "crashLeader") ? broken(candidate) : good;
    const shrunk = (await shrinkPlan(plan, { maxRuns: 12, run })) as Shrunk;
    expect([shrunk.isDone, shrunk.runs]).toEqual([false, 12]);
    expect(describeStop(shrunk, plan, "seed-9.json")).toBe(
      "stopped after 12 runs, before all was tried; to go on from here: npx kvraft sweep --shrink seed-9.json\n",
    );
    const more = (await shrinkPlan(shrunk.plan, { run })) as Shrunk;
    expect(more.isDone).toBe(true);
    expect(more.plan.faults.length).toBeLessThan(shrunk.plan.faults.length);
    // Nothing can be left out: it would be told in vain to try the same again.
    const firm = async (candidate: Plan): Promise<Outcome> => (candidate === plan ? broken(candidate) : good);
    const same = (await shrinkPlan(plan, { maxRuns: 3000, run: firm })) as Shrunk;
    expect([same.plan === plan, same.isDone]).toEqual([true, true]);
    const stopped = (await shrinkPlan(plan, { maxRuns: 5, run: firm })) as Shrunk;
    expect(describeStop(stopped, plan, "seed-9.json")).toBe(
      "stopped after 5 runs, in which nothing smaller broke the same rule\n",
    );
    expect(describeStop({ ...shrunk, runs: 3000 }, plan, "p.json")).toContain("stopped after 3,000 runs, ");
  });

  test("the test it writes holds the plan", () => {
    const plan = drawPlan(5);
    const text = testOfPlan(plan, "seed 5", broken(plan));
    expect(text).toContain('// It broke "a rule": so it was');
    const json = /const plan: Plan = (\{.*^\});/ms.exec(text)?.[1] as string;
    expect(JSON.parse(json)).toEqual(JSON.parse(JSON.stringify(plan)));
  });
});

describe("what a sweep reads", () => {
  test("a list of seeds needs a reason for each", () => {
    expect(parseSeedList("# those that failed\n\n17 a stale read\n4 lost  # twice\n")).toEqual([17, 4]);
    expect(() => parseSeedList("17 good\nx17 bad")).toThrow('line 2 must begin with a seed, a whole number, not "x17"');
    expect(() => parseSeedList("17")).toThrow("line 1: say what seed 17 showed");
    const both = "17 a stale read\npaxos 5 a lost vote\nraft 6 another";
    expect([parseSeedList(both), parseSeedList(both, "paxos")]).toEqual([[17, 6], [5]]);
    expect(() => parseSeedList("paxos x bad", "raft")).toThrow("line 1 must begin with a seed");
    expect(() => parseSeedList("paxos 5")).toThrow("say what seed 5 showed");
  });

  test("a plan is a seed or a file that holds one", () => {
    expect(readPlan("12")).toEqual(drawPlan(12));
    expect(readPlan("12", "paxos")).toEqual({ ...drawPlan(12), engine: "paxos" });
    const file = join(folder, "plan.json");
    writeFileSync(file, JSON.stringify(drawPlan(12)));
    expect(readPlan(file)).toEqual(drawPlan(12));
    expect(() => readPlan("99999999999999999999")).toThrow("too large");
    expect(() => readPlan(join(folder, "none"))).toThrow("neither a seed nor a file");
    for (const [text, problem] of [
      ["null", "it is not an object"],
      ["{}", "seed is no number"],
      [JSON.stringify({ ...drawPlan(1), faults: {} }), "faults is no list"],
      [JSON.stringify({ ...drawPlan(1), raft: null }), "raft is missing"],
      [JSON.stringify({ ...drawPlan(1), engine: "zab" }), 'it names no engine, but "zab"'],
    ] as const) {
      writeFileSync(file, text);
      expect(() => readPlan(file)).toThrow(problem);
    }
  });
});

describe("kvraft sweep", () => {
  test("judges seeds, shows coverage, and writes a summary", async () => {
    const { code, out } = await kvraft(["sweep", "--seeds", "3", "--workers", "1", "--dir", folder, "--coverage"]);
    expect(code).toBe(0);
    expect(out).toContain("no rule was broken");
    const summary = JSON.parse(readFileSync(join(folder, "summary.json"), "utf8")) as Record<string, unknown>;
    expect(summary).toMatchObject({ seeds: 3, firstSeed: 1, failures: [] });
  });

  test("takes another engine, and names it where it tells what to run", async () => {
    const words = ["sweep", "--engine", "paxos", "--seeds", "2", "--workers", "1", "--dir", folder, "--coverage"];
    const { code, out } = await kvraft(words);
    expect(code).toBe(0);
    expect(out).toContain("a server took over for the whole log");
    expect(JSON.parse(readFileSync(join(folder, "summary.json"), "utf8"))).toMatchObject({
      engine: "paxos",
      failures: [],
    });
    const replay = await kvraft(["sweep", "--engine", "paxos", "--replay", "3"]);
    expect(replay.code).toBe(0);
    expect(replay.out).toContain("becomes LEADER");
  });

  test("tells the story of a seed, the same each time", async () => {
    const first = await kvraft(["sweep", "--replay", "3"]);
    expect(first.code).toBe(0);
    expect(first.out).toContain("becomes LEADER");
    expect(first.out).toMatch(/seed 3: no rule was broken; .* hash [0-9a-f]+/);
    expect((await kvraft(["sweep", "--replay", "3"])).out).toBe(first.out);
    const { hash } = JSON.parse((await kvraft(["sweep", "--replay", "3", "--json"])).out) as Outcome;
    expect(first.out).toContain(hash);
  });

  test.each([
    [["--seeds", "none"], "whole number from 1"],
    [["--today", "--from", "3"], "cannot be used with"],
    [["--engine", "zab"], "Allowed choices are raft, paxos"],
    [["--replay", "no-such-plan"], "neither a seed nor a file"],
    [["--also", "no-such-list"], "--also no-such-list cannot be read"],
  ])("%j is refused with the reason", async (words, reason) => {
    const { code, err } = await kvraft(["sweep", ...words]);
    expect(code).toBe(2);
    expect(err).toContain(reason);
  });
});
