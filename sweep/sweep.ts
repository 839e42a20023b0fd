import { existsSync, mkdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";

import { checkWritable, notWritable, recordPlan, writeInspector, writeText } from "../inspector/index.js";
import { KvraftError } from "../runtime/index.js";
import { drawPlan, ENGINES, type EngineName, type Outcome, type Plan } from "../sim/swarm/index.js";
import { runSeeds, STUCK } from "./pool.js";
import { Tally } from "./tally.js";
import { failureLine, replayCommand } from "./words.js";

export interface SweepOptions {
  readonly engine: EngineName;
  readonly firstSeed: number;
  readonly count: number;
  /** Seeds that failed once: they are run before the others. */
  readonly also: readonly number[];
  readonly workers: number;
  readonly checkDeterminism: boolean;
  readonly stuckMs: number;
  /** No more seeds are begun after so many seconds. */
  readonly seconds: number;
  /** No more seeds are begun after so many failures. */
  readonly maxFailures: number;
  /** Where plans and pages of failures go, and the summary: a folder that `makeFolder` has made. */
  readonly dir: string;
  /** What is swept: a commit or a version. */
  readonly code: string;
  readonly signal: AbortSignal;
  /** Called after every run. */
  readonly onRun: (tally: Tally, outcome: Outcome) => void;
  readonly onFailure: (line: string) => void;
}

export interface SweepReport {
  readonly tally: Tally;
  readonly seconds: number;
  /** Seeds a second from the middle of the sweep on: by then V8 has compiled what runs. 0: it did not get so far. */
  readonly warmRate: number;
  readonly summaryFile: string;
  /** What that file holds. */
  readonly summary: Readonly<Record<string, unknown>>;
  /** Why not all files could be written; null where they were. */
  readonly unwritten: KvraftError | null;
}

const SUMMARY = "summary.json";

/**
 * Makes the folder of a sweep: better before the first seed than after the last one.
 * @throws InvalidArgumentError where no file can be written in it
 */
export function makeFolder(name: string, dir: string): void {
  try {
    makeAll(dir);
  } catch (error) {
    throw notWritable(`${name} ${dir}`, error);
  }
  checkWritable(name, join(dir, SUMMARY));
}

/** `recursive` of Node 20 never returns where a folder that is there takes no other one, as /proc does. */
function makeAll(dir: string): void {
  if (existsSync(dir) && statSync(dir).isDirectory()) return;
  if (!existsSync(dirname(dir))) makeAll(dirname(dir));
  mkdirSync(dir);
}

function* seedsOf({ also, firstSeed, count }: SweepOptions): Generator<number> {
  yield* also;
  for (let i = 0; i < count; i++) yield firstSeed + i;
}

/** Runs the seeds; keeps of each failure a line, its plan and a page that shows it; writes a summary. */
export async function sweep(options: SweepOptions): Promise<SweepReport> {
  const tally = new Tally(ENGINES[options.engine].marks);
  const enough = new AbortController();
  const timer = options.seconds < Infinity ? setTimeout(() => enough.abort(), options.seconds * 1000) : undefined;
  const begun = performance.now();
  const total = options.also.length + options.count;
  let middle: { seeds: number; at: number } | undefined;
  try {
    await runSeeds(seedsOf(options), {
      ...options,
      signal: AbortSignal.any([options.signal, enough.signal]),
      onOutcome: (outcome) => {
        tally.add(outcome);
        if (tally.seeds * 2 >= total) middle ??= { seeds: tally.seeds, at: performance.now() };
        if (!outcome.ok) options.onFailure(failureLine(outcome, drawPlan(outcome.seed, options.engine), options.code));
        if (tally.failures.length >= options.maxFailures) enough.abort();
        options.onRun(tally, outcome);
      },
    });
  } finally {
    clearTimeout(timer);
  }
  const ended = performance.now();
  const seconds = (ended - begun) / 1000;
  const warmRate = middle === undefined ? 0 : (1000 * (tally.seeds - middle.seeds)) / (ended - middle.at);
  const summaryFile = join(options.dir, SUMMARY);
  const { code, engine, firstSeed, count, workers, checkDeterminism } = options;
  const head = {
    code,
    engine,
    firstSeed,
    count,
    workers,
    checkDeterminism,
    seconds,
    seedsPerSecond: tally.seeds / seconds,
    warmSeedsPerSecond: warmRate,
  };
  const summary = { ...head, ...tally.toJson() };
  let unwritten: KvraftError | null = null;
  try {
    writeText(summaryFile, `${JSON.stringify(summary, null, 2)}\n`);
    for (const outcome of tally.failures) await keepFailure(outcome, options);
  } catch (error) {
    // For instance a disk that is full by now. What the sweep has found is not lost for that.
    if (!(error instanceof KvraftError)) throw error;
    unwritten = error;
  }
  return { tally, seconds, warmRate, summaryFile, summary, unwritten };
}

async function keepFailure({ seed, violation }: Outcome, { dir, engine }: SweepOptions): Promise<void> {
  const plan = drawPlan(seed, engine);
  const base = join(dir, engine === "raft" ? `seed-${seed}` : `${engine}-seed-${seed}`);
  writePlan(`${base}.json`, plan);
  // What does not end cannot be written down either, and what ended its thread would end this one.
  if (violation?.rule !== STUCK && violation?.seq !== 0) await writePage(`${base}.html`, plan, replayCommand(plan));
}

export function writePlan(file: string, plan: Plan): void {
  writeText(file, `${JSON.stringify(plan, null, 2)}\n`);
}

/** Runs the plan once more and writes the inspector's page of it. */
export async function writePage(file: string, plan: Plan, replay: string): Promise<void> {
  const { record } = await recordPlan(plan, { title: `Seed ${plan.seed}`, replay });
  writeInspector(file, record);
}
