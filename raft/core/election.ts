import { becomeLeader } from "./leader.js";
import type { RaftState } from "./state.js";
import type { RequestVote, RequestVoteReply } from "./types.js";

/** The election timer ran out (§5.2). With pre-vote, first ask whether it would be any use (dissertation §9.6). */
export function electionTimeout(state: RaftState): void {
  if (state.config.preVote) startPreVote(state);
  else campaign(state, false);
}

function startPreVote(state: RaftState): void {
  state.setRole("precandidate", null);
  state.votes.clear();
  state.votes.set(state.me, true);
  beginRequests(state, false);
  countVotes(state);
}

/** §5.2: next term, vote for oneself, ask the others once that is durable. */
export function campaign(state: RaftState, transfer: boolean): void {
  state.setTerm(state.term + 1, state.me);
  state.persistHardState();
  state.ownVoteWrite = state.lastWrite;
  state.votes.clear();
  state.setRole("candidate", null);
  beginRequests(state, transfer);
}

function beginRequests(state: RaftState, transfer: boolean): void {
  state.campaignIsTransfer = transfer;
  state.resetElectionTimer();
  requestVotes(state);
}

/** Asks all voters that have not answered; repeated at heartbeat pace, because requests and answers get lost. */
export function requestVotes(state: RaftState): void {
  const preVote = state.role === "precandidate";
  state.voteRetryAt = state.now + state.config.heartbeatMs;
  for (const voter of state.configuration.others) {
    if (state.votes.has(voter)) continue;
    const message: RequestVote = {
      type: "requestVote",
      term: preVote ? state.term + 1 : state.term,
      candidate: state.me,
      seq: state.nextSeq(),
      lastLogIndex: state.log.lastIndex,
      lastLogTerm: state.log.lastTerm,
      preVote,
      transfer: state.campaignIsTransfer,
    };
    state.send(voter, message, preVote ? 0 : state.ownVoteWrite);
  }
}

export function handleRequestVote(state: RaftState, request: number, message: RequestVote): void {
  const granted = decideVote(state, message);
  if (granted && !message.preVote) {
    if (state.votedFor === null) state.setTerm(state.term, message.candidate);
    state.resetElectionTimer();
  }
  state.reply(request, {
    type: "requestVoteReply",
    term: state.term,
    requestTerm: message.term,
    preVote: message.preVote,
    granted,
  });
}

function decideVote(state: RaftState, message: RequestVote): boolean {
  if (message.term < state.term) return false;
  // §4.2.3: who hears from a leader keeps it; otherwise a server that was cut off would depose it on its return.
  if (!message.transfer && leaderIsAlive(state)) return false;
  const upToDate = state.log.isUpToDate(message.lastLogIndex, message.lastLogTerm);
  // A pre-vote changes nothing here, neither term nor vote nor timer.
  if (message.preVote) return message.term > state.term && upToDate;
  if (message.term > state.term) state.becomeFollower(message.term, null);
  return upToDate && (state.votedFor === null || state.votedFor === message.candidate);
}

function leaderIsAlive(state: RaftState): boolean {
  if (state.isLeader()) return true;
  return state.now - state.lastLeaderContact < state.config.electionTimeoutMinMs;
}

export function handleRequestVoteReply(state: RaftState, from: number, message: RequestVoteReply): void {
  if (message.term > state.term) {
    // S04, S08: learn the term and nothing else; without it a server with a shorter log could block an election.
    state.becomeFollower(message.term, null);
    return;
  }
  // §5.2, mutation 19: only answers to this very campaign count.
  const asked = message.preVote ? "precandidate" : "candidate";
  const askedTerm = message.preVote ? state.term + 1 : state.term;
  if (state.role !== asked || message.requestTerm !== askedTerm) return;
  state.votes.set(from, message.granted);
  countVotes(state);
}

/** A candidate's own vote counts once it is durable, like anybody's. */
export function countOwnVote(state: RaftState): void {
  if (state.role !== "candidate" || state.votes.has(state.me) || state.durableWrite < state.ownVoteWrite) return;
  state.votes.set(state.me, true);
  countVotes(state);
}

function countVotes(state: RaftState): void {
  const result = state.configuration.voteResult(state.votes);
  if (result === "lost") {
    state.becomeFollower(state.term, null);
  } else if (result === "won") {
    if (state.role === "precandidate") campaign(state, false);
    else becomeLeader(state);
  }
}
