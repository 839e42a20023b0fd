import {
  EntryType,
  type AppendEntries,
  type AppendEntriesReply,
  type Entry,
  type InstallSnapshot,
  type RequestVote,
} from "../../raft/core/index.js";

/** The entry that servers with a prepared log hold at `index`. */
export function entryOf(index: number, term: number): Entry {
  return { term, type: EntryType.command, data: bytes(`${index} of term ${term}`) };
}

/** The entries that a log of these terms holds from `firstIndex` on. */
export function entriesFrom(firstIndex: number, notation: string): Entry[] {
  return terms(notation).map((term, i) => entryOf(firstIndex + i, term));
}

/** "1x3 4" is a log of three entries of term 1 and one of term 4. */
export function terms(notation: string): number[] {
  return notation
    .split(" ")
    .filter((part) => part !== "")
    .flatMap((part) => {
      const [term, times] = part.split("x").map(Number);
      return new Array<number>(times ?? 1).fill(term!);
    });
}

export function bytes(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

export function text(data: Uint8Array): string {
  return new TextDecoder().decode(data);
}

/** A vote that server 1 asks for in term 1 with an empty log, but for what `fields` say. */
export function requestVote(fields: Partial<RequestVote>): RequestVote {
  return {
    type: "requestVote",
    term: 1,
    candidate: 1,
    seq: 1,
    lastLogIndex: 0,
    lastLogTerm: 0,
    preVote: false,
    transfer: false,
    ...fields,
  };
}

/** An empty append of server 1 in term 1 at the start of the log, but for what `fields` say. */
export function appendEntries(fields: Partial<AppendEntries>): AppendEntries {
  return {
    type: "appendEntries",
    term: 1,
    leader: 1,
    seq: 1,
    prevLogIndex: 0,
    prevLogTerm: 0,
    leaderCommit: 0,
    readContext: 0,
    entries: [],
    ...fields,
  };
}

export function appendReply(fields: Partial<AppendEntriesReply>): AppendEntriesReply {
  return {
    type: "appendEntriesReply",
    term: 1,
    seq: 0,
    readContext: 0,
    success: true,
    index: 0,
    hintIndex: 0,
    hintTerm: 0,
    ...fields,
  };
}

export function installSnapshot(fields: Partial<InstallSnapshot>): InstallSnapshot {
  return {
    type: "installSnapshot",
    term: 1,
    leader: 1,
    seq: 1,
    lastIncludedIndex: 1,
    lastIncludedTerm: 1,
    offset: 0,
    data: new Uint8Array(0),
    done: true,
    ...fields,
  };
}
