import { assert, type Random } from "../../runtime/index.js";
import { ReadRounds, type Configuration, type ReplicaConfig, type StoredState } from "../../replica/core/index.js";
import type { RaftLog } from "./log.js";
import { Progress } from "./progress.js";
import type { Effect, Entry, Reply, Request, Snapshot } from "./types.js";

const NO_ENTRIES: readonly Entry[] = [];

export type Role = "follower" | "precandidate" | "candidate" | "leader";

/** A snapshot that is still arriving (figure 13: chunks in order of offset). */
export interface IncomingSnapshot {
  readonly leader: number;
  readonly term: number;
  readonly lastIncludedIndex: number;
  readonly chunks: Uint8Array[];
  received: number;
}

interface PendingAppend {
  readonly write: number;
  lastIndex: number;
}

/**
 * The state of one server (figure 2) and the few steps that all parts of the protocol share: changing term and role,
 * putting out effects, and keeping track of what is durable. The parts themselves are functions over it: election,
 * replication, snapshots, reads, transfer.
 */
export class RaftState {
  readonly me: number;
  readonly config: Readonly<ReplicaConfig>;
  readonly configuration: Configuration;
  readonly random: Random;
  readonly log: RaftLog;

  now: number;
  effects: Effect[] = [];

  // Persistent (figure 2), as last decided; on disk once `durableWrite` has caught up.
  term: number;
  votedFor: number | null;
  snapshot: Snapshot | null;
  #hardStateChanged = false;

  // Volatile.
  role: Role = "follower";
  leader: number | null = null;
  commitIndex: number;
  electionDeadline = 0;
  /** When a leader last spoke to this server: it protects that leader from elections for a while (§4.2.3). */
  lastLeaderContact = -Infinity;
  incomingSnapshot: IncomingSnapshot | null = null;

  // Candidates.
  votes = new Map<number, boolean>();
  voteRetryAt = Infinity;
  /** The write that makes this candidate's own vote durable; only then it counts. */
  ownVoteWrite = 0;
  campaignIsTransfer = false;

  // Leaders.
  followers: readonly Progress[] = [];
  heartbeatAt = Infinity;
  /** Requests up to this one belong to earlier roles of this server. */
  seqBeforeLeading = 0;
  readonly reads = new ReadRounds();
  /** Entries were appended or reads asked for since the last flush. */
  needsFlush = false;
  transferTarget: number | null = null;
  transferDeadline = Infinity;
  /** A TimeoutNow of this term may still arrive and depose us past all protection: no lease until the next term (S35). */
  leaseForfeited = false;

  // Durability: writes are numbered, and complete in that order.
  lastWrite = 0;
  durableWrite = 0;
  durableIndex: number;
  readonly #pendingAppends: PendingAppend[] = [];

  #seq = 0;

  constructor(options: {
    me: number;
    config: Readonly<ReplicaConfig>;
    configuration: Configuration;
    random: Random;
    log: RaftLog;
    stored: StoredState;
    now: number;
  }) {
    const { stored } = options;
    this.me = options.me;
    this.config = options.config;
    this.configuration = options.configuration;
    this.random = options.random;
    this.log = options.log;
    this.now = options.now;
    this.term = stored.hardState.term;
    this.votedFor = stored.hardState.votedFor;
    this.snapshot = stored.snapshot;
    assert(this.log.lastTerm <= this.term, () => `stored term ${this.term} is behind the log's ${this.log.lastTerm}`);
    this.commitIndex = this.log.lastIncludedIndex;
    this.durableIndex = this.log.lastIndex;
    // A restarted server no longer knows whether it has just promised a leader a lease: it waits one out.
    if (this.config.leaseReads && this.term > 0) this.lastLeaderContact = this.now;
    this.resetElectionTimer();
  }

  nextSeq(): number {
    return ++this.#seq;
  }

  isLeader(): boolean {
    return this.role === "leader";
  }

  progressOf(id: number): Progress | undefined {
    for (const progress of this.followers) if (progress.id === id) return progress;
    return undefined;
  }

  // ---- terms and roles --------------------------------------------------------------------------------------------

  /** §5.2: a fresh random timeout each time keeps candidates from splitting votes for ever. */
  resetElectionTimer(): void {
    const { electionTimeoutMinMs: min, electionTimeoutMaxMs: max } = this.config;
    this.electionDeadline = this.now + min + this.random.next() * (max - min);
  }

  setTerm(term: number, votedFor: number | null): void {
    assert(
      term > this.term || (term === this.term && this.votedFor === null),
      () => `vote changed within term ${term}`,
    );
    if (term > this.term) this.effects.push({ type: "state" });
    this.term = term;
    this.votedFor = votedFor;
    this.#hardStateChanged = true;
  }

  setRole(role: Role, leader: number | null): void {
    if (this.role === role && this.leader === leader) return;
    this.role = role;
    this.leader = leader;
    this.effects.push({ type: "state" });
  }

  /**
   * Follows `leader` (or nobody yet) in `term`. Within a term the vote stays as it was (S03). A follower's election timer
   * goes on: only a leader's message or a granted vote resets it.
   */
  becomeFollower(term: number, leader: number | null): void {
    assert(term >= this.term, () => `term going back from ${this.term} to ${term}`);
    const ledBefore = this.isLeader();
    const newTerm = term > this.term;
    if (newTerm) this.setTerm(term, null);
    if (this.role !== "follower") this.resetElectionTimer();
    if (ledBefore) this.#endLeadership(newTerm);
    this.voteRetryAt = Infinity;
    this.setRole("follower", leader);
  }

  #endLeadership(newTerm: boolean): void {
    this.followers = [];
    this.heartbeatAt = Infinity;
    this.needsFlush = false;
    const lost = this.reads.reset();
    if (lost.length > 0) this.effects.push({ type: "readLost", reads: lost });
    this.endTransfer(newTerm);
    // Whoever leads next must not find this server protecting itself.
    this.lastLeaderContact = -Infinity;
  }

  endTransfer(ok: boolean): void {
    if (this.transferTarget === null) return;
    this.transferTarget = null;
    this.transferDeadline = Infinity;
    this.effects.push({ type: "transfer", ok });
  }

  // ---- effects ------------------------------------------------------------------------------------------------------

  send(to: number, message: Request, after = 0): void {
    this.effects.push({ type: "send", after, to, message });
  }

  /** Whatever an answer says, it says after all that was decided before it is durable (S21, and mutation 7). */
  reply(request: number, message: Reply): void {
    this.persistHardState();
    this.effects.push({ type: "reply", after: this.lastWrite, request, message });
  }

  persistHardState(): void {
    if (this.#hardStateChanged) this.#persist(null, false, 0, NO_ENTRIES);
  }

  /** Stores `entries` from `firstIndex` on, in place of what is there; term and vote go with them where they changed. */
  persistEntries(firstIndex: number, entries: readonly Entry[]): void {
    this.#persist(null, false, firstIndex, entries);
    if (this.durableIndex >= firstIndex) this.durableIndex = firstIndex - 1;
    // A pending write whose entries this one replaces must not count them later (S18).
    for (const pending of this.#pendingAppends) pending.lastIndex = Math.min(pending.lastIndex, firstIndex - 1);
    this.#pendingAppends.push({ write: this.lastWrite, lastIndex: firstIndex + entries.length - 1 });
  }

  persistSnapshot(snapshot: Snapshot, discardLog: boolean): void {
    this.#persist(snapshot, discardLog, 0, NO_ENTRIES);
    if (discardLog) {
      this.#pendingAppends.length = 0;
      this.durableIndex = 0;
    }
    this.#pendingAppends.push({ write: this.lastWrite, lastIndex: snapshot.index });
  }

  #persist(snapshot: Snapshot | null, discardLog: boolean, firstIndex: number, entries: readonly Entry[]): void {
    const write = ++this.lastWrite;
    const hardState = this.#hardStateChanged ? { term: this.term, votedFor: this.votedFor } : null;
    this.#hardStateChanged = false;
    this.effects.push({ type: "persist", write, hardState, snapshot, discardLog, firstIndex, entries });
  }

  /** All writes up to `write` are durable. */
  markDurable(write: number): void {
    assert(write <= this.lastWrite, () => `write ${write} was never asked for`);
    if (write <= this.durableWrite) return;
    this.durableWrite = write;
    while (this.#pendingAppends.length > 0 && (this.#pendingAppends[0] as PendingAppend).write <= write) {
      const { lastIndex } = this.#pendingAppends.shift() as PendingAppend;
      if (lastIndex > this.durableIndex) this.durableIndex = lastIndex;
    }
  }

  advanceCommit(index: number): void {
    assert(index <= this.log.lastIndex, () => `commit ${index} beyond the log's end ${this.log.lastIndex}`);
    if (index <= this.commitIndex) return;
    this.commitIndex = index;
    this.effects.push({ type: "commit", index });
  }
}
