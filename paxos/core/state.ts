import { assert, type Random } from "../../runtime/index.js";
import {
  ReadRounds,
  type Configuration,
  type Entry,
  type ReplicaConfig,
  type ReplicaState,
  type Snapshot,
  type StoredState,
} from "../../replica/core/index.js";
import type { AcceptorProgress } from "./acceptor-progress.js";
import { nextBallot, proposerOf } from "./ballots.js";
import { Instances } from "./instances.js";
import { encodeFiller, encodeMark, encodeVote, readJournal, type Writer } from "./journal.js";
import type { Effect, InstanceVote, Reply, Request, Vote } from "./types.js";

const NO_ENTRIES: readonly Entry[] = [];

export type Role = "follower" | "precandidate" | "candidate" | "leader";

/** A snapshot that is still arriving, in order of offset. */
export interface IncomingSnapshot {
  /** Two servers may put the same state into different bytes: all parts are of one. */
  readonly from: number;
  readonly index: number;
  readonly chunks: Uint8Array[];
  received: number;
}

/** Own votes on their way to the disk. */
interface PendingVotes {
  readonly write: number;
  readonly first: number;
  readonly last: number;
}

/**
 * The state of one server, which is acceptor, learner and, at times, proposer, and the few steps that all three share:
 * promising, changing role, putting out effects, keeping track of what is durable. The parts themselves are functions over
 * it: acceptor, phase 1 (prepare), phase 2 (leader), learner.
 */
export class PaxosState implements ReplicaState {
  readonly me: number;
  readonly config: Readonly<ReplicaConfig>;
  readonly configuration: Configuration;
  readonly random: Random;
  readonly log: Instances;

  now: number;
  effects: Effect[] = [];

  // The acceptor's; on disk once `durableWrite` has caught up.
  /** The highest ballot promised (last_rnd), for all instances at once. To others it is what Raft calls the term. */
  term: number;
  snapshot: Snapshot | null;
  #promiseChanged = false;

  role: Role = "follower";
  leader: number | null = null;
  /** Instances up to here are chosen, and their values are here. */
  commitIndex: number;
  electionDeadline = 0;
  /** When a leader last spoke to this server, which protects it for a while from others that would take over. */
  lastLeaderContact = -Infinity;

  // The learner's: what is known to be chosen, and who said so.
  knownCommit = 0;
  learnFrom: number | null = null;
  /** The question under way, 0: none; and whom the last one went to. */
  learnSeq = 0;
  learnAsked: number | null = null;
  learnSentAt = -Infinity;
  incomingSnapshot: IncomingSnapshot | null = null;
  /** Questions in a row that brought nothing. */
  learnFailures = 0;

  // The proposer's, in phase 1.
  readonly promises = new Map<number, boolean>();
  /** For each instance the vote of the highest ballot that the promises told of. */
  readonly adopted = new Map<number, Vote>();
  /** From which instance on the acceptor's votes are still to come. */
  readonly missingFrom = new Map<number, number>();
  prepareAgainAt = Infinity;
  /** The write that makes this candidate's own promise durable; only then it counts. */
  ownPromiseWrite = 0;
  /** The ballot whose leader wishes this server to take over; 0: none. */
  handover = 0;

  // The leader's, in phase 2.
  acceptors: readonly AcceptorProgress[] = [];
  /** By instance, for those not known to be chosen: which servers have voted in this ballot, a bit each. */
  readonly acks = new Map<number, number>();
  readonly #pendingVotes: PendingVotes[] = [];
  /** Up to here instances were chosen under earlier leaders: the learner brings their values. */
  chosenBefore = 0;
  /** What phase 1 found reaches up to here. */
  recoveredTo = 0;
  heartbeatAt = Infinity;
  readonly reads = new ReadRounds();
  /** Values were proposed or reads asked for since the last flush. */
  needsFlush = false;
  transferTarget: number | null = null;
  transferDeadline = Infinity;
  /** A TakeOver may still arrive and depose us past all protection: no lease in this ballot any more. */
  leaseForfeited = false;

  lastWrite = 0;
  durableWrite = 0;
  /** The journal: where it begins, where it ends, and the promise in its last record. */
  #journalStart: number;
  #journalEnd: number;
  #journalTerm: number;

  #seq = 0;

  constructor(options: {
    me: number;
    config: Readonly<ReplicaConfig>;
    configuration: Configuration;
    random: Random;
    stored: StoredState;
    now: number;
  }) {
    const { stored } = options;
    this.me = options.me;
    this.config = options.config;
    this.configuration = options.configuration;
    this.random = options.random;
    this.now = options.now;
    const { promised, lastIncludedIndex, lastIncludedTerm, chosen, votes } = readJournal(stored);
    this.term = promised;
    this.log = new Instances(lastIncludedIndex, lastIncludedTerm, promised);
    for (const [instance, { ballot, entry }] of votes) this.log.set({ instance, ballot, entry });
    this.snapshot = stored.snapshot && {
      index: lastIncludedIndex,
      term: lastIncludedTerm,
      data: stored.snapshot.data,
    };
    this.commitIndex = chosen;
    this.#journalStart = stored.snapshot?.index ?? 0;
    this.#journalEnd = this.#journalStart + stored.entries.length;
    this.#journalTerm = stored.entries.at(-1)?.term ?? stored.snapshot?.term ?? 0;
    assert(this.#journalTerm <= promised, () => `stored promise ${promised} is behind the votes' ${this.#journalTerm}`);
    // A restarted server no longer knows whether it has just promised a leader a lease: it waits one out.
    if (this.config.leaseReads && promised > 0) this.lastLeaderContact = this.now;
    this.resetElectionTimer();
  }

  nextSeq(): number {
    return ++this.#seq;
  }

  isLeader(): boolean {
    return this.role === "leader";
  }

  get majority(): number {
    return (this.configuration.voters.length >>> 1) + 1;
  }

  /** The lowest ballot of this server's own above all that it has seen. */
  nextOwnBallot(): number {
    return nextBallot(this.term, this.me, this.configuration.voters.length);
  }

  proposerOf(ballot: number): number {
    return proposerOf(ballot, this.configuration.voters.length);
  }

  acceptor(id: number): AcceptorProgress | undefined {
    for (const acceptor of this.acceptors) if (acceptor.id === id) return acceptor;
    return undefined;
  }

  // ---- promises and roles -------------------------------------------------------------------------------------------------

  /** Random, so that proposers do not outbid each other for ever ("Paxos Made Simple" §2.4). */
  resetElectionTimer(): void {
    const { electionTimeoutMinMs: min, electionTimeoutMaxMs: max } = this.config;
    this.electionDeadline = this.now + min + this.random.next() * (max - min);
  }

  promise(ballot: number): void {
    assert(ballot > this.term, () => `a promise going back from ${this.term} to ${ballot}`);
    this.term = ballot;
    this.#promiseChanged = true;
    this.effects.push({ type: "state" });
  }

  setRole(role: Role, leader: number | null): void {
    if (this.role === role && this.leader === leader) return;
    this.role = role;
    this.leader = leader;
    this.effects.push({ type: "state" });
  }

  /** Promises `ballot` where it is higher than all before, which an acceptor may at any time, and follows `leader`. */
  becomeFollower(ballot: number, leader: number | null): void {
    const isNew = ballot > this.term;
    if (isNew) this.promise(ballot);
    if (this.role !== "follower") this.resetElectionTimer();
    if (this.isLeader()) this.#endLeadership(isNew);
    this.prepareAgainAt = Infinity;
    this.adopted.clear();
    this.setRole("follower", leader);
  }

  #endLeadership(hasSuccessor: boolean): void {
    this.acceptors = [];
    this.acks.clear();
    this.#pendingVotes.length = 0;
    this.heartbeatAt = Infinity;
    this.needsFlush = false;
    const lost = this.reads.reset();
    if (lost.length > 0) this.effects.push({ type: "readLost", reads: lost });
    this.endTransfer(hasSuccessor);
    this.lastLeaderContact = -Infinity;
  }

  endTransfer(ok: boolean): void {
    if (this.transferTarget === null) return;
    this.transferTarget = null;
    this.transferDeadline = Infinity;
    this.effects.push({ type: "transfer", ok });
  }

  advanceCommit(index: number): void {
    assert(index > this.commitIndex, () => `commit going back from ${this.commitIndex} to ${index}`);
    this.commitIndex = index;
    this.learnFailures = 0;
    if (this.incomingSnapshot !== null && this.incomingSnapshot.index <= index) this.incomingSnapshot = null;
    this.effects.push({ type: "commit", index });
  }

  // ---- effects --------------------------------------------------------------------------------------------------------------

  send(to: number, message: Request, after = 0): void {
    this.effects.push({ type: "send", after, to, message });
  }

  /** Whatever an answer says, it says after all that was decided before it is durable. */
  reply(request: number, message: Reply): void {
    this.persistPromise();
    this.effects.push({ type: "reply", after: this.lastWrite, request, message });
  }

  persistPromise(): void {
    if (this.#promiseChanged) this.#persist(null, 0, NO_ENTRIES);
  }

  persistVotes(votes: readonly InstanceVote[]): void {
    if (votes.length === 0) return;
    const writer = this.#writer;
    this.#append(votes.map((vote) => encodeVote(writer, vote)));
  }

  get #writer(): Writer {
    return { promised: this.term, chosen: this.commitIndex };
  }

  /** Two writes: see journal.ts for what a crash between them leaves. */
  persistSnapshot({ index, term, data }: Snapshot): void {
    const records: Entry[] = [];
    const writer = this.#writer;
    if (this.#journalEnd === this.#journalStart) records.push(encodeFiller(writer));
    const position = this.#journalEnd + records.length;
    const positionTerm = records.length > 0 ? this.term : this.#journalTerm;
    records.push(encodeMark(writer, { position, lastIncludedIndex: index, lastIncludedTerm: term }));
    for (const vote of this.log.votesFrom(index + 1, this.log.lastIndex, Infinity)) {
      records.push(encodeVote(writer, vote));
    }
    this.#append(records);
    this.#persist({ index: position, term: positionTerm, data }, 0, NO_ENTRIES);
    this.#journalStart = position;
  }

  #append(records: readonly Entry[]): void {
    this.#persist(null, this.#journalEnd + 1, records);
    this.#journalEnd += records.length;
    this.#journalTerm = this.term;
  }

  #persist(snapshot: Snapshot | null, firstIndex: number, entries: readonly Entry[]): void {
    const write = ++this.lastWrite;
    const hardState = this.#promiseChanged ? { term: this.term, votedFor: null } : null;
    this.#promiseChanged = false;
    this.effects.push({ type: "persist", write, hardState, snapshot, discardLog: false, firstIndex, entries });
  }

  /** The last write holds this leader's own votes in these instances. */
  awaitOwnVotes(first: number, last: number): void {
    this.#pendingVotes.push({ write: this.lastWrite, first, last });
  }

  /** All writes up to `write` are durable; calls `voted` for own votes that this makes count. */
  markDurable(write: number, voted: (first: number, last: number) => void): void {
    assert(write <= this.lastWrite, () => `write ${write} was never asked for`);
    if (write > this.durableWrite) this.durableWrite = write;
    while (this.#pendingVotes.length > 0 && (this.#pendingVotes[0] as PendingVotes).write <= this.durableWrite) {
      const { first, last } = this.#pendingVotes.shift() as PendingVotes;
      voted(first, last);
    }
  }
}
