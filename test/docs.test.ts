import { existsSync } from "node:fs";

import { Command } from "commander";
import { describe, expect, test } from "vitest";

import { processOutside } from "../server/commands/outside.js";
import { sweepCommand } from "../server/commands/sweep.js";
import { FAULT_KINDS, RULES } from "../sim/swarm/index.js";
import type { Fate, HookName } from "../sim/swarm/types.js";
import { DETERMINISM } from "../sweep/judge.js";
import { STUCK } from "../sweep/pool.js";
import { bare, deadLinksIn, filesNamedIn, flagsIn, readText, ROOT, tableOf } from "./harness/documents.js";
import { mutants, noMistake, noMistakeInPaxos, notApplicable } from "./mutants/table.js";

const page = readText("docs/testing.md");
const { scripts } = JSON.parse(readText("package.json")) as { scripts: Record<string, string> };
const firstColumn = (title: string): string[] => tableOf(page, title).map(([name]) => bare(name as string));

/** The compiler sees to it that none is missing. */
const HOOKS: Readonly<Record<HookName, true>> = {
  ...{ voteGranted: true, leaderElected: true, beforeReply: true },
  ...{ appendReached: true, snapshot: true, write: true },
};
const FATES: Readonly<Record<Fate, true>> = { dead: true, cut: true, deaf: true, mute: true };

/** The options of a command where it stands in the text: in a block, or between back quotes. */
function optionsOf(command: string): string[] {
  const lines = [...page.matchAll(/^[^|\n]*$/gm)].map(([line]) => line);
  const uses = lines.flatMap((line) =>
    [...line.matchAll(new RegExp(`${command}([^\`]*)`, "g"))].map(([, rest]) => rest),
  );
  return uses.flatMap((rest) => flagsIn((rest as string).replace(/^ -- /, " ")));
}

// What the code has, docs/testing.md names; and nothing else.
describe("docs/testing.md", () => {
  test("faults, the places of crashes, and what becomes of servers that are not healed", () => {
    expect(firstColumn("fault").sort()).toEqual([...FAULT_KINDS].sort());
    expect(firstColumn("place").sort()).toEqual(Object.keys(HOOKS).sort());
    for (const fate of Object.keys(FATES)) expect(page).toContain(fate);
  });

  test("rules: from outside, from inside, and of the sweep itself", () => {
    const [outside, inside] = page.split("From inside, after each event") as [string, string];
    const tables = [tableOf(outside, "rule"), tableOf(inside, "rule"), tableOf(inside, "rule of Paxos")];
    const named = tables.flatMap((table) => table.map(([rule]) => rule as string));
    expect(named.sort()).toEqual(Object.values(RULES).sort());
    for (const rule of [STUCK, DETERMINISM]) expect(page.replaceAll("\n", " ")).toContain(`"${rule}"`);
  });

  test("the options of sweeps", () => {
    const program = new Command("kvraft");
    sweepCommand(program, processOutside);
    const known = program.commands[0]?.options.map(({ long }) => long as string) ?? [];
    expect(flagsIn(firstColumn("option").join(" ")).sort()).toEqual(known.sort());
    const used = [...optionsOf("kvraft sweep"), ...optionsOf("npm run sweep")];
    expect(used.length).toBeGreaterThan(4);
    expect(used.filter((flag) => !known.includes(flag))).toEqual([]);
  });

  test("the options of mutants, and of the demo", () => {
    const section = page.slice(page.indexOf("\n## Mutants"), page.indexOf("<!-- mutants -->"));
    const usage = flagsIn(readText("test/mutants/main.ts"));
    expect([...new Set(flagsIn(section))].sort()).toEqual([...new Set(usage)].sort());
    const demo = readText("demo/options.ts");
    expect(optionsOf("npm start").filter((flag) => !demo.includes(`"${flag}`))).toEqual([]);
  });

  test("each mutant, and the code without one", () => {
    const known = [noMistake, noMistakeInPaxos, ...mutants].map(({ name }) => name);
    expect(firstColumn("mutation").sort()).toEqual(known.sort());
    for (const row of Object.keys(notApplicable))
      expect(page).toMatch(new RegExp(`Rows without a mutant: .*\\b${row}\\b`));
  });

  test("scripts, variables, files and links", () => {
    const used = [...page.matchAll(/npm run ([\w:]+)/g)].map(([, name]) => name as string);
    expect(used.length).toBeGreaterThan(3);
    expect(used.filter((name) => !(name in scripts))).toEqual([]);
    const sources = ["properties/property.ts", "harness/schedule.ts", "storage/power-loss.test.ts"]
      .concat("harness/crash-story.ts", "harness/settings.ts", "transcripts/transcripts.test.ts")
      .map((file) => readText(`test/${file}`))
      .join("");
    const variables = [...page.matchAll(/`([A-Z]+_[A-Z]+|TRANSCRIPTS)\b/g)].map(([, name]) => name as string);
    expect(variables.length).toBeGreaterThan(7);
    expect(variables.filter((name) => !sources.includes(name))).toEqual([]);
    const files = filesNamedIn(page);
    expect(files.length).toBeGreaterThan(20);
    expect(files.filter((file) => !existsSync(`${ROOT}${file}`))).toEqual([]);
    const links = [...page.matchAll(/\]\(([^#)]+)\)/g)].map(([, target]) => target as string);
    expect(links.filter((target) => !existsSync(`${ROOT}docs/${target}`))).toEqual([]);
    expect(deadLinksIn(page)).toEqual([]);
  });
});
