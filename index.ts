/**
 * The main names of every room; each room has the rest under its own path: "kvraft/labrpc", "kvraft/raft",
 * "kvraft/paxos", "kvraft/kvraft", "kvraft/sim". The real cluster is "kvraft/server".
 */
export {
  AbortError,
  EncodeError,
  InvalidArgumentError,
  InvariantError,
  KvraftError,
  realRuntime,
  SeededRandom,
  TimeoutError,
} from "./runtime/index.js";
export type { CallOptions, Clock, Random, Runtime, TimerHandle } from "./runtime/index.js";
export { makeService, Network, RemoteError, Server } from "./labrpc/index.js";
export type { ClientEnd, Service } from "./labrpc/index.js";
export { makeRaft, Persister } from "./raft/index.js";
export type { ApplyMsg, Raft, RaftConfig } from "./raft/index.js";
export { makePaxos, makePaxosKV, startAcceptor } from "./paxos/index.js";
export type { PaxosKV } from "./paxos/index.js";
export { makeClerk, startKVServer, startRsm } from "./kvraft/index.js";
export type { Clerk, KVServer, Rsm, StateMachine } from "./kvraft/index.js";
export { checkLinearizable, HistoryRecorder, simulate, SimulationDeadlock } from "./sim/index.js";
export type { HistoryEvent } from "./sim/index.js";
