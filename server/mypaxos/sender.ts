import { decode, forkRandom, watchLimits } from "../../runtime/index.js";
import type { CallOptions, Clock, Random, Runtime, TimerHandle } from "../../runtime/index.js";
import { RemoteError } from "../../labrpc/index.js";
import type { ClientEnd } from "../../labrpc/index.js";
import { SessionExpiredError } from "../../kvraft/index.js";
import { ForwardedError } from "../forward.js";
import { GroupStoppedError, UnknownGroupError } from "./errors.js";
import { METHODS, Status } from "./service.js";
import type { GroupReply, Member, Opened } from "./service.js";

/** One call of submit or submitAll: its items stand next to each other, in one entry of the log. */
interface Call {
  readonly items: readonly Uint8Array[];
  readonly bytes: number;
  readonly resolve: (answers: unknown[]) => void;
  readonly reject: (error: Error) => void;
  release: (() => void) | undefined;
  batch: Batch | undefined;
  ended: boolean;
}

/** The calls that travel together, in one request and one entry of the log, however often it takes. */
interface Batch {
  calls: Call[];
  /** Calls that still wait. */
  live: number;
  /** Its number in the session; 0 before it has one, and so before it was sent. */
  seq: number;
  /** It is with a node now. */
  isAsking: boolean;
  /** It was with a node that did not say what became of it. */
  isDoubtful: boolean;
}

export interface SenderOptions {
  readonly group: number;
  readonly runtime: Runtime;
  /** Ends to the group on each node, the one to ask first at the front. It may change between calls. */
  readonly ends: () => readonly ClientEnd[];
  readonly bufferSize: number;
  /** A buffer is flushed when it holds so much, and what waits is sent together up to it; one call may be larger. */
  readonly maxBatchBytes: number;
  readonly flushIntervalMs: number;
  /** Told of all nodes of the cluster. */
  readonly onMembers: (members: readonly Member[]) => void;
  /** Why none of the nodes will ever answer; null where one may. */
  readonly refusal: () => Error | null;
}

/** Of what an item takes in a message beside its bytes. */
const ITEM_BYTES = 5;

/** What items take in a message. */
export function sizeOf(items: readonly Uint8Array[]): number {
  return items.reduce((sum, { length }) => sum + length + ITEM_BYTES, 0);
}

/** How long one node may keep a request before another is asked; doubled while that happens. */
const PATIENCE_MS = 1000;
const MAX_PATIENCE_MS = 16_000;

/** The pause after all nodes were asked in vain: doubled each time, between half of it and all of it at random. */
const FIRST_PAUSE_MS = 5;
const MAX_PAUSE_MS = 100;

const MAX_TOKEN = 2 ** 48;
/** How long the end of a session is waited for: one that was not ended makes room for others in time. */
const END_MS = 500;

/**
 * The send buffer of one group of one client, and what carries it to the nodes: one batch at a time, made of everything
 * that was flushed since the last, sent again until a node answers. So a client's items are applied in the order in which
 * they were submitted. The session makes each batch happen once: see sessions.ts.
 */
export class GroupSender {
  readonly #options: SenderOptions;
  readonly #clock: Clock;
  readonly #random: Random;
  #bufferSize: number;
  /** Calls that wait for more of them, in order; a Set because any of them may end first. */
  readonly #buffer = new Set<Call>();
  #bufferedItems = 0;
  #bufferedBytes = 0;
  /** Calls that may go with the next batch, in order, before those in the buffer. */
  readonly #flushed = new Set<Call>();
  #flushTimer: TimerHandle | undefined;
  #isRunning = false;
  #current: Batch | undefined;
  /** What ends the wait for a reply, or a pause, before its time. */
  #interrupt: (() => void) | undefined;
  readonly #idleWaiters = new Set<() => void>();
  #session = 0;
  #token = 0;
  #lastSeq = 0;
  /** The end that answered last. */
  #end: ClientEnd | undefined;
  #patienceMs = PATIENCE_MS;

  constructor(options: SenderOptions) {
    this.#options = options;
    this.#clock = options.runtime.clock;
    this.#random = forkRandom(options.runtime.random, `paxos client ${options.group}`);
    this.#bufferSize = options.bufferSize;
  }

  set bufferSize(size: number) {
    this.#bufferSize = size;
    this.#flushIfFull();
  }

  /** Nothing waits, and nothing is on its way. */
  get isIdle(): boolean {
    return !this.#isRunning && this.#buffer.size + this.#flushed.size === 0;
  }

  /** `isWhole`: the call is a batch by itself, and waits for no others. */
  add(items: readonly Uint8Array[], what: string, isWhole: boolean, options: CallOptions): Promise<unknown[]> {
    return new Promise((resolve, reject) => {
      const bytes = sizeOf(items);
      const call: Call = {
        items,
        bytes,
        resolve,
        reject,
        release: undefined,
        batch: undefined,
        ended: false,
      };
      call.release = watchLimits(this.#clock, what, options, (error) => this.#endEarly(call, error));
      this.#buffer.add(call);
      this.#bufferedItems += items.length;
      this.#bufferedBytes += bytes;
      if (isWhole) this.flush();
      else this.#flushIfFull();
      if (this.#bufferedItems > 0 && this.#flushTimer === undefined) {
        this.#flushTimer = this.#clock.setTimeout(() => this.flush(), this.#options.flushIntervalMs);
      }
    });
  }

  /** Everything that waits may go. */
  flush(): void {
    if (this.#flushTimer !== undefined) this.#clock.clearTimeout(this.#flushTimer);
    this.#flushTimer = undefined;
    for (const call of this.#buffer) this.#flushed.add(call);
    this.#buffer.clear();
    this.#bufferedItems = 0;
    this.#bufferedBytes = 0;
    if (this.#isRunning || this.#flushed.size === 0) return;
    this.#isRunning = true;
    // What is submitted in the same turn travels together.
    queueMicrotask(() => void this.#run());
  }

  /** Resolves once there is nothing that waits, or is on its way. */
  idle(): Promise<void> {
    if (this.isIdle) return Promise.resolve();
    return new Promise((resolve) => this.#idleWaiters.add(resolve));
  }

  /** Everything that waits ends now. */
  abort(errorOf: (maybeApplied: boolean) => Error): void {
    for (const call of [...(this.#current?.calls ?? []), ...this.#flushed, ...this.#buffer]) {
      if (!call.ended) this.#endEarly(call, errorOf);
    }
  }

  /** Tells the nodes, as far as they answer soon, that this client is gone. Call it when idle. */
  async endSession(): Promise<void> {
    const session = this.#session;
    this.#session = 0;
    if (session === 0) return;
    const end = this.#endToAsk();
    await this.#ask(end, METHODS.end, [session, this.#token], END_MS).catch(() => null);
  }

  // ---- the buffer ---------------------------------------------------------------------------------------------------------

  #flushIfFull(): void {
    if (this.#bufferedItems >= this.#bufferSize || this.#bufferedBytes >= this.#options.maxBatchBytes) this.flush();
  }

  #endEarly(call: Call, errorOf: (maybeApplied: boolean) => Error): void {
    const { batch } = call;
    this.#flushed.delete(call);
    if (this.#buffer.delete(call)) {
      this.#bufferedItems -= call.items.length;
      this.#bufferedBytes -= call.bytes;
    }
    fail(call, errorOf(batch !== undefined && (batch.isAsking || batch.isDoubtful)));
    // Nobody waits for it any more: let the next batch go.
    if (batch?.live === 0) this.#interrupt?.();
    else this.#settleIfIdle();
  }

  #settleIfIdle(): void {
    if (!this.isIdle) return;
    for (const resolve of this.#idleWaiters) resolve();
    this.#idleWaiters.clear();
  }

  // ---- the batches --------------------------------------------------------------------------------------------------------

  async #run(): Promise<void> {
    for (let batch = this.#nextBatch(); batch !== undefined; batch = this.#nextBatch()) {
      this.#current = batch;
      try {
        await this.#deliver(batch);
      } catch (error) {
        for (const call of batch.calls) fail(call, error as Error);
      }
    }
    this.#current = undefined;
    this.#isRunning = false;
    this.#settleIfIdle();
  }

  #nextBatch(): Batch | undefined {
    const calls: Call[] = [];
    const batch: Batch = { calls, live: 0, seq: 0, isAsking: false, isDoubtful: false };
    let bytes = 0;
    for (const call of this.#flushed) {
      bytes += call.bytes;
      if (calls.length > 0 && bytes > this.#options.maxBatchBytes) break;
      this.#flushed.delete(call);
      call.batch = batch;
      calls.push(call);
    }
    batch.live = calls.length;
    return calls.length === 0 ? undefined : batch;
  }

  /** Asks one node after the other until the batch has its outcome. @throws what all its calls end with */
  async #deliver(batch: Batch): Promise<void> {
    let pauseMs = FIRST_PAUSE_MS;
    while (batch.live > 0) {
      const asked = new Set<ClientEnd>();
      const stopped: string[] = [];
      for (let end = this.#endToAsk(); !asked.has(end) && batch.live > 0; end = this.#endToAsk()) {
        asked.add(end);
        const reply = await this.#attempt(batch, end);
        if (reply === "done") return;
        if (reply?.[0] === Status.stopped) stopped.push(reply[1]);
        this.#moveOn(end);
      }
      // The rest can decide nothing without them.
      if (stopped.length > this.#options.ends().length / 2) {
        throw new GroupStoppedError(this.#options.group, stopped[0] as string);
      }
      const refused = this.#options.refusal();
      if (refused !== null) throw refused;
      if (batch.live > 0) await this.#pause(pauseMs * (0.5 + this.#random.next() / 2));
      pauseMs = Math.min(pauseMs * 2, MAX_PAUSE_MS);
    }
  }

  /** "done", or the reply of a node that was of no use; null where it gave none. */
  async #attempt(batch: Batch, end: ClientEnd): Promise<GroupReply<unknown> | "done" | null> {
    if (this.#session === 0) {
      const reply = await this.#open(end);
      if (reply?.[0] !== Status.ok) return reply;
      if (batch.live === 0) return "done";
    }
    if (batch.seq === 0) {
      // Not numbered yet, so not sent yet: calls that have ended by now are left out. Afterwards nothing changes.
      batch.calls = batch.calls.filter((call) => !call.ended);
      batch.seq = ++this.#lastSeq;
    }
    const items = batch.calls.flatMap((call) => call.items);
    batch.isAsking = true;
    const args = [this.#session, this.#token, batch.seq, items];
    const reply = await this.#ask<Uint8Array | null>(end, METHODS.submit, args);
    batch.isAsking = false;
    if (reply === null || reply[0] === Status.unknown) batch.isDoubtful = true;
    if (reply?.[0] !== Status.ok) return reply;
    const [, answers] = reply;
    if (answers === null) return this.#onExpired(batch, end);
    settleAll(batch.calls, decode(answers) as Answers);
    return "done";
  }

  /**
   * The nodes have forgotten the session. This time nothing was done. Where an earlier attempt may have been, nobody can
   * know any more; otherwise a new session will do.
   */
  #onExpired(batch: Batch, end: ClientEnd): Promise<GroupReply<unknown> | "done" | null> {
    this.#session = 0;
    if (batch.isDoubtful) throw new SessionExpiredError();
    batch.seq = 0;
    return this.#attempt(batch, end);
  }

  async #open(end: ClientEnd): Promise<GroupReply<unknown> | null> {
    const token = this.#random.int(1, MAX_TOKEN);
    const reply = await this.#ask<Opened>(end, METHODS.open, [token]);
    if (reply?.[0] !== Status.ok) return reply;
    const [, { session, members }] = reply;
    this.#session = session;
    this.#token = token;
    this.#lastSeq = 0;
    this.#options.onMembers(members);
    return reply;
  }

  // ---- the nodes ----------------------------------------------------------------------------------------------------------

  /** The end that answered last, while there is such an end; else the first. */
  #endToAsk(): ClientEnd {
    const ends = this.#options.ends();
    this.#end = ends.find((end) => end === this.#end) ?? (ends[0] as ClientEnd);
    return this.#end;
  }

  /** `end` was of no use: the next one's turn. */
  #moveOn(end: ClientEnd): void {
    const ends = this.#options.ends();
    this.#end = ends[(ends.indexOf(end) + 1) % ends.length];
  }

  /** Another node is to be asked first from now on. */
  reset(): void {
    this.#end = undefined;
  }

  /** Null where the node gave no answer, or none in time. A late answer is not waited for. */
  async #ask<R>(end: ClientEnd, method: string, args: unknown, limitMs?: number): Promise<GroupReply<R> | null> {
    let timer: TimerHandle | undefined;
    const given = new Promise<null>((resolve) => {
      this.#interrupt = () => resolve(null);
      timer = this.#clock.setTimeout(() => {
        // Not the node but the network may be this slow; then it takes more patience to ever get an answer.
        this.#patienceMs = Math.min(this.#patienceMs * 2, MAX_PATIENCE_MS);
        resolve(null);
      }, limitMs ?? this.#patienceMs);
    });
    try {
      const reply = await Promise.race([end.call<GroupReply<R>>(method, args), given]);
      if (reply?.[0] === Status.refused) throw new ForwardedError(reply[1], reply[2], reply[3]);
      if (reply?.[0] === Status.stopped) this.#options.onMembers(reply[2]);
      if (reply !== null) this.#patienceMs = Math.max(PATIENCE_MS, this.#patienceMs / 2);
      return reply;
    } catch (error) {
      if (!(error instanceof RemoteError) || error.code !== "UNKNOWN_SERVICE") throw error;
      throw new UnknownGroupError(this.#options.group, error);
    } finally {
      this.#clock.clearTimeout(timer as TimerHandle);
      this.#interrupt = undefined;
    }
  }

  async #pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = this.#clock.setTimeout(resolve, ms);
      this.#interrupt = () => {
        this.#clock.clearTimeout(timer);
        resolve();
      };
    });
    this.#interrupt = undefined;
  }
}

/** As CallbackMachine encodes them. */
type Answers = readonly (readonly [unknown] | null)[];

function settleAll(calls: readonly Call[], answers: Answers): void {
  let at = 0;
  for (const call of calls) {
    const own = answers.slice(at, (at += call.items.length)).map((answer) => answer?.[0]);
    if (finish(call)) call.resolve(own);
  }
}

function fail(call: Call, error: Error): void {
  if (finish(call)) call.reject(error);
}

/** Returns whether the call was still waiting. */
function finish(call: Call): boolean {
  if (call.ended) return false;
  call.ended = true;
  if (call.batch !== undefined) call.batch.live--;
  call.release?.();
  return true;
}
