import { assert } from "../runtime/index.js";
import type { Entry, HardState, Snapshot, StoredState } from "./core/index.js";
import type { Storage, StorageWrite } from "./storage.js";

/** An entry's size as a msgpack tuple [term, type, bytes]: what it would take in a file. */
function entrySize(entry: Entry): number {
  const length = entry.data.length;
  return 2 + integerSize(entry.term) + (length < 256 ? 2 : length < 65_536 ? 3 : 5) + length;
}

function integerSize(value: number): number {
  if (value < 128) return 1;
  if (value < 256) return 2;
  return value < 65_536 ? 3 : value < 2 ** 32 ? 5 : 9;
}

/**
 * The labs' Persister: stable storage in memory, written synchronously. A server that is killed leaves its persister
 * behind; the next one starts from a `copy()`, so that a zombie cannot write into its successor's storage.
 */
export class Persister implements Storage {
  #hardState: HardState = { term: 0, votedFor: null };
  #snapshot: Snapshot | null = null;
  #entries: Entry[] = [];
  #entriesSize = 0;

  /** Bytes of term, vote and log, as a file of msgpack records would take them; without the snapshot. */
  raftStateSize(): number {
    const { term, votedFor } = this.#hardState;
    return 1 + integerSize(term) + integerSize(votedFor ?? 0) + this.#entriesSize;
  }

  snapshotSize(): number {
    return this.#snapshot?.data.length ?? 0;
  }

  /** The stored snapshot, a copy; null where there is none. */
  readSnapshot(): Uint8Array | null {
    return this.#snapshot && this.#snapshot.data.slice();
  }

  /** An independent persister with the same content. */
  copy(): Persister {
    const copy = new Persister();
    copy.#hardState = this.#hardState;
    copy.#snapshot = this.#snapshot;
    copy.#entries = this.#entries.slice();
    copy.#entriesSize = this.#entriesSize;
    return copy;
  }

  load(): StoredState {
    return { hardState: this.#hardState, snapshot: this.#snapshot, entries: this.#entries };
  }

  stateSize(): number {
    return this.raftStateSize();
  }

  write(write: StorageWrite, done: (error: Error | null) => void): void {
    if (write.hardState) this.#hardState = write.hardState;
    if (write.snapshot) this.#saveSnapshot(write.snapshot, write.discardLog);
    if (write.firstIndex > 0) this.#saveEntries(write.firstIndex, write.entries);
    done(null);
  }

  #saveSnapshot(snapshot: Snapshot, discardLog: boolean): void {
    const before = this.#snapshot?.index ?? 0;
    assert(snapshot.index > before, () => `snapshot at ${snapshot.index} would replace the one at ${before}`);
    const drop = discardLog ? this.#entries.length : Math.min(snapshot.index - before, this.#entries.length);
    for (let i = 0; i < drop; i++) this.#entriesSize -= entrySize(this.#entries[i] as Entry);
    this.#entries = this.#entries.slice(drop);
    this.#snapshot = snapshot;
  }

  #saveEntries(firstIndex: number, entries: readonly Entry[]): void {
    const offset = firstIndex - (this.#snapshot?.index ?? 0) - 1;
    assert(
      offset >= 0 && offset <= this.#entries.length,
      () => `entries from ${firstIndex} leave a gap in the stored log`,
    );
    while (this.#entries.length > offset) this.#entriesSize -= entrySize(this.#entries.pop() as Entry);
    for (const entry of entries) {
      this.#entries.push(entry);
      this.#entriesSize += entrySize(entry);
    }
  }
}
