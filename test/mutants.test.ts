import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { changedSources, transpile } from "./mutants/apply.js";
import { ALL_CHECKS, compileTree, examine, type Tools } from "./mutants/examine.js";
import type { Mutant } from "./mutants/mutant.js";
import { isSurvivor, lineOf, problemOf, toJson } from "./mutants/report.js";
import { baselineOf, mutants, noMistake, notApplicable } from "./mutants/table.js";

const root = fileURLToPath(new URL("../", import.meta.url));
const read = (file: string): string => readFileSync(join(root, file), "utf8");

describe("the list of mutants", () => {
  test.each(mutants.map((mutant) => [mutant.name, mutant] as const))("%s fits today's sources", (_, mutant) => {
    for (const [file, text] of changedSources(mutant, read)) expect(transpile(file, text)).not.toBe("");
  });

  test("has a name and a check for each", () => {
    expect(new Set(mutants.map(({ name }) => name)).size).toBe(mutants.length);
    for (const { name, scripts, swarm, blackBox, power, registers } of mutants) {
      expect(name).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*$/);
      expect(
        [scripts, swarm, blackBox, power, registers].some((check) => check !== undefined),
        name,
      ).toBe(true);
    }
  });

  test("names test files that exist", () => {
    for (const file of mutants.flatMap(({ scripts }) => scripts ?? []))
      expect(existsSync(join(root, file)), file).toBe(true);
  });

  test("has every row of the table of known mutations, or says why not", () => {
    const rows = new Set(mutants.flatMap(({ row }) => row.match(/(?<![\d.S(])\d+(?![\d.)])/g) ?? []));
    for (let row = 1; row <= 40; row++)
      expect(rows.has(`${row}`) !== `${row}` in notApplicable, `row ${row}`).toBe(true);
  });

  test("has a quick quarter", () => {
    const quick = mutants.filter((mutant) => mutant.quick).length / mutants.length;
    expect(quick).toBeGreaterThan(0.2);
    expect(quick).toBeLessThan(0.4);
  });
});

describe("changing sources", () => {
  const source = "let a = 1;\nlet b = 1;\n";
  const mutant = (find: string, replace: string): Mutant => ({
    ...noMistake,
    name: "m",
    edits: [["x.ts", find, replace]],
  });
  const change = (find: string, replace: string): string | undefined =>
    changedSources(mutant(find, replace), () => source).get("x.ts");

  test("happens at one place, and what is put there is taken as it is", () => {
    expect(change("a = 1", "a = '$&'")).toBe("let a = '$&';\nlet b = 1;\n");
    expect(() => change("c = 1", "")).toThrow('mutant m: x.ts no longer holds "c = 1"');
    expect(() => change(" = 1", "")).toThrow("more than once");
  });

  test("edits of one file build on each other", () => {
    const two: Mutant = {
      ...mutant("a = 1", "a = 2"),
      edits: [
        ["x.ts", "a = 1", "a = 2"],
        ["x.ts", "a = 2", "a = 3"],
      ],
    };
    expect(changedSources(two, () => source).get("x.ts")).toContain("a = 3");
  });

  test("what is no TypeScript is refused", () => {
    expect(() => transpile("x.ts", "let a = ;")).toThrow("x.ts");
  });
});

describe("a search from end to end", () => {
  const scratch = mkdtempSync(join(tmpdir(), "kvraft-mutants-test-"));
  let tools: Tools;
  beforeAll(() => {
    tools = { root, compiled: compileTree(root, scratch), scratch, seeds: undefined, firstSeed: 1, checks: ALL_CHECKS };
  }, 240_000);
  afterAll(() => rmSync(scratch, { recursive: true, force: true }));

  const named = (name: string): Mutant => mutants.find((mutant) => mutant.name === name) as Mutant;

  test("every kind of check catches its mistake, and says how", async () => {
    const voting = await examine(
      { ...named("votes-of-a-minority"), scripts: ["test/raft-core/election.test.ts"], swarm: 100, blackBox: 300 },
      tools,
    );
    expect(voting.findings.map(({ check, caught }) => [check, caught])).toEqual([
      ["script", true],
      ["swarm", true],
      ["blackBox", true],
    ]);
    expect(voting.findings[0]?.by).toContain("mutation 16");
    expect(voting.findings[1]).toMatchObject({ by: "a leader has durable votes of a majority" });
    const disk = await examine(named("renamed-before-synced"), tools);
    expect(disk.findings[0]).toMatchObject({ check: "power", caught: true, by: "CORRUPT_LOG" });
    expect([voting, disk].map(isSurvivor)).toEqual([false, false]);
    expect(lineOf(disk)).toMatch(/ \d+: CORRUPT_LOG /);
  }, 240_000);

  test("a mutant that a check lets pass has survived", async () => {
    const report = await examine({ ...noMistake, name: "harmless", power: { runs: 5 }, swarm: 2 }, tools);
    expect(report.findings.map(({ caught, runs }) => [caught, runs])).toEqual([
      [false, 5],
      [false, 2],
    ]);
    expect(isSurvivor(report)).toBe(true);
    expect(problemOf(report)).toContain("passed swarm, 2 runs");
    expect(JSON.parse(toJson([report]))).toMatchObject([{ name: "harmless", survived: true }]);
  }, 240_000);

  test("code without a mistake passes, and a false alarm there counts as a failure", async () => {
    const baseline = baselineOf([{ ...noMistake, power: { runs: 5 }, swarm: 50 }], 3);
    expect(baseline).toMatchObject({ power: { runs: 5 }, swarm: 3 });
    const report = await examine(baseline, tools);
    expect(isSurvivor(report)).toBe(false);
    const [finding] = report.findings;
    const alarm = { ...report, findings: [{ ...finding!, caught: true, by: "Log Matching", detail: "it differs" }] };
    expect(isSurvivor(alarm)).toBe(true);
    expect(problemOf(alarm)).toContain("in code without a mistake");
  }, 240_000);
});
