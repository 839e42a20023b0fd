import { crc32 } from "node:zlib";

import { CorruptLogError, FormatTooNewError } from "./errors.js";

/** Files of this version and earlier ones can be read. Magic and version keep their place in every version. */
export const FORMAT_VERSION = 1;

/** `crc32` of `bytes`, going on from `seed`. A parameter of the format, so that tests can show what happens without. */
export type Checksum = (bytes: Uint8Array, seed: number) => number;
export const checksum: Checksum = crc32;

// ---- names ------------------------------------------------------------------------------------------------------------

const DIGITS = 16;
export const TEMPORARY = ".tmp";

export const segmentName = (sequence: number): string => `wal-${String(sequence).padStart(DIGITS, "0")}.log`;
export const snapshotName = (index: number): string => `snapshot-${String(index).padStart(DIGITS, "0")}.snap`;

export interface Names {
  /** Sequence numbers of the segments, ascending. */
  readonly segments: number[];
  /** Indices of the snapshots, ascending. */
  readonly snapshots: number[];
  /** Files whose writing was interrupted. */
  readonly temporary: string[];
}

/** Sorts out the names in a data directory; files that are not ours are left alone. */
export function parseNames(names: readonly string[]): Names {
  const found: Names = { segments: [], snapshots: [], temporary: [] };
  for (const name of names) {
    const match = /^(wal|snapshot)-(\d{16})\.(log|snap)(\.tmp)?$/.exec(name);
    if (match === null || (match[1] === "wal") !== (match[3] === "log")) continue;
    if (match[4] !== undefined) found.temporary.push(name);
    else (match[1] === "wal" ? found.segments : found.snapshots).push(Number(match[2]));
  }
  found.segments.sort((a, b) => a - b);
  found.snapshots.sort((a, b) => a - b);
  return found;
}

// ---- file headers -------------------------------------------------------------------------------------------------------
//
//   segment   magic 8 | version 4 | salt 4 | sequence 6 | 0 6 | crc 4        then frames
//   snapshot  magic 8 | version 4 | index 6 | term 6 | 0 4 | crc 4 | length 6 | 0 2    then data, then crc of the data 4

const SEGMENT_MAGIC = Buffer.from("kvraftWL");
const SNAPSHOT_MAGIC = Buffer.from("kvraftSN");
const HEADER_CRC_AT = 28;
export const SEGMENT_HEADER_BYTES = 32;
const SNAPSHOT_HEADER_BYTES = 40;

function checkHeader(file: string, bytes: Buffer, magic: Buffer, size: number): void {
  if (bytes.length < size)
    throw new CorruptLogError(file, bytes.length, `its header has ${bytes.length} of ${size} bytes`);
  if (!bytes.subarray(0, 8).equals(magic))
    throw new CorruptLogError(file, 0, "it does not begin like a file of this kind");
  const version = bytes.readUInt32LE(8);
  if (version > FORMAT_VERSION) throw new FormatTooNewError(file, version, FORMAT_VERSION);
}

export interface SegmentHeader {
  readonly sequence: number;
  readonly salt: number;
}

export function encodeSegmentHeader({ sequence, salt }: SegmentHeader): Buffer {
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES);
  SEGMENT_MAGIC.copy(bytes);
  bytes.writeUInt32LE(FORMAT_VERSION, 8);
  bytes.writeUInt32LE(salt, 12);
  bytes.writeUIntLE(sequence, 16, 6);
  bytes.writeUInt32LE(checksum(bytes.subarray(0, HEADER_CRC_AT), 0), HEADER_CRC_AT);
  return bytes;
}

/** @throws CorruptLogError, FormatTooNewError */
export function decodeSegmentHeader(file: string, bytes: Buffer, sequence: number): SegmentHeader {
  checkHeader(file, bytes, SEGMENT_MAGIC, SEGMENT_HEADER_BYTES);
  const good = checksum(bytes.subarray(0, HEADER_CRC_AT), 0) === bytes.readUInt32LE(HEADER_CRC_AT);
  if (!good) throw new CorruptLogError(file, 0, "the checksum of its header does not match");
  const header = { sequence: bytes.readUIntLE(16, 6), salt: bytes.readUInt32LE(12) };
  if (header.sequence !== sequence)
    throw new CorruptLogError(file, 16, `it is segment ${header.sequence} under a wrong name`);
  return header;
}

export interface SnapshotHeader {
  readonly index: number;
  readonly term: number;
  readonly length: number;
}

export function encodeSnapshotHeader({ index, term, length }: SnapshotHeader): Buffer {
  const bytes = Buffer.alloc(SNAPSHOT_HEADER_BYTES);
  SNAPSHOT_MAGIC.copy(bytes);
  bytes.writeUInt32LE(FORMAT_VERSION, 8);
  bytes.writeUIntLE(index, 12, 6);
  bytes.writeUIntLE(term, 18, 6);
  bytes.writeUIntLE(length, 32, 6);
  bytes.writeUInt32LE(headerCrc(bytes), HEADER_CRC_AT);
  return bytes;
}

function headerCrc(bytes: Buffer): number {
  return checksum(bytes.subarray(32, SNAPSHOT_HEADER_BYTES), checksum(bytes.subarray(0, HEADER_CRC_AT), 0));
}

/** The header and the data, a view of `bytes`. @throws CorruptLogError, FormatTooNewError */
export function decodeSnapshot(file: string, bytes: Buffer, index: number): SnapshotHeader & { data: Uint8Array } {
  checkHeader(file, bytes, SNAPSHOT_MAGIC, SNAPSHOT_HEADER_BYTES);
  if (headerCrc(bytes) !== bytes.readUInt32LE(HEADER_CRC_AT)) {
    throw new CorruptLogError(file, 0, "the checksum of its header does not match");
  }
  const header = { index: bytes.readUIntLE(12, 6), term: bytes.readUIntLE(18, 6), length: bytes.readUIntLE(32, 6) };
  if (header.index !== index)
    throw new CorruptLogError(file, 12, `it is the snapshot ${header.index} under a wrong name`);
  const end = SNAPSHOT_HEADER_BYTES + header.length;
  if (bytes.length !== end + 4)
    throw new CorruptLogError(file, bytes.length, `it has ${bytes.length} bytes, not ${end + 4}`);
  const data = bytes.subarray(SNAPSHOT_HEADER_BYTES, end);
  if (checksum(data, 0) !== bytes.readUInt32LE(end)) {
    throw new CorruptLogError(file, SNAPSHOT_HEADER_BYTES, "the checksum of its data does not match");
  }
  return { ...header, data };
}

// ---- frames ---------------------------------------------------------------------------------------------------------------
//
//   length 4 | crc of the payload 4 | syncedEnd 4 | crc of these twelve bytes 4 | payload | zeros up to a multiple of 8
//
// The header's crc starts from the segment's salt and the frame's place: bytes of another file, of another place, or
// within a value that a client made up never pass for a frame. `syncedEnd` is how far the segment was known to be durable
// when the frame was written. It tells a torn tail from damage: of what is written between two syncs any part may reach
// the disk, also the end without the beginning (S54); but where a good frame says that a bad one was durable before, the
// bad one was damaged later.

export const FRAME_HEADER_BYTES = 16;
const ALIGNMENT = 8;

const aligned = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
export const frameBytes = (payloadBytes: number): number => aligned(FRAME_HEADER_BYTES + payloadBytes);

/** The frames of `payloads` as they stand at `position`, after which `syncedEnd` bytes are durable already. */
export function encodeFrames(
  payloads: readonly Uint8Array[],
  place: { position: number; syncedEnd: number; salt: number },
  check: Checksum,
): Buffer {
  let total = 0;
  for (const payload of payloads) total += frameBytes(payload.length);
  const bytes = Buffer.allocUnsafe(total);
  let at = 0;
  for (const payload of payloads) {
    bytes.writeUInt32LE(payload.length, at);
    bytes.writeUInt32LE(check(payload, 0), at + 4);
    bytes.writeUInt32LE(place.syncedEnd, at + 8);
    bytes.writeUInt32LE(check(bytes.subarray(at, at + 12), frameSeed(place.salt, place.position + at)), at + 12);
    bytes.set(payload, at + FRAME_HEADER_BYTES);
    const end = at + frameBytes(payload.length);
    bytes.fill(0, at + FRAME_HEADER_BYTES + payload.length, end);
    at = end;
  }
  return bytes;
}

const frameSeed = (salt: number, position: number): number => (salt ^ position) >>> 0;

export interface Frame {
  /** A view of the file's bytes. */
  readonly payload: Uint8Array;
  readonly end: number;
  readonly syncedEnd: number;
}

/** The frame at `position`, or in words what is wrong with it. */
export function decodeFrame(bytes: Buffer, position: number, salt: number, check: Checksum): Frame | string {
  if (position + FRAME_HEADER_BYTES > bytes.length) return "the header of the record is cut short";
  const length = bytes.readUInt32LE(position);
  const syncedEnd = bytes.readUInt32LE(position + 8);
  // The cheap tests first: a search for later frames asks at every place.
  if (length === 0 || syncedEnd > position) return "the header of the record is not one";
  const headerCheck = check(bytes.subarray(position, position + 12), frameSeed(salt, position));
  if (headerCheck !== bytes.readUInt32LE(position + 12)) return "the checksum of the record's header does not match";
  const end = position + frameBytes(length);
  if (end > bytes.length) return "the record is cut short";
  const payload = bytes.subarray(position + FRAME_HEADER_BYTES, position + FRAME_HEADER_BYTES + length);
  if (check(payload, 0) !== bytes.readUInt32LE(position + 4)) return "the checksum of the record does not match";
  return { payload, end, syncedEnd };
}

/** Where behind the bad frame at `position` a good one proves that the bad one was durable; -1 where nothing does. */
export function findProofOfDamage(bytes: Buffer, position: number, salt: number, check: Checksum): number {
  for (let at = position + ALIGNMENT; at + FRAME_HEADER_BYTES <= bytes.length; at += ALIGNMENT) {
    if (bytes.readUInt32LE(at + 8) <= position) continue;
    if (typeof decodeFrame(bytes, at, salt, check) !== "string") return at;
  }
  return -1;
}
