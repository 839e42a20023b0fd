import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

import { Option, type Command } from "commander";

import { checkWritable, recordLines, recordPlan, writeInspector, writeText } from "../../inspector/index.js";
import { InvalidArgumentError, KvraftError } from "../../runtime/index.js";
import { ENGINE_NAMES, testOfPlan, type EngineName, type Outcome, type Plan } from "../../sim/swarm/index.js";
import {
  describePlan,
  describeStop,
  judgePlan,
  makeFolder,
  parseSeedList,
  Progress,
  readPlan,
  replayCommand,
  shrinkPlan,
  sweep,
  writePage,
  writePlan,
} from "../../sweep/index.js";
import { wholeNumber } from "./options.js";
import { Exit, run, type Outside } from "./outside.js";
import { checkModes, isGiven } from "./sweep-modes.js";

interface SweepFlags {
  readonly engine: EngineName;
  readonly seeds: number;
  readonly from: number;
  readonly today?: boolean;
  readonly also?: string;
  readonly workers: number;
  readonly seconds?: number;
  readonly maxFailures: number;
  readonly dir: string;
  readonly checkDeterminism?: boolean;
  readonly coverage?: boolean;
  readonly json?: boolean;
  readonly replay?: string;
  readonly shrink?: string;
  readonly inspect?: string;
  readonly to?: string;
  readonly quiet?: boolean;
}

const MAX_SEEDS = 1e9;
const MAX_WORKERS = 256;
/** A run takes milliseconds. */
const STUCK_MS = 60_000;
const SEEDS_A_DAY = 1e6;

/** `kvraft sweep`: simulates cluster after cluster, each drawn from a seed, and judges what it did. */
export function sweepCommand(program: Command, outside: Outside): void {
  const command = program
    .command("sweep")
    .description("simulate thousands of clusters with faults of every kind and look for a broken rule")
    .addOption(new Option("--engine <name>", "what replicates the log").choices(ENGINE_NAMES).default("raft"))
    .option("--seeds <number>", "how many", wholeNumber(1, MAX_SEEDS), 1000)
    .option("--from <seed>", "the first of them", wholeNumber(0, Number.MAX_SAFE_INTEGER - MAX_SEEDS), 1)
    .addOption(new Option("--today", "begin with a seed that today's date gives (UTC)").conflicts("from"))
    .option(
      "--also <file>",
      "first the seeds of this file: a line each, the seed and what it showed; or engine, seed, ...",
    )
    .option("--workers <number>", "threads", wholeNumber(1, MAX_WORKERS), availableParallelism())
    .option("--seconds <number>", "begin no more seeds after so long", wholeNumber(1, 1e6))
    .option("--max-failures <number>", "begin no more seeds after so many failures", wholeNumber(1, 1e6), 10)
    .option("--check-determinism", "run each seed twice, once unobserved, and compare")
    .option("--coverage", "print by how many seeds each fault and each rare state was reached")
    .option("--dir <folder>", "where summary.json and the failures go: plans, and pages that show them", "kvraft-sweep")
    .addOption(new Option("--replay <seed|file>", "run one seed, or the plan in a file, and tell its story"))
    .addOption(new Option("--shrink <seed|file>", "make a failing run smaller, and a test of it").conflicts("replay"))
    .option("--inspect <file>", "with --replay or --shrink: write the run as a page to look at")
    .option("--to <file>", "with --shrink: where to write the test (default seed-N.test.ts)")
    .option("--quiet", "with --replay: the verdict alone")
    .option("--json", "print the summary, or the outcome, as one JSON object")
    .addHelpText(
      "after",
      "\nExit codes: 0 no rule was broken, 1 one was, 2 wrong options, or a file that cannot be read or written",
    );
  command.action(async () => {
    const flags = command.opts<SweepFlags>();
    const { json = false, replay, shrink } = flags;
    await run(outside, json, () => {
      checkModes(command);
      const planOf = (source: string): Plan => readPlanOf(source, flags.engine, isGiven(command, "engine"));
      if (replay !== undefined) return replayOne(planOf(replay), replay, flags, outside);
      if (shrink !== undefined) return shrinkOne(planOf(shrink), flags, outside);
      return sweepMany(flags, outside);
    });
  });
}

async function sweepMany(flags: SweepFlags, { out, err }: Outside): Promise<number> {
  const also = flags.also === undefined ? [] : readSeedList(flags.also, flags.engine);
  makeFolder("--dir", flags.dir);
  const firstSeed = flags.today === true ? seedOfToday() : flags.from;
  const progress = new Progress(flags.seeds + also.length, err, process.stderr.isTTY);
  const stop = new AbortController();
  const onSignal = (): void => stop.abort();
  process.once("SIGINT", onSignal);
  try {
    if (flags.json !== true) {
      const more = also.length === 0 ? "" : `, and ${also.length} that failed once`;
      out(`seeds ${firstSeed} to ${firstSeed + flags.seeds - 1}${more}, on ${flags.workers} threads\n`);
    }
    const { tally, seconds, warmRate, summaryFile, summary, unwritten } = await sweep({
      ...{
        engine: flags.engine,
        firstSeed,
        count: flags.seeds,
        also,
        workers: flags.workers,
        stuckMs: STUCK_MS,
        code: codeName(),
      },
      ...{ seconds: flags.seconds ?? Infinity, maxFailures: flags.maxFailures, dir: flags.dir, signal: stop.signal },
      checkDeterminism: flags.checkDeterminism === true,
      onRun: (sums) => progress.update(sums),
      onFailure: (line) => {
        progress.clear();
        err(`${line}\n`);
      },
    });
    progress.clear();
    if (flags.json === true) {
      out(`${JSON.stringify(summary)}\n`);
    } else {
      if (flags.coverage === true) out(`${tally.coverageLines().join("\n")}\n`);
      const { neverReached, failures, seeds, simulatedMs, operations } = tally;
      const hours = (simulatedMs / 3_600_000).toFixed(1);
      out(
        `${seeds} seeds in ${seconds.toFixed(1)} s, ${Math.round(seeds / seconds)} a second` +
          `${warmRate > 0 ? ` (${Math.round(warmRate)} in the second half)` : ""}; ` +
          `${hours} simulated hours, ${operations} operations\n` +
          `never reached: ${neverReached.length === 0 ? "nothing" : neverReached.join(", ")}\n` +
          `${failures.length === 0 ? "no rule was broken" : `${failures.length} FAILED`}; ` +
          `${unwritten === null ? `summary in ${summaryFile}` : "not all of it could be written"}\n`,
      );
    }
    if (unwritten !== null) {
      err(`kvraft: ${unwritten.message} [${unwritten.code}]\n`);
      return Exit.usage;
    }
    return tally.failures.length === 0 ? Exit.ok : Exit.no;
  } finally {
    process.removeListener("SIGINT", onSignal);
  }
}

/** A file has its own engine: who asks for another one has taken the wrong file. */
function readPlanOf(source: string, engine: EngineName, isGivenEngine: boolean): Plan {
  const plan = readPlan(source, engine);
  const { engine: own = "raft" } = plan;
  if (!isGivenEngine || own === engine) return plan;
  throw new InvalidArgumentError(`--engine ${engine} does not go with ${source}, which is a plan for ${own}`);
}

async function replayOne(plan: Plan, source: string, flags: SweepFlags, { out }: Outside): Promise<number> {
  if (flags.inspect !== undefined) checkWritable("--inspect", flags.inspect);
  const isSeed = /^\d+$/.test(source);
  const replay = isSeed ? replayCommand(plan) : `npx kvraft sweep --replay ${source}`;
  const outcome = flags.checkDeterminism === true ? await judgePlan(plan, { checkDeterminism: true }) : await tell();
  async function tell(): Promise<Outcome> {
    const recorded = await recordPlan(plan, { title: `Seed ${plan.seed}`, replay });
    if (flags.inspect !== undefined) writeInspector(flags.inspect, recorded.record);
    if (flags.json === true || flags.quiet === true) return recorded.outcome;
    out(`${describePlan(plan)}\n\n`);
    for (const line of recordLines(recorded.record)) out(`${line}\n`);
    out("\n");
    return recorded.outcome;
  }
  if (flags.json === true) out(`${JSON.stringify(outcome)}\n`);
  else out(`${verdict(outcome)}\n`);
  return outcome.ok ? Exit.ok : Exit.no;
}

async function shrinkOne(before: Plan, flags: SweepFlags, { out, err }: Outside): Promise<number> {
  const { testFile, planFile } = shrinkTargets(before, flags);
  const shrunk = await shrinkPlan(before, {
    onSmaller: (plan, runs) => err(`after ${runs} runs: ${describePlan(plan)}\n`),
  });
  if (shrunk === null) {
    out(`seed ${before.seed} breaks no rule: there is nothing to make smaller\n`);
    return Exit.ok;
  }
  const { plan, outcome } = shrunk;
  const name = `seed ${before.seed}, made smaller: ${outcome.violation?.rule}`;
  writeText(testFile, testOfPlan(plan, name, outcome));
  writePlan(planFile, plan);
  if (flags.inspect !== undefined) await writePage(flags.inspect, plan, `npx kvraft sweep --replay ${planFile}`);
  out(
    `${verdict(outcome)}\n${shrunk.runs} runs; what is left: ${describePlan(plan)}\n` +
      `a test for test/swarm/ is in ${testFile}, the plan in ${planFile}\n${describeStop(shrunk, before, planFile)}`,
  );
  return Exit.no;
}

/** Where the smaller run goes; that it can go there is known before shrinking, which takes minutes, begins. */
function shrinkTargets({ seed }: Plan, { to, inspect }: SweepFlags): { testFile: string; planFile: string } {
  const testFile = to ?? `seed-${seed}.test.ts`;
  if (!testFile.endsWith(".ts")) {
    throw new InvalidArgumentError(`--to ${testFile}: what is written is a test; its name must end in .test.ts or .ts`);
  }
  const planFile = `${testFile.replace(/(\.test)?\.ts$/, "")}.json`;
  checkWritable(to === undefined ? "the test" : "--to", testFile);
  checkWritable("the plan", planFile);
  if (inspect === undefined) return { testFile, planFile };
  if ([testFile, planFile].some((file) => resolve(file) === resolve(inspect))) {
    throw new InvalidArgumentError(`--inspect ${inspect}: the test and the plan go to ${testFile} and ${planFile}`);
  }
  checkWritable("--inspect", inspect);
  return { testFile, planFile };
}

function verdict({ seed, violation, hash, events, simulatedMs, operations, unanswered }: Outcome): string {
  const figures = `${events} events in ${(simulatedMs / 1000).toFixed(1)} simulated s, hash ${hash}`;
  if (violation === null)
    return `seed ${seed}: no rule was broken; ${operations} operations, ${unanswered} unanswered; ${figures}`;
  return `seed ${seed} broke "${violation.rule}" at ${(violation.atMs / 1000).toFixed(3)} s (#${violation.seq}): ${violation.message}\n${figures}`;
}

function readSeedList(file: string, engine: EngineName): number[] {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (cause) {
    throw new KvraftError("INVALID_ARGUMENT", `--also ${file} cannot be read: ${(cause as Error).message}`, { cause });
  }
  try {
    return parseSeedList(text, engine);
  } catch (cause) {
    throw new KvraftError("INVALID_ARGUMENT", `--also ${file}: ${(cause as Error).message}`, { cause });
  }
}

/** 2026-11-21 gives 20261121000000: each day has a million seeds of its own. */
function seedOfToday(): number {
  return Number(new Date().toISOString().slice(0, 10).replaceAll("-", "")) * SEEDS_A_DAY;
}

/** The commit of this code where it lies in its repository, else the version of the package. */
function codeName(): string {
  for (const up of ["../../", "../../../"]) {
    const root = fileURLToPath(new URL(up, import.meta.url));
    if (!existsSync(join(root, "package.json"))) continue;
    const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
    if (!existsSync(join(root, ".git"))) return `v${version}`;
    try {
      const git = (...words: string[]): string =>
        execFileSync("git", ["-C", root, ...words], { encoding: "utf8" }).trim();
      return `${git("rev-parse", "--short", "HEAD")}${git("status", "--porcelain") === "" ? "" : " with changes"}`;
    } catch {
      return `v${version}`;
    }
  }
  return "an unknown version";
}
