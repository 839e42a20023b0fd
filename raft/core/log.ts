import { assert } from "../../runtime/index.js";
import type { Entry } from "./types.js";

/** What an entry adds to a message or a file, roughly: its bytes and a header. */
export const ENTRY_OVERHEAD_BYTES = 12;

/**
 * The log (§5.3) behind a snapshot (§7): entries lastIncludedIndex+1 .. lastIndex.
 *
 *     1 .. lastIncludedIndex | lastIncludedIndex+1 ........ lastIndex
 *         in the snapshot    |          entries[0..]
 *
 * Terms never decrease along a log (a leader appends only in its own, newest term), so terms are found by bisection.
 */
export class RaftLog {
  #entries: Entry[];
  #lastIncludedIndex: number;
  #lastIncludedTerm: number;

  constructor(lastIncludedIndex = 0, lastIncludedTerm = 0, entries: readonly Entry[] = []) {
    this.#lastIncludedIndex = lastIncludedIndex;
    this.#lastIncludedTerm = lastIncludedTerm;
    this.#entries = [...entries];
    for (let i = 0, term = lastIncludedTerm; i < entries.length; i++) {
      const next = (entries[i] as Entry).term;
      assert(next >= term, () => `stored log: entry ${lastIncludedIndex + 1 + i} has term ${next} after term ${term}`);
      term = next;
    }
  }

  get lastIncludedIndex(): number {
    return this.#lastIncludedIndex;
  }

  get lastIncludedTerm(): number {
    return this.#lastIncludedTerm;
  }

  get lastIndex(): number {
    return this.#lastIncludedIndex + this.#entries.length;
  }

  get lastTerm(): number {
    const length = this.#entries.length;
    return length === 0 ? this.#lastIncludedTerm : (this.#entries[length - 1] as Entry).term;
  }

  /** The term of the entry at `index`; undefined where it is in the snapshot or beyond the end. */
  termAt(index: number): number | undefined {
    const offset = index - this.#lastIncludedIndex;
    if (offset > 0) return this.#entries[offset - 1]?.term;
    return offset === 0 ? this.#lastIncludedTerm : undefined;
  }

  entryAt(index: number): Entry {
    const entry = this.#entries[index - this.#lastIncludedIndex - 1];
    assert(entry !== undefined, () => `no entry ${index} in log ${this.#lastIncludedIndex + 1}..${this.lastIndex}`);
    return entry;
  }

  append(entry: Entry): void {
    assert(entry.term >= this.lastTerm, () => `append of term ${entry.term} after term ${this.lastTerm}`);
    this.#entries.push(entry);
  }

  /** Drops the entries from `index` on. */
  truncateFrom(index: number): void {
    assert(index > this.#lastIncludedIndex, () => `truncation at ${index} inside the snapshot`);
    this.#entries.length = Math.min(this.#entries.length, index - this.#lastIncludedIndex - 1);
  }

  /** Drops the entries up to `index`, which a snapshot now holds. */
  compactTo(index: number): void {
    const term = this.termAt(index);
    assert(term !== undefined && index >= this.#lastIncludedIndex, () => `compaction at ${index} outside the log`);
    this.#entries = this.#entries.slice(index - this.#lastIncludedIndex);
    this.#lastIncludedIndex = index;
    this.#lastIncludedTerm = term;
  }

  /** Forgets all entries: the log continues after a snapshot that replaces them. */
  reset(lastIncludedIndex: number, lastIncludedTerm: number): void {
    this.#entries = [];
    this.#lastIncludedIndex = lastIncludedIndex;
    this.#lastIncludedTerm = lastIncludedTerm;
  }

  /** Entries from `from` up to `to` included, at most `maxBytes` of data but always one. */
  slice(from: number, to: number, maxBytes: number): readonly Entry[] {
    const start = from - this.#lastIncludedIndex - 1;
    const end = Math.min(to - this.#lastIncludedIndex, this.#entries.length);
    assert(start >= 0, () => `entries from ${from} are in the snapshot up to ${this.#lastIncludedIndex}`);
    if (end - start === 1) return [this.#entries[start] as Entry];
    let bytes = 0;
    let stop = start;
    while (stop < end) {
      bytes += (this.#entries[stop] as Entry).data.length + ENTRY_OVERHEAD_BYTES;
      if (bytes > maxBytes && stop > start) break;
      stop++;
    }
    return this.#entries.slice(start, stop);
  }

  /**
   * The last index up to `limit` whose term is at most `term`, not below the snapshot's end. Both sides of a failed
   * append use it: entries above it cannot match, because terms only grow along a log. That skips whole terms (§5.3).
   */
  lastIndexWithTermAtMost(limit: number, term: number): number {
    let low = this.#lastIncludedIndex;
    let high = Math.max(low, Math.min(limit, this.lastIndex));
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((this.termAt(middle) as number) <= term) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** §5.4.1: does a log that ends with (lastTerm, lastIndex) hold at least as much as this one? Terms decide first. */
  isUpToDate(lastIndex: number, lastTerm: number): boolean {
    return lastTerm !== this.lastTerm ? lastTerm > this.lastTerm : lastIndex >= this.lastIndex;
  }
}
