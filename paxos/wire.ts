import { BadMessageError, EntryType, type Entry } from "../replica/index.js";
import type { InstanceVote, Reply, Request, SnapshotChunk } from "./core/index.js";

/**
 * Messages as they travel: positional tuples. What arrives is checked field by field before the core sees it, so that no
 * sequence of bytes can bring a server down.
 */
type Wire = readonly unknown[];

export const METHODS = {
  Prepare: "prepare",
  Accept: "accept",
  Learn: "learn",
  TakeOver: "takeOver",
} as const;

/** Of ballots and instances; twice as much fits into the journal. */
const MOST = 2 ** 47;

export function encodeRequest(m: Request): Wire {
  switch (m.type) {
    case "prepare":
      return [m.ballot, m.sender, m.seq, m.from, m.probe, m.handover];
    case "accept":
      return [m.ballot, m.sender, m.seq, m.first, m.commitIndex, m.readContext, flattenEntries(m.entries)];
    case "learn":
      return [m.sender, m.seq, m.from, m.snapshotIndex, m.offset];
    case "takeOver":
      return [m.ballot, m.sender, m.seq];
  }
}

export function encodeReply(m: Reply): Wire {
  switch (m.type) {
    case "prepareReply":
      return [m.ballot, m.requestBallot, m.probe, m.granted, m.commitIndex, m.next, flattenVotes(m.votes)];
    case "acceptReply":
      return [m.ballot, m.seq, m.readContext, m.first, m.count, m.commitIndex];
    case "learnReply": {
      if (m.snapshot === null) return [m.seq, m.commitIndex, flattenVotes(m.chosen)];
      const { ballot, data, done, index, offset, term } = m.snapshot;
      return [m.seq, m.commitIndex, [], index, term, ballot, offset, data, done];
    }
    case "takeOverReply":
      return [m.ballot];
  }
}

/** Flat arrays: cheaper both ways than a tuple each. */
function flattenEntries(entries: readonly Entry[]): unknown[] {
  const flat: unknown[] = [];
  for (const { data, term, type } of entries) flat.push(term, type, data);
  return flat;
}

function flattenVotes(votes: readonly InstanceVote[]): unknown[] {
  const flat: unknown[] = [];
  for (const { ballot, entry, instance } of votes) flat.push(instance, ballot, entry.term, entry.type, entry.data);
  return flat;
}

export function decodeRequest(type: Request["type"], args: unknown): Request {
  const w = tuple(args);
  switch (type) {
    case "prepare":
      return {
        type,
        ballot: askedBallot(w, 0),
        sender: count(w, 1),
        seq: count(w, 2),
        from: positive(w, 3),
        probe: flag(w, 4),
        handover: count(w, 5),
      };
    case "accept":
      return {
        type,
        ballot: askedBallot(w, 0),
        sender: count(w, 1),
        seq: count(w, 2),
        first: positive(w, 3),
        commitIndex: count(w, 4),
        readContext: count(w, 5),
        entries: entriesOf(w[6], askedBallot(w, 0)),
      };
    case "learn":
      return {
        type,
        sender: count(w, 0),
        seq: count(w, 1),
        from: positive(w, 2),
        snapshotIndex: count(w, 3),
        offset: count(w, 4),
      };
    case "takeOver":
      return { type, ballot: askedBallot(w, 0), sender: count(w, 1), seq: count(w, 2) };
  }
}

export function decodeReply(type: Request["type"], reply: unknown): Reply {
  const w = tuple(reply);
  switch (type) {
    case "prepare":
      return {
        type: "prepareReply",
        ballot: count(w, 0),
        requestBallot: count(w, 1),
        probe: flag(w, 2),
        granted: flag(w, 3),
        commitIndex: count(w, 4),
        next: count(w, 5),
        votes: votesOf(w[6]),
      };
    case "accept":
      return {
        type: "acceptReply",
        ballot: count(w, 0),
        seq: count(w, 1),
        readContext: count(w, 2),
        first: count(w, 3),
        count: count(w, 4),
        commitIndex: count(w, 5),
      };
    case "learn":
      return {
        type: "learnReply",
        seq: count(w, 0),
        commitIndex: count(w, 1),
        chosen: votesOf(w[2]),
        snapshot: w.length > 3 ? chunkOf(w) : null,
      };
    case "takeOver":
      return { type: "takeOverReply", ballot: count(w, 0) };
  }
}

function chunkOf(w: Wire): SnapshotChunk {
  return {
    index: positive(w, 3),
    term: count(w, 4),
    ballot: count(w, 5),
    offset: count(w, 6),
    data: bytes(w[7]),
    done: flag(w, 8),
  };
}

function tuple(value: unknown): Wire {
  if (!Array.isArray(value)) throw new BadMessageError("a Paxos message must be an array");
  return value;
}

/** A ballot, an instance, an id or a sequence number: all are whole numbers from 0. */
function count(w: Wire, at: number): number {
  const value = w[at];
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0 || value > MOST) {
    throw new BadMessageError(`field ${at} of a Paxos message must be a whole number from 0 to ${MOST}`);
  }
  return value;
}

/** Instances begin with 1. */
function positive(w: Wire, at: number): number {
  const value = count(w, at);
  if (value === 0) throw new BadMessageError(`field ${at} of a Paxos message must not be 0`);
  return value;
}

/** Nobody asks in the lowest ballot, which stands for none. */
function askedBallot(w: Wire, at: number): number {
  return positive(w, at);
}

function flag(w: Wire, at: number): boolean {
  const value = w[at];
  if (typeof value !== "boolean") throw new BadMessageError(`field ${at} of a Paxos message must be true or false`);
  return value;
}

function bytes(value: unknown): Uint8Array {
  if (!(value instanceof Uint8Array)) throw new BadMessageError("a Paxos message has no bytes where they belong");
  return value;
}

/** An author's ballot is never above that in which its value is proposed. */
function entryOf(w: Wire, at: number, most: number): Entry {
  const term = positive(w, at);
  const type = w[at + 1];
  if (term > most) throw new BadMessageError(`a value of author ${term} cannot be proposed in ballot ${most}`);
  if (type !== EntryType.command && type !== EntryType.noop) {
    throw new BadMessageError("a value is of an unknown type; is the sender of a newer version?");
  }
  return { term, type, data: bytes(w[at + 2]) };
}

function entriesOf(value: unknown, most: number): readonly Entry[] {
  const flat = tuple(value);
  if (flat.length % 3 !== 0) throw new BadMessageError("values must come in threes: author, type, bytes");
  const entries: Entry[] = [];
  for (let i = 0; i < flat.length; i += 3) entries.push(entryOf(flat, i, most));
  return entries;
}

/** In order of instance, each once. */
function votesOf(value: unknown): readonly InstanceVote[] {
  const flat = tuple(value);
  if (flat.length % 5 !== 0)
    throw new BadMessageError("votes must come in fives: instance, ballot, author, type, bytes");
  const votes: InstanceVote[] = [];
  let last = 0;
  for (let i = 0; i < flat.length; i += 5) {
    const instance = count(flat, i);
    if (instance <= last) throw new BadMessageError(`a vote of instance ${instance} cannot follow one of ${last}`);
    last = instance;
    const voted = askedBallot(flat, i + 1);
    votes.push({ instance, ballot: voted, entry: entryOf(flat, i + 2, voted) });
  }
  return votes;
}
