/** What an entry means to Raft. The bytes of a command mean something only to the service above. */
export const EntryType = { command: 0, noop: 1 } as const;
export type EntryType = (typeof EntryType)[keyof typeof EntryType];

/** One log entry (§5.3); its index is its place in the log. Immutable: the log, storage and messages share it. */
export interface Entry {
  readonly term: number;
  readonly type: EntryType;
  readonly data: Uint8Array;
}

/** Figure 13: the state of the service after entry `index`. */
export interface Snapshot {
  readonly index: number;
  readonly term: number;
  readonly data: Uint8Array;
}

/** Figure 2's persistent state besides the log; one record, so that a vote never survives without its term. */
export interface HardState {
  readonly term: number;
  readonly votedFor: number | null;
}

// ---- messages -------------------------------------------------------------------------------------------------------
// Each request carries a `seq`, unique in the life of its sender, which the reply returns: that ties an answer to what it
// answers, however late or often it arrives.

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

// ---- events in --------------------------------------------------------------------------------------------------------

export type Event =
  /** Time has passed; due timers run. */
  | { readonly type: "tick" }
  /** A peer asks; answered by exactly one `reply` effect with the same `request`. */
  | { readonly type: "request"; readonly request: number; readonly message: Request }
  | { readonly type: "reply"; readonly from: number; readonly message: Reply }
  /** The network gave no answer to the request `seq`; it may have arrived all the same. */
  | { readonly type: "unanswered"; readonly to: number; readonly seq: number }
  /** All writes up to this one are durable. */
  | { readonly type: "persisted"; readonly write: number };

// ---- effects out --------------------------------------------------------------------------------------------------------

/** A change to stable storage. Storage carries out writes in the order of their numbers, each as a whole. */
export interface PersistEffect {
  readonly type: "persist";
  readonly write: number;
  /** Replaces term and vote. */
  readonly hardState: HardState | null;
  /** Replaces the snapshot. Entries up to its index go; with `discardLog` all of them. */
  readonly snapshot: Snapshot | null;
  readonly discardLog: boolean;
  /** Not 0: remove the entries from `firstIndex` on, if there are any, then store `entries` there. */
  readonly firstIndex: number;
  readonly entries: readonly Entry[];
}

export type Effect =
  | PersistEffect
  /** Send, but not before write `after` is durable. */
  | { readonly type: "send"; readonly after: number; readonly to: number; readonly message: Request }
  /** Answer, but not before write `after` is durable: an answer is a promise. */
  | { readonly type: "reply"; readonly after: number; readonly request: number; readonly message: Reply }
  /** Entries up to `index` may be applied. */
  | { readonly type: "commit"; readonly index: number }
  /** Once write `after` is durable, the service must replace its state by this snapshot. */
  | { readonly type: "restore"; readonly after: number; readonly snapshot: Snapshot }
  /** Reads of these numbers are linearizable after entry `index` is applied. */
  | { readonly type: "readReady"; readonly reads: readonly number[]; readonly index: number }
  /** This server stopped leading before these reads were confirmed. */
  | { readonly type: "readLost"; readonly reads: readonly number[] }
  /** Term, role or known leader changed. */
  | { readonly type: "state" }
  /** A leadership transfer ended. */
  | { readonly type: "transfer"; readonly ok: boolean };
