import type { Entry, Snapshot, StoredState } from "../../raft/core/index.js";
import type { Persister } from "../../replica/persister.js";
import { entryOf } from "./core-messages.js";

/** What a server finds on its disk at its first start. */
export interface Disk {
  /** The terms of its log, as `terms("1x3 4")` makes them. */
  readonly log?: readonly number[];
  /** Default: the term of the last entry. */
  readonly term?: number;
  readonly votedFor?: number;
  readonly snapshot?: Snapshot;
}

/** Servers that are given the same long log share its entries. */
const prepared = new WeakMap<readonly number[], readonly Entry[]>();

/** Puts onto an empty disk what `content` says. */
export function formatDisk(disk: Persister, content: Disk): StoredState {
  const { log = [], term, votedFor = null, snapshot = null } = content;
  const firstIndex = (snapshot?.index ?? 0) + 1;
  const entries = prepared.get(log) ?? log.map((entryTerm, i) => entryOf(firstIndex + i, entryTerm));
  prepared.set(log, entries);
  const hardState = { term: term ?? entries.at(-1)?.term ?? snapshot?.term ?? 0, votedFor };
  disk.write({ type: "persist", write: 0, hardState, snapshot, discardLog: false, firstIndex, entries }, () => {});
  return { hardState, snapshot, entries };
}
