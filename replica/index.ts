export { ApplyChannel } from "./apply-channel.js";
export type { CoreOptions, Engine, LogOptions, ReplicaOptions } from "./engine.js";
export { BadMessageError, KilledError, NotLeaderError, StorageFailedError, TransferError } from "./errors.js";
export type { ReplicaInput, ReplicaObserver } from "./observer.js";
export { Persister } from "./persister.js";
export { makeReplica } from "./replica.js";
export type { Storage, StorageWrite } from "./storage.js";
export type { ApplyMsg, FollowerStatus, Replica, ReplicaStatus, Role } from "./types.js";
export * from "./core/index.js";
