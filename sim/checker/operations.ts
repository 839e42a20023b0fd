import { HistoryError, validateEvent } from "../history.js";
import type { HistoryEvent, HistoryFunction, HistoryValue } from "../history.js";

/** `ret` of an operation that never returned: it may take effect at any later time, or never. */
export const NEVER = 2 ** 31 - 1;

/** An invocation and its completion. */
export interface Operation {
  readonly process: number;
  readonly f: HistoryFunction;
  readonly key: string;
  /** Value of the invocation. */
  readonly input: HistoryValue | undefined;
  /** Positions among all events of the history in the order of time. An info, or no completion: NEVER. */
  readonly call: number;
  ret: number;
  outcome: "ok" | "fail" | "info" | "missing";
  /** Value of the ok. */
  output: HistoryValue | undefined;
  /** Times in ns as the history gives them. */
  readonly callTime: number;
  returnTime: number | null;
}

/** The order of the list is the order of events, unless the times say otherwise: then they rule, equal ones as listed. */
function inOrderOfTime(history: readonly HistoryEvent[]): readonly number[] | undefined {
  const time = (index: number): number => (history[index] as HistoryEvent).time;
  const indices = history.map((_, index) => index);
  if (indices.every((index) => index === 0 || time(index - 1) <= time(index))) return undefined;
  return indices.sort((a, b) => time(a) - time(b));
}

function complete(operation: Operation, event: HistoryEvent, position: number, where: string): void {
  if (event.f !== operation.f || event.key !== operation.key) {
    const field = event.f !== operation.f ? "f" : "key";
    throw new HistoryError(
      `${where}: ${field} is ${JSON.stringify(event[field])}, but process ${event.process} invoked ` +
        `${operation.f} on ${JSON.stringify(operation.key)}`,
    );
  }
  operation.outcome = event.type as "ok" | "fail" | "info";
  if (event.type !== "info") {
    operation.ret = position;
    operation.returnTime = event.time;
    operation.output = event.value;
  }
}

/**
 * Pairs completions with invocations, in order of invocation. Throws a HistoryError for events that are malformed or do
 * not pair up; `where(i)` names event i in its message.
 */
export function pairOperations(history: readonly HistoryEvent[], where: (index: number) => string): Operation[] {
  for (let i = 0; i < history.length; i++) validateEvent(history[i], where(i));
  const order = inOrderOfTime(history);
  const operations: Operation[] = [];
  const open = new Map<number, Operation>();
  for (let position = 0; position < history.length; position++) {
    const index = order ? (order[position] as number) : position;
    const event = history[index] as HistoryEvent;
    const pending = open.get(event.process);
    if (event.type !== "invoke") {
      if (!pending || pending.outcome === "info") {
        throw new HistoryError(
          `${where(index)}: process ${event.process} has type "${event.type}" without an invocation before it`,
        );
      }
      complete(pending, event, position, where(index));
      // An info stays open: its process must neither complete again nor invoke.
      if (event.type !== "info") open.delete(event.process);
      continue;
    }
    if (pending) {
      throw new HistoryError(
        `${where(index)}: process ${event.process} invokes ${event.f} while its ${pending.f} of ` +
          `${JSON.stringify(pending.key)} is still open; after an unknown outcome go on under a new process number`,
      );
    }
    // One shape for all of them, made at once: a history has many.
    const operation: Operation = {
      process: event.process,
      f: event.f,
      key: event.key,
      input: event.value,
      call: position,
      ret: NEVER,
      outcome: "missing",
      output: undefined,
      callTime: event.time,
      returnTime: null,
    };
    operations.push(operation);
    open.set(event.process, operation);
  }
  return operations;
}
