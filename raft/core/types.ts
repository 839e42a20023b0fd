import type { Entry, ReplicaEffect, ReplicaEvent } from "../../replica/core/index.js";

export { EntryType, type Entry, type HardState, type PersistEffect, type Snapshot } from "../../replica/core/index.js";

export interface RequestVote {
  readonly type: "requestVote";
  /** The term of the vote; for a pre-vote the term the sender would campaign in (dissertation §9.6). */
  readonly term: number;
  readonly candidate: number;
  readonly seq: number;
  readonly lastLogIndex: number;
  readonly lastLogTerm: number;
  readonly preVote: boolean;
  /** Sent on the leader's own request (§3.10): voters do not protect the present leader from it. */
  readonly transfer: boolean;
}

export interface RequestVoteReply {
  readonly type: "requestVoteReply";
  /** The voter's term. */
  readonly term: number;
  /** The term that was asked for, so that an answer to an earlier campaign is never counted. */
  readonly requestTerm: number;
  readonly preVote: boolean;
  readonly granted: boolean;
}

export interface AppendEntries {
  readonly type: "appendEntries";
  readonly term: number;
  readonly leader: number;
  readonly seq: number;
  readonly prevLogIndex: number;
  readonly prevLogTerm: number;
  readonly leaderCommit: number;
  /** The newest read round at the time of sending; the follower returns it (dissertation §6.4). */
  readonly readContext: number;
  readonly entries: readonly Entry[];
}

export interface AppendEntriesReply {
  readonly type: "appendEntriesReply";
  readonly term: number;
  readonly seq: number;
  readonly readContext: number;
  readonly success: boolean;
  /** success: the follower's log equals the leader's up to here. Otherwise: the prevLogIndex that did not match. */
  readonly index: number;
  /** Not success: the follower's last index that could match, and its term; see `RaftLog.lastIndexWithTermAtMost`. */
  readonly hintIndex: number;
  readonly hintTerm: number;
}

export interface InstallSnapshot {
  readonly type: "installSnapshot";
  readonly term: number;
  readonly leader: number;
  readonly seq: number;
  readonly lastIncludedIndex: number;
  readonly lastIncludedTerm: number;
  readonly offset: number;
  readonly data: Uint8Array;
  readonly done: boolean;
}

export interface InstallSnapshotReply {
  readonly type: "installSnapshotReply";
  readonly term: number;
  readonly seq: number;
  readonly lastIncludedIndex: number;
  /** The first byte that the follower still needs. */
  readonly offset: number;
  /** The follower's log and state reach at least `lastIncludedIndex`. */
  readonly done: boolean;
}

export interface TimeoutNow {
  readonly type: "timeoutNow";
  readonly term: number;
  readonly leader: number;
  readonly seq: number;
}

export interface TimeoutNowReply {
  readonly type: "timeoutNowReply";
  readonly term: number;
}

export type Request = RequestVote | AppendEntries | InstallSnapshot | TimeoutNow;
export type Reply = RequestVoteReply | AppendEntriesReply | InstallSnapshotReply | TimeoutNowReply;

export type Event = ReplicaEvent<Request, Reply>;
export type Effect = ReplicaEffect<Request, Reply>;
