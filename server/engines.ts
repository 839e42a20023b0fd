import type { MakeLog } from "../kvraft/index.js";
import { decodeVote, makePaxos, readJournal } from "../paxos/index.js";
import { makeRaft, type StorageWrite } from "../raft/index.js";
import type { ReadJournal } from "./storage/index.js";

/** What a node must know of a consensus algorithm: how to run it, and what it means by what it writes. */
export interface Engine {
  readonly make: MakeLog;
  /**
   * Where in the log a write begins to change it, and where the last command is that it brings (below that: it brings
   * none). Null: it does not change the log.
   */
  readonly changeOf: (write: StorageWrite) => readonly [first: number, lastCommand: number] | null;
  /** Null: what it stores is the log itself. */
  readonly readJournal: ReadJournal | null;
}

/** The consensus algorithms that there are, by the names that configurations give them. */
export const engines = {
  raft: {
    make: makeRaft,
    changeOf: ({ firstIndex, entries }) => {
      if (firstIndex === 0) return null;
      return [firstIndex, firstIndex + entries.findLastIndex(({ data }) => data.length > 0)];
    },
    readJournal: null,
  },
  paxos: {
    make: makePaxos,
    changeOf: ({ entries: records }) => {
      const first = records[0] && decodeVote(records[0]);
      // Not a vote: the votes behind it are old ones, kept from going with what a snapshot replaces.
      if (!first) return null;
      for (let i = records.length - 1; i >= 0; i--) {
        const vote = decodeVote(records[i]!);
        if (vote !== null && vote.entry.data.length > 0) return [first.instance, vote.instance];
      }
      return [first.instance, first.instance - 1];
    },
    readJournal: (stored) => {
      const { promised, lastIncludedIndex, chosen, votes } = readJournal(stored);
      const instances = [...votes.keys()].sort((a, b) => a - b);
      const [first, last = 0] = [instances[0], instances.at(-1)];
      return { promised, snapshotIndex: lastIncludedIndex, chosen, votes: first === undefined ? null : [first, last] };
    },
  },
} satisfies Readonly<Record<string, Engine>>;

export type EngineName = keyof typeof engines;
export const ENGINE_NAMES = Object.keys(engines) as EngineName[];
export const DEFAULT_ENGINE: EngineName = "raft";
