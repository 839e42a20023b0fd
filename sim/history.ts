import { KvraftError } from "../runtime/index.js";

/** What an operation does. `read` and `putif` are the versioned pair: a key's version counts its writes since creation. */
export type HistoryFunction = "get" | "put" | "append" | "cas" | "delete" | "read" | "putif";

/** `invoke` starts an operation; the others end it. `info`: nobody knows whether it happened, or will. */
export type HistoryEventType = "invoke" | "ok" | "fail" | "info";

/** The argument or the outcome of an operation; `HistoryEvent` says which goes with which. */
export type HistoryValue =
  | string
  | boolean
  | null
  | readonly [expected: string | null, value: string | null]
  | { readonly value: string | null; readonly version: number }
  | { readonly ok: boolean; readonly version: number };

/**
 * One line of a history, in the shape of Jepsen's.
 *
 * | f      | value of the invocation      | value of the "ok"                                               |
 * |--------|------------------------------|-----------------------------------------------------------------|
 * | get    | -                            | the text read, null where the key was absent                    |
 * | put    | text                         | -                                                               |
 * | append | text                         | -                                                               |
 * | cas    | [expected, new]              | -; "fail" says that it did not swap, because of another value   |
 * | delete | -                            | whether the key existed; leave it out where that is not known   |
 * | read   | -                            | { value, version }, null where the key was absent               |
 * | putif  | { value, version } (0 = new) | { ok, version }: the new version, or the stored one (0 = none)  |
 *
 * "fail" on anything but cas: it certainly did not happen. "info", or no completion: it may take effect at any later
 * time, or never; its process goes on under a new number. A key starts absent.
 */
export interface HistoryEvent {
  readonly process: number;
  readonly type: HistoryEventType;
  readonly f: HistoryFunction;
  readonly key: string;
  readonly value?: HistoryValue | undefined;
  /** Nanoseconds since any fixed moment. Events at equal times keep their order. */
  readonly time: number;
}

/** A history breaks the rules of its format. Code `BAD_HISTORY`; the message names the line or event, and the field. */
export class HistoryError extends KvraftError {
  constructor(message: string, options?: { cause?: unknown }) {
    super("BAD_HISTORY", message, options);
  }
}

const FUNCTIONS = ["get", "put", "append", "cas", "delete", "read", "putif"];
const TYPES = ["invoke", "ok", "fail", "info"];

type Field = Record<string, unknown>;

const isText = (value: unknown): boolean => typeof value === "string";
const isTextOrNull = (value: unknown): boolean => typeof value === "string" || value === null;
const isNothing = (value: unknown): boolean => value === undefined || value === null;
const isVersion = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;
const isObject = (value: unknown): value is Field => typeof value === "object" && value !== null;

interface Shape {
  readonly is: (value: unknown) => boolean;
  readonly words: string;
}

const anything: Shape = { is: () => true, words: "anything" };

const INVOKED: Record<HistoryFunction, Shape> = {
  get: anything,
  put: { is: isTextOrNull, words: "the text to store, or null to make the key absent" },
  append: { is: isText, words: "the text to append" },
  cas: {
    is: (value) => Array.isArray(value) && value.length === 2 && value.every(isTextOrNull),
    words: "[expected, new], each a text or null",
  },
  delete: anything,
  read: anything,
  putif: {
    is: (value) => isObject(value) && isText(value["value"]) && isVersion(value["version"]),
    words: "{ value, version } with a text and a whole number, 0 = create",
  },
};

const COMPLETED: Record<HistoryFunction, Shape> = {
  get: { is: isTextOrNull, words: "the text read, or null where the key was absent" },
  put: anything,
  append: anything,
  cas: anything,
  delete: {
    is: (value) => typeof value === "boolean" || isNothing(value),
    words: "whether the key existed, or null where that is not known",
  },
  read: {
    is: (value) => value === null || (isObject(value) && isText(value["value"]) && isVersion(value["version"])),
    words: "{ value, version }, or null where the key was absent",
  },
  putif: {
    is: (value) => isObject(value) && typeof value["ok"] === "boolean" && isVersion(value["version"]),
    words: "{ ok, version } with a boolean and a whole number",
  },
};

/** Shows a wrong value in a message without flooding it. */
export function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= 60 ? text : `${text.slice(0, 57)}...`;
}

/** Throws a HistoryError that begins with `where` ("line 3") unless `event` is well formed. */
export function validateEvent(event: unknown, where: string): asserts event is HistoryEvent {
  const wrong = (field: string, value: unknown, expected: string): HistoryError =>
    new HistoryError(`${where}: ${field} is ${show(value)}, expected ${expected}`);
  if (!isObject(event) || Array.isArray(event)) throw wrong("the event", event, "an object");
  const { process, type, f, key, value, time } = event;
  if (!Number.isSafeInteger(process) || (process as number) < 0)
    throw wrong("process", process, "a whole number from 0 up");
  if (!TYPES.includes(type as string)) throw wrong("type", type, `one of ${TYPES.join(", ")}`);
  if (!FUNCTIONS.includes(f as string)) throw wrong("f", f, `one of ${FUNCTIONS.join(", ")}`);
  if (typeof key !== "string") throw wrong("key", key, "a text");
  if (!Number.isFinite(time)) throw wrong("time", time, "a number of nanoseconds");
  const shapes = type === "invoke" ? INVOKED : type === "ok" ? COMPLETED : undefined;
  const shape = shapes?.[f as HistoryFunction];
  if (shape && !shape.is(value)) throw wrong(`value of ${type as string} ${f as string}`, value, shape.words);
}

/** Stands for an operation under way; hand it back to the recorder that made it. */
export type HistoryToken = HistoryEvent & { readonly type: "invoke" };

/**
 * Writes down what clients do, as a history. `clock.now()` is in milliseconds, as everywhere in this package.
 *
 * A caller may keep its process number for life: after an `info` the recorder goes on under a fresh number, as the
 * format asks. Tokens that are never completed count as unknown outcomes, too, but then that process must not invoke
 * again.
 */
export class HistoryRecorder {
  readonly events: HistoryEvent[] = [];
  readonly #clock: { now(): number };
  /** The number under which a caller's process goes on at present, where it is not its own. */
  readonly #renamed = new Map<number, number>();
  readonly #callerOf = new Map<number, number>();
  #fresh = 0;

  constructor(clock: { now(): number }) {
    this.#clock = clock;
  }

  invoke(process: number, f: HistoryFunction, key: string, value?: HistoryValue): HistoryToken {
    const number = this.#renamed.get(process) ?? this.#admit(process);
    const event = { process: number, type: "invoke", f, key, value, time: this.#now() } as const;
    this.events.push(event);
    return event;
  }

  ok(token: HistoryToken, value?: HistoryValue): void {
    this.#complete(token, "ok", value);
  }

  /** It certainly did not happen; of a cas: it did not swap. */
  fail(token: HistoryToken): void {
    this.#complete(token, "fail", token.value);
  }

  /** Nobody knows whether it happened, or will. */
  info(token: HistoryToken): void {
    this.#complete(token, "info", token.value);
    const caller = this.#callerOf.get(token.process) as number;
    this.#renamed.set(caller, this.#take(caller, this.#fresh));
  }

  #complete(token: HistoryToken, type: "ok" | "fail" | "info", value: HistoryValue | undefined): void {
    this.events.push({ process: token.process, type, f: token.f, key: token.key, value, time: this.#now() });
  }

  /** First sight of a caller: it keeps its own number unless a renamed process already goes by it. */
  #admit(process: number): number {
    const number = this.#take(process, this.#callerOf.has(process) ? this.#fresh : process);
    this.#renamed.set(process, number);
    return number;
  }

  #take(caller: number, number: number): number {
    this.#callerOf.set(number, caller);
    this.#fresh = Math.max(this.#fresh, number + 1);
    return number;
  }

  #now(): number {
    return Math.round(this.#clock.now() * 1e6);
  }
}
