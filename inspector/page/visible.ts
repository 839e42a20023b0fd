import { lowerBound } from "./lower-bound.js";
import type { FaultSpan, Message, Operation, Run } from "./run.js";
import { classOf, MESSAGE_CLASSES } from "./words.js";

const BLOCK = 64;

/** Finds what lies within a stretch of time without looking at the rest. Things are in order of their beginning. */
class IntervalIndex<T> {
  readonly #items: readonly T[];
  readonly #from: Float64Array;
  readonly #to: Float64Array;
  /** Latest end within each block of items. */
  readonly #latest: Float64Array;

  constructor(items: readonly T[], from: (item: T) => number, to: (item: T) => number) {
    this.#items = items;
    this.#from = Float64Array.from(items, from);
    this.#to = Float64Array.from(items, to);
    this.#latest = new Float64Array(Math.ceil(items.length / BLOCK)).fill(-Infinity);
    for (const [i, end] of this.#to.entries()) {
      const block = Math.floor(i / BLOCK);
      if (end > (this.#latest[block] as number)) this.#latest[block] = end;
    }
  }

  /** Stops with null where more than `most` are found. */
  within(fromMs: number, toMs: number, most = Infinity): T[] | null {
    const found: T[] = [];
    for (let block = 0; block < this.#latest.length; block++) {
      const start = block * BLOCK;
      if ((this.#from[start] as number) > toMs) break;
      if ((this.#latest[block] as number) < fromMs) continue;
      const end = Math.min(start + BLOCK, this.#items.length);
      for (let i = start; i < end; i++) {
        if ((this.#from[i] as number) > toMs) break;
        if ((this.#to[i] as number) >= fromMs) found.push(this.#items[i] as T);
      }
      if (found.length > most) return null;
    }
    return found;
  }
}

/** Fault bands with the row in which their label stands. */
export interface FaultRow {
  readonly fault: FaultSpan;
  readonly row: number;
  readonly fromMs: number;
  readonly toMs: number;
  /** Whether there is room for its words: others may lie in the same row. */
  readonly isLabelled: boolean;
}

/** Everything on the timeline, by time. */
export class Visible {
  readonly messages: IntervalIndex<Message>;
  /** By client. */
  readonly operations: readonly IntervalIndex<Operation>[];
  readonly faults: readonly FaultRow[];
  readonly faultRows: number;
  /** Times of sending in order, by server and class of message; the last class is "lost". */
  readonly #sent: readonly (readonly Float64Array[])[];

  constructor(run: Run) {
    const { servers, clients } = run.record;
    this.messages = new IntervalIndex(
      run.messages,
      (message) => run.timeAt(message.sent),
      (message) => run.endOf(message),
    );
    const lanes = Array.from({ length: clients }, (): Operation[] => []);
    for (const operation of run.operations) lanes[-1 - operation.client]?.push(operation);
    this.operations = lanes.map(
      (lane) =>
        new IntervalIndex(
          lane,
          (operation) => run.timeAt(operation.invoked),
          (operation) => (operation.returned === null ? run.endMs : run.timeAt(operation.returned)),
        ),
    );
    const sent = Array.from({ length: servers }, () => [...MESSAGE_CLASSES, "lost"].map((): number[] => []));
    for (const message of run.messages) {
      const own = sent[message.from];
      const at = message.isLost ? MESSAGE_CLASSES.length : MESSAGE_CLASSES.indexOf(classOf(run, message));
      own?.[at]?.push(run.timeAt(message.sent));
    }
    this.#sent = sent.map((classes) => classes.map((times) => Float64Array.from(times)));
    this.faults = placeFaults(run);
    this.faultRows = Math.max(0, ...this.faults.map(({ row }) => row + 1));
  }

  /** How many messages of each class, and how many lost ones, `server` sent from `fromMs` to before `toMs`. */
  countSent(server: number, fromMs: number, toMs: number): number[] {
    return (this.#sent[server] ?? []).map((times) => lowerBound(times, toMs) - lowerBound(times, fromMs));
  }
}

/** Labels that would lie on one another take rows of their own; at most four, the rest shares the last. */
const MOST_ROWS = 4;

function placeFaults(run: Run): FaultRow[] {
  const busyUntil: number[] = [];
  return run.faults.map((fault) => {
    const fromMs = run.timeAt(fault.began);
    const toMs = fault.ended === null ? run.endMs : run.timeAt(fault.ended);
    let row = busyUntil.findIndex((until) => until <= fromMs);
    const isLabelled = row >= 0 || busyUntil.length < MOST_ROWS;
    if (row < 0) row = Math.min(busyUntil.length, MOST_ROWS - 1);
    busyUntil[row] = Math.max(busyUntil[row] ?? 0, toMs);
    return { fault, row, fromMs, toMs, isLabelled };
  });
}
