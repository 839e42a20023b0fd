import type { Entry, ReplicaEffect, ReplicaEvent, Snapshot } from "../../replica/core/index.js";

/**
 * What an acceptor has voted for in one instance (vrnd and vval). `entry` is the value; its term is the ballot of its
 * author, who proposed it first. A later leader that takes the value over proposes it under its own ballot, but the
 * author stays: (instance, author) names a command, and servers that learn it in different ballots agree on that name.
 */
export interface Vote {
  readonly ballot: number;
  readonly entry: Entry;
}

export interface InstanceVote extends Vote {
  readonly instance: number;
}

/** Phase 1a, at once for all instances from `from` on: the sender knows what was chosen before. */
export interface Prepare {
  readonly type: "prepare";
  readonly ballot: number;
  readonly sender: number;
  readonly seq: number;
  readonly from: number;
  /** Only asks whether a majority would promise, and changes nothing: who was cut off does not depose a leader in vain. */
  readonly probe: boolean;
  /** Sent at the leader's own wish: acceptors do not protect it. */
  readonly handover: boolean;
}

/** Phase 1b. */
export interface PrepareReply {
  readonly type: "prepareReply";
  /** The highest ballot that the acceptor has promised (last_rnd). */
  readonly ballot: number;
  readonly requestBallot: number;
  readonly probe: boolean;
  readonly granted: boolean;
  /** Up to here the acceptor knows what was chosen; it tells votes only for instances beyond. */
  readonly commitIndex: number;
  readonly votes: readonly InstanceVote[];
  /** Not 0: there are more votes, from this instance on; ask again from there. */
  readonly next: number;
}

/** Phase 2a for consecutive instances, and the leader's word on what is chosen. Without entries it is a heartbeat. */
export interface Accept {
  readonly type: "accept";
  readonly ballot: number;
  readonly sender: number;
  readonly seq: number;
  readonly first: number;
  readonly entries: readonly Entry[];
  /** All instances up to here are chosen. */
  readonly commitIndex: number;
  /** The newest read round at the time of sending; the acceptor returns it. */
  readonly readContext: number;
}

/** Phase 2b: votes in the ballot that the acceptor was asked in, or a refusal. */
export interface AcceptReply {
  readonly type: "acceptReply";
  /** The highest that the acceptor has promised. */
  readonly ballot: number;
  readonly seq: number;
  readonly readContext: number;
  /** It has voted in so many instances from `first` on; none where it refuses. */
  readonly first: number;
  readonly count: number;
  readonly commitIndex: number;
}

/** A learner that lags asks for what was chosen from `from` on. */
export interface Learn {
  readonly type: "learn";
  readonly sender: number;
  readonly seq: number;
  readonly from: number;
  /** Of the snapshot that is under way: its instance, and the first byte that is missing. */
  readonly snapshotIndex: number;
  readonly offset: number;
}

export interface LearnReply {
  readonly type: "learnReply";
  readonly seq: number;
  readonly commitIndex: number;
  /** Chosen values of consecutive instances, each with a ballot in which it was proposed. */
  readonly chosen: readonly InstanceVote[];
  /** Instead of them, where they are gone: a part of the snapshot. */
  readonly snapshot: SnapshotChunk | null;
}

export interface SnapshotChunk extends Snapshot {
  /** The highest ballot of what is in it. */
  readonly ballot: number;
  readonly offset: number;
  readonly done: boolean;
}

/** The leader asks the receiver to take over at once. */
export interface TakeOver {
  readonly type: "takeOver";
  readonly ballot: number;
  readonly sender: number;
  readonly seq: number;
}

export interface TakeOverReply {
  readonly type: "takeOverReply";
  readonly ballot: number;
}

export type Request = Prepare | Accept | Learn | TakeOver;
export type Reply = PrepareReply | AcceptReply | LearnReply | TakeOverReply;

export type Event = ReplicaEvent<Request, Reply>;
export type Effect = ReplicaEffect<Request, Reply>;
