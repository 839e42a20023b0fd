export { makeRaft, type RaftOptions } from "./raft.js";
export { Persister } from "./persister.js";
export { BadMessageError, KilledError, NotLeaderError, StorageFailedError, TransferError } from "./errors.js";
export {
  committedIndex,
  defaultRaftConfig,
  jointCommittedIndex,
  jointVoteResult,
  RefusedMessageError,
  voteResult,
  type Entry,
  type HardState,
  type RaftConfig,
  type Snapshot,
  type StoredState,
  type VoteResult,
} from "./core/index.js";
export type { Storage, StorageWrite } from "./storage.js";
export type { ApplyMsg, FollowerStatus, Raft, RaftStatus, Role } from "./types.js";
