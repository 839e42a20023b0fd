export type { AcceptorProgress } from "./acceptor-progress.js";
export { PaxosCore, type PaxosCoreOptions } from "./core.js";
export type { PaxosState } from "./state.js";
export * from "./types.js";
