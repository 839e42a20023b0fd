import * as fc from "fast-check";
import { expect, test } from "vitest";

import { Persister, type Entry, type StorageWrite } from "../../raft/index.js";
import { CorruptLogError, FormatTooNewError } from "../../server/storage/index.js";
import {
  checksum,
  decodeSegmentHeader,
  decodeSnapshot,
  encodeFrames,
  encodeSegmentHeader,
  encodeSnapshotHeader,
  SEGMENT_HEADER_BYTES,
} from "../../server/storage/format.js";
import { decodeRecord, encodeBase, encodeWrites } from "../../server/storage/records.js";
import { Replay, scanSegment, type ScannedSegment } from "../../server/storage/replay.js";
import { bitsOf, flipped, outcome } from "./bits.js";
import { holds } from "./property.js";

const EMPTY = { hardState: { term: 0, votedFor: null }, lastIndex: 0 };

// ---- records

interface DrawnWrite {
  readonly back: number;
  readonly sizes: readonly number[];
  readonly vote: number | null;
  readonly isVote: boolean;
}

const drawnWrite: fc.Arbitrary<DrawnWrite> = fc.record({
  back: fc.nat(3),
  sizes: fc.array(fc.nat(40), { maxLength: 6 }),
  vote: fc.option(fc.nat(4)),
  isVote: fc.boolean(),
});

/** Writes as a core asks for them: entries go on where the log ends, or a little before. */
function writesOf(drawn: readonly DrawnWrite[]): StorageWrite[] {
  let lastIndex = 0;
  return drawn.map(({ back, sizes, vote, isVote }, i) => {
    const firstIndex = sizes.length === 0 ? 0 : Math.max(1, lastIndex + 1 - back);
    const entries = sizes.map((size, j): Entry => ({ term: i, type: 0, data: new Uint8Array(size).fill(j) }));
    if (firstIndex > 0) lastIndex = firstIndex + entries.length - 1;
    const hardState = isVote ? { term: i, votedFor: vote } : null;
    return { type: "persist", write: i + 1, hardState, snapshot: null, discardLog: false, firstIndex, entries };
  });
}

function replayed(payloads: readonly Uint8Array[]): ReturnType<Replay["finish"]>["state"] {
  const replay = new Replay();
  for (const step of decodeRecord(encodeBase(EMPTY))) replay.apply("f", 0, step);
  for (const payload of payloads) for (const step of decodeRecord(payload)) replay.apply("f", 0, step);
  return replay.finish(null, "f").state;
}

test("records give back what was written, however small they must be", () => {
  holds(
    fc.property(fc.array(drawnWrite, { maxLength: 8 }), fc.integer({ min: 1, max: 300 }), (drawn, recordBytes) => {
      const writes = writesOf(drawn);
      const memory = new Persister();
      for (const write of writes) memory.write(write, () => {});
      expect(replayed(encodeWrites(writes, recordBytes))).toEqual(memory.load());
    }),
    500,
  );
});

test("a crash in the midst of a write leaves whole writes before it, and of it the beginning of its entries", () => {
  holds(
    fc.property(fc.array(drawnWrite, { minLength: 1, maxLength: 4 }), fc.nat(), (drawn, at) => {
      const writes = writesOf(drawn);
      const payloads = writes.map((write) => encodeWrites([write], 30));
      const written = payloads.flat();
      const kept = at % (written.length + 1);
      const state = replayed(written.slice(0, kept));
      let whole = 0;
      let records = 0;
      while (whole < payloads.length && records + payloads[whole]!.length <= kept) records += payloads[whole++]!.length;
      const memory = new Persister();
      for (const write of writes.slice(0, whole)) memory.write(write, () => {});
      const partial = writes[whole];
      if (kept > records && partial !== undefined) {
        const count = state.entries.length - (partial.firstIndex - 1);
        expect(count).toBeGreaterThan(0);
        memory.write({ ...partial, entries: partial.entries.slice(0, count) }, () => {});
      }
      expect(state).toEqual(memory.load());
    }),
    500,
  );
});

test("any bytes as a record are an error in words, or steps that can be replayed or contradict each other", () => {
  const nearly = fc.array(drawnWrite, { minLength: 1, maxLength: 3 }).chain((drawn) => {
    const bytes = encodeWrites(writesOf(drawn), 200)[0] ?? encodeBase(EMPTY);
    return bitsOf(bytes.length, 3).map((bits) => flipped(bytes, bits));
  });
  holds(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 40 }), nearly), (bytes) => {
      const steps = outcome(() => decodeRecord(bytes));
      if (steps instanceof Error) {
        expect(steps.message).toMatch(/the record|bytes/);
        return;
      }
      const replay = new Replay();
      const result = outcome(() => {
        for (const step of steps) replay.apply("f", 0, step);
        return replay.finish(null, "f");
      });
      if (result instanceof Error) expect(result).toBeInstanceOf(CorruptLogError);
    }),
    1500,
  );
});

// ---- segments

interface Segment {
  readonly bytes: Buffer;
  /** Where each record ends, the first one, which is always durable, included. */
  readonly ends: readonly number[];
  /** Up to where all was durable when the record was written. */
  readonly synced: readonly number[];
  readonly payloads: readonly Uint8Array[];
}

const segment: fc.Arbitrary<Segment> = fc
  .record({
    salt: fc.nat(0xffffffff),
    groups: fc.array(fc.array(drawnWrite, { minLength: 1, maxLength: 2 }), { maxLength: 4 }),
  })
  .map(({ salt, groups }) => {
    const parts: Uint8Array[] = [encodeSegmentHeader({ sequence: 1, salt })];
    const ends: number[] = [];
    const synced: number[] = [];
    const payloads: Uint8Array[] = [];
    let position = SEGMENT_HEADER_BYTES;
    const append = (group: readonly Uint8Array[]): void => {
      const syncedEnd = position;
      for (const payload of group) {
        const frame = encodeFrames([payload], { position, syncedEnd, salt }, checksum);
        parts.push(frame);
        position += frame.length;
        ends.push(position);
        synced.push(syncedEnd);
        payloads.push(payload);
      }
    };
    append([encodeBase(EMPTY)]);
    for (const group of groups) append(encodeWrites(writesOf(group), 60));
    return { bytes: Buffer.concat(parts), ends, synced, payloads };
  });

const scan = (bytes: Buffer, isLast = true): ScannedSegment | Error =>
  outcome(() => scanSegment("wal-1", bytes, 1, isLast, checksum));

function expectBeginning(scanned: ScannedSegment, { payloads, ends }: Segment, count: number): void {
  expect(scanned.records.map(({ steps }) => steps)).toEqual(payloads.slice(0, count).map(decodeRecord));
  expect(scanned.end).toBe(ends[count - 1]);
}

test("a segment cut at any byte gives the records before the cut, and says where it was torn", () => {
  holds(
    fc.property(segment, fc.nat(), fc.nat(40), (whole, at, zeros) => {
      const { bytes, ends } = whole;
      for (let length = 0; length <= bytes.length; length++) {
        const count = ends.filter((end) => end <= length).length;
        const scanned = scan(bytes.subarray(0, length));
        const found = scanned instanceof Error ? scanned.constructor : [scanned.records.length, scanned.tail === null];
        const expected = count === 0 ? CorruptLogError : [count, ends[count - 1] === length];
        if (String(found) !== String(expected)) expect(found, `${length} bytes`).toEqual(expected);
      }
      const length = ends[0]! + (at % (bytes.length - ends[0]! + 1));
      const cut = bytes.subarray(0, length);
      const count = ends.filter((end) => end <= length).length;
      expectBeginning(scan(cut) as ScannedSegment, whole, count);
      // What a file system adds to a file whose bytes did not get there; a record may happen to end in zeros.
      const padded = Buffer.concat([cut, Buffer.alloc(zeros)]);
      const isThere = (end: number): boolean => padded.subarray(0, end).equals(bytes.subarray(0, end));
      expectBeginning(scan(padded) as ScannedSegment, whole, ends.filter(isThere).length);
      // A segment that has a successor was durable as a whole.
      if (ends[count - 1] === length) expectBeginning(scan(cut, false) as ScannedSegment, whole, count);
      else expect(scan(cut, false)).toBeInstanceOf(CorruptLogError);
    }),
    60,
  );
});

test("turned bits are damage, or the torn end of what was never durable: never other records", () => {
  const damaged = segment.chain((whole) =>
    fc.record({ whole: fc.constant(whole), bits: bitsOf(whole.bytes.length, 3) }),
  );
  holds(
    fc.property(damaged, ({ whole, bits }) => {
      const scanned = scan(flipped(whole.bytes, bits));
      if (scanned instanceof Error) {
        expect([CorruptLogError, FormatTooNewError]).toContain(scanned.constructor);
        return;
      }
      const count = scanned.records.length;
      expectBeginning(scanned, whole, count);
      // A later record that is whole knew the first bad one to be durable: that must not pass for a torn end.
      const isHurt = (i: number): boolean =>
        bits.some((bit) => bit >>> 3 < whole.ends[i]! && bit >>> 3 >= (whole.ends[i - 1] ?? SEGMENT_HEADER_BYTES));
      const later = whole.ends.findIndex((_, i) => i > count && !isHurt(i) && whole.synced[i]! > scanned.end);
      expect(later, `record ${later} proves that the end at ${scanned.end} is damage`).toBe(-1);
    }),
    1500,
  );
});

test("a good frame in another place, of another segment or in a client's value is no record", () => {
  const moved = fc.record({ whole: segment, which: fc.nat(), salt: fc.nat(0xffffffff), tail: fc.nat(3) });
  holds(
    fc.property(moved, ({ whole, which, salt, tail }) => {
      const { bytes, ends, synced, payloads } = whole;
      const i = which % payloads.length;
      const place = { position: bytes.length, syncedEnd: bytes.length, salt };
      // Such a frame at the end is a torn write like any other; it must not be taken for one of this segment.
      const strays = [
        bytes.subarray(ends[i - 1] ?? SEGMENT_HEADER_BYTES, ends[i]),
        encodeFrames([payloads[i]!], place, checksum),
      ];
      for (const stray of strays) {
        const scanned = scan(Buffer.concat([bytes, stray, Buffer.alloc(8 * tail)]));
        if (stray === strays[1] && salt === bytes.readUInt32LE(12)) continue;
        expectBeginning(scanned as ScannedSegment, whole, payloads.length);
        expect((scanned as ScannedSegment).syncedEnd).toBe(synced.at(-1));
      }
    }),
    300,
  );
});

test("any bytes as a segment are refused by name", () => {
  const headed = fc
    .tuple(fc.nat(0xffffffff), fc.uint8Array({ maxLength: 100 }))
    .map(([salt, noise]) => Buffer.concat([encodeSegmentHeader({ sequence: 1, salt }), noise]));
  const noise = fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes));
  holds(
    fc.property(fc.oneof(noise, headed), (bytes) => {
      expect([CorruptLogError, FormatTooNewError]).toContain((scan(bytes) as Error).constructor);
    }),
    1000,
  );
});

test("a segment's header is what it was, or refused", () => {
  const header = fc.record({ sequence: fc.nat(2 ** 31), salt: fc.nat(0xffffffff) });
  holds(
    fc.property(header, bitsOf(SEGMENT_HEADER_BYTES, 3), (given, bits) => {
      const bytes = encodeSegmentHeader(given);
      expect(decodeSegmentHeader("f", bytes, given.sequence)).toEqual(given);
      const error = outcome(() => decodeSegmentHeader("f", flipped(bytes, bits), given.sequence)) as Error;
      expect([CorruptLogError, FormatTooNewError]).toContain(error.constructor);
    }),
    500,
  );
});

// ---- snapshot files

test("a snapshot's file gives back its bytes; cut, longer or with turned bits it is refused", () => {
  const snapshot = fc.record({ index: fc.nat(2 ** 40), term: fc.nat(2 ** 40), data: fc.uint8Array({ maxLength: 60 }) });
  const damaged = snapshot.chain((given) => {
    const end = Buffer.alloc(4);
    end.writeUInt32LE(checksum(given.data, 0));
    const header = encodeSnapshotHeader({ ...given, length: given.data.length });
    const bytes = Buffer.concat([header, given.data, end]);
    return fc.record({ given: fc.constant(given), bytes: fc.constant(bytes), bits: bitsOf(bytes.length, 3) });
  });
  holds(
    fc.property(damaged, fc.uint8Array({ minLength: 1, maxLength: 5 }), ({ given, bytes, bits }, more) => {
      const { index, term, data } = decodeSnapshot("f", bytes, given.index);
      expect({ index, term, data: Uint8Array.from(data) }).toEqual(given);
      const refuse = (bad: Buffer, what: string): void => {
        const error = outcome(() => decodeSnapshot("f", bad, given.index)) as Error;
        expect([CorruptLogError, FormatTooNewError], what).toContain(error.constructor);
      };
      for (let length = 0; length < bytes.length; length++) refuse(bytes.subarray(0, length), `${length} bytes`);
      refuse(Buffer.concat([bytes, more]), "longer");
      refuse(flipped(bytes, bits), `bits ${bits.join(", ")}`);
      expect(() => decodeSnapshot("f", bytes, given.index + 1)).toThrow(CorruptLogError);
    }),
    200,
  );
});
