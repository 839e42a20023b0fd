import type { Disk } from "../../runtime/index.js";
import { InvalidArgumentError, KvraftError } from "../../runtime/index.js";
import type { HardState, Snapshot, StoredState } from "../../raft/index.js";
import { CorruptLogError } from "./errors.js";
import { Directory } from "./files.js";
import { checksum, parseNames, segmentName, snapshotName, type Names } from "./format.js";
import { nodeDisk } from "./node-disk.js";
import { Replay, scanSegment, type ScannedSegment } from "./replay.js";
import { readSnapshot } from "./snapshots.js";

export interface InspectedSegment {
  readonly file: string;
  readonly bytes: number;
  readonly records: number;
  readonly entries: number;
  /**
   * Of the entries written in it, which later segments may have replaced; null where it has none. In a journal entries are
   * its records, indices their positions, and terms the ballots that were promised.
   */
  readonly indices: readonly [first: number, last: number] | null;
  readonly terms: readonly [first: number, last: number] | null;
  /** Behind the last good record: an interrupted write, which opening the storage cuts off. */
  readonly torn: { readonly offset: number; readonly bytes: number; readonly reason: string } | null;
  /** Why it cannot be used, first bad record included; null where it can. */
  readonly problem: KvraftError | null;
}

export interface InspectedSnapshot {
  readonly file: string;
  /** In a journal a position of that, which is no index of the log. */
  readonly index: number;
  /** Null where it cannot be read. */
  readonly term: number | null;
  readonly bytes: number;
  readonly problem: KvraftError | null;
}

/** What the journal of a Paxos acceptor amounts to; in indices of the log. */
export interface JournalSummary {
  readonly promised: number;
  readonly snapshotIndex: number;
  /** Up to here it says that the values were chosen. */
  readonly chosen: number;
  /** Where its votes behind the snapshot begin and end; null: there are none. */
  readonly votes: readonly [first: number, last: number] | null;
}

/** @throws KvraftError where it is no such journal */
export type ReadJournal = (stored: StoredState) => JournalSummary;

export interface Inspection {
  readonly dir: string;
  /** Which has written it; null: unknown. */
  readonly engine: string | null;
  /** Whether it holds the log itself, or a journal from which a log can be made. */
  readonly holds: "log" | "journal";
  readonly segments: readonly InspectedSegment[];
  readonly snapshots: readonly InspectedSnapshot[];
  readonly temporary: readonly string[];
  /** What opening the storage would give; null where that would fail. */
  readonly state: { readonly hardState: HardState; readonly firstIndex: number; readonly lastIndex: number } | null;
  /** Null where it is none, or cannot be used. */
  readonly journal: JournalSummary | null;
  /** Why it would fail, otherwise null. */
  readonly problem: KvraftError | null;
}

/** Whose data they are, where that is known. */
export interface Writer {
  readonly engine: string | null;
  /** Null: it stores the log itself. */
  readonly readJournal: ReadJournal | null;
}

const UNKNOWN: Writer = { engine: null, readJournal: null };

/** Reads a data directory without changing it or asking for its lock. What a running server is writing may look torn. */
export async function inspect(dir: string, disk: Disk = nodeDisk, writer = UNKNOWN): Promise<Inspection> {
  const { engine, readJournal } = writer;
  const directory = new Directory(dir, disk);
  let names: Names;
  try {
    names = parseNames(await disk.list(dir));
  } catch (cause) {
    throw new InvalidArgumentError(`${dir} cannot be read as a data directory: ${(cause as Error).message}`);
  }
  const replay = new Replay();
  let problem: KvraftError | null = null;
  const snapshots: InspectedSnapshot[] = [];
  let snapshot: Snapshot | null = null;
  for (const index of names.snapshots) {
    const found = await inspectSnapshot(directory, index);
    snapshots.push(found.report);
    snapshot = found.snapshot;
    // Only the newest one counts.
    problem = found.report.problem;
  }
  const segments: InspectedSegment[] = [];
  for (const [i, sequence] of names.segments.entries()) {
    const expected = (names.segments[0] as number) + i;
    if (sequence !== expected) problem ??= new CorruptLogError(segmentName(expected), 0, "the file is missing");
    const isLast = i === names.segments.length - 1;
    const report = await inspectSegment(directory, sequence, isLast, replay);
    segments.push(report);
    problem ??= report.problem;
  }
  if (segments.length === 0 && snapshot !== null) {
    problem ??= new CorruptLogError(dir, 0, "there is a snapshot, but no file of the log");
  }
  let state: Inspection["state"] = null;
  let journal: JournalSummary | null = null;
  if (problem === null) {
    try {
      const stored = replay.finish(snapshot, dir).state;
      journal = readJournal && readJournal(stored);
      const { hardState, entries } = stored;
      const before = snapshot?.index ?? 0;
      state = { hardState, firstIndex: before + 1, lastIndex: before + entries.length };
    } catch (error) {
      problem = known(error);
    }
  }
  const holds = readJournal === null ? "log" : "journal";
  return { dir, engine, holds, segments, snapshots, temporary: names.temporary, state, journal, problem };
}

function known(error: unknown): KvraftError {
  if (error instanceof KvraftError) return error;
  throw error;
}

async function inspectSnapshot(
  directory: Directory,
  index: number,
): Promise<{ report: InspectedSnapshot; snapshot: Snapshot | null }> {
  const file = snapshotName(index);
  try {
    const snapshot = await readSnapshot(directory, index);
    const { term, data } = snapshot;
    return { report: { file, index, term, bytes: data.length, problem: null }, snapshot };
  } catch (error) {
    return { report: { file, index, term: null, bytes: 0, problem: known(error) }, snapshot: null };
  }
}

async function inspectSegment(
  directory: Directory,
  sequence: number,
  isLast: boolean,
  replay: Replay,
): Promise<InspectedSegment> {
  const file = segmentName(sequence);
  const bytes = await directory.read(file);
  try {
    const scanned = scanSegment(directory.pathOf(file), bytes, sequence, isLast, checksum);
    for (const { offset, steps } of scanned.records) {
      for (const step of steps) replay.apply(directory.pathOf(file), offset, step);
    }
    return { file, bytes: bytes.length, ...summarize(scanned, bytes.length), problem: null };
  } catch (error) {
    const nothing = { records: 0, entries: 0, indices: null, terms: null, torn: null };
    return { file, bytes: bytes.length, ...nothing, problem: known(error) };
  }
}

function summarize(
  { records, end, tail }: ScannedSegment,
  size: number,
): Pick<InspectedSegment, "records" | "entries" | "indices" | "terms" | "torn"> {
  let count = 0;
  let indices: [number, number] | null = null;
  let terms: [number, number] | null = null;
  for (const { steps } of records) {
    for (const step of steps) {
      if (step.kind !== "entries" || step.entries.length === 0) continue;
      const last = step.firstIndex + step.entries.length - 1;
      indices =
        indices === null
          ? [step.firstIndex, last]
          : [Math.min(indices[0], step.firstIndex), Math.max(indices[1], last)];
      for (const { term } of step.entries) terms = terms === null ? [term, term] : [terms[0], Math.max(terms[1], term)];
      count += step.entries.length;
    }
  }
  const torn = tail === null ? null : { offset: end, bytes: size - end, reason: tail };
  return { records: records.length, entries: count, indices, terms, torn };
}

const range = ([first, last]: readonly [number, number]): string => (first === last ? `${first}` : `${first}-${last}`);

/** An inspection in lines for people. */
export function formatInspection(inspection: Inspection): string {
  const { dir, engine, holds, segments, snapshots, temporary, problem } = inspection;
  const isLog = holds === "log";
  const lines = [`data directory ${dir}${engine === null ? "" : `, engine ${engine}`}`];
  for (const { file, index, term, bytes, problem: bad } of snapshots) {
    const place = isLog ? `up to entry ${index} of term ${term}` : `at position ${index} of the journal`;
    lines.push(bad ? `${file}  BAD: ${bad.message}` : `${file}  ${place}, ${bytes} bytes of data`);
  }
  const [what, of] = isLog ? ["entries", "terms"] : ["positions", "ballots"];
  for (const { file, bytes, records, entries, indices, terms, torn, problem: bad } of segments) {
    if (bad) {
      lines.push(`${file}  ${bytes} bytes  BAD: ${bad.message}`);
      continue;
    }
    const log =
      indices && terms ? `${what} ${range(indices)} of ${of} ${range(terms)} (${entries} written)` : `no ${what}`;
    lines.push(`${file}  ${bytes} bytes, ${records} records, ${log}`);
    if (torn) lines.push(`  torn at byte ${torn.offset}: ${torn.reason}; ${torn.bytes} bytes will be cut off`);
  }
  for (const name of temporary) lines.push(`${name}  unfinished, will be removed`);
  lines.push(usable(inspection) ?? `NOT USABLE: ${(problem as KvraftError).message}`);
  return lines.join("\n");
}

function usable({ state, journal }: Inspection): string | null {
  if (state === null) return null;
  if (journal !== null) {
    const { promised, snapshotIndex, chosen, votes } = journal;
    const snapshot = snapshotIndex === 0 ? "no snapshot" : `snapshot up to entry ${snapshotIndex}`;
    const log = votes === null ? "no votes behind it" : `votes for entries ${range(votes)}`;
    return `usable: promised ballot ${promised}, ${snapshot}, ${log}, chosen up to ${chosen} at least`;
  }
  const { hardState, firstIndex, lastIndex } = state;
  const vote = hardState.votedFor === null ? "no vote" : `vote for server ${hardState.votedFor}`;
  const log = lastIndex < firstIndex ? `no entries behind ${lastIndex}` : `entries ${range([firstIndex, lastIndex])}`;
  return `usable: term ${hardState.term}, ${vote}, ${log}`;
}
