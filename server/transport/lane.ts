import { decode, DecodeError, EncodeError, forkRandom } from "../../runtime/index.js";
import type { Clock, TimerHandle } from "../../runtime/index.js";
import { RemoteError } from "../../labrpc/index.js";
import type { RemoteErrorCode } from "../../labrpc/index.js";
import { Backoff } from "./backoff.js";
import type { Channel } from "./channel.js";
import { Dial } from "./dial.js";
import type { DialOwner, DialTarget } from "./dial.js";
import { DisconnectedError, FrameError, RefusedError } from "./errors.js";
import { FrameKind, HEAD_BYTES } from "./frames.js";
import type { Welcome } from "./handshake.js";
import type { Logger } from "./logger.js";

/** "idle": not connected, and nobody has asked for it. "waiting": the last attempt failed, the next one has to wait. */
export type LaneStatus = "idle" | "connecting" | "ready" | "waiting" | "closed";

/** A request on its way. */
export class Call {
  /** "group/Service.Method" with its length before it. */
  readonly route: Uint8Array;
  readonly payload: Uint8Array;
  readonly #resolve: (reply: unknown) => void;
  readonly #reject: (error: Error) => void;
  readonly #onSettled: (() => void) | null;
  deadlineMs = 0;

  constructor(
    route: Uint8Array,
    payload: Uint8Array,
    resolve: (reply: unknown) => void,
    reject: (error: Error) => void,
    onSettled: (() => void) | null,
  ) {
    this.route = route;
    this.payload = payload;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#onSettled = onSettled;
  }

  get bytes(): number {
    return HEAD_BYTES + this.route.length + this.payload.length;
  }

  resolve(reply: unknown): void {
    this.#onSettled?.();
    this.#resolve(reply);
  }

  reject(error: Error): void {
    this.#onSettled?.();
    this.#reject(error);
  }
}

/** Told of what happens to the connection. */
export interface LaneOwner {
  onReady(welcome: Welcome, nodeId: string): void;
  onLost(error: Error): void;
}

/** One connection to a peer, made again whenever it is lost, and the calls on it. */
export class Lane implements DialOwner {
  status: LaneStatus = "idle";
  readonly #target: DialTarget;
  readonly #clock: Clock;
  readonly #owner: LaneOwner;
  readonly #logger: Logger;
  readonly #backoff: Backoff;
  /** Connect before the first call, and again at once after a loss. */
  readonly #isEager: boolean;
  #dial: Dial | null = null;
  #channel: Channel | null = null;
  #readyAtMs = 0;
  #backoffTimer: TimerHandle | undefined;
  /** Calls that wait for the connection. */
  #unsent: Call[] = [];
  #unsentBytes = 0;
  #connectWaitTimer: TimerHandle | undefined;
  /** Calls that wait for their reply, by id, in the order of their deadlines. */
  readonly #calls = new Map<number, Call>();
  #nextId = 0;
  #patienceTimer: TimerHandle | undefined;
  #maxRequestBytes: number;
  #reported = "";

  constructor(target: DialTarget, isEager: boolean, owner: LaneOwner, logger: Logger) {
    this.#target = target;
    this.#clock = target.runtime.clock;
    this.#isEager = isEager;
    this.#owner = owner;
    this.#logger = logger;
    const { backoffMinMs, backoffMaxMs, maxFrameBytes } = target.limits;
    this.#backoff = new Backoff(forkRandom(target.runtime.random, "transport"), backoffMinMs, backoffMaxMs);
    this.#maxRequestBytes = maxFrameBytes;
    if (isEager) this.#connect();
  }

  get queuedBytes(): number {
    return this.#unsentBytes + (this.#channel?.queuedBytes ?? 0);
  }

  get inFlight(): number {
    return this.#unsent.length + this.#calls.size;
  }

  /** The call is answered in every case, null where it cannot be sent. */
  send(call: Call): void {
    if (call.bytes > this.#maxRequestBytes) {
      call.reject(this.#tooLarge(call));
      return;
    }
    if (this.status === "idle") this.#connect();
    const { maxInFlight, maxQueuedBytes, connectWaitMs } = this.#target.limits;
    if (this.inFlight >= maxInFlight || this.queuedBytes + call.bytes > maxQueuedBytes) {
      call.resolve(null);
    } else if (this.#channel !== null) {
      this.#transmit(this.#channel, call);
    } else if (this.status === "connecting") {
      this.#unsent.push(call);
      this.#unsentBytes += call.bytes;
      this.#connectWaitTimer ??= this.#clock.setTimeout(() => this.#giveUpUnsent(), connectWaitMs);
    } else {
      call.resolve(null);
    }
  }

  close(): void {
    if (this.status === "closed") return;
    this.status = "closed";
    if (this.#backoffTimer !== undefined) this.#clock.clearTimeout(this.#backoffTimer);
    const error = new DisconnectedError("this end was closed");
    this.#dial?.close(error);
    this.#dial = null;
    this.#answerAll();
  }

  #tooLarge(call: Call): EncodeError {
    return new EncodeError(
      `args take ${call.payload.length} bytes; with the rest of the frame ${this.#maxRequestBytes} are allowed; ` +
        "send less at a time, or raise maxFrameBytes, and maxClientFrameBytes for clients, on both sides",
    );
  }

  // ---- the connection -----------------------------------------------------------------------------------------------------

  #connect(): void {
    this.status = "connecting";
    this.#dial = new Dial(this.#target, this);
  }

  onReady(channel: Channel, welcome: Welcome, nodeId: string): void {
    this.status = "ready";
    this.#channel = channel;
    this.#readyAtMs = this.#clock.now();
    this.#maxRequestBytes = Math.min(welcome.maxFrameBytes, this.#target.limits.maxFrameBytes);
    this.#reported = "";
    const unsent = this.#takeUnsent();
    for (const call of unsent) {
      if (call.bytes > this.#maxRequestBytes) call.reject(this.#tooLarge(call));
      else this.#transmit(channel, call);
    }
    this.#owner.onReady(welcome, nodeId);
  }

  onLost(error: Error): void {
    const wasReady = this.#channel !== null;
    this.#dial = null;
    this.#channel = null;
    if (this.status !== "closed") {
      // A connection that lasted was a good one; a server that accepts and hangs up must not be stormed.
      if (wasReady && this.#clock.now() - this.#readyAtMs >= this.#target.limits.backoffMaxMs) this.#backoff.reset();
      this.status = "waiting";
      this.#backoffTimer = this.#clock.setTimeout(() => this.#afterPause(), this.#backoff.next());
      this.#report(error, wasReady);
      this.#owner.onLost(error);
    }
    this.#answerAll();
  }

  #afterPause(): void {
    this.#backoffTimer = undefined;
    if (this.#isEager) this.#connect();
    else this.status = "idle";
  }

  /** A peer that stays away is worth one line, not one for each attempt. */
  #report(error: Error, wasReady: boolean): void {
    if (!wasReady && this.#reported === error.message) return;
    this.#reported = error.message;
    const { host, port } = this.#target;
    if (error instanceof RefusedError) this.#logger.error({ err: error, host, port }, "the connection was refused");
    else this.#logger.warn({ err: error, host, port }, wasReady ? "the connection was lost" : "no connection");
  }

  /** Nobody who waits will hear more. */
  #answerAll(): void {
    this.#giveUpUnsent();
    if (this.#patienceTimer !== undefined) this.#clock.clearTimeout(this.#patienceTimer);
    this.#patienceTimer = undefined;
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const call of calls) call.resolve(null);
  }

  #giveUpUnsent(): void {
    for (const call of this.#takeUnsent()) call.resolve(null);
  }

  #takeUnsent(): Call[] {
    if (this.#connectWaitTimer !== undefined) this.#clock.clearTimeout(this.#connectWaitTimer);
    this.#connectWaitTimer = undefined;
    const unsent = this.#unsent;
    this.#unsent = [];
    this.#unsentBytes = 0;
    return unsent;
  }

  // ---- the calls ----------------------------------------------------------------------------------------------------------

  #transmit(channel: Channel, call: Call): void {
    const id = this.#nextId;
    this.#nextId = (id + 1) >>> 0;
    const { patienceMs } = this.#target.limits;
    call.deadlineMs = this.#clock.now() + patienceMs;
    this.#calls.set(id, call);
    this.#patienceTimer ??= this.#clock.setTimeout(this.#onPatience, patienceMs);
    channel.send(FrameKind.request, id, call.route, call.payload);
  }

  /** One timer serves all calls: it rings for the oldest, and is set anew for the one that is the oldest then. */
  readonly #onPatience = (): void => {
    this.#patienceTimer = undefined;
    const nowMs = this.#clock.now();
    for (const [id, call] of this.#calls) {
      if (call.deadlineMs > nowMs) {
        this.#patienceTimer = this.#clock.setTimeout(this.#onPatience, call.deadlineMs - nowMs);
        return;
      }
      this.#calls.delete(id);
      call.resolve(null);
    }
  };

  onFrame(kind: number, id: number, body: Buffer): void {
    // The values are checked even where nobody waits any more: who sends garbage is cut off.
    switch (kind) {
      case FrameKind.reply: {
        const reply = decodeBody(body);
        this.#take(id)?.resolve(reply);
        return;
      }
      case FrameKind.error: {
        const error = decodeError(body);
        this.#take(id)?.reject(error);
        return;
      }
      case FrameKind.busy:
        this.#take(id)?.resolve(null);
        return;
      default:
        throw new FrameError(`a frame of kind ${kind} is no answer`);
    }
  }

  /** Undefined for the late answer of a call that was given up. */
  #take(id: number): Call | undefined {
    const call = this.#calls.get(id);
    if (call !== undefined) this.#calls.delete(id);
    return call;
  }
}

function decodeBody(body: Buffer): unknown {
  try {
    return decode(body);
  } catch (cause) {
    if (cause instanceof DecodeError) throw new FrameError("an answer does not decode", { cause });
    throw cause;
  }
}

const REMOTE_CODES: readonly string[] = [
  "BAD_METHOD",
  "UNKNOWN_SERVICE",
  "UNKNOWN_METHOD",
  "HANDLER_FAILED",
  "BAD_REPLY",
] satisfies RemoteErrorCode[];

function decodeError(body: Buffer): RemoteError {
  const value = decodeBody(body);
  if (!Array.isArray(value)) throw new FrameError("an error reply must be an array");
  const [code, message] = value as unknown[];
  if (typeof code !== "string" || !REMOTE_CODES.includes(code) || typeof message !== "string") {
    throw new FrameError("an error reply must hold a known code and a message");
  }
  return new RemoteError(code as RemoteErrorCode, message);
}
