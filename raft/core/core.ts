import { assert, InvalidArgumentError, type Random } from "../../runtime/index.js";
import { Configuration, type ReplicaConfig, type ReplicaCore, type StoredState } from "../../replica/core/index.js";
import { confirmReads, openReadRound } from "./barrier.js";
import { countOwnVote, electionTimeout, handleRequestVote, handleRequestVoteReply, requestVotes } from "./election.js";
import { handleAppendEntries, handleInstallSnapshot } from "./follower.js";
import {
  appendAsLeader,
  handleAppendEntriesReply,
  handleInstallSnapshotReply,
  handleUnanswered,
  hasQuorumContact,
  heartbeat,
  maybeCommit,
  sendAppends,
  sendHeartbeat,
} from "./leader.js";
import { RaftLog } from "./log.js";
import { RaftState } from "./state.js";
import { bestTransferTarget, continueTransfer, handleTimeoutNow, startTransfer } from "./transfer.js";
import { EntryType, type Effect, type Event, type Reply, type Request } from "./types.js";

export interface RaftCoreOptions {
  readonly me: number;
  readonly voters: readonly number[];
  readonly config: Readonly<ReplicaConfig>;
  readonly random: Random;
  readonly stored: StoredState;
  /** Milliseconds; every later `now` must not be smaller. */
  readonly now: number;
}

/** Raft as a deterministic state machine. */
export class RaftCore implements ReplicaCore<Request, Reply, RaftState> {
  readonly state: RaftState;

  constructor(options: RaftCoreOptions) {
    const { stored } = options;
    const log = new RaftLog(stored.snapshot?.index ?? 0, stored.snapshot?.term ?? 0, stored.entries);
    const configuration = new Configuration(options.voters, options.me);
    this.state = new RaftState({ configuration, log, ...options });
  }

  get effects(): readonly Effect[] {
    return this.state.effects;
  }

  takeEffects(): readonly Effect[] {
    const effects = this.state.effects;
    if (effects.length > 0) this.state.effects = [];
    return effects;
  }

  deadline(): number {
    const { state } = this;
    if (state.isLeader()) return Math.min(state.heartbeatAt, state.transferDeadline);
    return Math.min(state.electionDeadline, state.voteRetryAt);
  }

  step(now: number, event: Event): void {
    const state = this.#at(now);
    switch (event.type) {
      case "tick":
        this.#tick();
        break;
      case "request":
        this.#request(event.request, event.message);
        break;
      case "reply":
        this.#reply(event.from, event.message);
        break;
      case "unanswered":
        handleUnanswered(state, event.to, event.seq);
        break;
      case "persisted":
        state.markDurable(event.write);
        countOwnVote(state);
        if (state.isLeader()) maybeCommit(state);
        break;
    }
    if (state.isLeader()) {
      if (event.type === "reply" && state.transferTarget !== null) this.#continueTransfer(event.from);
      confirmReads(state);
      // A write that completes at once must not send each proposal of a turn by itself: the caller flushes.
      const isOwnWrite = event.type === "persisted" && !state.reads.hasWaiting;
      if (state.needsFlush && event.type !== "request" && !isOwnWrite) this.flush(now);
    }
    state.persistHardState();
  }

  propose(now: number, commands: readonly Uint8Array[]): number {
    const state = this.#at(now);
    if (!state.isLeader() || state.transferTarget !== null) return 0;
    const { term } = state;
    return appendAsLeader(
      state,
      commands.map((data) => ({ term, type: EntryType.command, data })),
    );
  }

  read(now: number, read: number): boolean {
    const state = this.#at(now);
    if (!state.isLeader()) return false;
    state.reads.add(read);
    state.needsFlush = true;
    return true;
  }

  flush(now: number): void {
    const state = this.#at(now);
    if (!state.needsFlush) return;
    state.needsFlush = false;
    const isRound = openReadRound(state);
    for (const progress of state.followers) {
      const wasSent = sendAppends(state, progress);
      if (isRound && !wasSent) sendHeartbeat(state, progress);
    }
    if (isRound) confirmReads(state);
  }

  /** §7. */
  compact(now: number, index: number, data: Uint8Array): boolean {
    const state = this.#at(now);
    if (index > state.commitIndex) {
      throw new InvalidArgumentError(`snapshot at ${index} is ahead of the commit index ${state.commitIndex}`);
    }
    if (index <= state.log.lastIncludedIndex) return false;
    state.log.compactTo(index);
    state.snapshot = { index, term: state.log.lastIncludedTerm, data };
    state.persistSnapshot(state.snapshot, false);
    return true;
  }

  /** Dissertation §3.10. */
  transfer(now: number, target?: number): boolean {
    const state = this.#at(now);
    if (!state.isLeader()) return false;
    const to = target ?? bestTransferTarget(state);
    if (to === null) return false;
    if (state.progressOf(to) === undefined) {
      throw new InvalidArgumentError(`server ${to} is not a follower of server ${state.me}`);
    }
    startTransfer(state, to);
    return true;
  }

  stepDown(now: number): void {
    const state = this.#at(now);
    if (!state.isLeader()) return;
    state.becomeFollower(state.term, null);
    state.electionDeadline += state.config.electionTimeoutMaxMs;
  }

  #at(now: number): RaftState {
    assert(now >= this.state.now, () => `time went back from ${this.state.now} to ${now}`);
    this.state.now = now;
    return this.state;
  }

  #tick(): void {
    const { state } = this;
    if (state.isLeader()) {
      if (state.now >= state.transferDeadline) state.endTransfer(false);
      if (state.now < state.heartbeatAt) return;
      if (state.config.checkQuorum && !hasQuorumContact(state)) {
        state.becomeFollower(state.term, null);
        return;
      }
      heartbeat(state);
      continueTransfer(state);
    } else if (state.now >= state.electionDeadline) {
      electionTimeout(state);
    } else if (state.now >= state.voteRetryAt) {
      requestVotes(state);
    }
  }

  #request(request: number, message: Request): void {
    const { state } = this;
    switch (message.type) {
      case "requestVote":
        return handleRequestVote(state, request, message);
      case "appendEntries":
        return handleAppendEntries(state, request, message);
      case "installSnapshot":
        return handleInstallSnapshot(state, request, message);
      case "timeoutNow":
        return handleTimeoutNow(state, request, message);
    }
  }

  #reply(from: number, message: Reply): void {
    const { state } = this;
    switch (message.type) {
      case "requestVoteReply":
        return handleRequestVoteReply(state, from, message);
      case "appendEntriesReply":
        return handleAppendEntriesReply(state, from, message);
      case "installSnapshotReply":
        return handleInstallSnapshotReply(state, from, message);
      case "timeoutNowReply":
        if (message.term > state.term) state.becomeFollower(message.term, null);
    }
  }

  /** The target's log has just grown to the end of ours. */
  #continueTransfer(from: number): void {
    if (from === this.state.transferTarget && !this.state.leaseForfeited) continueTransfer(this.state);
  }
}
