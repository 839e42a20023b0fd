import { BadMessageError } from "../replica/index.js";
import { EntryType, type Entry, type Reply, type Request } from "./core/index.js";

/**
 * Messages as they travel: positional tuples, for they are the bulk of all traffic. What arrives is checked field by
 * field before the core sees it, so that no sequence of bytes can bring a server down.
 */
type Wire = readonly unknown[];

export const METHODS = {
  RequestVote: "requestVote",
  AppendEntries: "appendEntries",
  InstallSnapshot: "installSnapshot",
  TimeoutNow: "timeoutNow",
} as const;

export function encodeRequest(m: Request): Wire {
  switch (m.type) {
    case "appendEntries":
      return [
        m.term,
        m.leader,
        m.seq,
        m.prevLogIndex,
        m.prevLogTerm,
        m.leaderCommit,
        m.readContext,
        flatten(m.entries),
      ];
    case "requestVote":
      return [m.term, m.candidate, m.seq, m.lastLogIndex, m.lastLogTerm, m.preVote, m.transfer];
    case "installSnapshot":
      return [m.term, m.leader, m.seq, m.lastIncludedIndex, m.lastIncludedTerm, m.offset, m.data, m.done];
    case "timeoutNow":
      return [m.term, m.leader, m.seq];
  }
}

export function encodeReply(m: Reply): Wire {
  switch (m.type) {
    case "appendEntriesReply":
      // The usual answer has no hints.
      if (m.success) return [m.term, m.seq, m.readContext, m.index];
      return [m.term, m.seq, m.readContext, m.index, m.hintIndex, m.hintTerm];
    case "requestVoteReply":
      return [m.term, m.requestTerm, m.preVote, m.granted];
    case "installSnapshotReply":
      return [m.term, m.seq, m.lastIncludedIndex, m.offset, m.done];
    case "timeoutNowReply":
      return [m.term];
  }
}

/** Three values an entry, in one flat array: cheaper both ways than a tuple each. */
function flatten(entries: readonly Entry[]): unknown[] {
  if (entries.length === 0) return [];
  const flat: unknown[] = [];
  for (const entry of entries) flat.push(entry.term, entry.type, entry.data);
  return flat;
}

export function decodeRequest(type: Request["type"], args: unknown): Request {
  const w = tuple(args);
  switch (type) {
    case "appendEntries":
      return {
        type,
        term: count(w, 0),
        leader: count(w, 1),
        seq: count(w, 2),
        prevLogIndex: count(w, 3),
        prevLogTerm: countUpTo(w, 4, count(w, 0)),
        leaderCommit: count(w, 5),
        readContext: count(w, 6),
        entries: entriesOf(w[7], count(w, 4), count(w, 0)),
      };
    case "requestVote":
      return {
        type,
        term: count(w, 0),
        candidate: count(w, 1),
        seq: count(w, 2),
        lastLogIndex: count(w, 3),
        lastLogTerm: count(w, 4),
        preVote: flag(w, 5),
        transfer: flag(w, 6),
      };
    case "installSnapshot":
      return {
        type,
        term: count(w, 0),
        leader: count(w, 1),
        seq: count(w, 2),
        lastIncludedIndex: count(w, 3),
        lastIncludedTerm: countUpTo(w, 4, count(w, 0)),
        offset: count(w, 5),
        data: bytes(w[6]),
        done: flag(w, 7),
      };
    case "timeoutNow":
      return { type, term: count(w, 0), leader: count(w, 1), seq: count(w, 2) };
  }
}

export function decodeReply(type: Request["type"], reply: unknown): Reply {
  const w = tuple(reply);
  switch (type) {
    case "appendEntries": {
      const success = w.length === 4;
      return {
        type: "appendEntriesReply",
        term: count(w, 0),
        seq: count(w, 1),
        readContext: count(w, 2),
        success,
        index: count(w, 3),
        hintIndex: success ? 0 : count(w, 4),
        hintTerm: success ? 0 : count(w, 5),
      };
    }
    case "requestVote":
      return {
        type: "requestVoteReply",
        term: count(w, 0),
        requestTerm: count(w, 1),
        preVote: flag(w, 2),
        granted: flag(w, 3),
      };
    case "installSnapshot":
      return {
        type: "installSnapshotReply",
        term: count(w, 0),
        seq: count(w, 1),
        lastIncludedIndex: count(w, 2),
        offset: count(w, 3),
        done: flag(w, 4),
      };
    case "timeoutNow":
      return { type: "timeoutNowReply", term: count(w, 0) };
  }
}

function tuple(value: unknown): Wire {
  if (!Array.isArray(value)) throw new BadMessageError("a Raft message must be an array");
  return value;
}

/**
 * The durable log has six bytes for a term and for an index. Half of what they hold is far beyond all that a group can
 * reach; and who has been told of such a term still has as many to go, instead of none.
 */
const MOST = 2 ** 47;

/** A term, an index, an id or a sequence number: all are whole numbers from 0. */
function count(w: Wire, at: number): number {
  const value = w[at];
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0 || value > MOST) {
    throw new BadMessageError(
      `field ${at} of a Raft message must be a whole number from 0 to ${MOST}, not ${inWords(value)}`,
    );
  }
  return value;
}

/** What came from afar may be an object without a way to become a string. */
function inWords(value: unknown): string {
  return typeof value === "object" && value !== null ? "an object" : String(value);
}

/** A term in the sender's log, which cannot be later than the sender's own. */
function countUpTo(w: Wire, at: number, most: number): number {
  const value = count(w, at);
  if (value > most) throw new BadMessageError(`field ${at} of a Raft message must be at most ${most}, not ${value}`);
  return value;
}

function flag(w: Wire, at: number): boolean {
  const value = w[at];
  if (typeof value !== "boolean") throw new BadMessageError(`field ${at} of a Raft message must be true or false`);
  return value;
}

function bytes(value: unknown): Uint8Array {
  if (!(value instanceof Uint8Array)) throw new BadMessageError("a Raft message has no bytes where they belong");
  return value;
}

/** Terms never decrease along a log and never exceed the sender's; a log built on less could not be searched. */
function entriesOf(value: unknown, prevTerm: number, senderTerm: number): readonly Entry[] {
  const flat = tuple(value);
  if (flat.length % 3 !== 0) throw new BadMessageError("entries must come in threes: term, type, bytes");
  const entries: Entry[] = [];
  let lowest = prevTerm;
  for (let i = 0; i < flat.length; i += 3) {
    const term = count(flat, i);
    const type = flat[i + 1];
    if (term < lowest || term > senderTerm) throw new BadMessageError(`an entry of term ${term} cannot stand here`);
    if (type !== EntryType.command && type !== EntryType.noop) {
      throw new BadMessageError(`unknown entry type ${inWords(type)}; is the sender of a newer version?`);
    }
    entries.push({ term, type, data: bytes(flat[i + 2]) });
    lowest = term;
  }
  return entries;
}
