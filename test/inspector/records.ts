import { EntryType, type Entry } from "../../raft/index.js";
import { encode } from "../../runtime/index.js";
import type { Command } from "../../kvraft/index.js";
import { clientActor, RunRecorder, type RunRecord, type ServerFigures } from "../../sim/index.js";
import type { Edit } from "./bundles.js";

/** Reads that do not wait for the barrier: they answer from whatever a server happens to hold. */
export const STALE_READS: readonly Edit[] = [
  ["kvraft/rsm.ts", "    await this.#log.readBarrier(options);", "    void options;"],
];

export function figures(changes: Partial<ServerFigures> = {}): ServerFigures {
  const nothing = { role: "follower", term: 0, votedFor: null, leader: null, commitIndex: 0, durableIndex: 0 } as const;
  return { ...nothing, votes: [], ...changes };
}

export function entryOf(term: number, command: Command): Entry {
  return { term, type: EntryType.command, data: encode(command) };
}

export const EMPTY = { hardState: { term: 0, votedFor: null }, snapshot: null, entries: [] };

const flat = (entry: Entry): unknown[] => [entry.term, entry.type, entry.data];

/** S0 leads three servers in term 1; one client puts x, from 10 to 90 ms. `value` is what it puts. */
export function smallRecord(value = "hello"): RunRecord {
  const recorder = new RunRecorder({ title: "A put", servers: 3, clients: 1 });
  const command: Command = [2, 1, 1, [[1, "x", value]]];
  const entry = entryOf(1, command);
  const write = { snapshot: null, discardLog: false, firstIndex: 1, entries: [entry] };
  const lead = { role: "leader", term: 1, votedFor: 0, leader: 0, votes: [0, 1] } as const;
  const follow = { term: 1, votedFor: 0, leader: 0 };
  for (const server of [0, 1, 2]) recorder.start(server, EMPTY);
  recorder.step(0, figures(lead), [], "reply");
  recorder.at(10);
  const operation = recorder.invoke(clientActor(0), 0, "put", "x", value);
  const request = recorder.send(clientActor(0), 0, "KVServer.Request", [1, 1, [[1, "x", value]]]);
  recorder.at(20);
  recorder.deliver(request);
  recorder.step(0, figures({ ...lead, durableIndex: 1 }), [write], "propose");
  const appends = [1, 2].map((to) => recorder.send(0, to, "Raft.AppendEntries", [1, 0, to, 0, 0, 0, 0, flat(entry)]));
  recorder.at(40);
  recorder.deliver(appends[0] as number);
  recorder.drop(appends[1] as number, "loss");
  recorder.step(1, figures({ ...follow, durableIndex: 1 }), [write], "request");
  const reply = recorder.send(1, 0, "Raft.AppendEntries", [1, 1, 0, 1], appends[0]);
  recorder.at(60);
  recorder.deliver(reply);
  recorder.step(0, figures({ ...lead, durableIndex: 1, commitIndex: 1 }), [], "reply");
  recorder.apply(0, 1, 1, command);
  const answer = recorder.send(0, clientActor(0), "KVServer.Request", [0, 0, [1]], request);
  recorder.at(90);
  recorder.deliver(answer);
  recorder.return(operation, "ok");
  recorder.at(100);
  recorder.phase("over");
  return recorder.finish({ outcome: { ok: true, text: "one put" } });
}

/** A long run: a leader, four followers, six clients, and `events` events. */
export function longRecord(events: number): RunRecord {
  const recorder = new RunRecorder({ title: "A long run", servers: 5, clients: 6 });
  const lead = { role: "leader", term: 1, votedFor: 0, leader: 0 } as const;
  for (const server of [0, 1, 2, 3, 4]) recorder.start(server, EMPTY);
  for (let index = 1; recorder.length < events; index++) {
    const now = index * 5;
    const term = 1 + Math.floor(index / 700);
    const client = clientActor(index % 6);
    const value = `value ${index};`;
    const entry = entryOf(term, [2, 1, index, [[index % 3 === 0 ? 1 : 2, `k${index % 8}`, value]]]);
    const write = { snapshot: null, discardLog: false, firstIndex: index, entries: [entry] };
    recorder.at(now);
    const operation = recorder.invoke(client, index % 6, "append", `k${index % 8}`, value);
    recorder.step(0, figures({ ...lead, term, commitIndex: index - 1, durableIndex: index }), [write], "propose");
    const sent = [1, 2, 3, 4].map((to) => {
      return recorder.send(0, to, "Raft.AppendEntries", [term, 0, index, index - 1, term, index - 1, 0, flat(entry)]);
    });
    recorder.at(now + 2);
    for (const [i, message] of sent.entries()) {
      recorder.deliver(message);
      recorder.step(i + 1, figures({ term, leader: 0, commitIndex: index - 1, durableIndex: index }), [write]);
    }
    recorder.at(now + 4);
    recorder.return(operation, "ok");
  }
  return recorder.finish({ outcome: { ok: true, text: "long" } });
}
