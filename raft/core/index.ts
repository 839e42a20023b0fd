export { defaultRaftConfig, resolveRaftConfig, type RaftConfig } from "./config.js";
export { RaftCore, type RaftCoreOptions } from "./core.js";
export { RefusedMessageError } from "./errors.js";
export { concatBytes } from "./bytes.js";
export { committedIndex, jointCommittedIndex, jointVoteResult, voteResult, type VoteResult } from "./quorum.js";
export type { RaftState, Role, StoredState } from "./state.js";
export * from "./types.js";
