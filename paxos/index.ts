export { makePaxos, type PaxosInput, type PaxosObserver, type PaxosOptions } from "./paxos.js";
export { decodeVote, readJournal, type StoredVotes } from "./core/index.js";
export type {
  Effect as PaxosEffect,
  InstanceVote,
  PaxosState,
  Reply as PaxosReply,
  Request as PaxosRequest,
  Vote,
} from "./core/index.js";
