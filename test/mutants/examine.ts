import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

import { changedSources, transpile } from "./apply.js";
import { inChild, type Answer } from "./child.js";
import type { Mutant } from "./mutant.js";
import type { Job, Page } from "./job.js";

export const ALL_CHECKS = ["script", "power", "swarm", "blackBox", "registers"] as const;
export type CheckName = (typeof ALL_CHECKS)[number];

export interface Finding extends Answer {
  readonly check: CheckName;
  /** Most runs it was given. */
  readonly budget: number;
  readonly ms: number;
}

export interface Report {
  readonly mutant: Mutant;
  readonly findings: readonly Finding[];
  readonly ms: number;
}

export interface Tools {
  /** Top of the project: the sources. */
  readonly root: string;
  /** The compiled tree. */
  readonly compiled: string;
  /** Where copies of it are made. */
  readonly scratch: string;
  /** In place of the swarm's budgets. */
  readonly seeds: number | undefined;
  readonly firstSeed: number;
  readonly checks: readonly CheckName[];
  /** Where to put a page of the inspector for each mutant that the swarm finds, and the page without a run. */
  readonly pages?: { readonly folder: string; readonly template: string } | undefined;
}

/** Lets every check that the mutant names, and that is wanted, look for it, the cheapest first. */
export async function examine(mutant: Mutant, tools: Tools): Promise<Report> {
  const begun = performance.now();
  const copy = makeCopy(mutant, tools);
  const findings: Finding[] = [];
  const look = async (check: CheckName, budget: number, job: Job): Promise<void> => {
    if (!tools.checks.includes(check)) return;
    const start = performance.now();
    const answer = await inChild(copy.folder, job);
    findings.push({ ...answer, check, budget, ms: performance.now() - start });
  };
  const { row, scripts, power, registers } = mutant;
  try {
    if (scripts !== undefined) {
      const changed = [...copy.changed].map(([file, text]) => [join(tools.root, file), text] as const);
      await look("script", scripts.length, { kind: "script", root: tools.root, files: scripts, row, changed });
    }
    if (power !== undefined) {
      await look("power", power.runs, { kind: "power", shape: "mixed", syncErrorRate: 0, ...power });
    }
    for (const kind of ["swarm", "blackBox"] as const) {
      if (mutant[kind] === undefined) continue;
      const runs = tools.seeds ?? mutant[kind];
      const page = kind === "swarm" ? pageOf(mutant, tools) : {};
      await look(kind, runs, { kind, firstSeed: tools.firstSeed, runs, ...page });
    }
    if (registers !== undefined) {
      const runs = tools.seeds ?? registers;
      await look("registers", runs, { kind: "registers", firstSeed: tools.firstSeed, runs });
    }
  } finally {
    rmSync(copy.folder, { recursive: true, force: true });
  }
  return { mutant, findings, ms: performance.now() - begun };
}

function pageOf({ name, mistake }: Mutant, { pages }: Tools): { page?: Page } {
  if (pages === undefined) return {};
  const { folder, template } = pages;
  return { page: { file: join(folder, `${name}.html`), template, title: `${name}: ${mistake}` } };
}

/** The compiled tree with the mistake in it. */
function makeCopy(
  mutant: Mutant,
  { root, compiled, scratch }: Tools,
): { folder: string; changed: Map<string, string> } {
  const folder = join(scratch, mutant.name);
  const changed = changedSources(mutant, (file) => readFileSync(join(root, file), "utf8"));
  cpSync(compiled, folder, { recursive: true });
  for (const [file, text] of changed) writeFileSync(join(folder, jsName(file)), transpile(file, text));
  return { folder, changed };
}

/** What the worker needs, which is all but the tests of others. */
const FOLDERS = [
  "runtime",
  "labrpc",
  "replica",
  "raft",
  "paxos",
  "kvraft",
  "sim",
  "server/storage",
  "inspector",
  "test/storage",
  "test/paxos/registers-swarm",
  "test/mutants",
];

/** Compiles the sources below `scratch`, where the copies will be too, and where the project's packages are found. */
export function compileTree(root: string, scratch: string): string {
  symlinkSync(join(root, "node_modules"), join(scratch, "node_modules"), "dir");
  writeFileSync(join(scratch, "package.json"), '{ "type": "module" }');
  const compiled = join(scratch, "as shipped");
  for (const folder of FOLDERS) {
    for (const name of readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })) {
      if (!name.endsWith(".ts") || name.endsWith(".test.ts")) continue;
      const file = join(folder, name);
      const target = join(compiled, jsName(file));
      mkdirSync(dirname(target), { recursive: true });
      writeFileSync(target, transpile(file, readFileSync(join(root, file), "utf8")));
    }
  }
  return compiled;
}

const jsName = (file: string): string => file.replace(/\.ts$/, ".js");
