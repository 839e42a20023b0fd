import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { ALL_CHECKS, compileTree, examine, type Report, type Tools } from "./examine.js";
import type { Mutant } from "./mutant.js";
import { headLines, isSurvivor, lineOf, problemOf, toJson } from "./report.js";
import { baselinesOf, isClean, mutants, notApplicable } from "./table.js";

const USAGE = `npm run mutants -- [NAME...] [--quick] [--list] [--seeds N] [--from SEED] [--json FILE] [--pages DIR]

Puts each known mistake into a copy of the code and lets the checks look for it.
  NAME...      only these
  --quick      only those that are found within seconds, and only by seeds
  --list       what there is, and why rows of the table are left out
  --seeds N    give the swarm N seeds instead of each mutant's own budget
  --from SEED  first seed of the swarm (default 1)
  --pages DIR  write the run in which the swarm finds each, as a page of the inspector (after npm run build)
  --json FILE  write the results there too (default build/mutants.json)
Exit code 1 if one survives a check that should catch it, or if a check finds something in the code as it ships.`;

/** The swarm has a command of its own for the code as it ships. */
const BASELINE_SEEDS = 300;

const { values, positionals } = readArguments();
if (values.help) {
  console.log(USAGE);
  process.exit(0);
}
const root = findRoot();
const chosen = choose();
if (values.list) list();
else process.exitCode = (await run()) ? 0 : 1;

function readArguments(): ReturnType<typeof parse> {
  try {
    return parse();
  } catch (error) {
    return quit((error as Error).message);
  }
}

function parse() {
  return parseArgs({
    allowPositionals: true,
    options: {
      quick: { type: "boolean", default: false },
      list: { type: "boolean", default: false },
      seeds: { type: "string" },
      from: { type: "string", default: "1" },
      json: { type: "string" },
      pages: { type: "string" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
}

function quit(message: string): never {
  console.error(`${message}\n\n${USAGE}`);
  process.exit(2);
}

function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  return Number.isSafeInteger(value) && value > 0 ? value : quit(`--${name} must be a whole number from 1 on`);
}

function choose(): readonly Mutant[] {
  for (const name of positionals) {
    if (!mutants.some((mutant) => mutant.name === name)) quit(`there is no mutant "${name}"; --list shows all`);
  }
  if (positionals.length > 0) return mutants.filter(({ name }) => positionals.includes(name));
  return values.quick ? mutants.filter(({ quick }) => quick) : mutants;
}

/** The sources: the compiled files lie below them. */
function findRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "package.json"))) folder = dirname(folder);
  return folder;
}

function list(): void {
  for (const { name, row, mistake, note } of chosen) {
    console.log(`${name} (${row}): ${mistake}${note === undefined ? "" : `\n    ${note}`}`);
  }
  for (const [row, reason] of Object.entries(notApplicable)) console.log(`row ${row} has none: ${reason}`);
}

async function run(): Promise<boolean> {
  const scratch = mkdtempSync(join(tmpdir(), "kvraft-mutants-"));
  try {
    const tools: Tools = {
      root,
      compiled: compileTree(root, scratch),
      scratch,
      seeds: values.seeds === undefined ? undefined : wholeNumber("seeds", values.seeds),
      firstSeed: wholeNumber("from", values.from),
      // The scripts run among the tests anyway.
      checks: values.quick ? ["power", "swarm", "registers"] : ALL_CHECKS,
      pages: values.pages === undefined ? undefined : preparePages(values.pages),
    };
    const begun = performance.now();
    const reports = await examineAll([...baselinesOf(chosen, BASELINE_SEEDS), ...chosen], tools);
    const json = values.json ?? join(root, "build/mutants.json");
    writeFileSync(json, toJson(reports));
    const bad = reports.filter(isSurvivor);
    for (const report of bad) console.error(problemOf(report));
    const caught = chosen.length - bad.filter(({ mutant }) => !isClean(mutant)).length;
    const seconds = ((performance.now() - begun) / 1000).toFixed(0);
    console.log(`${caught} of ${chosen.length} mutants caught in ${seconds} s; results in ${json}`);
    return bad.length === 0;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function preparePages(folder: string): { folder: string; template: string } {
  const template = join(root, "dist/inspector/page.html");
  if (!existsSync(template)) quit("--pages needs the inspector's page: run npm run build first");
  mkdirSync(folder, { recursive: true });
  return { folder: resolve(folder), template: readFileSync(template, "utf8") };
}

/** One on each core; lines come out in the order of the list. */
async function examineAll(queue: readonly Mutant[], tools: Tools): Promise<Report[]> {
  const reports: (Report | undefined)[] = [];
  let next = 0;
  let printed = 0;
  console.log(headLines());
  const work = async (): Promise<void> => {
    for (let at = next++; at < queue.length; at = next++) {
      reports[at] = await examine(queue[at] as Mutant, tools);
      for (let done = reports[printed]; done !== undefined; done = reports[++printed]) console.log(lineOf(done));
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  return reports as Report[];
}
