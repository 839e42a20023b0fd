/** What an entry means to the engine. The bytes of a command mean something only to the service above. */
export const EntryType = { command: 0, noop: 1 } as const;
export type EntryType = (typeof EntryType)[keyof typeof EntryType];

/** One log entry (Raft §5.3; in Paxos the value of one instance); its index is its place in the log. Immutable and shared. */
export interface Entry {
  readonly term: number;
  readonly type: EntryType;
  readonly data: Uint8Array;
}

/** Raft figure 13: the state of the service after entry `index`. */
export interface Snapshot {
  readonly index: number;
  readonly term: number;
  readonly data: Uint8Array;
}

/** Raft's term and vote, Paxos' promised ballot: one record, so that a vote never survives without its term. */
export interface HardState {
  readonly term: number;
  readonly votedFor: number | null;
}

/** What a server finds in its storage when it starts. */
export interface StoredState {
  readonly hardState: HardState;
  readonly snapshot: Snapshot | null;
  /** Entries from the snapshot's index + 1 on. */
  readonly entries: readonly Entry[];
}

// ---- events in --------------------------------------------------------------------------------------------------------

/**
 * Each request carries a `seq`, unique in the life of its sender: that ties an answer to what it answers, however late or
 * often it arrives.
 */
export interface Message {
  readonly type: string;
}

export interface RequestMessage extends Message {
  readonly seq: number;
}

export type ReplicaEvent<Q extends RequestMessage, A extends Message> =
  /** Time has passed; due timers run. */
  | { readonly type: "tick" }
  /** A peer asks; answered by exactly one `reply` effect with the same `request`. */
  | { readonly type: "request"; readonly request: number; readonly message: Q }
  | { readonly type: "reply"; readonly from: number; readonly message: A }
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
  /**
   * The snapshot came from another server, and the log does not hold what is in it: the write is done only once the snapshot
   * is durable too, as it is with `discardLog`. Any other snapshot may still be lost, with nothing lost by it. Default false.
   */
  readonly isForeign?: boolean;
  /** Not 0: remove the entries from `firstIndex` on, if there are any, then store `entries` there. */
  readonly firstIndex: number;
  readonly entries: readonly Entry[];
}

export type ReplicaEffect<Q extends RequestMessage, A extends Message> =
  | PersistEffect
  /** Send, but not before write `after` is durable. */
  | { readonly type: "send"; readonly after: number; readonly to: number; readonly message: Q }
  /** Answer, but not before write `after` is durable: an answer is a promise. */
  | { readonly type: "reply"; readonly after: number; readonly request: number; readonly message: A }
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

// ---- the core of an engine ------------------------------------------------------------------------------------------------

/** Where committed entries are found: the log itself is the queue of what is to be applied. */
export interface CommittedEntries {
  /** Up to here they are in the snapshot. */
  readonly lastIncludedIndex: number;
  entryAt(index: number): Entry;
}

/** What the driver looks at. */
export interface ReplicaState {
  readonly me: number;
  readonly term: number;
  readonly leader: number | null;
  readonly commitIndex: number;
  /** Writes up to this one are durable. */
  readonly durableWrite: number;
  readonly log: CommittedEntries;
  isLeader(): boolean;
}

/**
 * A consensus engine as a deterministic state machine. Nothing in it waits, draws from the outside, or does I/O: an event
 * goes in with the present time, and effects are collected by `takeEffects()`. Carry them out in order; those with an
 * `after` no sooner than that write is durable.
 */
export interface ReplicaCore<Q extends RequestMessage, A extends Message, S extends ReplicaState> {
  readonly state: S;
  /** Not taken yet. */
  readonly effects: readonly ReplicaEffect<Q, A>[];
  /** The effects since the last call, in the order in which to carry them out. */
  takeEffects(): readonly ReplicaEffect<Q, A>[];
  /** When the next `tick` is due. It may move later without notice, sooner only within a call. */
  deadline(): number;
  step(now: number, event: ReplicaEvent<Q, A>): void;
  /**
   * Appends commands to the log of a leader; returns the index of the first, or 0 where this server does not lead or is
   * handing over. They are persisted by the effects; call `flush` to send them, once for all that came in one turn.
   */
  propose(now: number, commands: readonly Uint8Array[]): number;
  /** Asks for a read barrier under a number of the caller's; false where this server does not lead. Then `flush`. */
  read(now: number, read: number): boolean;
  /** Sends what proposals and reads have left to send. */
  flush(now: number): void;
  /** The service has put everything up to `index` into `data`. False where that is no news. */
  compact(now: number, index: number, data: Uint8Array): boolean;
  /** Starts handing leadership over; false where this server does not lead or knows nobody to hand it to. */
  transfer(now: number, target?: number): boolean;
  stepDown(now: number): void;
}
