import { assert, InvalidArgumentError, refusal, watchLimits } from "../runtime/index.js";
import type { CallOptions, Runtime } from "../runtime/index.js";
import type { ClientEnd } from "../labrpc/index.js";
import { NotLeaderError } from "../replica/index.js";
import type { ApplyMsg, LogOptions, Replica, ReplicaConfig, Storage } from "../replica/index.js";
import { makeRaft } from "../raft/index.js";
import { LeadershipLostError, OverloadedError, StateMachineError, StoppedError } from "./errors.js";
import type { ReplicatedLog } from "./replicated-log.js";

/** Where in the log a command stands: the same on every server. */
export interface ApplyContext {
  readonly index: number;
  readonly term: number;
}

/**
 * What is replicated. Equal commands in equal order must give equal states and results on every server: no clock, no
 * chance, no order of arrival. A method that throws stops the server; it is never called again. Only where a snapshot was
 * asked for by `Rsm.snapshot` the caller gets the error, and the server goes on: its state is what it was.
 */
export interface StateMachine<C, R> {
  apply(command: C, context: ApplyContext): R;
  /** The whole state, at once, not as a promise; the bytes must not change afterwards. */
  snapshot(): Uint8Array;
  /** Replaces the whole state. */
  restore(snapshot: Uint8Array): void;
}

/** A state machine kept equal on every server of a group by a replicated log (Figure 1). */
export interface Rsm<C, R> {
  /**
   * Proposes `command` and resolves to the result of applying it here, once it is committed.
   * @throws NotLeaderError: nothing was proposed; ask the server it names. OverloadedError: nothing was proposed; too much
   * waits already. LeadershipLostError, StoppedError: the fate of
   * the command is as `maybeApplied` says. StateMachineError: this server has failed. TimeoutError, AbortError: this call
   * waits no more, the command may still be applied.
   */
  submit(command: C, options?: CallOptions): Promise<R>;
  /**
   * A linearizable read without a log entry: waits for the log's read barrier, then returns what `query` returns.
   * @throws NotLeaderError, StateMachineError, TimeoutError, AbortError
   */
  read<T>(query: () => T, options?: CallOptions): Promise<T>;
  /** Index of the last entry in the state. */
  readonly lastApplied: number;
  /**
   * Puts all that is applied here into a snapshot, whatever the size of the log, and drops that part of the log.
   * @throws what the state machine throws
   */
  snapshot(): void;
  /** Stops the log and this server; every call that waits is rejected. */
  kill(): void;
}

export interface RsmOptions<C, R> {
  log: ReplicatedLog;
  stateMachine: StateMachine<C, R>;
  /** The snapshot with which this server starts, which the log does not deliver again; null at the first start. */
  snapshot: Uint8Array | null;
  /** Keep the persisted log around this many bytes by snapshots; -1 = never snapshot. */
  maxRaftState: number;
  runtime: Runtime;
  /** Bytes of commands that may wait here to be applied; beyond that submit() refuses. Default 64 MiB. */
  maxPendingBytes?: number;
  /** Told why this server stopped by itself. Without it the error is an unhandled rejection, which ends the process. */
  onFailure?: (error: Error) => void;
}

interface Waiter<R> {
  readonly term: number;
  /** What it has added to the log. */
  readonly bytes: number;
  readonly resolve: (result: R) => void;
  readonly reject: (error: Error) => void;
  release: (() => void) | undefined;
}

/** Snapshot before the limit is reached, because entries that are not applied yet cannot go into it. */
const SNAPSHOT_AT = 0.75;
const DEFAULT_MAX_PENDING_BYTES = 64 << 20;
/** Between two snapshots the log grows by at least this part of the limit: each one costs as much as the whole state. */
const SNAPSHOT_STEP = SNAPSHOT_AT / 2;

class LogRsm<C, R> implements Rsm<C, R> {
  readonly #log: ReplicatedLog;
  readonly #stateMachine: StateMachine<C, R>;
  readonly #runtime: Runtime;
  readonly #maxRaftState: number;
  readonly #onFailure: ((error: Error) => void) | undefined;
  readonly #stopListening: () => void;
  /** Submitted here and not applied yet, by log index. Each also knows its term: an index is reused by later leaders. */
  readonly #waiters = new Map<number, Waiter<R>>();
  readonly #maxPendingBytes: number;
  /** Of all waiters. */
  #pendingBytes = 0;
  #lastApplied = 0;
  /** The least the log has measured since the last snapshot. */
  #leastLogBytes = 0;
  #failure: Error | undefined;

  constructor(options: RsmOptions<C, R>) {
    this.#log = options.log;
    this.#stateMachine = options.stateMachine;
    this.#runtime = options.runtime;
    this.#maxRaftState = options.maxRaftState;
    this.#maxPendingBytes = options.maxPendingBytes ?? DEFAULT_MAX_PENDING_BYTES;
    this.#onFailure = options.onFailure;
    if (options.snapshot !== null) this.#restore(options.snapshot, "the snapshot this server starts with");
    this.#stopListening = options.log.onStateChange(() => this.#onStateChange());
    void this.#consume();
  }

  get lastApplied(): number {
    return this.#lastApplied;
  }

  submit(command: C, options?: CallOptions): Promise<R> {
    const refused = this.#failure ?? (options && refusal("submit", options)) ?? this.#overload();
    if (refused) return Promise.reject(refused);
    return new Promise((resolve, reject) => {
      const before = this.#log.stateSize();
      const { index, term, isLeader } = this.#log.start(command);
      if (!isLeader) return reject(new NotLeaderError(this.#log.leaderHint()));
      // Should an earlier waiter be left at this index, its entry was cut from this log.
      this.#reject(index, true);
      const bytes = this.#log.stateSize() - before;
      const waiter: Waiter<R> = { term, bytes, resolve, reject, release: undefined };
      this.#waiters.set(index, waiter);
      this.#pendingBytes += bytes;
      if (options) {
        waiter.release = watchLimits(this.#runtime.clock, "submit", options, (error) => {
          // Its entry stays in the log, so it goes on to count.
          reject(error(true));
        });
      }
    });
  }

  async read<T>(query: () => T, options?: CallOptions): Promise<T> {
    await this.#log.readBarrier(options);
    if (this.#failure) throw this.#failure;
    return query();
  }

  snapshot(): void {
    if (this.#failure) throw this.#failure;
    this.#keep(this.#stateOfMachine());
  }

  #stateOfMachine(): Uint8Array {
    const state: unknown = this.#stateMachine.snapshot();
    if (state instanceof Uint8Array) return state;
    // Nobody waits for it: if it fails, that must not end the process.
    if (state instanceof Promise) state.catch(() => {});
    const what = state instanceof Promise ? "a promise" : state === null ? "null" : typeof state;
    throw new InvalidArgumentError(`snapshot() of a state machine must return a Uint8Array, not ${what}`);
  }

  #keep(state: Uint8Array): void {
    this.#log.snapshot(this.#lastApplied, state);
    this.#leastLogBytes = this.#log.stateSize();
  }

  kill(): void {
    this.#log.kill();
  }

  /** The only place that touches the state machine: one loop, one message after the other, nothing twice. */
  async #consume(): Promise<void> {
    try {
      for await (const message of this.#log.applyCh) {
        assert(message.index > this.#lastApplied, `entry ${message.index} came after entry ${this.#lastApplied}`);
        if (message.type === "command") this.#apply(message);
        else this.#install(message);
      }
      this.#rejectAll(new StoppedError("this server was stopped"));
    } catch (error) {
      this.#fail(error as Error);
    } finally {
      this.#stopListening();
    }
  }

  #apply(message: ApplyMsg & { type: "command" }): void {
    let result: R;
    try {
      result = this.#stateMachine.apply(message.command as C, message);
    } catch (cause) {
      throw new StateMachineError(`the state machine failed to apply entry ${message.index}`, cause);
    }
    this.#lastApplied = message.index;
    if (this.#waiters.size > 0) this.#answer(message.index, message.term, result);
    if (this.#maxRaftState > 0) this.#snapshotIfLarge();
  }

  #install(message: ApplyMsg & { type: "snapshot" }): void {
    this.#restore(message.snapshot, `the snapshot up to entry ${message.index}`);
    this.#lastApplied = message.index;
    // What they waited for may be in it or not; the results are gone in either case (S39).
    for (const index of this.#waiters.keys()) if (index <= message.index) this.#reject(index, true);
  }

  #restore(snapshot: Uint8Array, name: string): void {
    try {
      this.#stateMachine.restore(snapshot);
    } catch (cause) {
      throw new StateMachineError(`the state machine failed to restore ${name}`, cause);
    }
  }

  #answer(index: number, term: number, result: R): void {
    const waiter = this.#waiters.get(index);
    if (waiter === undefined) return;
    if (waiter.term !== term) return this.#reject(index, false);
    this.#forget(index, waiter);
    waiter.release?.();
    waiter.resolve(result);
  }

  #forget(index: number, waiter: Waiter<R>): void {
    this.#waiters.delete(index);
    this.#pendingBytes -= waiter.bytes;
  }

  /** A leader that is alive but cannot commit must not take in without end what its clients send. */
  #overload(): OverloadedError | undefined {
    if (this.#pendingBytes < this.#maxPendingBytes || !this.#log.getState().isLeader) return undefined;
    return new OverloadedError(this.#pendingBytes, this.#maxPendingBytes);
  }

  #snapshotIfLarge(): void {
    const bytes = this.#log.stateSize();
    if (bytes < this.#leastLogBytes) this.#leastLogBytes = bytes;
    const limit = this.#maxRaftState;
    if (bytes < Math.max(limit * SNAPSHOT_AT, this.#leastLogBytes + limit * SNAPSHOT_STEP)) return;
    let state: Uint8Array;
    try {
      state = this.#stateOfMachine();
    } catch (cause) {
      throw new StateMachineError(
        `the state machine failed to make a snapshot up to entry ${this.#lastApplied}`,
        cause,
      );
    }
    this.#keep(state);
  }

  /**
   * A waiter of an earlier term is released: this server has seen a newer term, whose leader may or may not have the
   * entry, and without further commands it might never be known here. Mere loss of leadership within the term releases
   * nobody: no other leader of this term exists, the entry is still in this log, and followers that have stored it may
   * yet commit it under the next leader, of whom this server will learn by its term. So a leader that is cut off keeps
   * its waiters until it is reached again; callers who cannot wait that long set a limit.
   */
  #onStateChange(): void {
    const { term } = this.#log.getState();
    for (const [index, waiter] of this.#waiters) if (waiter.term !== term) this.#reject(index, true);
  }

  #reject(index: number, maybeApplied: boolean): void {
    const waiter = this.#waiters.get(index);
    if (waiter === undefined) return;
    this.#forget(index, waiter);
    waiter.release?.();
    const fate = maybeApplied ? "may or may not be applied" : "was replaced and is not applied";
    waiter.reject(
      new LeadershipLostError(`leadership was lost: entry ${index} of term ${waiter.term} ${fate}`, maybeApplied),
    );
  }

  #rejectAll(error: Error): void {
    for (const waiter of this.#waiters.values()) {
      waiter.release?.();
      waiter.reject(error);
    }
    this.#waiters.clear();
    this.#pendingBytes = 0;
  }

  /** S44: never go on after a failed apply or restore. */
  #fail(error: Error): void {
    this.#failure = error;
    this.#log.kill();
    this.#rejectAll(error);
    if (this.#onFailure === undefined) throw error;
    this.#onFailure(error);
  }
}

/**
 * Puts `stateMachine` on `log`, whose applyCh it consumes from now on.
 * @throws StateMachineError where the first snapshot cannot be restored; the log is stopped then.
 */
export function makeRsm<C, R>(options: RsmOptions<C, R>): Rsm<C, R> {
  const { maxRaftState } = options;
  if (maxRaftState !== -1 && !(maxRaftState > 0)) {
    throw new InvalidArgumentError(
      `maxRaftState must be a number of bytes, or -1 for no snapshots, not ${maxRaftState}`,
    );
  }
  try {
    return new LogRsm(options);
  } catch (error) {
    options.log.kill();
    throw error;
  }
}

/** The log's storage, from which the service above can read its own part: the snapshot. The `Persister` is one. */
export interface SnapshotStorage extends Storage {
  readSnapshot(): Uint8Array | null;
}

export interface StartRsmOptions<C, R> {
  /** `servers[i]` reaches the log of server i. */
  servers: readonly ClientEnd[];
  me: number;
  persister: SnapshotStorage;
  /** Keep the persisted log around this many bytes by snapshots; -1 = never snapshot. */
  maxRaftState: number;
  runtime: Runtime;
  stateMachine: StateMachine<C, R>;
  config?: Partial<ReplicaConfig>;
  maxPendingBytes?: number;
  onFailure?: (error: Error) => void;
  /** Makes the replicated log. Default: `makeRaft`. */
  engine?: MakeLog;
}

/** Makes one server of a replicated log: `makeRaft`, `makePaxos`. */
export type MakeLog = (options: LogOptions) => Replica;

/** Starts a server of the log with `stateMachine` on it. `raft.service` must be registered with the server's RPC layer. */
export function startRsm<C, R>(options: StartRsmOptions<C, R>): { rsm: Rsm<C, R>; raft: Replica } {
  const { servers, me, persister, maxRaftState, maxPendingBytes, runtime, stateMachine } = options;
  const { config, engine = makeRaft, onFailure } = options;
  const raft = engine({
    peers: servers,
    me,
    persister,
    runtime,
    ...(config && { config }),
    ...(onFailure && { onFailure }),
  });
  const rsm = makeRsm({
    log: raft,
    stateMachine,
    snapshot: persister.readSnapshot(),
    maxRaftState,
    runtime,
    ...(maxPendingBytes !== undefined && { maxPendingBytes }),
    ...(onFailure && { onFailure }),
  });
  return { rsm, raft };
}
