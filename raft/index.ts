export { makeRaft } from "./raft.js";
export type { RaftOptions } from "./options.js";
export type { RaftInput, RaftObserver } from "./observer.js";
export { Persister } from "./persister.js";
export { BadMessageError, KilledError, NotLeaderError, StorageFailedError, TransferError } from "./errors.js";
export {
  committedIndex,
  defaultRaftConfig,
  EntryType,
  jointCommittedIndex,
  jointVoteResult,
  RefusedMessageError,
  voteResult,
  type Effect as RaftEffect,
  type Entry,
  type HardState,
  type RaftConfig,
  type RaftState,
  type Reply as RaftReply,
  type Request as RaftRequest,
  type Snapshot,
  type StoredState,
  type VoteResult,
} from "./core/index.js";
export type { Storage, StorageWrite } from "./storage.js";
export type { ApplyMsg, FollowerStatus, Raft, RaftStatus, Role } from "./types.js";
