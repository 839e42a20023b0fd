export { DirectoryLockedError } from "./disk.js";
export type { Disk, DiskFile, DiskLock } from "./disk.js";
export type { CallOptions, Clock, Random, Runtime, TimerHandle } from "./types.js";
export { AbortError, assert, InvalidArgumentError, InvariantError, KvraftError, TimeoutError } from "./errors.js";
export { forkRandom, hashString, SeededRandom } from "./random.js";
export { atTurnEnd, realRuntime, sleepOn } from "./real.js";
export { decode, DecodeError, encode, EncodeError } from "./codec.js";
