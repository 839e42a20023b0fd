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
      return Promise.reject(error);
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
    throw new RemoteError("BAD_METHOD", `a call names "Service.Method", not "${method}"`);
  }
}

/**
 * One call that found its end enabled and a server there. The network's modes were read once, when it was made.
 * (TypeScript's `private`: with #-fields a call takes 5 % longer, and calls are most of what a simulation does.)
 */
export class Call {
  readonly end: End;
  readonly slot: Slot;
  readonly method: string;
  private readonly state: NetworkState;
  private readonly server: Server;
  private readonly request: Uint8Array;
  private readonly resolve: (reply: unknown) => void;
  private readonly reject: (error: Error) => void;
  private readonly reliable: boolean;
  private readonly longReordering: boolean;
  private dispatchedMs = 0;
  private checkPending = false;

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
    this.state = state;
    this.end = end;
    this.slot = slot;
    this.server = server;
    this.method = method;
    this.request = request;
    this.resolve = resolve;
    this.reject = reject;
    this.reliable = state.reliable;
    this.longReordering = state.longReordering;
  }

  send(): void {
    const { clock, random } = this.state;
    if (this.reliable) {
      clock.setTimeout(() => this.dispatch(), 0);
      return;
    }
    const delayMs = random.int(0, SHORT_DELAY_MAX_MS);
    const dropped = random.int(0, 999) < DROPPED_IN_1000;
    clock.setTimeout(() => (dropped ? this.resolve(null) : this.dispatch()), delayMs);
  }

  private dispatch(): void {
    this.dispatchedMs = this.state.clock.now();
    const handler = this.server.accept(this.method);
    if (handler instanceof RemoteError) {
      this.fail(handler);
      return;
    }
    let result: unknown;
    try {
      result = handler(decode(this.request));
    } catch (error) {
      this.fail(this.handlerFailed(error));
      return;
    }
    if (isThenable(result)) void this.finishLater(result);
    else this.finish(result);
  }

  private async finishLater(result: PromiseLike<unknown>): Promise<void> {
    const { running } = this.state;
    running.add(this);
    let reply: unknown;
    try {
      reply = await result;
    } catch (error) {
      if (running.delete(this)) this.fail(this.handlerFailed(error));
      return;
    }
    if (running.delete(this)) this.finish(reply);
  }

  /**
   * The labs look every 100 ms whether the end was disabled or the server taken away while its handler runs, and then
   * give up the call. It is enough to look at the next such moment after a cut: one that is healed by then goes
   * unnoticed, as it would in the labs.
   */
  checkSoon(): void {
    if (this.checkPending) return;
    this.checkPending = true;
    const { clock, running } = this.state;
    const elapsedMs = clock.now() - this.dispatchedMs;
    clock.setTimeout(
      () => {
        this.checkPending = false;
        if (this.isCut() && running.delete(this)) this.resolve(null);
      },
      CUT_CHECK_MS - (elapsedMs % CUT_CHECK_MS),
    );
  }

  private isCut(): boolean {
    return !this.end.enabled || this.slot.server !== this.server;
  }

  private finish(reply: unknown): void {
    if (this.isReplyLost()) {
      this.resolve(null);
      return;
    }
    const bytes = this.encodeReply(reply);
    if (bytes instanceof RemoteError) this.deliver(() => this.reject(bytes));
    else if (this.longReordering) this.deliver(() => this.arrive(bytes));
    else this.arrive(bytes);
  }

  private fail(error: RemoteError): void {
    if (this.isReplyLost()) this.resolve(null);
    else this.deliver(() => this.reject(error));
  }

  /** A server that was cut off or replaced while it worked has done the work, but its answer gets nowhere. */
  private isReplyLost(): boolean {
    return this.isCut() || (!this.reliable && this.state.random.int(0, 999) < DROPPED_IN_1000);
  }

  /** A reply that long reordering holds back arrives even if the end is disabled or the server deleted meanwhile. */
  private deliver(arrive: () => void): void {
    const { clock, random } = this.state;
    if (!this.longReordering || random.int(0, 899) >= REORDERED_IN_900) {
      arrive();
      return;
    }
    const spreadMs = random.int(1, REORDER_DELAY_SPREAD_MS);
    clock.setTimeout(arrive, REORDER_DELAY_MIN_MS + random.int(0, spreadMs - 1));
  }

  private arrive(bytes: Uint8Array): void {
    this.state.totalBytes += bytes.length;
    this.resolve(decode(bytes));
  }

  private encodeReply(reply: unknown): Uint8Array | RemoteError {
    if (reply === null || reply === undefined) {
      const advice = "return an object, {} if there is nothing to say";
      return new RemoteError("BAD_REPLY", `${this.handlerName()} returned ${String(reply)}; ${advice}`);
    }
    try {
      return encode(reply, "reply");
    } catch (cause) {
      const message = `${this.handlerName()} returned what cannot be carried: ${(cause as Error).message}`;
      return new RemoteError("BAD_REPLY", message, { cause });
    }
  }

  private handlerFailed(cause: unknown): RemoteError {
    return new RemoteError("HANDLER_FAILED", `${this.handlerName()} failed: ${String(cause)}`, { cause });
  }

  private handlerName(): string {
    return `the handler of "${this.method}" on server "${this.slot.name}"`;
  }

  /** For the report of a world that stands still. */
  describe(): string {
    const ms = this.state.clock.now() - this.dispatchedMs;
    return `a call of "${this.method}" through end "${this.end.name}": the handler on server "${this.slot.name}" has not returned for ${ms} ms`;
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";
}
