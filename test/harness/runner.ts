import { relative } from "node:path";

import { test } from "vitest";

import { realRuntime, type Runtime } from "../../runtime/index.js";
import { simulate } from "../../sim/index.js";
import { ENGINES, titleFor, type LabEngine } from "./engines.js";
import { type Figures, Lab, LabError, LIMIT_MS } from "./lab.js";
import { parseLabSettings } from "./settings.js";
import { unwatch, watch } from "./watchdog.js";

const settings = parseLabSettings(process.env);

// Within a simulation the globals throw; these are the real ones.
const realSetTimeout = setTimeout;
const realNow = performance.now.bind(performance);

/** Real time that one run may take. A simulated one takes a second or two; only one that has run wild takes longer. */
const REAL_LIMIT_MS = settings.time === "virtual" ? 60_000 : LIMIT_MS + 30_000;
/** How much later the second thread ends a process that does not even get to see its own timers. */
const WATCHDOG_GRACE_MS = 10_000;

type Body = (lab: Lab) => Promise<void>;

/** What is run, and under which name. */
interface Story {
  readonly name: string;
  readonly engine: LabEngine;
  readonly body: Body;
}

interface Outcome {
  readonly lines: readonly string[];
  readonly figures: readonly Figures[];
}

/** The command that runs one seed of one test again; as printed it works in any sh. */
export function replayCommand(file: string, name: string, seed: number, time: "virtual" | "real"): string {
  const pattern = name.replaceAll(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`);
  const mode = time === "real" ? "LAB_TIME=real " : "";
  return `${mode}LAB_SEED=${seed} npx vitest run ${file} -t "^${pattern}$"`;
}

/** The labs' line of a passed test: seconds, servers, RPCs, bytes, operations. */
export function passedLine(figures: Omit<Figures, "title">): string {
  const { seconds, servers, rpcs, bytes, operations } = figures;
  return (
    `  ... Passed --  ${seconds.toFixed(1).padStart(5)}  ${servers} ${String(Math.round(rpcs)).padStart(6)} ` +
    `${String(Math.round(bytes)).padStart(9)} ${String(Math.round(operations)).padStart(6)}`
  );
}

async function runBody(lab: Lab, body: Body): Promise<void> {
  const limit = lab.clock.setTimeout(
    () => lab.fail(new LabError(`the test took longer than ${LIMIT_MS / 1000} s of the run's time`)),
    LIMIT_MS,
  );
  try {
    await Promise.race([lab.failure, body(lab)]);
    if (lab.figures.length === 0) lab.endStage();
  } finally {
    lab.clock.clearTimeout(limit);
    // A world that is simulated vanishes with its test; on the wall clock a failed test must not disturb the next.
    await Promise.race([lab.failure, lab.finish()]);
  }
}

/** Runs it once and makes sure that it ends in real time too. */
async function runSeed({ name, engine, body }: Story, seed: number): Promise<Outcome> {
  let lab: Lab | undefined;
  const guard = realSetTimeout(
    () => lab?.fail(new LabError(`ran for more than ${REAL_LIMIT_MS / 1000} s of real time: it runs in circles`)),
    REAL_LIMIT_MS,
  );
  const main = (runtime: Runtime): Promise<void> => {
    lab = new Lab(runtime, name, engine);
    return runBody(lab, body);
  };
  try {
    await (settings.time === "virtual" ? simulate({ seed }, main) : main(realRuntime(seed)));
  } finally {
    clearTimeout(guard);
  }
  for (const check of lab!.afterwards) check();
  return { lines: [...headed(lab!), ...lab!.remarks.map((line) => `  ${line}`)], figures: lab!.figures };
}

function headed(lab: Lab): string[] {
  return lab.figures.flatMap((figures) => [`Test: ${figures.title} ...`, passedLine(figures)]);
}

function summary(name: string, outcomes: readonly Outcome[], realMs: number): string[] {
  const all = outcomes.flatMap((outcome) => outcome.figures);
  const perSeed = (pick: (figures: Figures) => number): number =>
    all.reduce((total, figures) => total + pick(figures), 0) / outcomes.length;
  const mean = {
    seconds: perSeed((figures) => figures.seconds),
    servers: Math.max(...all.map((figures) => figures.servers)),
    rpcs: perSeed((figures) => figures.rpcs),
    bytes: perSeed((figures) => figures.bytes),
    operations: perSeed((figures) => figures.operations),
  };
  return [
    `Test: ${name} ... ${outcomes.length} seeds in ${(realMs / 1000).toFixed(1)} s; on average`,
    passedLine(mean),
  ];
}

/** One write a test, past vitest's own frames: lines of files that run side by side stay together. */
function print(lines: readonly string[]): void {
  process.stdout.write(`${lines.join("\n")}\n`);
}

async function runSeeds(story: Story, file: string): Promise<void> {
  const name = titleFor(story.engine, story.name);
  const outcomes: Outcome[] = [];
  const failures: { seed: number; error: unknown }[] = [];
  const started = realNow();
  for (const seed of settings.seeds) {
    const replay = replayCommand(file, name, seed, settings.time);
    watch(REAL_LIMIT_MS + WATCHDOG_GRACE_MS, `"${name}" hangs with seed ${seed}; the process ends. Again: ${replay}`);
    try {
      outcomes.push(await runSeed(story, seed));
    } catch (error) {
      failures.push({ seed, error });
      print([`Test: ${name} ...`, `  ... FAILED with seed ${seed}: ${messageOf(error)}`, `  again: ${replay}`]);
    } finally {
      unwatch();
    }
  }
  const [first] = failures;
  if (first) {
    const list = failures.map(({ seed }) => seed).join(", ");
    const which = settings.seeds.length === 1 ? `seed ${first.seed}` : `seeds ${list} of ${settings.seeds.length}`;
    throw new LabError(
      `${messageOf(first.error)}\nfailed with ${which}; again: ${replayCommand(file, name, first.seed, settings.time)}`,
      { cause: first.error },
    );
  }
  print(settings.seeds.length === 1 ? outcomes[0]!.lines : summary(name, outcomes, realNow() - started));
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Declares a lab test. It runs in a simulated world, once for each seed (LAB_SEED, LAB_SEEDS); with LAB_TIME=real on the
 * wall clock. It fails after 120 s of the run's time, and after 60 s of real time where time is virtual. There is one for
 * each engine; Raft's has the labs' own name.
 */
export function labTest(name: string, body: Body, engines: readonly LabEngine[] = ENGINES): void {
  const timeout = (REAL_LIMIT_MS + 2 * WATCHDOG_GRACE_MS) * settings.seeds.length;
  for (const engine of engines) {
    // eslint-disable-next-line vitest/expect-expect, vitest/valid-title -- what is tested, and its name, come from the caller
    test(titleFor(engine, name), { timeout }, async ({ task }) => {
      await runSeeds({ name, engine, body }, relative(process.cwd(), task.file.filepath));
    });
  }
}
