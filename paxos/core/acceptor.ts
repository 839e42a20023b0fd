import { RefusedMessageError, type Entry } from "../../replica/core/index.js";
import { learnFromLeader } from "./learner.js";
import type { PaxosState } from "./state.js";
import type { Accept, InstanceVote, Prepare, PrepareReply } from "./types.js";

/** A ballot belongs to one proposer: in the name of another nobody can ask. */
export function checkProposer(state: PaxosState, ballot: number, sender: number): void {
  if (state.proposerOf(ballot) === sender) return;
  throw new RefusedMessageError(
    `server ${sender} uses ballot ${ballot}, which is server ${state.proposerOf(ballot)}'s`,
  );
}

/** Phase 1b: promise not to vote in lower ballots, and tell what was voted for so far. */
export function handlePrepare(state: PaxosState, request: number, message: Prepare): void {
  checkProposer(state, message.ballot, message.sender);
  const granted = decidePromise(state, message);
  let votes: InstanceVote[] = [];
  let next = 0;
  if (granted && !message.probe) {
    const isNew = message.ballot > state.term;
    if (isNew) state.becomeFollower(message.ballot, null);
    // What is chosen the proposer gets from a learner; beyond that it needs every vote.
    const from = Math.max(message.from, state.commitIndex + 1);
    votes = state.log.votesFrom(from, state.log.lastIndex, state.config.maxAppendBytes);
    const last = votes.at(-1)?.instance ?? state.log.lastIndex;
    if (last < state.log.lastIndex) next = last + 1;
    // Who asks needs time: also for each further part of a promise that takes several messages.
    if (isNew || next !== 0) state.resetElectionTimer();
  }
  state.reply(request, answer(state, message, granted, votes, next));
}

function answer(
  state: PaxosState,
  { ballot: requestBallot, probe }: Prepare,
  granted: boolean,
  votes: readonly InstanceVote[],
  next: number,
): PrepareReply {
  const { term: ballot, commitIndex } = state;
  return { type: "prepareReply", ballot, requestBallot, probe, granted, commitIndex, votes, next };
}

function decidePromise(state: PaxosState, { ballot, from, handover, probe, sender }: Prepare): boolean {
  if (ballot < state.term) return false;
  // To refuse is always safe. Who hears from a leader keeps it, unless that leader itself wants another ballot, or had
  // asked the sender to take over: a wish of an earlier ballot, which comes late, is not this leader's.
  const isWished = sender === state.leader || (handover !== 0 && handover === state.term);
  if (ballot > state.term && !isWished && leaderIsAlive(state)) return false;
  // Who would first need our snapshot had better not lead: somebody else can at once.
  return !probe || (ballot > state.term && from > state.log.lastIncludedIndex);
}

function leaderIsAlive(state: PaxosState): boolean {
  if (state.isLeader()) return true;
  return state.now - state.lastLeaderContact < state.config.electionTimeoutMinMs;
}

/** A message of the leader of this or a higher ballot: follow it. */
export function followLeader(state: PaxosState, ballot: number, leader: number): void {
  state.becomeFollower(ballot, leader);
  state.lastLeaderContact = state.now;
  state.resetElectionTimer();
}

/** Phase 2b: vote, unless a higher ballot was promised. No prepare need have come here before. */
export function handleAccept(state: PaxosState, request: number, message: Accept): void {
  const { ballot, sender, seq, first, entries } = message;
  checkProposer(state, ballot, sender);
  const isAccepted = ballot >= state.term;
  if (isAccepted) {
    checkValues(state, message);
    followLeader(state, ballot, sender);
    vote(state, message);
    learnFromLeader(state, message);
  }
  state.reply(request, {
    type: "acceptReply",
    ballot: state.term,
    seq,
    readContext: isAccepted ? message.readContext : 0,
    first,
    // The asker may lead again by now, in the very ballot that is told here: only votes that were given may look so.
    count: isAccepted ? entries.length : 0,
    commitIndex: state.commitIndex,
  });
}

/** A ballot has one value in an instance, and once one is chosen all later ballots have that. */
function checkValues({ commitIndex, log }: PaxosState, { ballot, entries, first }: Accept): void {
  for (const [i, { term }] of entries.entries()) {
    const before = log.voteAt(first + i);
    if (before === undefined || before.entry.term === term) continue;
    if (before.ballot < ballot && first + i > commitIndex) continue;
    throw new RefusedMessageError(
      `ballot ${ballot} proposes another value for instance ${first + i} than ballot ${before.ballot}`,
    );
  }
}

function vote(state: PaxosState, { ballot, entries, first }: Accept): void {
  const { log } = state;
  const votes: InstanceVote[] = [];
  for (let i = 0; i < entries.length; i++) {
    const instance = first + i;
    const entry = entries[i] as Entry;
    // Chosen, and in the snapshot: the leader of a higher ballot can only propose the same again.
    if (instance <= log.lastIncludedIndex) continue;
    const before = log.voteAt(instance);
    if (before !== undefined && (before.ballot >= ballot || instance <= state.commitIndex)) continue;
    const fresh = { instance, ballot, entry };
    log.set(fresh);
    votes.push(fresh);
  }
  state.persistVotes(votes);
}
