import { checkLinearizable, type CheckResult, type HistoryEvent } from "../sim/index.js";
import type { Chronicle } from "./chronicle.js";
import { FAULT_KINDS, type Fault } from "./faults.js";
import { countDone } from "./frame.js";
import { count, seconds } from "./text.js";

/** How a run ended. */
export interface Ending {
  readonly seed: number;
  readonly virtualMs: number;
  readonly wasInterrupted: boolean;
  /** What was found wrong when everything had been healed; empty where all is well, or where it did not come to that. */
  readonly problems: readonly string[];
  /** What the servers agree on in the end; undefined where it did not come to that. */
  readonly agreement?: string;
}

export interface Summary {
  readonly lines: readonly string[];
  /** 0, or 1 where the history is not linearizable or the cluster did not recover. */
  readonly exitCode: 0 | 1;
}

/** Checks the whole history and puts everything into words. */
export function summarize(ending: Ending, chronicle: Chronicle, history: readonly HistoryEvent[]): Summary {
  const result = checkLinearizable(history);
  const ended = ending.wasInterrupted ? "interrupted after" : "ran for";
  const lines = [
    `seed ${ending.seed}: ${ended} ${seconds(ending.virtualMs)} of the cluster's time`,
    "",
    ...describeOperations(chronicle),
    row("elections", describeElections(chronicle)),
    row("faults", describeFaults(chronicle.faults)),
    row("slowest recovery", describeRecovery(chronicle.faults)),
    ...(ending.agreement === undefined ? [] : [row("in the end", ending.agreement)]),
    ...ending.problems.map((problem) => row("PROBLEM", problem)),
    ...describeVerdict(result),
  ];
  return { lines, exitCode: result.verdict === "linearizable" && ending.problems.length === 0 ? 0 : 1 };
}

function row(title: string, text: string): string {
  return `${title.padEnd(18)}${text}`;
}

function describeOperations(chronicle: Chronicle): string[] {
  const { waiting, unknown, failed } = chronicle;
  const kinds = [...chronicle.done].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([name, n]) => `${n} ${name}`);
  const counts = [`${countDone(chronicle)} answered`];
  if (waiting + unknown > 0) counts.push(`${waiting + unknown} with an unknown outcome`);
  if (failed > 0) counts.push(`${failed} given up`);
  const total = row("operations", counts.join(", "));
  return kinds.length === 0 ? [total] : [total, row("", kinds.join(", "))];
}

function describeElections(chronicle: Chronicle): string {
  const last = chronicle.elections.at(-1);
  if (last === undefined) return "none";
  return `${chronicle.elections.length}, the last one won by S${last.server} in term ${last.term}`;
}

function describeFaults(faults: readonly Fault[]): string {
  const kinds = FAULT_KINDS.map((kind) => [kind, faults.filter((fault) => fault.kind === kind).length] as const);
  const words = kinds.filter(([, n]) => n > 0).map(([kind, n]) => `${n} ${kind}`);
  return faults.length === 0 ? "none" : `${faults.length} (${words.join(", ")})`;
}

function describeRecovery(faults: readonly Fault[]): string {
  let slowest: Fault | undefined;
  for (const fault of faults) {
    if (fault.recoveryMs !== null && fault.recoveryMs > (slowest?.recoveryMs ?? -1)) slowest = fault;
  }
  if (slowest === undefined) return faults.length === 0 ? "nothing to recover from" : "none was seen";
  const open = faults.filter((fault) => fault.recoveryMs === null).length;
  const rest = open > 0 ? `; ${count(open, "fault")} not recovered from yet` : "";
  const { recoveryMs, recoverableMs, fromMs, text } = slowest;
  const what = recoverableMs > fromMs ? `the end of "${text}"` : `"${text}"`;
  return `${seconds(recoveryMs as number, 2)}, from ${what} at ${seconds(recoverableMs)}${rest}`;
}

const ANSWERS = { linearizable: "yes", "not-linearizable": "NO", unknown: "NOT DECIDED" } as const;

/** The verdict in a line; where it is not a yes, what the checker says about it follows. */
function describeVerdict(result: CheckResult): string[] {
  const what = `${count(result.operations, "operation")} on ${count(result.keys, "key")}`;
  const line = row("linearizable", `${ANSWERS[result.verdict]}: ${what}`);
  return result.verdict === "linearizable" ? [line] : [line, "", ...result.explanation.split("\n")];
}
