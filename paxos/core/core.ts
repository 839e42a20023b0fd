import { assert, InvalidArgumentError } from "../../runtime/index.js";
import type { Random } from "../../runtime/index.js";
import { Configuration } from "../../replica/core/index.js";
import type { ReplicaConfig, ReplicaCore, StoredState } from "../../replica/core/index.js";
import { handleAccept, handlePrepare } from "./acceptor.js";
import { confirmReads, openReadRound } from "./barrier.js";
import { countVotes } from "./commit.js";
import {
  bestTransferTarget,
  continueTransfer,
  handleAcceptReply,
  handleUnanswered,
  hasQuorumContact,
  heartbeat,
  proposeAsLeader,
  sendAccepts,
  sendHeartbeat,
  startTransfer,
} from "./leader.js";
import { handleLearn, handleLearnReply, handleLearnUnanswered, isLearningInVain } from "./learner.js";
import {
  countOwnPromise,
  handlePrepareReply,
  handleTakeOver,
  leaderTimeout,
  prepare,
  requestPromises,
} from "./prepare.js";
import { PaxosState } from "./state.js";
import type { Effect, Event, Reply, Request } from "./types.js";

export interface PaxosCoreOptions {
  readonly me: number;
  readonly voters: readonly number[];
  readonly config: Readonly<ReplicaConfig>;
  readonly random: Random;
  readonly stored: StoredState;
  /** Milliseconds; every later `now` must not be smaller. */
  readonly now: number;
}

/** Votes are counted in the bits of one number. */
const MAX_SERVERS = 31;

/** Multi-Paxos as a deterministic state machine: a log of instances, and one ballot for all of them. */
export class PaxosCore implements ReplicaCore<Request, Reply, PaxosState> {
  readonly state: PaxosState;

  constructor(options: PaxosCoreOptions) {
    const { me, voters } = options;
    if (voters.length > MAX_SERVERS) {
      throw new InvalidArgumentError(`a Paxos group has at most ${MAX_SERVERS} servers, not ${voters.length}`);
    }
    this.state = new PaxosState({ configuration: new Configuration(voters, me), ...options });
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
    return Math.min(state.electionDeadline, state.prepareAgainAt);
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
        handleLearnUnanswered(state, event.seq);
        handleUnanswered(state, event.to, event.seq);
        break;
      case "persisted":
        state.markDurable(event.write, (first, last) => countVotes(state, state.me, first, last));
        countOwnPromise(state);
        break;
    }
    if (state.isLeader()) {
      // What was proposed before is chosen now. Later the heartbeats ask again.
      if (state.transferTarget !== null && !state.leaseForfeited) continueTransfer(state);
      confirmReads(state);
      // A write that completes at once must not send each proposal of a turn by itself: the caller flushes.
      const isOwnWrite = event.type === "persisted" && !state.reads.hasWaiting;
      if (state.needsFlush && event.type !== "request" && !isOwnWrite) this.flush(now);
    }
    state.persistPromise();
  }

  propose(now: number, commands: readonly Uint8Array[]): number {
    const state = this.#at(now);
    if (!state.isLeader() || state.transferTarget !== null) return 0;
    return proposeAsLeader(state, commands);
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
    for (const acceptor of state.acceptors) {
      const wasSent = sendAccepts(state, acceptor);
      if (isRound && !wasSent) sendHeartbeat(state, acceptor);
    }
    if (isRound) confirmReads(state);
  }

  compact(now: number, index: number, data: Uint8Array): boolean {
    const state = this.#at(now);
    const { log } = state;
    if (index > state.commitIndex) {
      throw new InvalidArgumentError(`snapshot at ${index} is ahead of the commit index ${state.commitIndex}`);
    }
    if (index <= log.lastIncludedIndex) return false;
    const { term } = log.entryAt(index);
    log.compactTo(index, term, state.term);
    state.snapshot = { index, term, data };
    state.persistSnapshot(state.snapshot);
    return true;
  }

  transfer(now: number, target?: number): boolean {
    const state = this.#at(now);
    if (!state.isLeader()) return false;
    const to = target ?? bestTransferTarget(state);
    if (to === null) return false;
    if (state.acceptor(to) === undefined) {
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

  #at(now: number): PaxosState {
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
      if (isLearningInVain(state)) return prepare(state, 0);
      heartbeat(state);
      continueTransfer(state);
    } else if (state.now >= state.electionDeadline) {
      leaderTimeout(state);
    } else if (state.now >= state.prepareAgainAt) {
      requestPromises(state);
    }
  }

  #request(request: number, message: Request): void {
    const { state } = this;
    switch (message.type) {
      case "prepare":
        return handlePrepare(state, request, message);
      case "accept":
        return handleAccept(state, request, message);
      case "learn":
        return handleLearn(state, request, message);
      case "takeOver":
        return handleTakeOver(state, request, message);
    }
  }

  #reply(from: number, message: Reply): void {
    const { state } = this;
    switch (message.type) {
      case "prepareReply":
        return handlePrepareReply(state, from, message);
      case "acceptReply":
        return handleAcceptReply(state, from, message);
      case "learnReply":
        return handleLearnReply(state, from, message);
      case "takeOverReply":
        if (message.ballot > state.term) state.becomeFollower(message.ballot, null);
    }
  }
}
