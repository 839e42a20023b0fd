import { assert } from "../../runtime/index.js";
import { EntryType, type Entry, type StoredState } from "../../replica/core/index.js";
import type { InstanceVote, Vote } from "./types.js";

/**
 * How an acceptor keeps its votes in a log that can only be appended to and cut off in front: one record for each vote, in
 * the order in which it voted, whatever the instance. The last record of an instance counts. The position of a record has
 * nothing to do with the instance.
 *
 * The storage's snapshot is the service's, and stands at a position. Which instance that is says a mark, written before it
 * behind that position; and the votes that the snapshot does not hold are written once more behind the mark, for the
 * position takes their first records away. Until the snapshot is there, its mark means nothing.
 *
 * Each record also says up to where its writer knew what was chosen, so that a server that starts again has to learn only
 * what came after its last record. The values stand before it in the journal.
 *
 * A record is a kind, four whole numbers of six bytes, and for a vote the bytes of its value.
 */
const Kind = { command: 0, noop: 1, mark: 2, filler: 3 } as const;

const FIELDS = 4;
const HEAD_BYTES = 1 + 6 * FIELDS;
const SIX_BYTES = 2 ** 48;

/** What every record says of its writer. */
export interface Writer {
  /** The ballot it has promised: it only grows along the journal, as terms do in a log. */
  readonly promised: number;
  /** Up to here it has the values that were chosen. */
  readonly chosen: number;
}

export interface Mark {
  /** Of the snapshot in the storage. */
  readonly position: number;
  readonly lastIncludedIndex: number;
  readonly lastIncludedTerm: number;
}

function record(writer: Writer, kind: number, fields: readonly [number, number, number], data?: Uint8Array): Entry {
  const bytes = new Uint8Array(HEAD_BYTES + (data?.length ?? 0));
  bytes[0] = kind;
  writeSix(bytes, 1, writer.chosen);
  for (let i = 0; i < 3; i++) writeSix(bytes, 7 + 6 * i, fields[i] as number);
  if (data !== undefined) bytes.set(data, HEAD_BYTES);
  return { term: writer.promised, type: EntryType.command, data: bytes };
}

function writeSix(bytes: Uint8Array, at: number, value: number): void {
  assert(value >= 0 && value < SIX_BYTES, () => `${value} does not fit into a record`);
  const high = Math.floor(value / 2 ** 32);
  bytes[at] = high >>> 8;
  bytes[at + 1] = high;
  // A typed array keeps the lowest byte of what it is given.
  bytes[at + 2] = value >>> 24;
  bytes[at + 3] = value >>> 16;
  bytes[at + 4] = value >>> 8;
  bytes[at + 5] = value;
}

function readSix(bytes: Uint8Array, at: number): number {
  const high = ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
  const low =
    ((bytes[at + 2] as number) << 24) |
    ((bytes[at + 3] as number) << 16) |
    ((bytes[at + 4] as number) << 8) |
    (bytes[at + 5] as number);
  return high * 2 ** 32 + (low >>> 0);
}

export function encodeVote(writer: Writer, { ballot, entry, instance }: InstanceVote): Entry {
  const kind = entry.type === EntryType.noop ? Kind.noop : Kind.command;
  return record(writer, kind, [instance, ballot, entry.term], entry.data);
}

export function encodeMark(writer: Writer, { position, lastIncludedIndex, lastIncludedTerm }: Mark): Entry {
  return record(writer, Kind.mark, [position, lastIncludedIndex, lastIncludedTerm]);
}

/** Takes up a position, so that a snapshot can stand there. */
export function encodeFiller(writer: Writer): Entry {
  return record(writer, Kind.filler, [0, 0, 0]);
}

/** The vote in a record; null where it holds something else. */
export function decodeVote({ data }: Entry): InstanceVote | null {
  const kind = kindOf(data);
  if (kind !== Kind.command && kind !== Kind.noop) return null;
  const type = kind === Kind.noop ? EntryType.noop : EntryType.command;
  const entry = { term: readSix(data, 19), type, data: data.subarray(HEAD_BYTES) };
  return { instance: readSix(data, 7), ballot: readSix(data, 13), entry };
}

export function decodeMark({ data }: Entry): Mark | null {
  if (kindOf(data) !== Kind.mark) return null;
  return { position: readSix(data, 7), lastIncludedIndex: readSix(data, 13), lastIncludedTerm: readSix(data, 19) };
}

function kindOf(data: Uint8Array): number {
  const kind = data[0];
  assert(
    kind !== undefined && kind <= Kind.filler && data.length >= HEAD_BYTES,
    "the log holds no record of Paxos votes; was it written by another engine?",
  );
  return kind;
}

export interface StoredVotes {
  readonly promised: number;
  readonly lastIncludedIndex: number;
  readonly lastIncludedTerm: number;
  /** Up to here the values are those that were chosen. */
  readonly chosen: number;
  /** By instance; those in the snapshot are left out. */
  readonly votes: ReadonlyMap<number, Vote>;
}

/** What a stored journal means. @throws InvariantError where no acceptor has written it. */
export function readJournal({ hardState, snapshot, entries }: StoredState): StoredVotes {
  const votes = new Map<number, Vote>();
  let mark: Mark | null = null;
  let chosen = 0;
  for (const entry of entries) {
    const vote = decodeVote(entry);
    chosen = Math.max(chosen, readSix(entry.data, 1));
    if (vote !== null) votes.set(vote.instance, { ballot: vote.ballot, entry: vote.entry });
    else if (snapshot !== null) {
      const found = decodeMark(entry);
      if (found?.position === snapshot.index) mark = found;
    }
  }
  assert(snapshot === null || mark !== null, "no mark says which instance the stored snapshot reaches");
  const { lastIncludedIndex = 0, lastIncludedTerm = 0 } = mark ?? {};
  for (const instance of votes.keys()) if (instance <= lastIncludedIndex) votes.delete(instance);
  chosen = Math.max(chosen, lastIncludedIndex);
  for (let instance = lastIncludedIndex + 1; instance <= chosen; instance++) {
    assert(votes.has(instance), () => `the chosen value of instance ${instance} is missing`);
  }
  return { promised: hardState.term, lastIncludedIndex, lastIncludedTerm, chosen, votes };
}
