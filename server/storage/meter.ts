import { assert } from "../../runtime/index.js";
import type { Entry, HardState, StorageWrite, StoredState } from "../../raft/index.js";

/** What an entry takes in a record: its bytes and the headers around them, roughly. */
const ENTRY_OVERHEAD_BYTES = 8;
const HARD_STATE_BYTES = 16;

/** Keeps track of what the log holds as it was last asked for, before it is on the disk. */
export class LogMeter {
  /** Bytes of the log behind the snapshot, with term and vote. */
  bytes = HARD_STATE_BYTES;
  #snapshotIndex: number;
  readonly #sizes: number[] = [];

  constructor(state: StoredState) {
    this.#snapshotIndex = state.snapshot?.index ?? 0;
    this.#push(state.entries);
  }

  /** @throws InvariantError for a write that does not continue what is stored */
  note({ snapshot, discardLog, firstIndex, entries }: StorageWrite): void {
    if (snapshot !== null) {
      const before = this.#snapshotIndex;
      assert(snapshot.index > before, () => `snapshot at ${snapshot.index} would replace the one at ${before}`);
      const covered = discardLog ? this.#sizes.length : snapshot.index - before;
      assert(covered <= this.#sizes.length, () => `snapshot at ${snapshot.index} is ahead of the stored log`);
      for (const size of this.#sizes.splice(0, covered)) this.bytes -= size;
      this.#snapshotIndex = snapshot.index;
    }
    if (firstIndex > 0) {
      const keep = firstIndex - this.#snapshotIndex - 1;
      assert(keep >= 0 && keep <= this.#sizes.length, () => `entries from ${firstIndex} leave a gap in the stored log`);
      while (this.#sizes.length > keep) this.bytes -= this.#sizes.pop() as number;
      this.#push(entries);
    }
  }

  #push(entries: readonly Entry[]): void {
    for (const { data } of entries) {
      const size = data.length + ENTRY_OVERHEAD_BYTES;
      this.#sizes.push(size);
      this.bytes += size;
    }
  }
}

/** What the segments amount to so far: the base of the next one. */
export class LogEnd {
  hardState: HardState;
  lastIndex: number;

  constructor(hardState: HardState, lastIndex: number) {
    this.hardState = hardState;
    this.lastIndex = lastIndex;
  }

  note({ hardState, firstIndex, entries }: StorageWrite): void {
    if (hardState !== null) this.hardState = hardState;
    if (firstIndex > 0) this.lastIndex = firstIndex + entries.length - 1;
  }
}
