export { concatBytes } from "./bytes.js";
export { defaultReplicaConfig, resolveReplicaConfig, type ReplicaConfig } from "./config.js";
export { Configuration } from "./configuration.js";
export { RefusedMessageError } from "./errors.js";
export { committedIndex, jointCommittedIndex, jointVoteResult, voteResult, type VoteResult } from "./quorum.js";
export { ReadRounds } from "./reads.js";
export * from "./types.js";
