import type { CallOptions } from "../runtime/index.js";
import type { Service } from "../labrpc/index.js";

/** What a replicated log hands to the service above it, in order of index. */
export type ApplyMsg =
  | { type: "command"; index: number; term: number; command: unknown }
  | { type: "snapshot"; index: number; term: number; snapshot: Uint8Array };

export type Role = "follower" | "precandidate" | "candidate" | "leader";

/** Figures for people and tests; not a basis for decisions, which could be out of date before they are read. */
export interface ReplicaStatus {
  readonly id: number;
  readonly role: Role;
  readonly term: number;
  readonly votedFor: number | null;
  readonly leader: number | null;
  readonly commitIndex: number;
  /** Highest index that the consumer of applyCh has finished with. */
  readonly appliedIndex: number;
  /** Highest index that is durable here. */
  readonly durableIndex: number;
  /** The snapshot ends here; the log starts one later. */
  readonly lastIncludedIndex: number;
  readonly lastIncludedTerm: number;
  readonly lastIndex: number;
  readonly lastTerm: number;
  readonly killed: boolean;
  /** It leads, and has committed all that earlier leaders may have. */
  readonly isSettled: boolean;
  /** While leading: one row a follower. */
  readonly followers: readonly FollowerStatus[];
}

export interface FollowerStatus {
  readonly id: number;
  readonly state: "probe" | "replicate" | "snapshot";
  /** It stores everything up to here. */
  readonly matchIndex: number;
  /** Whether it has acknowledged anything to this leader. */
  readonly hasStored: boolean;
  readonly nextIndex: number;
  readonly inflightMessages: number;
  readonly inflightBytes: number;
  /** Whether it answered within the last election timeout. */
  readonly active: boolean;
}

/** One server of a replicated log. The labs know it as a Raft server. */
export interface Replica {
  /**
   * Appends `command` to the log if this server leads, and starts agreement; returns at once. No guarantee that it will
   * ever commit: the leader may lose its place. Not leading, or after kill(): index -1 and isLeader false.
   * @throws EncodeError where the command cannot be carried.
   */
  start(command: unknown): { index: number; term: number; isLeader: boolean };
  getState(): { term: number; isLeader: boolean };
  /** Committed commands in order; ends after kill(). Iterate it once. The consumer may call snapshot() inside its loop. */
  readonly applyCh: AsyncIterable<ApplyMsg>;
  /** The service has put everything up to `index` into `snapshot`; the log up to there is dropped. */
  snapshot(index: number, snapshot: Uint8Array): void;
  /** Register it on a labrpc Server under its own name, that of the engine: "Raft", "Paxos". */
  readonly service: Service;
  kill(): void;

  /**
   * Dissertation §6.4: resolves once a read made now is linearizable, that is when this server was still leader after
   * the call began and the consumer of applyCh has finished with everything committed by then.
   * @throws NotLeaderError when this server does not lead or stops leading; TimeoutError, AbortError.
   */
  readBarrier(options?: CallOptions): Promise<void>;
  /** The id of the leader this server believes in, or null. A hint for clients. */
  leaderHint(): number | null;
  /** Calls `listener` after the term or leadership of this server changed, and at kill(). Returns the unsubscribe. */
  onStateChange(listener: () => void): () => void;
  /** Bytes of the persisted log and term/vote, without the snapshot. */
  stateSize(): number;
  status(): ReplicaStatus;
  /**
   * Dissertation §3.10: hands leadership to `target`, by default to the follower with the longest log. Resolves when this
   * server has stepped down for it.
   * @throws NotLeaderError; TransferError when the target did not take over within an election timeout.
   */
  transferLeadership(target?: number, options?: CallOptions): Promise<void>;
  /** Gives up leadership at once and does not stand again for an election timeout. Does nothing on a follower. */
  stepDown(): void;
}
