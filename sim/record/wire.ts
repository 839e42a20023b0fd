import type { Slot, OpResult } from "../../kvraft/index.js";
import { EntryType, type Entry } from "../../raft/index.js";
import { MESSAGE_KINDS } from "./format.js";
import type { Interner } from "./interner.js";
import { describeRequest, describeResults } from "./words.js";

const KINDS = new Map<string, number>(MESSAGE_KINDS.map((name, number) => [name, number]));
const SERVICES = new Set(["Raft", "Paxos", "KVServer"]);

/** The number of the kind of a call of "Service.Method", or of its reply. */
export function messageKind(method: string, isReply: boolean): number {
  const dot = method.lastIndexOf(".");
  const name = SERVICES.has(method.slice(0, dot)) ? method.slice(dot + 1) : "other";
  const kind = (KINDS.get(name) ?? KINDS.get("other")) as number;
  return isReply ? kind + 1 : kind;
}

/** The parts of a message, short: entries by number, operations and results in words, bytes by their count. */
export function messageContent(kind: number, payload: unknown, interner: Interner): readonly unknown[] {
  const name = MESSAGE_KINDS[kind] as (typeof MESSAGE_KINDS)[number];
  if (!Array.isArray(payload)) return [interner.text(show(payload))];
  const parts = payload as readonly unknown[];
  switch (name) {
    case "AppendEntries":
      return [...parts.slice(0, 7), entryNumbers(parts[7] as readonly unknown[], interner)];
    case "Accept":
      return [...parts.slice(0, 6), entryNumbers(parts[6] as readonly unknown[], interner)];
    case "Prepare reply":
      return [...parts.slice(0, 6), voteNumbers(parts[6] as readonly unknown[], interner)];
    case "Learn reply":
      return [
        ...parts.slice(0, 2),
        voteNumbers(parts[2] as readonly unknown[], interner),
        ...countBytes(parts.slice(3)),
      ];
    case "InstallSnapshot":
      return countBytes(parts);
    case "Request":
      return [
        parts[0],
        parts[1],
        interner.text(describeRequest(parts[0] as number, parts[1] as number, parts[2] as readonly Slot[])),
      ];
    case "Register reply":
      // The only result is the number of the session.
      if (Array.isArray(parts[2])) return [parts[0], parts[1], interner.text(`session ${String(parts[2][0])}`)];
      return [parts[0], parts[1], interner.text(describeBody(parts[2]))];
    case "Request reply":
    case "EndSession reply":
      return [parts[0], parts[1], interner.text(describeBody(parts[2]))];
    case "other":
    case "other reply":
      return [interner.text(show(payload))];
    default:
      return parts;
  }
}

function countBytes(parts: readonly unknown[]): readonly unknown[] {
  return parts.map((part) => (part instanceof Uint8Array ? part.length : part));
}

/** Entries travel flat: term, type, bytes, and so on. */
function entryNumbers(flat: readonly unknown[], interner: Interner): number[] {
  const numbers: number[] = [];
  for (let i = 0; i + 2 < flat.length; i += 3) numbers.push(interner.entry(entryAt(flat, i)));
  return numbers;
}

/** Votes as well, with instance and ballot before each entry. */
function voteNumbers(flat: readonly unknown[], interner: Interner): number[] {
  const numbers: number[] = [];
  for (let i = 0; i + 4 < flat.length; i += 5) {
    numbers.push(flat[i] as number, flat[i + 1] as number, interner.entry(entryAt(flat, i + 2)));
  }
  return numbers;
}

function entryAt(flat: readonly unknown[], at: number): Entry {
  return { term: flat[at] as number, type: flat[at + 1] as EntryType, data: flat[at + 2] as Uint8Array };
}

/** Results of the operations, the number of the leader, or nothing: by status. */
function describeBody(body: unknown): string {
  if (Array.isArray(body)) return describeResults(body as readonly OpResult[]);
  if (typeof body === "number") return `ask S${body}`;
  return body === null ? "leader not known" : "";
}

function show(value: unknown): string {
  return JSON.stringify(value) ?? String(value);
}
