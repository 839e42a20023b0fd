import { decode, encode } from "../../runtime/index.js";
import type { Entry, HardState, StorageWrite } from "../../raft/index.js";

/** The state at the start of a segment: what the segments before it, which may be gone, amount to. */
export interface Base {
  readonly hardState: HardState;
  /** The log's last index. */
  readonly lastIndex: number;
}

/** One step of a record. A record is a list of them and takes effect as a whole. */
export type Step =
  | { readonly kind: "base"; readonly base: Base }
  | { readonly kind: "hardState"; readonly hardState: HardState }
  /** Entries from `firstIndex` on are removed, if there are any, then these stored. */
  | { readonly kind: "entries"; readonly firstIndex: number; readonly entries: readonly Entry[] }
  /** The log was thrown away for the snapshot at `index`, and goes on behind it. */
  | { readonly kind: "reset"; readonly index: number; readonly term: number };

/** In the file: tuples that begin with one of these. Entries lie flat: term, type, data, term, type, data. */
const Tag = { base: 0, hardState: 1, entries: 2, reset: 3 } as const;

const ENTRY_OVERHEAD_BYTES = 12;

export function encodeBase({ hardState, lastIndex }: Base): Uint8Array {
  return encode([[Tag.base, hardState.term, hardState.votedFor, lastIndex]], "record");
}

export function encodeReset(index: number, term: number): Uint8Array {
  return encode([[Tag.reset, index, term]], "record");
}

/**
 * The records of writes that go to the disk together: one, as long as it does not exceed `maxRecordBytes`. Of one write
 * that takes several, a crash may leave the first ones: term and vote, and a part of its entries.
 */
export function encodeWrites(writes: readonly StorageWrite[], maxRecordBytes: number): Uint8Array[] {
  const payloads: Uint8Array[] = [];
  let steps: unknown[] = [];
  let bytes = 0;
  let flat: unknown[] | null = null;
  let next = 0;
  for (const { hardState, firstIndex, entries } of writes) {
    if (hardState !== null) steps.push([Tag.hardState, hardState.term, hardState.votedFor]);
    if (firstIndex === 0) continue;
    if (flat === null || firstIndex !== next) {
      flat = [];
      next = firstIndex;
      steps.push([Tag.entries, firstIndex, flat]);
    }
    for (const { term, type, data } of entries) {
      const size = data.length + ENTRY_OVERHEAD_BYTES;
      if (bytes > 0 && bytes + size > maxRecordBytes) {
        payloads.push(encode(steps, "record"));
        flat = [];
        steps = [[Tag.entries, next, flat]];
        bytes = 0;
      }
      flat.push(term, type, data);
      bytes += size;
      next++;
    }
  }
  if (steps.length > 0) payloads.push(encode(steps, "record"));
  return payloads;
}

/** @throws Error in words where the payload is not a record. */
export function decodeRecord(payload: Uint8Array): Step[] {
  const steps = decode(payload);
  if (!Array.isArray(steps)) throw new Error("the record is not a list");
  return steps.map(parseStep);
}

function parseStep(step: unknown): Step {
  const [tag, a, b, c] = Array.isArray(step) ? (step as unknown[]) : [];
  switch (tag) {
    case Tag.base:
      if (isIndex(a) && isVote(b) && isIndex(c)) {
        return { kind: "base", base: { hardState: { term: a, votedFor: b }, lastIndex: c } };
      }
      break;
    case Tag.hardState:
      if (isIndex(a) && isVote(b)) return { kind: "hardState", hardState: { term: a, votedFor: b } };
      break;
    case Tag.entries:
      if (isIndex(a) && a > 0 && Array.isArray(b)) return { kind: "entries", firstIndex: a, entries: parseEntries(b) };
      break;
    case Tag.reset:
      if (isIndex(a) && isIndex(b)) return { kind: "reset", index: a, term: b };
      break;
  }
  throw new Error(`the record holds a step of an unknown kind or shape (${String(tag)})`);
}

function parseEntries(flat: readonly unknown[]): Entry[] {
  const entries: Entry[] = [];
  for (let i = 0; i < flat.length; i += 3) {
    const [term, type, data] = [flat[i], flat[i + 1], flat[i + 2]];
    if (!isIndex(term) || (type !== 0 && type !== 1) || !(data instanceof Uint8Array)) {
      throw new Error("the record holds an entry of an unknown shape");
    }
    entries.push({ term, type, data });
  }
  return entries;
}

const isIndex = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isVote = (value: unknown): value is number | null => value === null || isIndex(value);
