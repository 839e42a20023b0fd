import { assert } from "../../runtime/index.js";
import { EntryType, type Entry } from "../../replica/core/index.js";
import { AcceptorProgress } from "./acceptor-progress.js";
import { countVotes } from "./commit.js";
import { VOTE_OVERHEAD_BYTES } from "./instances.js";
import { askForChosen, noteChosen } from "./learner.js";
import type { PaxosState } from "./state.js";
import type { AcceptReply, InstanceVote } from "./types.js";

const NO_ENTRIES: readonly Entry[] = [];
const NO_DATA = new Uint8Array(0);

/**
 * Phase 1 is over, for all instances at once: from now on each value takes phase 2 alone. Instances in which a vote was
 * told of get that value again; those without one, among others that have one, get a no-op, for nothing can have been
 * chosen there, and nothing behind them could be applied otherwise.
 */
export function becomeLeader(state: PaxosState): void {
  const { adopted, commitIndex, log, me, term: ballot } = state;
  assert(state.role === "candidate", () => `a ${state.role} cannot become leader`);
  state.setRole("leader", me);
  state.prepareAgainAt = Infinity;
  state.leaseForfeited = false;
  const chosenBefore = Math.max(state.chosenBefore, commitIndex);
  state.chosenBefore = chosenBefore;
  let last = chosenBefore;
  for (const instance of adopted.keys()) if (instance > last) last = instance;
  log.extendTo(last);
  state.recoveredTo = last;
  const noop: Entry = { term: ballot, type: EntryType.noop, data: NO_DATA };
  const entries: Entry[] = [];
  for (let i = chosenBefore + 1; i <= last; i++) entries.push(adopted.get(i)?.entry ?? noop);
  if (state.config.noopOnElection) entries.push(noop);
  adopted.clear();
  state.acceptors = state.configuration.others.map((id) => new AcceptorProgress(id, chosenBefore + 1, state.now));
  voteAsLeader(state, chosenBefore + 1, entries);
  if (state.learnFrom !== null) noteChosen(state, chosenBefore, state.learnFrom);
  heartbeat(state);
}

/** The leader is an acceptor too; its disk write runs in parallel with its messages. */
function voteAsLeader(state: PaxosState, first: number, entries: readonly Entry[]): void {
  if (entries.length === 0) return;
  const votes: InstanceVote[] = entries.map((entry, i) => ({ instance: first + i, ballot: state.term, entry }));
  for (const vote of votes) state.log.set(vote);
  state.persistVotes(votes);
  state.awaitOwnVotes(first, first + entries.length - 1);
  state.needsFlush = true;
}

/** New values take the instances behind all that are in use. Returns the first. */
export function proposeAsLeader(state: PaxosState, commands: readonly Uint8Array[]): number {
  const first = state.log.lastIndex + 1;
  const { term } = state;
  voteAsLeader(
    state,
    first,
    commands.map((data) => ({ term, type: EntryType.command, data })),
  );
  return first;
}

/** At heartbeat pace: every acceptor hears something, and what went unanswered for too long is sent again. */
export function heartbeat(state: PaxosState): void {
  state.heartbeatAt = state.now + state.config.heartbeatMs;
  if (state.config.leaseReads) state.reads.renewLease(state.now);
  askForChosen(state);
  for (const acceptor of state.acceptors) {
    const isOverdue = state.now - acceptor.oldestSentAt >= state.config.electionTimeoutMinMs / 2;
    if (isOverdue || acceptor.failures > 0) acceptor.retreat();
    sendAccepts(state, acceptor);
    // Without entries, so that it can find out what it lacks.
    sendHeartbeat(state, acceptor);
  }
}

/** A leader that cannot reach a majority must not keep clients waiting, nor protect itself. */
export function hasQuorumContact(state: PaxosState): boolean {
  const contact = state.configuration.majority(state.now, state.acceptors, lastAnswerAt);
  return state.now - contact < state.config.electionTimeoutMaxMs;
}

const lastAnswerAt = (acceptor: AcceptorProgress): number => acceptor.lastAnswerAt;

/** Phase 2a: asks for votes in the instances that are not chosen yet, while there is room. False where nothing was sent. */
export function sendAccepts(state: PaxosState, acceptor: AcceptorProgress): boolean {
  const { config, log } = state;
  let sent = false;
  // To one that does not answer, one message each heartbeat.
  const maxMessages = acceptor.failures > 0 ? 1 : config.maxInflightMessages;
  while (acceptor.canSend(maxMessages, config.maxInflightBytes)) {
    const first = firstToSend(state, acceptor);
    if (first > log.lastIndex) break;
    const entries: Entry[] = [];
    let bytes = 0;
    for (let i = first; i <= log.lastIndex && !hasVoted(state, acceptor.id, i); i++) {
      const entry = log.entryAt(i);
      bytes += entry.data.length + VOTE_OVERHEAD_BYTES;
      if (bytes > config.maxAppendBytes && entries.length > 0) break;
      entries.push(entry);
    }
    const seq = send(state, acceptor.id, first, entries);
    acceptor.sent({ seq, first, bytes, sentAt: state.now });
    acceptor.nextIndex = first + entries.length;
    sent = true;
  }
  return sent;
}

/** What is chosen the acceptor gets by learning; in what it has voted in it is not asked again. */
function firstToSend(state: PaxosState, acceptor: AcceptorProgress): number {
  let first = Math.max(acceptor.nextIndex, state.commitIndex + 1, state.chosenBefore + 1);
  while (first <= state.log.lastIndex && hasVoted(state, acceptor.id, first)) first++;
  return first;
}

function hasVoted(state: PaxosState, id: number, instance: number): boolean {
  return ((state.acks.get(instance) ?? 0) & (1 << id)) !== 0;
}

export function sendHeartbeat(state: PaxosState, acceptor: AcceptorProgress): void {
  send(state, acceptor.id, state.commitIndex + 1, NO_ENTRIES);
}

function send(state: PaxosState, to: number, first: number, entries: readonly Entry[]): number {
  const seq = state.nextSeq();
  state.send(to, {
    type: "accept",
    ballot: state.term,
    sender: state.me,
    seq,
    first,
    entries,
    commitIndex: state.commitIndex,
    readContext: state.reads.context,
  });
  return seq;
}

export function handleAcceptReply(state: PaxosState, from: number, message: AcceptReply): void {
  if (message.ballot > state.term) {
    // A higher ballot was promised: whoever asked for that may have told others already. This leader is deposed.
    state.becomeFollower(message.ballot, null);
    return;
  }
  // An answer in an earlier ballot of this server says nothing about this one.
  if (!state.isLeader() || message.ballot < state.term) return;
  const acceptor = state.acceptor(from);
  if (acceptor === undefined) return;
  acceptor.answered(message.seq, state.now);
  if (message.readContext > acceptor.readContext) acceptor.readContext = message.readContext;
  if (message.commitIndex > acceptor.commitIndex) acceptor.commitIndex = message.commitIndex;
  const last = message.first + message.count - 1;
  if (message.count > 0 && last <= state.log.lastIndex) {
    acceptor.votedIndex = Math.max(acceptor.votedIndex, last);
    countVotes(state, from, message.first, last);
  }
  sendAccepts(state, acceptor);
}

/** No answer came. The first time at once again, then at heartbeat pace: a dead server must not cause a storm. */
export function handleUnanswered(state: PaxosState, to: number, seq: number): void {
  const acceptor = state.acceptor(to);
  if (acceptor === undefined || !acceptor.isInflight(seq)) return;
  if (acceptor.failures++ > 0) return;
  acceptor.retreat();
  sendAccepts(state, acceptor);
}

// ---- handing over -----------------------------------------------------------------------------------------------------------

/**
 * Stops proposing and, once all that was proposed is chosen, asks `target` to prepare: the successor might not find what
 * few have voted for. Given up after an election timeout.
 */
export function startTransfer(state: PaxosState, target: number): void {
  state.endTransfer(false);
  state.transferTarget = target;
  state.transferDeadline = state.now + state.config.electionTimeoutMaxMs;
  continueTransfer(state);
}

/** Again at each heartbeat, for it may be lost. */
export function continueTransfer(state: PaxosState): void {
  if (state.transferTarget === null || state.commitIndex < state.log.lastIndex) return;
  state.leaseForfeited = true;
  const { me: sender, term: ballot } = state;
  state.send(state.transferTarget, { type: "takeOver", ballot, sender, seq: state.nextSeq() });
}

/** The one that has to learn the least. */
export function bestTransferTarget(state: PaxosState): number | null {
  let best: AcceptorProgress | null = null;
  for (const each of state.acceptors) if (best === null || each.commitIndex > best.commitIndex) best = each;
  return best?.id ?? null;
}
