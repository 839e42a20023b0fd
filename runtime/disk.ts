import { KvraftError } from "./errors.js";

/**
 * The little of a file system that durable storage needs. It stands on the ground floor, beside Clock and Random, so that
 * the storage (server/) runs unchanged over the real one and over the simulated one (sim/), and neither room knows the
 * other. Errors carry Node's codes: ENOSPC, EIO and so on.
 */
export interface Disk {
  /** Makes the directory and its parents where they do not exist; they are durable then. */
  makeDirectory(path: string): Promise<void>;
  /** The names in a directory, in no particular order. */
  list(directory: string): Promise<string[]>;
  /** The whole content of a file. */
  read(path: string): Promise<Uint8Array>;
  /** Opens a file for writing: `create` makes a new, empty one and replaces what was there. */
  open(path: string, mode: "create" | "existing"): Promise<DiskFile>;
  /** Gives the file at `from` the name `to`, in place of the file that had it. Durable after `syncDirectory`. */
  rename(from: string, to: string): Promise<void>;
  /** Durable after `syncDirectory`. */
  remove(path: string): Promise<void>;
  /** Makes the names that were made, changed and removed in this directory durable. */
  syncDirectory(path: string): Promise<void>;
  /**
   * Takes possession of a directory; the death of the process gives it back.
   * @throws DirectoryLockedError where a living process has it.
   */
  lock(directory: string): Promise<DiskLock>;
}

export interface DiskFile {
  /** Writes some of `bytes` at `position`, and says how many. What is written is durable after `sync`. */
  write(bytes: Uint8Array, position: number): Promise<number>;
  /** Offered where the system can do both in one operation: `write`, and what it wrote is durable when it ends. */
  writeSynced?(bytes: Uint8Array, position: number): Promise<number>;
  /** Makes content and size durable. After an error nobody knows what is on the disk: never try again (fsyncgate). */
  sync(): Promise<void>;
  truncate(size: number): Promise<void>;
  close(): Promise<void>;
}

export interface DiskLock {
  release(): Promise<void>;
}

/** Another process, or another part of this one, owns the directory. Code `DIRECTORY_LOCKED`. */
export class DirectoryLockedError extends KvraftError {
  readonly directory: string;
  /** The process that has the directory. */
  readonly pid: number;

  constructor(directory: string, pid: number) {
    super(
      "DIRECTORY_LOCKED",
      `the data directory ${directory} is in use by process ${pid}; stop that process, or give this one a directory of its own`,
    );
    this.directory = directory;
    this.pid = pid;
  }
}
