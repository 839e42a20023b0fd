import { InvalidArgumentError, SeededRandom } from "../../runtime/index.js";
import type { HistoryEvent, HistoryFunction, HistoryValue } from "../history.js";
import { compile, stepOf } from "./model.js";
import type { Step } from "./model.js";
import { pairOperations } from "./operations.js";
import type { Operation } from "./operations.js";
import { Search } from "./search.js";
import type { Verdict } from "./search.js";
import { Shrinker } from "./shrink.js";
import { explain } from "./timeline.js";

export { parseHistory, toJsonLines } from "./json-lines.js";
export type { Verdict } from "./search.js";

export interface CheckOptions {
  /** Gives up after so many milliseconds of real time. By default nothing is timed and the result is deterministic. */
  timeoutMs?: number;
  /** Gives up on a key after so many configurations; a million take about a second. Default 5,000,000. */
  maxNodes?: number;
}

/** An operation of a counterexample. */
export interface CheckedOperation {
  readonly process: number;
  readonly f: HistoryFunction;
  readonly key: string;
  readonly value?: HistoryValue | undefined;
  /** How it ended; info too where it never did. */
  readonly type: "ok" | "fail" | "info";
  /** Value of the ok. */
  readonly result?: HistoryValue | undefined;
  /** Times in ns, as in the history. */
  readonly call: number;
  readonly return: number | null;
}

export interface CheckResult {
  readonly verdict: Verdict;
  readonly operations: number;
  readonly keys: number;
  /** Configurations tried, without those for shrinking. */
  readonly nodes: number;
  /** The key that is not linearizable, or one that could not be decided. */
  readonly key?: string;
  /** From the first call of the counterexample to the return of the operation that fits nowhere, in ns. */
  readonly window?: { readonly from: number; readonly to: number };
  /** At most ten operations that contradict one another, in order of call. */
  readonly counterexample?: readonly CheckedOperation[];
  /** For people: one sentence, or a timeline of the counterexample. */
  readonly explanation: string;
}

const DEFAULT_MAX_NODES = 5_000_000;
/** All keys get a small budget first, then a larger one: a key that is easily seen to be wrong is found early. */
const EARLY_BUDGETS = [20_000, 400_000];

// Taken when the module is loaded: a simulation forbids the global clock while it runs, also to what it calls.
const wallNow = performance.now.bind(performance);

interface Partition {
  readonly key: string;
  readonly steps: Step[];
}

/** Linearizability is local (Herlihy and Wing): a history has it if each key's part has it. Small parts first. */
function partitionByKey(operations: readonly Operation[]): Partition[] {
  const partitions = new Map<string, Partition>();
  for (const operation of operations) {
    let partition = partitions.get(operation.key);
    if (!partition) partitions.set(operation.key, (partition = { key: operation.key, steps: [] }));
    const step = stepOf(operation);
    if (step) partition.steps.push(step);
  }
  return [...partitions.values()].sort((a, b) => a.steps.length - b.steps.length);
}

interface Decision {
  readonly verdict: Verdict;
  readonly nodes: number;
  readonly stuckAt: number;
}

function decide(steps: readonly Step[], budget: number, isExpired: (() => boolean) | undefined): Decision {
  const problem = compile(steps, [], { value: null, version: 0 });
  const first = new Search(problem, new SeededRandom(1));
  const verdict = first.run(budget, isExpired);
  if (verdict !== "not-linearizable") return { verdict, nodes: first.nodes, stuckAt: -1 };
  // Two configurations may have had the same random key: confirmed with others, that is as good as excluded.
  const second = new Search(problem, new SeededRandom(2));
  const confirmed = second.run(first.nodes * 2 + 10_000, isExpired);
  const stuckAt = Math.max(first.stuckAt, second.stuckAt);
  return { verdict: confirmed, nodes: first.nodes + second.nodes, stuckAt };
}

function toChecked(operation: Operation): CheckedOperation {
  const { process, f, key, input, outcome, output, callTime, returnTime } = operation;
  const type = outcome === "missing" ? "info" : outcome;
  return { process, f, key, value: input, type, result: output, call: callTime, return: returnTime };
}

function requirePositive(name: string, value: number | undefined): void {
  if (value !== undefined && !(value > 0)) throw new InvalidArgumentError(`${name} must be more than 0, not ${value}`);
}

/**
 * Decides whether a history is linearizable: whether every operation can have taken effect at one moment between its
 * invocation and its completion, so that each answered what it did. Keys are independent and begin absent.
 *
 * Unless `timeoutMs` is given no clock is read and the same history always gives the same result. Throws a HistoryError
 * (code `BAD_HISTORY`) for a malformed history.
 */
export function checkLinearizable(history: readonly HistoryEvent[], options: CheckOptions = {}): CheckResult {
  const { timeoutMs, maxNodes = DEFAULT_MAX_NODES } = options;
  requirePositive("timeoutMs", timeoutMs);
  requirePositive("maxNodes", maxNodes);
  const giveUpAt = timeoutMs === undefined ? undefined : wallNow() + timeoutMs;
  const isExpired = giveUpAt === undefined ? undefined : (): boolean => wallNow() >= giveUpAt;

  const operations = pairOperations(history, (index) => `event ${index}`);
  let undecided = partitionByKey(operations);
  const counts = { operations: operations.length, keys: undecided.length };
  let nodes = 0;
  for (const budget of [...EARLY_BUDGETS.filter((early) => early < maxNodes), maxNodes]) {
    const left: Partition[] = [];
    for (const partition of undecided) {
      const decision = isExpired?.() ? undefined : decide(partition.steps, budget, isExpired);
      nodes += decision?.nodes ?? 0;
      if (decision?.verdict === "not-linearizable") {
        return { verdict: decision.verdict, ...counts, nodes, ...refute(partition, decision.stuckAt, isExpired) };
      }
      if (decision?.verdict !== "linearizable") left.push(partition);
    }
    undecided = left;
  }
  const [hard] = undecided;
  if (!hard) {
    const explanation = `All ${counts.operations} operations on ${counts.keys} keys can be put in order.`;
    return { verdict: "linearizable", ...counts, nodes, explanation };
  }
  const limit = isExpired?.() ? `${timeoutMs} ms` : `${maxNodes} configurations`;
  const explanation =
    `Key ${JSON.stringify(hard.key)} with ${hard.steps.length} operations was not decided within ${limit}. ` +
    `Raise ${isExpired?.() ? "timeoutMs" : "maxNodes"}, or make the history shorter.`;
  return { verdict: "unknown", ...counts, nodes, key: hard.key, explanation };
}

/** What a result says about a key that is not linearizable. */
function refute(
  { key, steps }: Partition,
  stuckAt: number,
  isExpired: (() => boolean) | undefined,
): Pick<CheckResult, "key" | "window" | "counterexample" | "explanation"> {
  const example = new Shrinker(isExpired).shrink(steps, stuckAt);
  const counterexample = example.steps.map((step) => toChecked(step.operation));
  const window = {
    from: Math.min(...counterexample.map((operation) => operation.call)),
    to: example.culprit.operation.returnTime as number,
  };
  return { key, window, counterexample, explanation: explain(key, example) };
}
