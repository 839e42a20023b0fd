import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeEach, describe, expect, test } from "vitest";

import { drawPlan, type Plan } from "../../sim/swarm/index.js";
import { readPlan, sweep } from "../../sweep/index.js";
import { kvraft, type Outcome } from "../harness/command-line.js";

const root = mkdtempSync(join(tmpdir(), "kvraft-sweep-command-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let folder = root;
const inFolder = (...names: string[]): string => join(folder, ...names);
const command = (...words: string[]): Promise<Outcome> => kvraft(["sweep", ...words]);

/** So few events are allowed in it that every run breaks a rule, at once. */
const failing: Plan = { ...drawPlan(5), limits: { livenessMs: 10_000, eventsPerSecond: 10 } };

beforeEach(() => {
  folder = mkdtempSync(join(root, "test-"));
  writeFileSync(inFolder("plan.json"), JSON.stringify(failing));
  writeFileSync(inFolder("file"), "what was there\n");
});

/** Said in one line, and nothing was run. */
function expectRefusal({ code, out, err }: Outcome, reason: string): void {
  expect([code, out]).toEqual([2, ""]);
  expect(err).toContain(reason);
  expect(err).toMatch(/^kvraft: .* \[INVALID_ARGUMENT\]\n$/);
}

describe("what cannot be written is found out before the first run", () => {
  test("--dir: a file is in the way", async () => {
    const small = ["--seeds", "2", "--workers", "1"];
    expectRefusal(
      await command(...small, "--dir", inFolder("file")),
      `--dir ${inFolder("file")} cannot be written: EEXIST`,
    );
    const below = inFolder("file", "below");
    expectRefusal(await command(...small, "--dir", below), `--dir ${below} cannot be written: ENOTDIR`);
    // No folder can be made there, by nobody.
    expectRefusal(await command(...small, "--dir", "/proc/kvraft"), "--dir /proc/kvraft cannot be written: E");
    mkdirSync(inFolder("taken", "summary.json"), { recursive: true });
    const taken = inFolder("taken", "summary.json");
    expectRefusal(await command(...small, "--dir", inFolder("taken")), `--dir ${taken} cannot be written: EISDIR`);
    const { out } = await command(...small, "--json", "--dir", inFolder("file"));
    expect(JSON.parse(out)).toMatchObject({ error: { code: "INVALID_ARGUMENT" } });
  });

  test("--dir is made, with all that leads there", async () => {
    const { code } = await command("--seeds", "1", "--workers", "1", "--dir", inFolder("a", "b"));
    expect(code).toBe(0);
    expect(readdirSync(inFolder("a", "b"))).toEqual(["summary.json"]);
  });

  test("what a sweep has found is kept where its folder goes away meanwhile", async () => {
    const { unwritten, tally, summary } = await sweep({
      ...{ engine: "raft", firstSeed: 1, count: 1, also: [], workers: 1, checkDeterminism: false, stuckMs: 60_000 },
      ...{ seconds: Infinity, maxFailures: 1, code: "abc", signal: new AbortController().signal },
      dir: inFolder("gone"),
      onRun: () => {},
      onFailure: () => {},
    });
    expect(unwritten?.message).toContain(`${inFolder("gone", "summary.json")} cannot be written: ENOENT`);
    expect([tally.seeds, summary]).toEqual([1, expect.objectContaining({ seeds: 1, failures: [] })]);
  });

  test("--replay: the page", async () => {
    const page = inFolder("none", "run.html");
    expectRefusal(await command("--replay", "3", "--inspect", page), `--inspect ${page} cannot be written: ENOENT`);
    expectRefusal(await command("--replay", "3", "--inspect", folder), `--inspect ${folder} cannot be written: EISDIR`);
  });

  test("--shrink: test, plan and page", async () => {
    const plan = inFolder("plan.json");
    const shrink = (...words: string[]): Promise<Outcome> => command("--shrink", plan, ...words);
    const away = inFolder("none", "x.test.ts");
    expectRefusal(await shrink("--to", away), `--to ${away} cannot be written: ENOENT`);
    mkdirSync(inFolder("x.json"));
    const blocked = `the plan ${inFolder("x.json")} cannot be written: EISDIR`;
    expectRefusal(await shrink("--to", inFolder("x.test.ts")), blocked);
    const page = inFolder("none", "run.html");
    const refused = await shrink("--to", inFolder("y.test.ts"), "--inspect", page);
    expectRefusal(refused, `--inspect ${page} cannot be written: ENOENT`);
    const same = await shrink("--to", inFolder("y.test.ts"), "--inspect", inFolder("y.json"));
    expectRefusal(same, `--inspect ${inFolder("y.json")}: the test and the plan go to`);
    // Asking leaves nothing behind.
    expect(readdirSync(folder).sort()).toEqual(["file", "plan.json", "x.json"]);
  });
});

describe("--shrink", () => {
  test("writes the smaller plan and a test of it", async () => {
    const to = inFolder("small.test.ts");
    const { code, out } = await command("--shrink", inFolder("plan.json"), "--to", to);
    expect(code).toBe(1);
    expect(out).toMatch(/^seed \d+ broke "no message storm"/);
    expect(out).toMatch(/\n\d+ runs; what is left: .*faults: none/);
    expect(out).not.toContain("stopped after");
    expect(readPlan(inFolder("small.json")).faults).toEqual([]);
    expect(readFileSync(to, "utf8")).toContain("runPlan(plan)");
  });

  test("leaves what was there where there is nothing to make smaller", async () => {
    const to = inFolder("small.test.ts");
    writeFileSync(to, "an older one\n");
    const { code, out } = await command("--shrink", "3", "--to", to);
    expect([code, out]).toEqual([0, "seed 3 breaks no rule: there is nothing to make smaller\n"]);
    expect(readFileSync(to, "utf8")).toBe("an older one\n");
    expect(existsSync(inFolder("small.json"))).toBe(false);
  });

  test("its test needs the name of one", async () => {
    const refused = await command("--shrink", inFolder("plan.json"), "--to", inFolder("x.json"));
    expectRefusal(refused, "what is written is a test; its name must end in .test.ts or .ts");
  });
});

describe("options that would have no effect are refused", () => {
  test.each([
    [["--inspect", "x.html"], "--inspect goes with --replay or --shrink only"],
    [["--to", "x.test.ts"], "--to goes with --shrink only"],
    [["--quiet"], "--quiet goes with --replay only"],
    [["--replay", "3", "--seeds", "5"], "--seeds does not go with --replay"],
    [["--replay", "3", "--from", "5"], "--from does not go with --replay"],
    [["--replay", "3", "--today"], "--today does not go with --replay"],
    [["--replay", "3", "--also", "x.txt"], "--also does not go with --replay"],
    [["--replay", "3", "--coverage"], "--coverage does not go with --replay"],
    [["--replay", "3", "--workers", "2"], "--workers does not go with --replay"],
    [["--replay", "3", "--seconds", "2"], "--seconds does not go with --replay"],
    [["--replay", "3", "--max-failures", "2"], "--max-failures does not go with --replay"],
    [["--replay", "3", "--dir", "x"], "--dir does not go with --replay"],
    [["--replay", "3", "--to", "x.test.ts"], "--to does not go with --replay"],
    [["--replay", "3", "--check-determinism", "--inspect", "x"], "--inspect does not go with --check-determinism"],
    [["--shrink", "3", "--seeds", "5"], "--seeds does not go with --shrink"],
    [["--shrink", "3", "--check-determinism"], "--check-determinism does not go with --shrink"],
    [["--shrink", "3", "--quiet"], "--quiet does not go with --shrink"],
    // Even where it is what it would be anyway.
    [["--shrink", "3", "--from", "1"], "--from does not go with --shrink"],
  ])("%j", async (words, reason) => {
    expectRefusal(await command(...words), `kvraft: ${reason} [`);
  });

  test("--json with --shrink, said as JSON", async () => {
    const { code, out } = await command("--shrink", "3", "--json");
    expect(code).toBe(2);
    expect(JSON.parse(out)).toMatchObject({ error: { message: "--json does not go with --shrink" } });
  });

  test("--engine with a plan for another one", async () => {
    const paxos = inFolder("paxos.json");
    writeFileSync(paxos, JSON.stringify(drawPlan(3, "paxos")));
    const reason = `--engine raft does not go with ${paxos}, which is a plan for paxos`;
    expectRefusal(await command("--replay", paxos, "--engine", "raft"), reason);
    const raft = inFolder("plan.json");
    expectRefusal(await command("--shrink", raft, "--engine", "paxos"), `${raft}, which is a plan for raft`);
    for (const words of [[], ["--engine", "paxos"]]) {
      expect((await command("--replay", paxos, "--quiet", ...words)).code).toBe(0);
    }
  });

  test("those that do have one are not", async () => {
    expect((await command("--replay", "3", "--quiet", "--check-determinism")).code).toBe(0);
    expect((await command("--replay", "3", "--json", "--engine", "paxos")).code).toBe(0);
  });
});
