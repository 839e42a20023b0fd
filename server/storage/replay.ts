import type { Entry, HardState, Snapshot, StoredState } from "../../raft/index.js";
import { CorruptLogError } from "./errors.js";
import { decodeFrame, decodeSegmentHeader, findProofOfDamage, SEGMENT_HEADER_BYTES, type Checksum } from "./format.js";
import { decodeRecord, type Step } from "./records.js";

export interface ScannedRecord {
  readonly offset: number;
  readonly steps: readonly Step[];
}

/** A segment as it is found on the disk. */
export interface ScannedSegment {
  readonly salt: number;
  readonly records: ScannedRecord[];
  /** Behind the last good record. */
  readonly end: number;
  /** What lies before this was durable when the last good record was written. */
  readonly syncedEnd: number;
  /** What is wrong behind `end`; null where the file ends there. */
  readonly tail: string | null;
}

/**
 * Reads a segment up to the first bad record. In the last segment that may be a write that a crash interrupted; what is
 * not is damage.
 * @throws CorruptLogError, FormatTooNewError
 */
export function scanSegment(
  file: string,
  bytes: Buffer,
  sequence: number,
  isLast: boolean,
  check: Checksum,
): ScannedSegment {
  const { salt } = decodeSegmentHeader(file, bytes, sequence);
  const records: ScannedRecord[] = [];
  let end = SEGMENT_HEADER_BYTES;
  let syncedEnd = 0;
  while (end < bytes.length) {
    const frame = decodeFrame(bytes, end, salt, check);
    if (typeof frame === "string") {
      // A segment is given its name when its first record is durable, and a successor when all of it is.
      if (end === SEGMENT_HEADER_BYTES || !isLast) throw new CorruptLogError(file, end, frame);
      const proof = findProofOfDamage(bytes, end, salt, check);
      if (proof >= 0)
        throw new CorruptLogError(file, end, `${frame}, but the record at byte ${proof} was written later`);
      return { salt, records, end, syncedEnd, tail: frame };
    }
    records.push({ offset: end, steps: parseRecord(file, end, frame.payload) });
    ({ end, syncedEnd } = frame);
  }
  if (records[0]?.steps[0]?.kind !== "base")
    throw new CorruptLogError(file, SEGMENT_HEADER_BYTES, "it has no first record");
  return { salt, records, end, syncedEnd, tail: null };
}

function parseRecord(file: string, offset: number, payload: Uint8Array): Step[] {
  try {
    return decodeRecord(payload);
  } catch (cause) {
    throw new CorruptLogError(file, offset, `its checksum matches, but ${(cause as Error).message}`, { cause });
  }
}

/** Puts the state together again, record by record. */
export class Replay {
  hardState: HardState = { term: 0, votedFor: null };
  /** Index of entries[0]; what lies before it is in a snapshot. */
  #firstIndex = 1;
  #entries: Entry[] = [];
  /** The newest snapshot for which the log was thrown away. */
  #resetIndex = 0;
  #started = false;

  get lastIndex(): number {
    return this.#firstIndex + this.#entries.length - 1;
  }

  /** @throws CorruptLogError where the steps contradict each other */
  apply(file: string, offset: number, step: Step): void {
    switch (step.kind) {
      case "base":
        if (this.#started) this.#checkBase(file, offset, step.base.lastIndex, step.base.hardState);
        else this.#firstIndex = step.base.lastIndex + 1;
        this.#started = true;
        this.hardState = step.base.hardState;
        break;
      case "hardState":
        this.hardState = step.hardState;
        break;
      case "entries":
        this.#store(file, offset, step.firstIndex, step.entries);
        break;
      case "reset":
        this.#firstIndex = step.index + 1;
        this.#entries = [];
        this.#resetIndex = step.index;
        break;
    }
  }

  /** The same fact from two sides: where a segment ends, and where the next one says that it began. */
  #checkBase(file: string, offset: number, lastIndex: number, { term, votedFor }: HardState): void {
    if (lastIndex !== this.lastIndex || term !== this.hardState.term || votedFor !== this.hardState.votedFor) {
      throw new CorruptLogError(
        file,
        offset,
        `it goes on after entry ${lastIndex} in term ${term}, but the segments before it end with entry ` +
          `${this.lastIndex} in term ${this.hardState.term}`,
      );
    }
  }

  #store(file: string, offset: number, firstIndex: number, entries: readonly Entry[]): void {
    if (firstIndex > this.lastIndex + 1) {
      throw new CorruptLogError(file, offset, `entry ${firstIndex} follows entry ${this.lastIndex}`);
    }
    if (firstIndex >= this.#firstIndex) {
      this.#entries.length = firstIndex - this.#firstIndex;
    } else {
      this.#firstIndex = firstIndex;
      this.#entries.length = 0;
    }
    for (const entry of entries) this.#entries.push(entry);
  }

  /**
   * The whole stored state. `needsReset`: the crash came between an installed snapshot and the throwing away of the log
   * that does not lead up to it (S45); that is to be made up for, for the log goes on behind the snapshot.
   * @throws CorruptLogError where a snapshot is missing; `file` and `snapshotFile` are for its message.
   */
  finish(snapshot: Snapshot | null, file: string): { state: StoredState; needsReset: boolean } {
    const index = snapshot?.index ?? 0;
    const needed = Math.max(this.#firstIndex - 1, this.#resetIndex);
    if (index < needed) {
      const found = snapshot === null ? "there is none" : `the newest one reaches ${index}`;
      throw new CorruptLogError(file, 0, `the log begins after a snapshot up to entry ${needed}, but ${found}`);
    }
    const { hardState } = this;
    const covered = index - this.#firstIndex + 1;
    if (covered === 0) return { state: { hardState, snapshot, entries: this.#entries }, needsReset: false };
    // §7: if the log holds the snapshot's last entry, what follows it stays; otherwise all of it goes.
    if (this.#entries[covered - 1]?.term === snapshot?.term) {
      return { state: { hardState, snapshot, entries: this.#entries.slice(covered) }, needsReset: false };
    }
    return { state: { hardState, snapshot, entries: [] }, needsReset: true };
  }
}
