export { DirectoryLockedError } from "./disk.js";
export type { Disk, DiskFile, DiskLock } from "./disk.js";
export type { CallOptions, Clock, Random, Runtime, TimerHandle } from "./types.js";
export { AbortError, assert, InvalidArgumentError, InvariantError, KvraftError, TimeoutError } from "./errors.js";
export { refusal, watchLimits, type LimitError } from "./limits.js";
export { forkRandom, hashString, SeededRandom } from "./random.js";
export { atTurnEnd, realRuntime, sleepOn } from "./real.js";
export { decode, DecodeError, encode, EncodeError } from "./codec.js";
