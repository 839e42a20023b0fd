import { checkProposer, followLeader } from "./acceptor.js";
import { becomeLeader } from "./leader.js";
import type { PaxosState } from "./state.js";
import type { InstanceVote, PrepareReply, TakeOver } from "./types.js";

/** No leader was heard of for too long. First ask whether it would be any use to raise the ballot (see `Prepare.probe`). */
export function leaderTimeout(state: PaxosState): void {
  if (!state.config.preVote) return prepare(state, 0);
  state.setRole("precandidate", null);
  clearPromises(state);
  state.promises.set(state.me, true);
  beginRequests(state);
  countPromises(state);
}

/** Phase 1a: a ballot higher than all seen, promised to oneself first, and durably, so that it is never used again. */
export function prepare(state: PaxosState, handover: number): void {
  if (state.isLeader()) state.becomeFollower(state.term, null);
  state.promise(state.nextOwnBallot());
  state.persistPromise();
  state.ownPromiseWrite = state.lastWrite;
  state.handover = handover;
  clearPromises(state);
  state.adopted.clear();
  state.chosenBefore = state.commitIndex;
  state.learnFailures = 0;
  adopt(state, state.log.votesFrom(state.commitIndex + 1, state.log.lastIndex, Infinity));
  state.setRole("candidate", null);
  beginRequests(state);
}

/** Also how far promises in several messages have come: it belongs to one ballot, and to nothing that is asked later. */
function clearPromises(state: PaxosState): void {
  state.promises.clear();
  state.missingFrom.clear();
}

function beginRequests(state: PaxosState): void {
  state.resetElectionTimer();
  requestPromises(state);
}

/** Asks all acceptors that have not answered; repeated at heartbeat pace, because requests and answers get lost. */
export function requestPromises(state: PaxosState): void {
  state.prepareAgainAt = state.now + state.config.heartbeatMs;
  for (const id of state.configuration.others) if (!state.promises.has(id)) requestPromise(state, id);
}

function requestPromise(state: PaxosState, id: number): void {
  const probe = state.role === "precandidate";
  state.send(
    id,
    {
      type: "prepare",
      ballot: probe ? state.nextOwnBallot() : state.term,
      sender: state.me,
      seq: state.nextSeq(),
      from: state.missingFrom.get(id) ?? state.commitIndex + 1,
      probe,
      handover: probe ? 0 : state.handover,
    },
    probe ? 0 : state.ownPromiseWrite,
  );
}

export function handlePrepareReply(state: PaxosState, from: number, message: PrepareReply): void {
  if (message.ballot > state.term) {
    // The highest ballot that anybody has seen: with the next attempt we are above it.
    state.becomeFollower(message.ballot, null);
    return;
  }
  // Only answers to this very question count; promises of an earlier ballot are worth nothing in this one.
  const asked = message.probe ? "precandidate" : "candidate";
  const askedBallot = message.probe ? state.nextOwnBallot() : state.term;
  if (state.role !== asked || message.requestBallot !== askedBallot || state.promises.has(from)) return;
  if (message.granted && !message.probe) {
    adopt(state, message.votes);
    if (message.commitIndex > state.chosenBefore) {
      state.chosenBefore = message.commitIndex;
      state.learnFrom = from;
    }
    if (message.next !== 0) {
      // A promise counts once all its votes are here. An answer that comes twice asks no second time.
      if (message.next <= (state.missingFrom.get(from) ?? 0)) return;
      state.missingFrom.set(from, message.next);
      // It goes on: to begin anew in a higher ballot would only take as long again.
      state.resetElectionTimer();
      return requestPromise(state, from);
    }
  }
  state.promises.set(from, message.granted);
  countPromises(state);
}

/** "Paxos Made Simple" P2c: of all votes told of in an instance the one of the highest ballot binds the proposer. */
function adopt(state: PaxosState, votes: readonly InstanceVote[]): void {
  for (const { ballot, entry, instance } of votes) {
    const known = state.adopted.get(instance);
    if (known === undefined || known.ballot < ballot) state.adopted.set(instance, { ballot, entry });
  }
}

/** A candidate's own promise counts once it is durable, like anybody's. */
export function countOwnPromise(state: PaxosState): void {
  if (state.role !== "candidate" || state.promises.has(state.me) || state.durableWrite < state.ownPromiseWrite) return;
  state.promises.set(state.me, true);
  countPromises(state);
}

function countPromises(state: PaxosState): void {
  const result = state.configuration.voteResult(state.promises);
  if (result === "lost") {
    state.becomeFollower(state.term, null);
  } else if (result === "won") {
    if (state.role === "precandidate") prepare(state, 0);
    else becomeLeader(state);
  }
}

/** Any acceptor can take over at once: what it lacks it gets in phase 1. */
export function handleTakeOver(state: PaxosState, request: number, message: TakeOver): void {
  checkProposer(state, message.ballot, message.sender);
  if (message.ballot >= state.term) {
    followLeader(state, message.ballot, message.sender);
    prepare(state, message.ballot);
  }
  state.reply(request, { type: "takeOverReply", ballot: state.term });
}
