export { makeClerk, type Clerk } from "./clerk.js";
export {
  CommandKind,
  MAX_REQUEST_OPS,
  OpKind,
  type Command,
  type Op,
  type OpResult,
  type ReadOp,
  type ReadResult,
  type RequestArgs,
  type Slot,
  type WriteOp,
  type WriteResult,
} from "./commands.js";
export {
  ClosedError,
  LeadershipLostError,
  OverloadedError,
  SessionExpiredError,
  StateMachineError,
  StoppedError,
} from "./errors.js";
export { KvMachine, type Results } from "./kv-machine.js";
export { Status, type KVReply } from "./messages.js";
export type { ReplicatedLog } from "./replicated-log.js";
export {
  makeRsm,
  startRsm,
  type ApplyContext,
  type MakeLog,
  type Rsm,
  type RsmOptions,
  type SnapshotStorage,
  type StartRsmOptions,
  type StateMachine,
} from "./rsm.js";
export { startKVServer, type KVServer, type KVServerOptions, type KVServerStatus, type ReadMode } from "./server.js";
