import { decode, encode } from "../runtime/index.js";
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

// In the file: tuples, the first of which begin with one of these.
const PROMISE = 0;
const VOTE = 1;
const TRIM = 2;
type StoredRecord = [kind: number, string, number, number, number, value: unknown, authorN: number, authorId: number];

export function encodeRecord(record: JournalRecord): Uint8Array {
  const { kind, key } = record;
  if (kind === "trim") return encode([TRIM, key, record.below]);
  const { version, ballot } = record;
  const head = [kind === "promise" ? PROMISE : VOTE, key, version, ballot.n, ballot.proposerId];
  return encode(kind === "promise" ? head : [...head, record.value, record.author.n, record.author.proposerId]);
}

/** Of bytes that `encodeRecord` wrote: storage has checked that they are whole. */
export function decodeRecord(bytes: Uint8Array): JournalRecord {
  const [kind, key, version, n, proposerId, value, authorN, authorId] = decode(bytes) as StoredRecord;
  if (kind === TRIM) return { kind: "trim", key, below: version };
  const at = { key, version, ballot: ballotOf(n, proposerId) };
  if (kind === PROMISE) return { kind: "promise", ...at };
  return { kind: "vote", ...at, value, author: ballotOf(authorN, authorId) };
}

export function encodeSnapshot(keys: readonly StoredKey[]): Uint8Array {
  return encode(
    keys.map(({ key, trimmedBelow, registers }) => [
      key,
      trimmedBelow,
      registers.map(([version, { lastBallot, votedBallot, votedValue, author }]) => [
        ...[version, lastBallot.n, lastBallot.proposerId, votedBallot.n, votedBallot.proposerId, votedValue],
        ...[author.n, author.proposerId],
      ]),
    ]),
  );
}

export function decodeSnapshot(bytes: Uint8Array): StoredKey[] {
  const keys = decode(bytes) as [string, number, [number, number, number, number, number, unknown, number, number][]][];
  return keys.map(([key, trimmedBelow, registers]) => ({
    key,
    trimmedBelow,
    registers: registers.map(([version, n, id, votedN, votedId, votedValue, authorN, authorId]) => {
      const [lastBallot, votedBallot, author] = [
        ballotOf(n, id),
        ballotOf(votedN, votedId),
        ballotOf(authorN, authorId),
      ];
      return [version, { lastBallot, votedBallot, votedValue, author }] as const;
    }),
  }));
}

function ballotOf(n: number, proposerId: number): Ballot {
  return { n, proposerId };
}
