export { makePaxos, type PaxosInput, type PaxosObserver, type PaxosOptions } from "./paxos.js";
export type {
  Effect as PaxosEffect,
  InstanceVote,
  PaxosState,
  Reply as PaxosReply,
  Request as PaxosRequest,
  Vote,
} from "./core/index.js";
export { Acceptor, type AcceptorState } from "./acceptor.js";
export type { AcceptorStats } from "./acceptor-store.js";
export { compareBallots, NO_BALLOT, type Ballot } from "./ballot.js";
export { AcceptorFailedError, QuorumFailedError, TrimmedError } from "./errors.js";
export type { Proposal, Register } from "./messages.js";
export { makePaxosKV, type PaxosKV, type PaxosKVOptions, type Versioned } from "./paxos-kv.js";
export { Proposer, type Outcome, type Phase, type Phase1 } from "./proposer.js";
export type { ProposerOptions } from "./settings.js";
export { startAcceptor, type AcceptorOptions, type AcceptorServer } from "./service.js";
