import type { HistoryValue } from "../history.js";
import { NEVER } from "./operations.js";
import type { Operation } from "./operations.js";
import type { Counterexample } from "./shrink.js";

/** Longest text shown of a value; of a longer one the beginning and the end, where appends show. */
const LONGEST_VALUE = 40;
/** Columns between two events of a timeline. */
const STRIDE = 3;

function quote(value: string | null): string {
  if (value === null) return "absent";
  if (value.length <= LONGEST_VALUE) return JSON.stringify(value);
  return `${JSON.stringify(value.slice(0, 8))}..${JSON.stringify(value.slice(-24))} (${value.length} characters)`;
}

/** An operation and its outcome in words: `put "1"`, `get -> "1"`, `cas "1" to "2" refused`. */
export function describe(operation: Operation): string {
  const { f, input, output, outcome } = operation;
  const isKnown = outcome === "ok" || outcome === "fail";
  const answer = (text: (value: HistoryValue | undefined) => string): string => (isKnown ? ` -> ${text(output)}` : "");
  switch (f) {
    case "get":
      return `get${answer((value) => quote(value as string | null))}`;
    case "put":
    case "append":
      return `${f} ${quote(input as string | null)}`;
    case "cas": {
      const [expected, value] = input as readonly [string | null, string | null];
      const verb = outcome === "ok" ? " swapped" : outcome === "fail" ? " refused" : "";
      return `cas ${quote(expected)} to ${quote(value)}${verb}`;
    }
    case "delete":
      return `delete${answer((value) => (value === true ? "existed" : value === false ? "absent" : "done"))}`;
    case "read":
      return `read${answer((value) => {
        const read = value as { value: string; version: number } | null;
        return read ? `${quote(read.value)} at version ${read.version}` : "absent";
      })}`;
    case "putif": {
      const { value, version } = input as { value: string; version: number };
      const text = answer((result) => {
        const { ok, version: now } = result as { ok: boolean; version: number };
        return ok ? `now version ${now}` : `refused, at version ${now}`;
      });
      return `putif ${quote(value)} at version ${version}${text}`;
    }
  }
}

const milliseconds = (ns: number): string => `${(ns / 1e6).toFixed(3)} ms`;

/** The bars of a timeline: one a line, columns by the order of the events, not to scale. */
function bars(operations: readonly Operation[]): string[] {
  const events = operations.flatMap((operation) => [operation.call, operation.ret]).filter((at) => at !== NEVER);
  events.sort((a, b) => a - b);
  const column = (at: number): number => events.indexOf(at) * STRIDE;
  return operations.map((operation) => {
    const start = " ".repeat(column(operation.call));
    if (operation.ret === NEVER) return `${start}|${"-".repeat(events.length * STRIDE - start.length)}  no answer`;
    return `${start}|${"-".repeat(column(operation.ret) - start.length - 1)}|`;
  });
}

/** The counterexample as a text that a person can read. */
export function explain(key: string, example: Counterexample): string {
  const operations = example.steps.map((step) => step.operation);
  const { anchor, culprit } = example;
  const labels = operations.map((operation) => [`process ${operation.process}`, describe(operation)] as const);
  const width = (column: 0 | 1): number => Math.max(...labels.map((label) => label[column].length));
  const drawn = bars(operations);
  const longest = Math.max(...drawn.map((bar) => bar.length));
  const lines = drawn.map((bar, i) => {
    const [who, what] = labels[i] as readonly [string, string];
    const operation = operations[i] as Operation;
    const note =
      operation === culprit.operation ? "   <- fits nowhere" : operation === anchor?.operation ? "   <- from here" : "";
    return `  ${who.padEnd(width(0))}  ${what.padEnd(width(1))}  ${bar.padEnd(longest)}${note}`.trimEnd();
  });
  const from = milliseconds(Math.min(...operations.map((operation) => operation.callTime)));
  const to = milliseconds(culprit.operation.returnTime as number);
  const claim =
    operations.length === 1
      ? "this operation cannot have had this outcome"
      : `no order of these ${operations.length} operations explains their outcomes`;
  const text = [
    `Key ${JSON.stringify(key)}: ${claim} (${from} to ${to}).`,
    "",
    ...lines,
    "",
    anchor
      ? `The key's value is known from the operation marked "from here"; it left what it read or wrote.`
      : "The key is absent at the beginning.",
  ];
  if (example.freed > 0) {
    const [writes, their] = example.freed === 1 ? ["Another write", "its"] : [`${example.freed} other writes`, "their"];
    text.push(`${writes} cannot explain it either, whatever ${their} time and even if repeated.`);
  }
  if (example.omitted > 0) text.push(`${example.omitted} earlier operations that belong to it are left out.`);
  return text.join("\n");
}
