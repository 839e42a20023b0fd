import { forkRandom, InvalidArgumentError, KvraftError, realRuntime } from "../../runtime/index.js";
import type { Disk, DiskFile, Runtime } from "../../runtime/index.js";
import type { Snapshot, StoredState } from "../../raft/index.js";
import { CorruptLogError, DiskFailedError, DiskFullError, isDiskFull } from "./errors.js";
import { Directory, writeAll } from "./files.js";
import { checksum, parseNames, segmentName, snapshotName, type Checksum, type Names } from "./format.js";
import { nodeDisk } from "./node-disk.js";
import { encodeReset } from "./records.js";
import { Replay, scanSegment, type ScannedSegment } from "./replay.js";
import { readSnapshot } from "./snapshots.js";
import {
  WalStorage,
  type DurableStorage,
  type RecoveredStorage,
  type RecoveryReport,
  type StorageHealth,
  type StorageLimits,
} from "./storage.js";
import { createSegment, noteEntries, noteReset, Wal, type Segment, type WalTools } from "./wal.js";

export interface StorageOptions {
  /** The data directory; made where it does not exist. One process at a time owns it. */
  dir: string;
  /** Default: the real one. */
  disk?: Disk;
  /** For retries, figures and salts. Default: the real one. */
  runtime?: Runtime;
  /** The log goes on in a new file when one has this many bytes. 1 KiB to 1 GiB, default 64 MiB. */
  segmentBytes?: number;
  /** Entries that go to the disk together are put into records of about this size. 1 byte to 64 MiB, default 1 MiB. */
  recordBytes?: number;
  /** So much goes to the disk at once, about. 1 byte to 256 MiB, default 2 MiB. */
  groupBytes?: number;
  /** How long to wait before a full disk is tried again. 1 ms to a minute, default 500 ms. */
  diskFullRetryMs?: number;
  /** Told when the disk gets full, has space again, or fails. */
  onHealth?: (health: StorageHealth) => void;
}

const KIB = 1024;
const MIB = 1024 * KIB;
const LIMITS = {
  segmentBytes: { min: KIB, max: 1024 * MIB, standard: 64 * MIB },
  recordBytes: { min: 1, max: 64 * MIB, standard: MIB },
  groupBytes: { min: 1, max: 256 * MIB, standard: 2 * MIB },
  diskFullRetryMs: { min: 1, max: 60_000, standard: 500 },
} as const;

function limitsOf(options: StorageOptions): StorageLimits {
  const limit = (name: keyof StorageLimits): number => {
    const { min, max, standard } = LIMITS[name];
    const value = options[name] ?? standard;
    if (!Number.isSafeInteger(value) || value < min || value > max) {
      throw new InvalidArgumentError(`${name} must be a whole number from ${min} to ${max}, not ${String(value)}`);
    }
    return value;
  };
  return {
    segmentBytes: limit("segmentBytes"),
    recordBytes: limit("recordBytes"),
    groupBytes: limit("groupBytes"),
    diskFullRetryMs: limit("diskFullRetryMs"),
  };
}

/**
 * Opens the durable storage of one Raft server and recovers what it holds: everything that was acknowledged, and maybe
 * writes that were on their way when the last run ended. A torn end of the log is cut off; `recovery` says so.
 * @throws DirectoryLockedError; CorruptLogError and FormatTooNewError, where nothing was changed; DiskFullError;
 * DiskFailedError; InvalidArgumentError.
 */
export function openStorage(options: StorageOptions): Promise<DurableStorage> {
  return openWith(options, checksum);
}

/** `openStorage` with a checksum of the caller's. */
export async function openWith(options: StorageOptions, check: Checksum): Promise<DurableStorage> {
  const { dir, disk = nodeDisk, runtime = realRuntime(), onHealth } = options;
  if (typeof dir !== "string" || dir === "") throw new InvalidArgumentError("dir must be the path of a directory");
  const limits = limitsOf(options);
  const random = forkRandom(runtime.random, "storage");
  const tools: WalTools = {
    now: () => runtime.clock.now(),
    drawSalt: () => random.int(0, 2 ** 32 - 1),
    checksum: check,
  };
  const directory = new Directory(dir, disk);
  try {
    await disk.makeDirectory(dir);
    const lock = await disk.lock(dir);
    try {
      const recovered = await recover(directory, tools);
      return new WalStorage({ directory, lock, ...recovered }, runtime, limits, onHealth);
    } catch (error) {
      await lock.release();
      throw error;
    }
  } catch (error) {
    if (error instanceof KvraftError) throw error;
    throw isDiskFull(error) ? new DiskFullError(dir, error) : new DiskFailedError(dir, error);
  }
}

type Recovered = Omit<RecoveredStorage, "directory" | "lock">;

async function recover(directory: Directory, tools: WalTools): Promise<Recovered> {
  const names = parseNames(await directory.disk.list(directory.path));
  const found = await readLog(directory, names, tools.checksum);
  // Everything is in order; from here on things are changed.
  const removed = await tidy(directory, names);
  if (found === null) {
    const base = { hardState: { term: 0, votedFor: null }, lastIndex: 0 };
    const { segment, file } = await createSegment(directory, tools, 1, base);
    const state = { hardState: base.hardState, snapshot: null, entries: [] };
    const recovery: RecoveryReport = { cut: null, removed, finishedSnapshot: false };
    return { wal: new Wal(directory, tools, [segment], file), state, recovery };
  }
  const { segments, last, lastBytes, state, needsReset } = found;
  const { snapshot } = state;
  const active = segments.at(-1) as Segment;
  const name = directory.pathOf(segmentName(active.sequence));
  const file = await directory.disk.open(name, "existing");
  await settleEnd(file, last, lastBytes);
  const cut = last.tail && {
    file: name,
    offset: last.end,
    bytes: lastBytes.length - last.end,
    reason: last.tail,
  };
  const wal = new Wal(directory, tools, segments, file);
  if (needsReset) {
    const { index, term } = snapshot as Snapshot;
    await wal.append([encodeReset(index, term)]);
    noteReset(segments);
  }
  await wal.dropCovered(snapshot?.index ?? 0);
  return { wal, state, recovery: { cut: cut || null, removed, finishedSnapshot: needsReset } };
}

/**
 * Makes the end of the log durable: from now on what was read counts, although it may be in memory only. It may have been
 * written by a process that died before its sync; or by one whose sync failed, after which the kernel takes what is in
 * memory for written, and no sync brings it to the disk any more. So the records of the last group are written again.
 */
async function settleEnd(file: DiskFile, { syncedEnd, end, tail }: ScannedSegment, bytes: Uint8Array): Promise<void> {
  await writeAll(file, bytes.subarray(syncedEnd, end), syncedEnd);
  if (tail !== null) await file.truncate(end);
  await file.sync();
}

/** Removes what was left unfinished, and snapshots that a newer one has replaced. */
async function tidy(directory: Directory, names: Names): Promise<string[]> {
  // A name that the last run gave may not be durable yet.
  await directory.disk.syncDirectory(directory.path);
  const removed = [...names.temporary, ...names.snapshots.slice(0, -1).map(snapshotName)];
  await directory.remove(removed);
  return removed;
}

interface FoundLog {
  readonly segments: Segment[];
  readonly last: ScannedSegment;
  readonly lastBytes: Uint8Array;
  readonly state: StoredState;
  readonly needsReset: boolean;
}

/** Reads and checks everything, and changes nothing. Null where the directory was never used. */
async function readLog(directory: Directory, names: Names, check: Checksum): Promise<FoundLog | null> {
  const snapshotIndex = names.snapshots.at(-1);
  const snapshot = snapshotIndex === undefined ? null : await readSnapshot(directory, snapshotIndex);
  const [first] = names.segments;
  if (first === undefined) {
    if (snapshot === null) return null;
    throw new CorruptLogError(directory.path, 0, "there is a snapshot, but no file of the log");
  }
  const replay = new Replay();
  const segments: Segment[] = [];
  let last: ScannedSegment | null = null;
  let lastBytes: Buffer = Buffer.alloc(0);
  for (const [i, sequence] of names.segments.entries()) {
    const file = directory.pathOf(segmentName(sequence));
    if (sequence !== first + i)
      throw new CorruptLogError(directory.pathOf(segmentName(first + i)), 0, "the file is missing");
    const bytes = await directory.read(segmentName(sequence));
    last = scanSegment(file, bytes, sequence, i === names.segments.length - 1, check);
    lastBytes = bytes;
    segments.push({ sequence, salt: last.salt, bytes: last.end, lastIndex: 0 });
    replaySegment(file, last, replay, segments);
  }
  return { segments, last: last as ScannedSegment, lastBytes, ...replay.finish(snapshot, directory.path) };
}

function replaySegment(file: string, segment: ScannedSegment, replay: Replay, segments: Segment[]): void {
  for (const { offset, steps } of segment.records) {
    for (const step of steps) {
      const truncates = step.kind === "entries" && step.firstIndex <= replay.lastIndex;
      replay.apply(file, offset, step);
      if (step.kind === "entries") noteEntries(segments, step.firstIndex, replay.lastIndex, truncates);
      else if (step.kind === "reset") noteReset(segments);
    }
  }
}
