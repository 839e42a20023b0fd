import { readJournal, type PaxosEffect, type PaxosState } from "../../paxos/index.js";
import { EntryType, type Entry, type StoredState } from "../../replica/index.js";
import { votesIn } from "./paxos-votes.js";

// An acceptor's votes as the log that they amount to, for those who show logs: holes are no-ops of nobody.

const HOLE: Entry = { term: 0, type: EntryType.noop, data: new Uint8Array(0) };

export interface LogChange {
  readonly snapshot: { readonly index: number; readonly term: number } | null;
  readonly discardLog: boolean;
  readonly firstIndex: number;
  readonly entries: readonly Entry[];
}

/** What a journal amounts to. */
export function storedAsLog(stored: StoredState): StoredState {
  const { lastIncludedIndex, lastIncludedTerm, votes } = readJournal(stored);
  const last = Math.max(lastIncludedIndex, ...votes.keys());
  const entries: Entry[] = [];
  for (let i = lastIncludedIndex + 1; i <= last; i++) entries.push(votes.get(i)?.entry ?? HOLE);
  const { hardState, snapshot } = stored;
  return {
    hardState,
    snapshot: snapshot && { ...snapshot, index: lastIncludedIndex, term: lastIncludedTerm },
    entries,
  };
}

/** What a step has changed. */
export function paxosChanges(effects: readonly PaxosEffect[], { log }: PaxosState): LogChange[] {
  let first = Infinity;
  let hasSnapshot = false;
  for (const effect of effects) {
    if (effect.type !== "persist") continue;
    if (effect.snapshot !== null) hasSnapshot = true;
    for (const { instance } of votesIn(effect.entries)) first = Math.min(first, instance);
  }
  if (first === Infinity && !hasSnapshot) return [];
  const { lastIncludedIndex: index, lastIncludedTerm: term, lastIndex } = log;
  // A snapshot comes with all that is beyond it.
  first = hasSnapshot ? index + 1 : Math.max(index + 1, first);
  const entries: Entry[] = [];
  for (let i = first; i <= lastIndex; i++) entries.push(log.voteAt(i)?.entry ?? HOLE);
  return [{ snapshot: hasSnapshot ? { index, term } : null, discardLog: hasSnapshot, firstIndex: first, entries }];
}
