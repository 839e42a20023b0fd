import { decode, encode } from "../runtime/index.js";
import type { Clock, Random } from "../runtime/index.js";
import { RemoteError } from "./errors.js";
import type { Server } from "./server.js";
import type { ClientEnd } from "./types.js";

// The labs' figures. Whole milliseconds, both ends included.
const SHORT_DELAY_MAX_MS = 26;
const NOWHERE_DELAY_MAX_MS = 99;
const LONG_DELAY_MAX_MS = 6999;
/** Of 1,000 requests, and again of 1,000 replies, an unreliable network drops so many. */
const DROPPED_IN_1000 = 100;
/** Of 900 replies, long reordering delays so many. */
const REORDERED_IN_900 = 600;
const REORDER_DELAY_MIN_MS = 200;
const REORDER_DELAY_SPREAD_MS = 2000;
const CUT_CHECK_MS = 100;

/** A name under which a server is, was, or may yet be reachable. */
export interface Slot {
  readonly name: string;
  /** Null before addServer and after deleteServer. */
  server: Server | null;
  /** The server added last, deleted or not: it keeps the count. */
  lastServer: Server | null;
}

/** What the ends and calls of one network share. */
export interface NetworkState {
  readonly clock: Clock;
  readonly random: Random;
  /** Calls whose handler has not finished. */
  readonly running: Set<Call>;
  closed: boolean;
  reliable: boolean;
  longDelays: boolean;
  longReordering: boolean;
  totalCount: number;
  totalBytes: number;
}

export class End implements ClientEnd {
  readonly name: string;
  readonly #state: NetworkState;
  enabled = false;
  slot: Slot | null = null;

  constructor(name: string, state: NetworkState) {
    this.name = name;
    this.#state = state;
  }

  call<Reply = unknown>(method: string, args: unknown): Promise<Reply | null> {
    const state = this.#state;
    let request: Uint8Array;
    try {
      request = encode(args, "args");
      checkMethod(method);
    } catch (error) {
      return Promise.reject(error as Error);
    }
    if (state.closed) return Promise.resolve(null);
    state.totalCount++;
    state.totalBytes += request.length;
    return new Promise<unknown>((resolve, reject) => {
      const server = this.slot?.server;
      if (this.enabled && this.slot && server) {
        new Call(state, this, this.slot, server, method, request, resolve, reject).send();
      } else {
        // Nobody there: the caller cannot tell this from a slow server.
        const delayMs = state.random.int(0, state.longDelays ? LONG_DELAY_MAX_MS : NOWHERE_DELAY_MAX_MS);
        state.clock.setTimeout(() => resolve(null), delayMs);
      }
    }) as Promise<Reply | null>;
  }
}

function checkMethod(method: string): void {
  const dot = typeof method === "string" ? method.lastIndexOf(".") : -1;
  if (dot < 1 || dot === method.length - 1) {
    throw new RemoteError("BAD_METHOD", `a call names "Service.Method", not "${String(method)}"`);
  }
}

/** One call that found its end enabled and a server there. The network's modes were read once, when it was made. */
export class Call {
  readonly end: End;
  readonly slot: Slot;
  readonly method: string;
  readonly #state: NetworkState;
  readonly #server: Server;
  readonly #request: Uint8Array;
  readonly #resolve: (reply: unknown) => void;
  readonly #reject: (error: Error) => void;
  readonly #reliable: boolean;
  readonly #longReordering: boolean;
  #dispatchedMs = 0;
  #checkPending = false;

  constructor(
    state: NetworkState,
    end: End,
    slot: Slot,
    server: Server,
    method: string,
    request: Uint8Array,
    resolve: (reply: unknown) => void,
    reject: (error: Error) => void,
  ) {
    this.#state = state;
    this.end = end;
    this.slot = slot;
    this.#server = server;
    this.method = method;
    this.#request = request;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#reliable = state.reliable;
    this.#longReordering = state.longReordering;
  }

  send(): void {
    const { clock, random } = this.#state;
    if (this.#reliable) {
      clock.setTimeout(() => this.#dispatch(), 0);
      return;
    }
    const delayMs = random.int(0, SHORT_DELAY_MAX_MS);
    const dropped = random.int(0, 999) < DROPPED_IN_1000;
    clock.setTimeout(() => (dropped ? this.#resolve(null) : this.#dispatch()), delayMs);
  }

  #dispatch(): void {
    this.#dispatchedMs = this.#state.clock.now();
    let result: unknown;
    try {
      result = this.#server.dispatch(this.method, decode(this.#request));
    } catch (error) {
      this.#fail(error);
      return;
    }
    if (isThenable(result)) void this.#finishLater(result);
    else this.#finish(result);
  }

  async #finishLater(result: PromiseLike<unknown>): Promise<void> {
    const { running } = this.#state;
    running.add(this);
    try {
      const reply = await result;
      if (running.delete(this)) this.#finish(reply);
    } catch (error) {
      if (running.delete(this)) this.#fail(error);
    }
  }

  /**
   * The labs look every 100 ms whether the end was disabled or the server taken away while its handler runs, and then
   * give up the call. It is enough to look at the next such moment after a cut: one that is healed by then goes
   * unnoticed, as it would in the labs.
   */
  checkSoon(): void {
    if (this.#checkPending) return;
    this.#checkPending = true;
    const { clock, running } = this.#state;
    const elapsedMs = clock.now() - this.#dispatchedMs;
    clock.setTimeout(
      () => {
        this.#checkPending = false;
        if (this.#isCut() && running.delete(this)) this.#resolve(null);
      },
      CUT_CHECK_MS - (elapsedMs % CUT_CHECK_MS),
    );
  }

  #isCut(): boolean {
    return !this.end.enabled || this.slot.server !== this.#server;
  }

  #finish(reply: unknown): void {
    if (this.#isReplyLost()) {
      this.#resolve(null);
      return;
    }
    let bytes: Uint8Array;
    try {
      bytes = this.#encodeReply(reply);
    } catch (error) {
      this.#deliver(() => this.#reject(error as Error));
      return;
    }
    // The common case without a closure.
    if (!this.#longReordering) this.#arrive(bytes);
    else this.#deliver(() => this.#arrive(bytes));
  }

  #fail(cause: unknown): void {
    if (this.#isReplyLost()) {
      this.#resolve(null);
      return;
    }
    const error =
      cause instanceof RemoteError
        ? cause
        : new RemoteError(
            "HANDLER_FAILED",
            `the handler of "${this.method}" on server "${this.slot.name}" failed: ${String(cause)}`,
            { cause },
          );
    this.#deliver(() => this.#reject(error));
  }

  /** A server that was cut off or replaced while it worked has done the work, but its answer gets nowhere. */
  #isReplyLost(): boolean {
    return this.#isCut() || (!this.#reliable && this.#state.random.int(0, 999) < DROPPED_IN_1000);
  }

  /** A reply that long reordering holds back arrives even if the end is disabled or the server deleted meanwhile. */
  #deliver(arrive: () => void): void {
    const { clock, random } = this.#state;
    if (!this.#longReordering || random.int(0, 899) >= REORDERED_IN_900) {
      arrive();
      return;
    }
    const spreadMs = random.int(1, REORDER_DELAY_SPREAD_MS);
    clock.setTimeout(arrive, REORDER_DELAY_MIN_MS + random.int(0, spreadMs - 1));
  }

  #arrive(bytes: Uint8Array): void {
    this.#state.totalBytes += bytes.length;
    this.#resolve(decode(bytes));
  }

  #encodeReply(reply: unknown): Uint8Array {
    const handler = `the handler of "${this.method}" on server "${this.slot.name}"`;
    if (reply === null || reply === undefined) {
      throw new RemoteError(
        "BAD_REPLY",
        `${handler} returned ${String(reply)}; return an object, {} if there is nothing to say`,
      );
    }
    try {
      return encode(reply, "reply");
    } catch (cause) {
      throw new RemoteError("BAD_REPLY", `${handler} returned what cannot be carried: ${(cause as Error).message}`, {
        cause,
      });
    }
  }

  /** For the report of a world that stands still. */
  describe(): string {
    const ms = this.#state.clock.now() - this.#dispatchedMs;
    return `a call of "${this.method}" through end "${this.end.name}": the handler on server "${this.slot.name}" has not returned for ${ms} ms`;
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";
}
