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
export { KvNode, startNode, type CloseOptions, type NodeEvents, type NodeOptions } from "./node.js";
export type { GroupStatus, NodeStatus, PeerStatus } from "./status.js";
export {
  CorruptLogError,
  DiskFailedError,
  DiskFullError,
  formatInspection,
  FormatTooNewError,
  inspect,
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
