export { EncodeError } from "../runtime/index.js";
export { RemoteError } from "./errors.js";
export type { RemoteErrorCode } from "./errors.js";
export { Network } from "./network.js";
export { makeService, Server } from "./server.js";
export type { ClientEnd, Handler, Service } from "./types.js";
