export { DataLostError } from "./admission.js";
export { ConfigError } from "./checks.js";
export type { ClusterConfig, LogLevel, NodeAddress, NodeConfig, TlsConfig } from "./config.js";
export {
  connect,
  KvClient,
  RequestRefusedError,
  UnavailableError,
  type ClientOptions,
  type NodeAnswer,
} from "./connect.js";
export { ForwardedError } from "./forward.js";
export { CloseTimeoutError } from "./group.js";
export { WrongDirectoryError } from "./identity.js";
export { inspect } from "./inspect.js";
export { KvNode, startNode } from "./node.js";
export type { CloseOptions, NodeEvents, NodeOptions } from "./node-options.js";
export {
  CallbackError,
  ClientClosedError,
  GroupStoppedError,
  NoAddressError,
  UnknownGroupError,
} from "./mypaxos/errors.js";
export type { PaxosCallback, PaxosStateMachine } from "./mypaxos/callback.js";
export { PaxosClient, type PaxosClientOptions } from "./mypaxos/client.js";
export type { PaxosConfig } from "./mypaxos/config.js";
export { PaxosNode, startPaxosNode, type PaxosNodeEvents, type PaxosNodeOptions } from "./mypaxos/node.js";
export type { GroupStatus, NodeStatus, PeerStatus } from "./status.js";
export {
  CorruptLogError,
  DiskFailedError,
  DiskFullError,
  formatInspection,
  FormatTooNewError,
  openStorage,
  type DurableStorage,
  type Inspection,
  type StorageOptions,
} from "./storage/index.js";
export {
  connectTo,
  listen,
  ListenError,
  RefusedError,
  UnsafeBindError,
  type ConnectOptions,
  type ListenOptions,
  type Logger,
  type TcpEnd,
  type TransportLimits,
  type TransportServer,
} from "./transport/index.js";
