import { decode, encode, EncodeError, InvalidArgumentError, InvariantError } from "../../runtime/index.js";
import type { ApplyContext, StateMachine } from "../../kvraft/index.js";
import { CallbackError } from "./errors.js";
import { Sessions } from "./sessions.js";
import type { SessionRow } from "./sessions.js";

/**
 * Called on every node, in order, once for each committed item. What it returns is the answer that the client's promise
 * gets: null, booleans, numbers, strings, Uint8Array, arrays and plain objects of these, or undefined. Equal items in
 * equal order must give equal answers and states on every node: no clock, no chance.
 *
 * It must be synchronous: items are applied one after the other, and one that is not finished cannot have an answer. One
 * that throws, returns a promise or what cannot be carried stops its group on that node, and is not called again; the
 * node's other groups go on.
 *
 * A callback alone has no snapshots. Its group's log is never trimmed, and after a restart it is called for the whole
 * log again, from the beginning: that is how a state in memory is built up again. See `PaxosStateMachine`.
 */
export type PaxosCallback = (bytes: Uint8Array) => unknown;

/** A callback whose state can be put into a snapshot, so that the log is trimmed and a restart takes the same time always. */
export interface PaxosStateMachine {
  /** As a `PaxosCallback`. */
  apply(bytes: Uint8Array): unknown;
  /** The whole state. */
  snapshot(): Uint8Array;
  /** Replaces the whole state. After a restart `apply` is called for the items after the snapshot. */
  restore(snapshot: Uint8Array): void;
}

export const EntryKind = { open: 0, batch: 1, end: 2 } as const;

/** What stands in a group's log. */
export type Entry =
  | readonly [kind: typeof EntryKind.open, token: number]
  | readonly [kind: typeof EntryKind.batch, session: number, token: number, seq: number, items: readonly Uint8Array[]]
  | readonly [kind: typeof EntryKind.end, session: number, token: number];

/**
 * What applying an entry gives: the number of a new session; the answers to a batch, encoded as one list, in which
 * `null` stands for undefined and `[value]` for each other; null where there is no such session, and nothing was done.
 */
export type EntryResult = number | Uint8Array | null;

/** Version of the snapshot's format: `[SNAPSHOT_FORMAT, sessions, the user's snapshot]`. */
const SNAPSHOT_FORMAT = 1;
/** Beyond this the client that wrote longest ago is forgotten. */
export const MAX_SESSIONS = 10_000;
/** Of the answers that are kept for clients that ask again. */
export const MAX_ANSWER_BYTES = 64 << 20;

/** Drives the callback of one group of one node, and makes each batch happen once. */
export class CallbackMachine implements StateMachine<Entry, EntryResult> {
  readonly #group: number;
  readonly #apply: PaxosCallback;
  readonly #user: PaxosStateMachine | null;
  readonly #sessions: Sessions;

  constructor(
    group: number,
    user: PaxosCallback | PaxosStateMachine,
    { maxSessions = MAX_SESSIONS, maxAnswerBytes = MAX_ANSWER_BYTES } = {},
  ) {
    this.#group = group;
    this.#user = typeof user === "function" ? null : user;
    this.#apply = typeof user === "function" ? user : (bytes) => user.apply(bytes);
    this.#sessions = new Sessions(maxSessions, maxAnswerBytes);
  }

  /** Whether the log can be trimmed. */
  get hasSnapshots(): boolean {
    return this.#user !== null;
  }

  apply(entry: Entry, { index }: ApplyContext): EntryResult {
    switch (entry[0]) {
      case EntryKind.open:
        this.#sessions.open(index, entry[1]);
        return index;
      case EntryKind.batch: {
        const [, id, token, seq, items] = entry;
        const session = this.#sessions.use(id, token);
        if (session === undefined) return null;
        // It came before. Nobody waits for an earlier one than the last.
        if (seq <= session.last) return seq === session.last ? session.answers : null;
        const answers = this.#applyAll(items, index);
        this.#sessions.record(session, seq, answers);
        return answers;
      }
      case EntryKind.end:
        this.#sessions.end(entry[1], entry[2]);
        return null;
      default:
        // Skipping it would let this node drift away from those that understand it.
        throw new InvariantError(`entry ${index} holds a command that this version does not know`);
    }
  }

  snapshot(): Uint8Array {
    if (this.#user === null) {
      throw new InvalidArgumentError(
        `group ${this.#group} has a callback alone, without snapshots; give it { apply, snapshot, restore }`,
      );
    }
    const state: unknown = this.#guarded("in snapshot()", () => (this.#user as PaxosStateMachine).snapshot());
    if (!(state instanceof Uint8Array)) {
      this.#refusePromise(state, "in snapshot()");
      throw this.#error(`returned ${state === null ? "null" : typeof state} in snapshot(); it must be a Uint8Array`);
    }
    return encode([SNAPSHOT_FORMAT, this.#sessions.toRows(), state]);
  }

  restore(snapshot: Uint8Array): void {
    if (this.#user === null) {
      throw new InvalidArgumentError(
        `the state of group ${this.#group} is in a snapshot, which a callback alone cannot read; give it restore()`,
      );
    }
    const state = decode(snapshot) as [format: number, sessions: SessionRow[], state: Uint8Array];
    if (!Array.isArray(state) || state[0] !== SNAPSHOT_FORMAT) {
      throw new InvariantError(`the snapshot is damaged or of another version: format ${String(state?.[0])}`);
    }
    this.#guarded("in restore()", () => (this.#user as PaxosStateMachine).restore(state[2]));
    this.#sessions.restore(state[1]);
  }

  #applyAll(items: readonly Uint8Array[], index: number): Uint8Array {
    const answers: (readonly [unknown] | null)[] = [];
    for (const [i, item] of items.entries()) {
      const where = `item ${i + 1} of ${items.length} in entry ${index}`;
      const answer = this.#call(item, where);
      answers.push(answer === undefined ? null : [answer]);
    }
    try {
      // A copy: what `encode` gives is a part of something larger, and this may be kept for long.
      return new Uint8Array(encode(answers, "the answers"));
    } catch (cause) {
      if (!(cause instanceof EncodeError)) throw cause;
      throw this.#error(`returned what cannot be carried, in entry ${index}: ${cause.message}`, cause);
    }
  }

  #call(item: Uint8Array, where: string): unknown {
    const answer = this.#guarded(`at ${where}`, () => this.#apply(item));
    this.#refusePromise(answer, `at ${where}`);
    return answer;
  }

  #guarded<T>(where: string, call: () => T): T {
    try {
      return call();
    } catch (cause) {
      throw this.#error(`threw ${where}: ${cause instanceof Error ? cause.message : String(cause)}`, cause);
    }
  }

  #refusePromise(answer: unknown, where: string): void {
    if (typeof (answer as { then?: unknown } | null | undefined)?.then !== "function") return;
    // Nobody waits for it: if it fails, that must not end the process.
    void Promise.resolve(answer).catch(() => {});
    throw this.#error(`returned a promise ${where}; it must be synchronous, and return its answer`);
  }

  #error(what: string, cause?: unknown): CallbackError {
    return new CallbackError(`the callback of group ${this.#group} ${what}`, cause === undefined ? {} : { cause });
  }
}
