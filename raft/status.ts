import type { RaftState } from "./core/index.js";
import type { ReplicaStatus } from "../replica/index.js";

/** The figures of a server at this moment, as plain data that later changes do not touch. */
export function describeStatus(state: RaftState, appliedIndex: number, killed: boolean): ReplicaStatus {
  const { log } = state;
  return {
    id: state.me,
    role: state.role,
    term: state.term,
    votedFor: state.votedFor,
    leader: state.leader,
    commitIndex: state.commitIndex,
    appliedIndex,
    durableIndex: state.durableIndex,
    lastIncludedIndex: log.lastIncludedIndex,
    lastIncludedTerm: log.lastIncludedTerm,
    lastIndex: log.lastIndex,
    lastTerm: log.lastTerm,
    killed,
    isSettled: state.isLeader() && log.termAt(state.commitIndex) === state.term,
    followers: state.followers.map((progress) => ({
      id: progress.id,
      state: progress.state,
      matchIndex: progress.matchIndex,
      hasStored: progress.matchIndex > 0,
      nextIndex: progress.nextIndex,
      inflightMessages: progress.inflightMessages,
      inflightBytes: progress.inflightBytes,
      active: state.now - progress.lastAnswerAt < state.config.electionTimeoutMaxMs,
    })),
  };
}
