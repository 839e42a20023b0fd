export type { AcceptorProgress } from "./acceptor-progress.js";
export { PaxosCore, type PaxosCoreOptions } from "./core.js";
export { decodeVote, readJournal, type StoredVotes } from "./journal.js";
export type { PaxosState } from "./state.js";
export * from "./types.js";
