import type { PersistEffect, StoredState } from "./core/index.js";

/** One change to stable storage: term and vote, a snapshot, a truncation with the entries that follow it; see the fields. */
export type StorageWrite = PersistEffect;

/**
 * Where a server keeps what must survive it. Changes are incremental; storage carries them out in the order of the
 * calls, each as a whole, and never reorders their completions.
 */
export interface Storage {
  /** What is stored, asked once before the first write. */
  load(): StoredState;
  /**
   * Makes `write` durable, then calls `done`; also synchronously, from inside the call. With an error the server stops:
   * after a failed write nobody knows what is on the disk.
   */
  write(write: StorageWrite, done: (error: Error | null) => void): void;
  /** Bytes of log and term/vote as stored, without the snapshot. */
  stateSize(): number;
}
