import { InvalidArgumentError } from "../runtime/index.js";

// Commands and their results travel and rest as positional tuples of numbers and strings: the log limits of a small
// cluster are a few thousand bytes. Numbers below are part of the log's format and never change their meaning.

/** What an operation does; the first element of its tuple. */
export const OpKind = { read: 0, put: 1, append: 2, delete: 3, putIf: 4 } as const;

export type ReadOp = readonly [kind: typeof OpKind.read, key: string];
export type WriteOp =
  | readonly [kind: typeof OpKind.put, key: string, value: string]
  | readonly [kind: typeof OpKind.append, key: string, value: string]
  | readonly [kind: typeof OpKind.delete, key: string]
  | readonly [kind: typeof OpKind.putIf, key: string, value: string, version: number];
export type Op = ReadOp | WriteOp;

/** A place in a request: an operation, or null for a write whose caller has given up. The null keeps its number. */
export type Slot = Op | null;

export type ReadResult = readonly [value: string, version: number] | null;
/**
 * put, append: the new version. delete: the version that was deleted, 0 where there was none. putIf: the new version, or
 * where the versions differed minus the stored version (0 where absent).
 */
export type WriteResult = number;
/** null of a write: its reply is forgotten because the client has gone on since, or nobody asked for it any more. */
export type OpResult = ReadResult | WriteResult;

/** What an entry of the log does; the first element of its tuple. */
export const CommandKind = { register: 0, end: 1, request: 2, read: 3 } as const;

export type Command =
  /** Opens a session, whose id is the index of this entry. The limit rides along so that all servers evict alike. */
  | readonly [kind: typeof CommandKind.register, maxSessions: number]
  | readonly [kind: typeof CommandKind.end, session: number]
  /** The writes among the slots are numbered upwards from `firstSeq`. */
  | readonly [kind: typeof CommandKind.request, session: number, firstSeq: number, slots: readonly Slot[]]
  /** Reads through the log. */
  | readonly [kind: typeof CommandKind.read, ops: readonly ReadOp[]];

/** Most operations in one request, so in one entry of the log. */
export const MAX_REQUEST_OPS = 128;

export function isRead(op: Op): op is ReadOp {
  return op[0] === OpKind.read;
}

function isCount(value: unknown, least: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= least;
}

function isSlot(slot: unknown): slot is Slot {
  if (slot === null) return true;
  if (!Array.isArray(slot) || typeof slot[1] !== "string") return false;
  switch (slot[0]) {
    case OpKind.read:
    case OpKind.delete:
      return slot.length === 2;
    case OpKind.put:
    case OpKind.append:
      return slot.length === 3 && typeof slot[2] === "string";
    case OpKind.putIf:
      return slot.length === 4 && typeof slot[2] === "string" && isCount(slot[3], 0);
    default:
      return false;
  }
}

/** Arguments of the RPC "KVServer.Request". Requests of reads alone need no session: both numbers are 0. */
export type RequestArgs = readonly [session: number, firstSeq: number, slots: readonly Slot[]];

/** Checks what a client sent: nothing else may reach the log, where every server would have to make sense of it. */
export function parseRequest(args: unknown): RequestArgs {
  if (!Array.isArray(args) || args.length !== 3) throw malformed("three elements: session, first number, operations");
  const [session, firstSeq, slots] = args as [unknown, unknown, unknown];
  if (!isCount(session, 0) || !isCount(firstSeq, 0)) throw malformed("whole numbers for session and first number");
  if (!Array.isArray(slots) || slots.length === 0 || slots.length > MAX_REQUEST_OPS || !slots.every(isSlot)) {
    throw malformed(`1 to ${MAX_REQUEST_OPS} operations that this version knows`);
  }
  const writes = slots.some((slot) => slot === null || slot[0] !== OpKind.read);
  if (writes && (session === 0 || firstSeq === 0)) throw malformed("a session and a first number from 1 on for writes");
  return [session, firstSeq, slots];
}

/** Checks the arguments of the RPC "KVServer.EndSession". */
export function parseSession(args: unknown): number {
  const session: unknown = Array.isArray(args) ? args[0] : undefined;
  if (!isCount(session, 1)) throw malformed("the number of a session");
  return session;
}

function malformed(needed: string): InvalidArgumentError {
  return new InvalidArgumentError(`malformed request: it needs ${needed}`);
}
