import { assert, decode, encode } from "../runtime/index.js";
import type { AcceptorState } from "./acceptor.js";
import type { Ballot } from "./ballot.js";
import type { Register } from "./messages.js";

/** What an acceptor writes down: the requests that changed what it knows. Done again in order, they lead to the same. */
export type JournalRecord =
  | (Register & { readonly kind: "promise"; readonly ballot: Ballot })
  | (Register & { readonly kind: "vote"; readonly ballot: Ballot; readonly value: unknown; readonly author: Ballot })
  | { readonly kind: "trim"; readonly key: string; readonly below: number };

/** One key in a snapshot. */
export interface StoredKey {
  readonly key: string;
  readonly trimmedBelow: number;
  readonly registers: readonly (readonly [version: number, state: AcceptorState])[];
}

// In the file: tuples that begin with one of these. A value is bytes of its own, so that it may be as deep as in a message.
const PROMISE = 0;
const VOTE = 1;
const TRIM = 2;
const LENGTHS = [5, 8, 3];
type StoredRegister = [version: number, number, number, number, number, value: Uint8Array, number, number];
type StoredRecord = [
  kind: number,
  string,
  number,
  number,
  number,
  value: Uint8Array,
  authorN: number,
  authorId: number,
];

export function encodeRecord(record: JournalRecord): Uint8Array {
  const { kind, key } = record;
  if (kind === "trim") return encode([TRIM, key, record.below]);
  const { version, ballot } = record;
  const head = [kind === "promise" ? PROMISE : VOTE, key, version, ballot.n, ballot.proposerId];
  return encode(kind === "promise" ? head : [...head, encode(record.value), record.author.n, record.author.proposerId]);
}

/**
 * Of bytes that `encodeRecord` wrote; storage has checked that they are whole.
 * @throws InvariantError where the storage is somebody else's.
 */
export function decodeRecord(bytes: Uint8Array): JournalRecord {
  const tuple = decode(bytes);
  const isOurs = Array.isArray(tuple) && LENGTHS[tuple[0] as number] === tuple.length && typeof tuple[1] === "string";
  assert(isOurs, "this storage holds no acceptor's journal; give each acceptor a storage of its own");
  const [kind, key, version, n, proposerId, value, authorN, authorId] = tuple as StoredRecord;
  if (kind === TRIM) return { kind: "trim", key, below: version };
  const at = { key, version, ballot: ballotOf(n, proposerId) };
  if (kind === PROMISE) return { kind: "promise", ...at };
  return { kind: "vote", ...at, value: decode(value), author: ballotOf(authorN, authorId) };
}

export function encodeSnapshot(keys: readonly StoredKey[]): Uint8Array {
  return encode(
    keys.map(({ key, trimmedBelow, registers }) => [
      key,
      trimmedBelow,
      registers.map(([version, { lastBallot, votedBallot, votedValue, author }]) => [
        ...[version, lastBallot.n, lastBallot.proposerId, votedBallot.n, votedBallot.proposerId, encode(votedValue)],
        ...[author.n, author.proposerId],
      ]),
    ]),
  );
}

export function decodeSnapshot(bytes: Uint8Array): StoredKey[] {
  const keys = decode(bytes) as [string, number, StoredRegister[]][];
  return keys.map(([key, trimmedBelow, registers]) => ({
    key,
    trimmedBelow,
    registers: registers.map(([version, n, id, votedN, votedId, value, authorN, authorId]) => {
      const [lastBallot, votedBallot, author] = [
        ballotOf(n, id),
        ballotOf(votedN, votedId),
        ballotOf(authorN, authorId),
      ];
      return [version, { lastBallot, votedBallot, votedValue: decode(value), author }] as const;
    }),
  }));
}

function ballotOf(n: number, proposerId: number): Ballot {
  return { n, proposerId };
}
