import type { DiskFile } from "../../runtime/index.js";
import { assert } from "../../runtime/index.js";
import { DiskFullError, isDiskFull } from "./errors.js";
import { writeAll, type Directory } from "./files.js";
import { encodeFrames, encodeSegmentHeader, SEGMENT_HEADER_BYTES, segmentName, type Checksum } from "./format.js";
import { encodeBase, type Base } from "./records.js";

/** One file of the log. */
export interface Segment {
  readonly sequence: number;
  readonly salt: number;
  /** Its size; in the last segment the end of the last whole record, where the next one goes. */
  bytes: number;
  /** No entry that is still in the log and lies in this segment has a higher index. */
  lastIndex: number;
}

/** How long things took, and the chance for salts: injected, so that the log has neither clock nor chance of its own. */
export interface WalTools {
  readonly now: () => number;
  readonly drawSalt: () => number;
  readonly checksum: Checksum;
}

/** The newest segment open for appending, and the list of all. One operation at a time; the owner sees to that. */
export class Wal {
  readonly segments: Segment[];
  syncs = 0;
  /** With the write, where both are one operation. */
  lastSyncMs = 0;
  slowestSyncMs = 0;
  readonly #directory: Directory;
  readonly #tools: WalTools;
  #file: DiskFile;

  constructor(directory: Directory, tools: WalTools, segments: Segment[], file: DiskFile) {
    this.#directory = directory;
    this.#tools = tools;
    this.segments = segments;
    this.#file = file;
  }

  get active(): Segment {
    return this.segments.at(-1) as Segment;
  }

  /** Size of all segments. */
  get bytes(): number {
    return this.segments.reduce((sum, segment) => sum + segment.bytes, 0);
  }

  /**
   * Appends records and makes them durable, with one write and one sync for all.
   * @throws DiskFullError: the log is as it was before. Any other error: nobody knows what is on the disk.
   */
  async append(payloads: readonly Uint8Array[]): Promise<void> {
    const { active } = this;
    const start = active.bytes;
    // What lies before `start` is durable: each append ends with a sync, and so does recovery.
    const place = { position: start, syncedEnd: start, salt: active.salt };
    const frames = encodeFrames(payloads, place, this.#tools.checksum);
    const { writeSynced } = this.#file;
    let begun = this.#tools.now();
    try {
      await writeAll(writeSynced === undefined ? this.#file : { write: writeSynced }, frames, start);
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      await cutFile(this.#file, start);
      throw new DiskFullError(this.#directory.path, error);
    }
    if (writeSynced === undefined) {
      begun = this.#tools.now();
      await this.#file.sync();
    }
    this.lastSyncMs = this.#tools.now() - begun;
    if (this.lastSyncMs > this.slowestSyncMs) this.slowestSyncMs = this.lastSyncMs;
    this.syncs++;
    active.bytes = start + frames.length;
  }

  /** Starts a new segment. @throws as `append` */
  async rotate(base: Base): Promise<void> {
    const { segment, file } = await createSegment(this.#directory, this.#tools, this.active.sequence + 1, base);
    const previous = this.#file;
    this.#file = file;
    this.segments.push(segment);
    await previous.close();
  }

  /** Removes the oldest segments as far as a durable snapshot up to `index` makes them unnecessary. */
  async dropCovered(index: number): Promise<void> {
    while (this.segments.length > 1 && (this.segments[0] as Segment).lastIndex <= index) {
      const { sequence } = this.segments.shift() as Segment;
      await this.#directory.remove([segmentName(sequence)]);
    }
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

/** Entries `firstIndex` to `lastIndex` were stored in the last segment; `truncates`: in place of others. */
export function noteEntries(segments: Segment[], firstIndex: number, lastIndex: number, truncates: boolean): void {
  if (truncates) for (const segment of segments) segment.lastIndex = Math.min(segment.lastIndex, firstIndex - 1);
  const active = segments.at(-1) as Segment;
  active.lastIndex = Math.max(active.lastIndex, lastIndex);
}

/** The log was thrown away: no segment holds any of its entries. */
export function noteReset(segments: Segment[]): void {
  for (const segment of segments) segment.lastIndex = 0;
}

export async function createSegment(
  directory: Directory,
  tools: WalTools,
  sequence: number,
  base: Base,
): Promise<{ segment: Segment; file: DiskFile }> {
  const salt = tools.drawSalt();
  const header = encodeSegmentHeader({ sequence, salt });
  const place = { position: SEGMENT_HEADER_BYTES, syncedEnd: 0, salt };
  const frames = encodeFrames([encodeBase(base)], place, tools.checksum);
  const bytes = header.length + frames.length;
  assert(header.length === SEGMENT_HEADER_BYTES, "a segment's header has a fixed size");
  const file = await directory.create(segmentName(sequence), [Buffer.concat([header, frames])]);
  return { segment: { sequence, salt, bytes, lastIndex: 0 }, file };
}

/**
 * Cuts a file to `size`, durably. New records may go there only then: otherwise a crash could bring the new ones and
 * behind them what was cut off (the end of a longer write, whole and valid).
 */
async function cutFile(file: DiskFile, size: number): Promise<void> {
  await file.truncate(size);
  await file.sync();
}
