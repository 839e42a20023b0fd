export { connectTo, type ConnectOptions, type EndState, type TcpEnd } from "./end.js";
export {
  DisconnectedError,
  FrameError,
  ListenError,
  RefusedError,
  UnsafeBindError,
  type RefusalReason,
} from "./errors.js";
export { PROTOCOL_VERSION, type Role, type Secret } from "./handshake.js";
export { defaultTransportLimits, resolveLimits, type TransportLimits } from "./limits.js";
export { silentLogger, type Logger } from "./logger.js";
export type { GroupServers } from "./router.js";
export { listen, type ConnectionInfo, type ListenOptions, type TransportServer } from "./server.js";
export type { TransportTls } from "./settings.js";
