import { cpSync } from "node:fs";
import { join } from "node:path";

import { CommandKind, OpKind, type Command } from "../kvraft/commands.js";
import { encode } from "../runtime/index.js";
import type { Entry, StorageWrite } from "../raft/index.js";
import { openStorage } from "../server/storage/index.js";
import { Nodes } from "./nodes.js";

/** All in milliseconds, but for the sizes. */
export interface Restart {
  readonly entries: number;
  readonly "log MB": number;
  /** Writing the log, through the product's own storage, in writes of `BATCH` entries. */
  readonly "building the log, ms": number;
  /** All nodes at once, from the start of the processes to the first answered read: they elect, and apply all of it. */
  readonly "whole cluster to its first read, ms": number;
  /** One node, beside the others: from the start of its process to when it serves, and to when it has applied all. */
  readonly "one node until it serves, ms": number;
  readonly "one node until it has applied all, ms": number;
}

const LIMIT_MS = 60_000;
const BATCH = 2000;
const VALUE = "v".repeat(256);
const KEYS = 10_000;

/** A node with many entries and no snapshot: they are read, checked, and applied. */
export async function measureRestart(
  program: string,
  folder: string,
  count: number,
  entries: number,
): Promise<Restart> {
  const nodes = await Nodes.prepare(program, folder, count, { maxRaftState: -1 });
  try {
    // Each gets an identity of its own, and knows the others.
    await nodes.startAll();
    {
      await using client = nodes.connect();
      await client.clerk.get("key", { timeoutMs: LIMIT_MS });
    }
    await Promise.all(nodes.ids.map((id) => nodes.kill(id)));
    const first = logOf(nodes, 1);
    const begun = performance.now();
    const bytes = await appendEntries(first, entries);
    const buildMs = performance.now() - begun;
    for (const id of nodes.ids.slice(1)) cpSync(first, logOf(nodes, id), { recursive: true, force: true });

    const started = performance.now();
    await nodes.startAll();
    await using client = nodes.connect();
    await client.clerk.get("key", { timeoutMs: LIMIT_MS });
    const clusterMs = performance.now() - started;

    const last = nodes.ids.at(-1) as number;
    const hasAll = (id: number): Promise<unknown> =>
      nodes.until(client, (status) => status.id === id && (status.groups["kv"]?.appliedIndex ?? 0) >= entries);
    await hasAll(last);
    await nodes.kill(last);
    const again = performance.now();
    await nodes.start(last);
    const servesMs = performance.now() - again;
    await hasAll(last);
    return {
      entries,
      "log MB": bytes / 1e6,
      "building the log, ms": buildMs,
      "whole cluster to its first read, ms": clusterMs,
      "one node until it serves, ms": servesMs,
      "one node until it has applied all, ms": performance.now() - again,
    };
  } finally {
    await nodes.remove();
  }
}

const logOf = (nodes: Nodes, id: number): string => join(nodes.root, `node-${id}`, "kv");

/** Goes on from what is there: opens a session and writes in it. Returns the bytes of the log. */
async function appendEntries(dir: string, entries: number): Promise<number> {
  await using storage = await openStorage({ dir });
  const stored = storage.load();
  const { term } = stored.hardState;
  const last = stored.entries.length;
  const session = last + 1;
  const commandAt = (index: number): Command =>
    index === session
      ? [CommandKind.register, 1000]
      : [CommandKind.request, session, index - session, [[OpKind.put, keyAt(index), VALUE]]];
  let write = 0;
  for (let from = last + 1; from <= entries; from += BATCH) {
    const batch: Entry[] = [];
    for (let index = from; index < from + BATCH && index <= entries; index++) {
      batch.push({ term, type: 0, data: encode(commandAt(index)) });
    }
    const change: StorageWrite = {
      ...{ type: "persist", write: ++write, hardState: null, snapshot: null, discardLog: false },
      ...{ firstIndex: from, entries: batch },
    };
    await new Promise<void>((resolve, reject) => {
      storage.write(change, (error) => (error === null ? resolve() : reject(error)));
    });
  }
  return storage.stats().logBytes;
}

const keyAt = (index: number): string => `key${String(index % KEYS).padStart(5, "0")}`;
