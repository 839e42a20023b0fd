import { InvalidArgumentError } from "../runtime/index.js";
import type { Runtime } from "../runtime/index.js";
import { makeService } from "../labrpc/index.js";
import type { ClientEnd, Service } from "../labrpc/index.js";
import { NotLeaderError } from "../replica/index.js";
import type { Replica, ReplicaConfig } from "../replica/index.js";
import { CommandKind, isRead, parseRequest, parseSession } from "./commands.js";
import type { Command, ReadOp, Slot } from "./commands.js";
import { LeadershipLostError, OverloadedError, StateMachineError, StoppedError } from "./errors.js";
import { KvMachine } from "./kv-machine.js";
import type { Results } from "./kv-machine.js";
import { KV_SERVICE, Status } from "./messages.js";
import type { KVReply } from "./messages.js";
import { startRsm } from "./rsm.js";
import type { MakeLog, Rsm, SnapshotStorage, StateMachine } from "./rsm.js";

/**
 * How reads are made linearizable: "barrier" asks a majority whether this server still leads (dissertation §6.4), "log"
 * gives each read an entry of its own, which costs a disk write everywhere.
 */
export type ReadMode = "barrier" | "log";

export interface KVServerOptions {
  /** `servers[i]` reaches server i. */
  servers: readonly ClientEnd[];
  me: number;
  persister: SnapshotStorage;
  /** Keep the persisted log around this many bytes by snapshots; -1 = never snapshot. */
  maxRaftState: number;
  runtime: Runtime;
  config?: Partial<ReplicaConfig>;
  /** Default "barrier". */
  readMode?: ReadMode;
  /** How many clients are remembered; beyond that the one that wrote longest ago is forgotten. Default 10,000. */
  maxSessions?: number;
  /** Bytes of commands that may wait here to be applied; beyond that writes are put off. Default 64 MiB. */
  maxPendingBytes?: number;
  /** Told why this server stopped by itself. Without it the error is an unhandled rejection, which ends the process. */
  onFailure?: (error: Error) => void;
  /** Puts something around the state machine that watches it: every call must go through unchanged. */
  watch?: (machine: StateMachine<Command, Results>) => StateMachine<Command, Results>;
  /** Makes the replicated log under it. Default: `makeRaft`. */
  engine?: MakeLog;
}

/** Figures for people and tests. */
export interface KVServerStatus {
  readonly keys: number;
  /** Successful writes since the store began. */
  readonly revision: number;
  readonly sessions: number;
  /** Index of the last log entry that is in the store. */
  readonly lastApplied: number;
}

/** One server of a replicated key/value store. */
export interface KVServer {
  /** Its replicated log. The service of this, "Raft" or that of another engine, must be registered beside `service`. */
  readonly raft: Replica;
  /** Register it on a labrpc Server under its own name, "KVServer". */
  readonly service: Service;
  status(): KVServerStatus;
  /** Takes a snapshot now, whatever the size of the log. */
  snapshot(): void;
  /** Stops this server at once; its persister holds what it promised. */
  kill(): void;
}

const DEFAULT_MAX_SESSIONS = 10_000;

class KVServerNode implements KVServer {
  readonly raft: Replica;
  readonly service: Service;
  readonly #me: number;
  readonly #machine = new KvMachine();
  readonly #rsm: Rsm<Command, Results>;
  readonly #readMode: ReadMode;
  readonly #maxSessions: number;

  constructor(options: KVServerOptions) {
    this.#me = options.me;
    this.#readMode = options.readMode ?? "barrier";
    this.#maxSessions = options.maxSessions ?? DEFAULT_MAX_SESSIONS;
    // §8: the no-op at the start of a term lets a new leader answer reads, and commit what it inherits, at once.
    const config = { ...options.config, noopOnElection: true };
    const stateMachine = options.watch?.(this.#machine) ?? this.#machine;
    const { rsm, raft } = startRsm({ stateMachine, ...options, config });
    this.#rsm = rsm;
    this.raft = raft;
    this.service = makeService(KV_SERVICE, {
      Request: (args) => this.#request(args),
      Register: () => this.#elsewhere() ?? this.#propose([CommandKind.register, this.#maxSessions]),
      EndSession: (args) => this.#elsewhere() ?? this.#propose([CommandKind.end, parseSession(args)]),
    });
  }

  status(): KVServerStatus {
    const { store, sessions } = this.#machine;
    return { keys: store.size, revision: store.revision, sessions: sessions.size, lastApplied: this.#rsm.lastApplied };
  }

  snapshot(): void {
    this.#rsm.snapshot();
  }

  kill(): void {
    this.#rsm.kill();
  }

  #request(args: unknown): KVReply | Promise<KVReply> {
    const [session, firstSeq, slots] = parseRequest(args);
    const elsewhere = this.#elsewhere();
    if (elsewhere !== null) return elsewhere;
    if (!slots.every(isReadSlot)) return this.#propose([CommandKind.request, session, firstSeq, slots]);
    return this.#readMode === "log" ? this.#propose([CommandKind.read, slots]) : this.#read(slots);
  }

  async #read(ops: readonly ReadOp[]): Promise<KVReply> {
    try {
      return [Status.ok, this.#me, await this.#rsm.read(() => this.#machine.readAll(ops))];
    } catch (error) {
      return this.#refuse(error);
    }
  }

  /**
   * A request that was applied before goes through the log once more and finds its reply there. To look into the
   * sessions here instead would be a read of the replicated state, and need a read barrier of its own.
   */
  async #propose(command: Command): Promise<KVReply> {
    try {
      const results = await this.#rsm.submit(command);
      return results === null ? [Status.expired, this.#me] : [Status.ok, this.#me, results];
    } catch (error) {
      return this.#refuse(error);
    }
  }

  /** What most calls to a follower come to, without the cost of an error that says so. */
  #elsewhere(): KVReply | null {
    const { raft } = this;
    return raft.getState().isLeader ? null : [Status.notLeader, this.#me, raft.leaderHint()];
  }

  #refuse(error: unknown): KVReply {
    if (error instanceof NotLeaderError) return [Status.notLeader, this.#me, error.leader];
    const mayRetry = [OverloadedError, LeadershipLostError, StoppedError, StateMachineError];
    if (mayRetry.some((kind) => error instanceof kind)) return [Status.retry, this.#me];
    throw error;
  }
}

function isReadSlot(slot: Slot): slot is ReadOp {
  return slot !== null && isRead(slot);
}

/**
 * Starts server `me` of a replicated key/value store from what its persister holds.
 * @throws InvalidArgumentError for wrong settings; StateMachineError where the stored snapshot cannot be restored.
 */
export function startKVServer(options: KVServerOptions): KVServer {
  const { readMode = "barrier", maxSessions = 1 } = options;
  if (readMode !== "barrier" && readMode !== "log") {
    throw new InvalidArgumentError(`readMode must be "barrier" or "log", not ${String(readMode)}`);
  }
  if (!(Number.isSafeInteger(maxSessions) && maxSessions > 0)) {
    throw new InvalidArgumentError(`maxSessions must be a whole number from 1 on, not ${String(maxSessions)}`);
  }
  return new KVServerNode(options);
}
