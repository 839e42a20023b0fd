export { RaftCore, type RaftCoreOptions } from "./core.js";
export type { RaftState, Role } from "./state.js";
export * from "./types.js";
export {
  committedIndex,
  concatBytes,
  Configuration,
  defaultReplicaConfig as defaultRaftConfig,
  jointCommittedIndex,
  jointVoteResult,
  RefusedMessageError,
  resolveReplicaConfig as resolveRaftConfig,
  voteResult,
  type ReplicaConfig as RaftConfig,
  type StoredState,
  type VoteResult,
} from "../../replica/core/index.js";
