import pRetry from "p-retry";

import { forkRandom, InvariantError } from "../runtime/index.js";
import type { Clock, LimitError, Random, Runtime, TimerHandle } from "../runtime/index.js";
import type { ClientEnd } from "../labrpc/index.js";
import { isRead, MAX_REQUEST_OPS } from "./commands.js";
import type { Op, OpResult, Slot } from "./commands.js";
import { SessionExpiredError } from "./errors.js";
import { METHODS, Status } from "./messages.js";
import type { KVReply } from "./messages.js";
import { Route } from "./route.js";

/** One call of a Clerk. */
export interface Call {
  /** null: end the session. */
  readonly op: Op | null;
  readonly resolve: (result: OpResult) => void;
  readonly reject: (error: Error) => void;
  /** Stops watching the call's limits. */
  release: (() => void) | undefined;
  /** The request it went into; undefined while it queues. */
  request: Request | undefined;
  /** It has its outcome: nothing more is sent for it. */
  ended: boolean;
}

/** The calls that travel together, in one RPC and one entry of the log, however often it takes. */
interface Request {
  calls: Call[];
  /** Calls that still wait. */
  live: number;
  /** Number of the first write in the session; 0 before it is numbered. */
  firstSeq: number;
  /** A server may have it, now or later: a network can make copies, and bring one after a server has refused another. */
  wasSent: boolean;
}

/** Strings of one request together, in UTF-16 units; a single call may be longer. */
const MAX_REQUEST_LENGTH = 64 << 10;

/** How long one server may keep a request before another is asked; doubled while that happens. */
const PATIENCE_MS = 1000;
const MAX_PATIENCE_MS = 16_000;

/** The pause after all servers were asked in vain: doubled each time, between half of it and all of it at random. */
const FIRST_PAUSE_MS = 5;
const MAX_PAUSE_MS = 100;

/**
 * A session that was not used for so long may have been dropped for others, and a write in it could only end in an error.
 * So the next write opens a new one; the old one is dropped when its turn comes.
 */
const SESSION_IDLE_MS = 60_000;

/** What an attempt throws for p-retry to try again; one for all, because nobody sees it. */
const NO_ANSWER = new Error("no server has answered yet");

/**
 * Carries the calls of one Clerk to the servers: one request at a time, made of all calls that have come since the last,
 * sent again until a server answers. One session, whose writes are numbered in order, makes each write happen once
 * (dissertation §6.3): the server that applies a request knows the numbers it has seen.
 */
export class Requester {
  readonly #servers: readonly ClientEnd[];
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #route: Route;
  readonly #retryOptions = {
    retries: Infinity,
    // No delay of p-retry's own: it would be a timer of the real world. The pause is slept in shouldRetry.
    minTimeout: 0,
    maxTimeout: 0,
    shouldRetry: ({ error }: { error: Error }): boolean | Promise<boolean> =>
      error === NO_ANSWER && this.#beforeRetry(),
    // As p-retry would set them. Fields that it adds to its copy cost more than the rest of it: V8 (of Node 20) makes a new
    // hidden class each time.
    factor: 2,
    maxRetryTime: Infinity,
    randomize: false,
    onFailedAttempt: (): void => {},
    shouldConsumeRetry: (): boolean => true,
  };
  /** Calls that are in no request yet, in order; a Set because any of them may end first. */
  readonly #queue = new Set<Call>();
  #current: Request | undefined;
  #running = false;
  /** Id of the session; 0 where there is none. */
  #session = 0;
  #nextSeq = 1;
  #sessionUsedAt = 0;
  /** What the last server to answer believes. */
  #hint: number | null = null;
  #pauseMs = FIRST_PAUSE_MS;
  /** Ends the wait for a reply as if there were none. */
  #stopAsking: ((reply: null) => void) | undefined;
  #stopPausing: (() => void) | undefined;
  #patienceMs = PATIENCE_MS;
  #askedAt = 0;
  #patienceTimer: TimerHandle | undefined;

  constructor(servers: readonly ClientEnd[], runtime: Runtime) {
    this.#servers = servers;
    this.#clock = runtime.clock;
    this.#random = forkRandom(runtime.random, "clerk");
    this.#route = new Route(servers.length);
  }

  add(call: Call): void {
    this.#queue.add(call);
    if (this.#running) return;
    this.#running = true;
    // Calls made in the same turn travel together.
    queueMicrotask(() => void this.#run());
  }

  /** A limit of `call` was met: nothing more is sent for it. */
  end(call: Call, error: LimitError): void {
    const { request } = call;
    const maybeApplied = request?.wasSent === true && (call.op === null || !isRead(call.op));
    this.#queue.delete(call);
    fail(call, error(maybeApplied));
    if (request?.live === 0) {
      // Nobody waits for it any more: let the next request go.
      this.#stopAsking?.(null);
      this.#stopPausing?.();
    }
  }

  async #run(): Promise<void> {
    while (this.#queue.size > 0) {
      const request = (this.#current = this.#nextRequest());
      this.#route.begin();
      this.#pauseMs = FIRST_PAUSE_MS;
      try {
        // Most requests are answered at once, and need no machinery for retrying.
        if (!(await this.#attempt(request))) {
          await this.#beforeRetry();
          await pRetry(() => this.#attemptOrThrow(request), this.#retryOptions);
        }
      } catch (error) {
        for (const call of request.calls) fail(call, error as Error);
      }
    }
    this.#current = undefined;
    this.#running = false;
  }

  /**
   * Takes calls from the queue. A write does not follow a read of the same key into one request: reads are carried out
   * each time the request is, and the second time they would see the write. Ending the session comes last and alone.
   */
  #nextRequest(): Request {
    const calls: Call[] = [];
    const request: Request = { calls, live: 0, firstSeq: 0, wasSent: false };
    let length = 0;
    let readKeys: Set<string> | undefined;
    for (const call of this.#queue) {
      const { op } = call;
      if (op !== null) {
        length += op[1].length + (op.length > 2 ? op[2]!.length : 0);
        if (!isRead(op) && readKeys?.has(op[1])) break;
      }
      if (calls.length > 0 && (op === null || calls.length === MAX_REQUEST_OPS || length > MAX_REQUEST_LENGTH)) break;
      this.#queue.delete(call);
      call.request = request;
      calls.push(call);
      // A lone read, the usual case, needs no set.
      if (this.#queue.size > 0 && op !== null && isRead(op)) (readKeys ??= new Set()).add(op[1]);
    }
    request.live = calls.length;
    return request;
  }

  async #attemptOrThrow(request: Request): Promise<void> {
    if (!(await this.#attempt(request))) throw NO_ANSWER;
  }

  /** Asks one server. Returns whether the request is done with; if not, another server must be asked. */
  #attempt(request: Request): Promise<boolean> {
    if (request.live === 0) return Promise.resolve(true);
    const first = request.calls[0]!;
    if (first.op === null) return this.#endSession(request, first);

    if (request.firstSeq === 0) {
      // Not numbered yet, so not sent yet: calls that have ended by now take no number.
      if (request.live < request.calls.length) request.calls = request.calls.filter((call) => !call.ended);
      const writes = countWrites(request.calls);
      if (writes > 0) {
        const now = this.#clock.now();
        if (now - this.#sessionUsedAt > SESSION_IDLE_MS) this.#session = 0;
        this.#sessionUsedAt = now;
        if (this.#session === 0) return this.#register(request);
        request.firstSeq = this.#nextSeq;
        this.#nextSeq += writes;
      }
    }
    return this.#send(request);
  }

  async #send(request: Request): Promise<boolean> {
    // Ended writes keep their place, or the numbers of those behind them would change.
    const sent = request.live < request.calls.length ? request.calls.filter(hasPlace) : request.calls;
    const session = request.firstSeq === 0 ? 0 : this.#session;
    request.wasSent = true;
    const reply = await this.#ask(METHODS.request, [session, request.firstSeq, sent.map(slotOf)]);
    switch (reply?.[0]) {
      case Status.ok: {
        const results = reply[2];
        for (let i = 0; i < sent.length; i++) settle(sent[i]!, results[i]!);
        return true;
      }
      case Status.expired:
        return this.#onExpired(request);
      default:
        return request.live === 0;
    }
  }

  /**
   * The session is gone. This time nothing was done, but a copy of the request may have come before: one that was sent
   * earlier, or made by the network. So its writes end here, and only its reads go on.
   */
  #onExpired(request: Request): Promise<boolean> {
    this.#session = 0;
    for (const call of request.calls) if (!isRead(call.op!)) fail(call, new SessionExpiredError());
    request.firstSeq = 0;
    return this.#attempt(request);
  }

  async #register(request: Request): Promise<boolean> {
    const reply = await this.#ask(METHODS.register, []);
    if (reply?.[0] !== Status.ok) return request.live === 0;
    this.#session = reply[2][0] as number;
    this.#nextSeq = 1;
    return this.#attempt(request);
  }

  async #endSession(request: Request, call: Call): Promise<boolean> {
    if (this.#session !== 0) {
      request.wasSent = true;
      const reply = await this.#ask(METHODS.endSession, [this.#session]);
      if (reply?.[0] !== Status.ok && reply?.[0] !== Status.expired) return request.live === 0;
      this.#session = 0;
    }
    settle(call, null);
    if (this.#patienceTimer !== undefined) this.#clock.clearTimeout(this.#patienceTimer);
    return true;
  }

  /** One RPC to the server in turn; null where it gave no answer, or none in time. A late answer is not waited for. */
  async #ask(method: string, args: unknown): Promise<KVReply | null> {
    const end = this.#servers[this.#route.target]!;
    this.#askedAt = this.#clock.now();
    this.#patienceTimer ??= this.#clock.setTimeout(this.#onPatience, this.#patienceMs);
    let reply: KVReply | null;
    try {
      reply = await new Promise<KVReply | null>((resolve, reject) => {
        this.#stopAsking = resolve;
        end.call<KVReply>(method, args).then(resolve, reject);
      });
    } finally {
      this.#stopAsking = undefined;
    }
    this.#hint = reply?.[0] === Status.notLeader ? reply[2] : null;
    if (reply !== null) {
      this.#route.learn(reply[1]);
      if (this.#patienceMs > PATIENCE_MS) this.#patienceMs /= 2;
    }
    return reply;
  }

  /** One timer serves all RPCs: when it rings for one that is long answered, it is set anew for the present one. */
  readonly #onPatience = (): void => {
    this.#patienceTimer = undefined;
    if (this.#stopAsking === undefined) return;
    const left = this.#askedAt + this.#patienceMs - this.#clock.now();
    if (left > 0) {
      this.#patienceTimer = this.#clock.setTimeout(this.#onPatience, left);
      return;
    }
    // Not the server but the network may be this slow; then it takes more patience to ever get an answer.
    this.#patienceMs = Math.min(this.#patienceMs * 2, MAX_PATIENCE_MS);
    this.#stopAsking(null);
  };

  /** Turns to the next server; after a round of all of them, pauses first. */
  async #beforeRetry(): Promise<true> {
    if (this.#route.moveOn(this.#hint) && this.#current!.live > 0) {
      const pauseMs = this.#pauseMs * (0.5 + this.#random.next() / 2);
      this.#pauseMs = Math.min(this.#pauseMs * 2, MAX_PAUSE_MS);
      await new Promise<void>((resolve) => {
        const timer = this.#clock.setTimeout(resolve, pauseMs);
        const stop = (): void => {
          this.#clock.clearTimeout(timer);
          resolve();
        };
        this.#stopPausing = stop;
      });
      this.#stopPausing = undefined;
    }
    return true;
  }
}

function countWrites(calls: readonly Call[]): number {
  let count = 0;
  for (const call of calls) if (!isRead(call.op!)) count++;
  return count;
}

function hasPlace(call: Call): boolean {
  return !call.ended || !isRead(call.op!);
}

function slotOf(call: Call): Slot {
  return call.ended ? null : call.op;
}

function settle(call: Call, result: OpResult): void {
  if (call.ended) return;
  if (result === null && call.op !== null && !isRead(call.op)) {
    fail(call, new InvariantError("the servers forgot the reply to a write that this Clerk still waits for"));
    return;
  }
  finish(call);
  call.resolve(result);
}

function fail(call: Call, error: Error): void {
  if (call.ended) return;
  finish(call);
  call.reject(error);
}

function finish(call: Call): void {
  call.ended = true;
  if (call.request !== undefined) call.request.live--;
  call.release?.();
}
