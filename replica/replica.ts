import {
  assert,
  encode,
  forkRandom,
  InvalidArgumentError,
  InvariantError,
  type CallOptions,
  type Runtime,
  type TimerHandle,
} from "../runtime/index.js";
import { makeService, type ClientEnd, type Service } from "../labrpc/index.js";
import { ApplyChannel } from "./apply-channel.js";
import {
  resolveReplicaConfig,
  type Message,
  type ReplicaCore,
  type ReplicaEffect,
  type ReplicaEvent,
  type ReplicaState,
  type RequestMessage,
} from "./core/index.js";
import type { Engine, ReplicaOptions } from "./engine.js";
import { KilledError, NotLeaderError, StorageFailedError } from "./errors.js";
import { ObservedCore, type ReplicaObserver } from "./observer.js";
import { ReadCalls } from "./read-calls.js";
import { TransferCalls } from "./transfer-calls.js";
import type { Storage } from "./storage.js";
import type { ApplyMsg, Replica, ReplicaStatus } from "./types.js";

/** Its `then` runs a function after the present turn, at half the cost of queueMicrotask. */
const TURN = Promise.resolve();

type Gated<Q extends RequestMessage, A extends Message> = Extract<ReplicaEffect<Q, A>, { after: number }>;

/**
 * Starts a server of an engine from what its storage holds. It runs until kill().
 * @throws InvalidArgumentError for wrong settings; InvariantError where the stored state contradicts itself.
 */
export function makeReplica<Q extends RequestMessage, A extends Message, S extends ReplicaState>(
  engine: Engine<Q, A, S>,
  options: ReplicaOptions<Q, A, S>,
): Replica {
  return new ReplicaServer(engine, options);
}

/**
 * The driver: owns time, RPC, storage and applyCh, and does what the core's effects say. All decisions are the core's; the
 * core is entered from one place at a time, and never across an await (S10).
 */
class ReplicaServer<Q extends RequestMessage, A extends Message, S extends ReplicaState> implements Replica {
  readonly applyCh: AsyncIterable<ApplyMsg>;
  readonly service: Service;
  readonly #engine: Engine<Q, A, S>;
  readonly #core: ReplicaCore<Q, A, S>;
  readonly #me: number;
  readonly #peers: readonly ClientEnd[];
  readonly #storage: Storage;
  readonly #runtime: Runtime;
  readonly #channel: ApplyChannel;
  readonly #listeners = new Set<() => void>();
  /** Effects that wait for a write, in order of that write. */
  #gated: Gated<Q, A>[] = [];
  /** Requests whose answer waits for the disk, by number. Most are answered within their own step: `#current`. */
  readonly #open = new Map<number, { resolve(reply: unknown): void; reject(error: Error): void }>();
  #requests = 0;
  #current = 0;
  #currentReply: unknown;
  #isRunning = false;
  #isFlushScheduled = false;
  #stateChanged = false;
  #isKilled = false;
  #timer: TimerHandle | null = null;
  #timerAt = Infinity;
  readonly #reads: ReadCalls;
  readonly #transfers: TransferCalls;
  readonly #forgetReporter: (() => void) | undefined;
  readonly #onFailure: ((error: Error) => void) | undefined;
  /** "Service.Method" of each type of message. */
  readonly #methods = new Map<Q["type"], string>();
  readonly #observer: ReplicaObserver<Q, A, S> | undefined;

  constructor(engine: Engine<Q, A, S>, options: ReplicaOptions<Q, A, S>) {
    const { peers, me, runtime } = options;
    if (!Number.isInteger(me) || me < 0 || me >= peers.length) {
      throw new InvalidArgumentError(`me must be the number of one of the ${peers.length} peers, not ${me}`);
    }
    this.#engine = engine;
    this.#me = me;
    this.#peers = peers;
    this.#runtime = runtime;
    this.#storage = options.persister;
    this.#onFailure = options.onFailure;
    this.#observer = options.observer;
    const coreOptions = {
      me,
      voters: peers.map((_, id) => id),
      config: resolveReplicaConfig(options.config),
      random: forkRandom(runtime.random, `${engine.name.toLowerCase()} ${me}`),
      stored: this.#storage.load(),
      now: runtime.clock.now(),
    };
    const core = engine.makeCore(coreOptions);
    this.#core = options.observer === undefined ? core : new ObservedCore(core, options.observer);
    const { state } = this.#core;
    // An engine may know of more that is committed than its snapshot holds, which the service has not seen.
    this.#channel = new ApplyChannel(state, state.log.lastIncludedIndex, runtime.atTurnEnd);
    this.applyCh = this.#channel;
    this.#reads = new ReadCalls(runtime.clock, this.#channel);
    this.#transfers = new TransferCalls(runtime.clock);
    const methods = Object.entries(engine.methods);
    for (const [method, type] of methods) this.#methods.set(type, `${engine.name}.${method}`);
    const handlers = methods.map(([method, type]) => [method, (args: unknown) => this.#handle(type, args)] as const);
    this.service = makeService(engine.name, Object.fromEntries(handlers));
    this.#forgetReporter = runtime.describeWaiting?.(() =>
      this.#channel.isWaiting
        ? [`applyCh of ${engine.name} server ${me} after index ${this.#channel.appliedIndex}`]
        : [],
    );
    this.#arm();
  }

  // ---- the service's side -----------------------------------------------------------------------------------------------

  start(command: unknown): { index: number; term: number; isLeader: boolean } {
    const { state } = this.#core;
    if (this.#isKilled || !state.isLeader()) return { index: -1, term: state.term, isLeader: false };
    const index = this.#core.propose(this.#now(), [encode(command, "command")]);
    if (index === 0) return { index: -1, term: state.term, isLeader: false };
    const { term } = state;
    this.#run();
    this.#scheduleFlush();
    return { index, term, isLeader: true };
  }

  getState(): { term: number; isLeader: boolean } {
    const { state } = this.#core;
    return { term: state.term, isLeader: !this.#isKilled && state.isLeader() };
  }

  leaderHint(): number | null {
    return this.#isKilled ? null : this.#core.state.leader;
  }

  onStateChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  stateSize(): number {
    return this.#storage.stateSize();
  }

  status(): ReplicaStatus {
    return this.#engine.describe(this.#core.state, this.#channel.appliedIndex, this.#isKilled);
  }

  snapshot(index: number, snapshot: Uint8Array): void {
    if (this.#isKilled) return;
    if (!Number.isSafeInteger(index) || index < 0) {
      throw new InvalidArgumentError(`snapshot index must be a whole number from 0, not ${String(index)}`);
    }
    if (!(snapshot instanceof Uint8Array)) throw new InvalidArgumentError("a snapshot must be a Uint8Array");
    if (index > this.#channel.takenIndex) {
      throw new InvalidArgumentError(
        `snapshot at ${index} is ahead of applyCh, which has handed out ${this.#channel.takenIndex}`,
      );
    }
    if (this.#core.compact(this.#now(), index, snapshot.slice())) this.#run();
  }

  async readBarrier(options: CallOptions = {}): Promise<void> {
    const { id, promise } = this.#reads.calls.open(options);
    if (!this.#reads.calls.has(id)) return promise;
    if (this.#isKilled || !this.#core.read(this.#now(), id)) this.#reads.calls.reject(id, this.#notLeader());
    else this.#scheduleFlush();
    return promise;
  }

  async transferLeadership(target?: number, options: CallOptions = {}): Promise<void> {
    const { calls } = this.#transfers;
    const { id, promise } = calls.open(options);
    if (!calls.has(id)) return promise;
    if (this.#isKilled || !this.#core.state.isLeader()) calls.reject(id, this.#notLeader());
    else if (target === this.#me) calls.resolve(id, undefined);
    else {
      this.#transfers.begin(id, () => {
        if (!this.#core.transfer(this.#now(), target)) return false;
        this.#run();
        return true;
      });
    }
    return promise;
  }

  stepDown(): void {
    if (this.#isKilled) return;
    this.#core.stepDown(this.#now());
    this.#run();
  }

  kill(): void {
    if (this.#isKilled) return;
    this.#isKilled = true;
    if (this.#timer !== null) this.#runtime.clock.clearTimeout(this.#timer);
    this.#timer = null;
    this.#gated = [];
    for (const { reject } of this.#open.values()) reject(new KilledError(this.#me));
    this.#open.clear();
    this.#forgetReporter?.();
    this.#channel.close();
    this.#reads.calls.rejectAll(() => this.#notLeader());
    this.#transfers.calls.rejectAll(() => new KilledError(this.#me));
    this.#notifyListeners();
    this.#listeners.clear();
  }

  // ---- the network's side -----------------------------------------------------------------------------------------------

  #handle(type: Q["type"], args: unknown): unknown {
    if (this.#isKilled) throw new KilledError(this.#me);
    const message = this.#engine.decodeRequest(type, args);
    const sender = this.#engine.senderOf(message);
    if (sender === this.#me || sender >= this.#peers.length) {
      throw new InvalidArgumentError(`a message from server ${sender}, which is not a peer of server ${this.#me}`);
    }
    const request = ++this.#requests;
    this.#current = request;
    this.#currentReply = undefined;
    this.#step({ type: "request", request, message });
    this.#current = 0;
    if (this.#currentReply !== undefined) return this.#currentReply;
    if (this.#isKilled) throw new KilledError(this.#me);
    return new Promise((resolve, reject) => this.#open.set(request, { resolve, reject }));
  }

  #send(to: number, message: Q): void {
    const peer = this.#peers[to] as ClientEnd;
    const { type, seq } = message;
    peer.call(this.#methods.get(type) as string, this.#engine.encodeRequest(message)).then(
      (reply) => {
        if (this.#isKilled) return;
        if (reply === null) this.#step({ type: "unanswered", to, seq });
        else this.#onReply(to, type, seq, reply);
      },
      // The peer refused, or is not ready to serve yet. To the core that is silence: its fault must not become ours.
      () => {
        if (!this.#isKilled) this.#step({ type: "unanswered", to, seq });
      },
    );
  }

  #onReply(to: number, type: Q["type"], seq: number, reply: unknown): void {
    let message: A;
    try {
      message = this.#engine.decodeReply(type, reply);
    } catch {
      // Not an answer of this protocol: as good as none.
      this.#step({ type: "unanswered", to, seq });
      return;
    }
    this.#step({ type: "reply", from: to, message });
  }

  // ---- the loop: events in, effects out -------------------------------------------------------------------------------------

  #now(): number {
    return this.#runtime.clock.now();
  }

  #step(event: ReplicaEvent<Q, A>): void {
    try {
      this.#core.step(this.#now(), event);
    } catch (error) {
      this.#failIfBroken(error);
      // A message may be refused after it told of a later term: that much has happened.
      this.#run();
      throw error;
    }
    this.#run();
  }

  /** A broken invariant must not spread: this server ends here, and loudly, for the error goes on to the caller. */
  #failIfBroken(error: unknown): void {
    if (error instanceof InvariantError) this.#fail(error);
  }

  #fail(error: Error): void {
    if (this.#isKilled) return;
    this.kill();
    this.#onFailure?.(error);
  }

  #run(): void {
    if (this.#isRunning) return; // A completion inside an effect: the loop below goes on with it.
    this.#isRunning = true;
    try {
      while (this.#core.effects.length > 0 && !this.#isKilled) {
        for (const effect of this.#core.takeEffects()) if (!this.#isKilled) this.#perform(effect);
      }
    } catch (error) {
      // The effects after this one are lost: what the core believes is no longer what was done.
      this.#fail(error as Error);
      throw error;
    } finally {
      this.#isRunning = false;
    }
    if (this.#isKilled) return;
    this.#arm();
    if (this.#stateChanged) {
      this.#stateChanged = false;
      this.#notifyListeners();
    }
  }

  #perform(effect: ReplicaEffect<Q, A>): void {
    switch (effect.type) {
      case "persist":
        this.#storage.write(effect, (error) => this.#onPersisted(effect.write, error));
        break;
      case "send":
      case "reply":
      case "restore":
        if (effect.after > this.#core.state.durableWrite) this.#gated.push(effect);
        else this.#release(effect);
        break;
      case "commit":
        this.#channel.wake();
        break;
      case "readReady":
        this.#reads.confirm(effect.reads, effect.index);
        break;
      case "readLost":
        for (const read of effect.reads) this.#reads.calls.reject(read, this.#notLeader());
        break;
      case "state":
        this.#stateChanged = true;
        break;
      case "transfer":
        this.#transfers.end(effect.ok);
        break;
    }
  }

  #onPersisted(write: number, error: Error | null): void {
    if (this.#isKilled) return;
    if (error !== null) {
      // Nobody knows what a failed write left behind (fsyncgate): go on only from a fresh start.
      this.#fail(new StorageFailedError(this.#me, error));
      return;
    }
    this.#step({ type: "persisted", write });
    const durable = this.#core.state.durableWrite;
    let count = 0;
    while (count < this.#gated.length && (this.#gated[count] as Gated<Q, A>).after <= durable) count++;
    if (count > 0) for (const effect of this.#gated.splice(0, count)) this.#release(effect);
  }

  #release(effect: Gated<Q, A>): void {
    if (this.#isKilled) return;
    this.#observer?.released(effect, this.#core.state);
    switch (effect.type) {
      case "send":
        this.#send(effect.to, effect.message);
        break;
      case "reply":
        this.#answer(effect.request, this.#engine.encodeReply(effect.message));
        break;
      case "restore":
        this.#channel.restore(effect.snapshot);
        break;
    }
  }

  #answer(request: number, reply: unknown): void {
    if (request === this.#current) {
      this.#currentReply = reply;
      return;
    }
    const open = this.#open.get(request);
    assert(open !== undefined, () => `request ${request} was answered already`);
    this.#open.delete(request);
    open.resolve(reply);
  }

  /** Once a turn, however many commands and reads came in it: they travel together. */
  #scheduleFlush(): void {
    if (this.#isFlushScheduled) return;
    this.#isFlushScheduled = true;
    if (this.#runtime.atTurnEnd !== undefined) this.#runtime.atTurnEnd(this.#flush);
    else void TURN.then(this.#flush);
  }

  readonly #flush = (): void => {
    this.#isFlushScheduled = false;
    if (this.#isKilled) return;
    try {
      this.#core.flush(this.#now());
    } catch (error) {
      this.#failIfBroken(error);
      throw error;
    }
    this.#run();
  };

  /** One timer, never set back: when it rings too early, it is set anew. */
  #arm(): void {
    const at = this.#core.deadline();
    if (at >= this.#timerAt && this.#timer !== null) return;
    const { clock } = this.#runtime;
    if (this.#timer !== null) clock.clearTimeout(this.#timer);
    this.#timerAt = at;
    this.#timer = clock.setTimeout(this.#onTimer, Math.max(0, at - clock.now()));
  }

  readonly #onTimer = (): void => {
    this.#timer = null;
    if (this.#isKilled) return;
    if (this.#now() >= this.#core.deadline()) this.#step({ type: "tick" });
    else this.#arm();
  };

  #notLeader(): NotLeaderError {
    return new NotLeaderError(this.leaderHint());
  }

  #notifyListeners(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}
