import * as fc from "fast-check";
import { expect, test } from "vitest";

import { PaxosCore, type InstanceVote, type Reply, type Request } from "../../paxos/core/index.js";
import { ballotOf, nextBallot, proposerOf } from "../../paxos/core/ballots.js";
import { decodeMark, decodeVote, encodeMark, encodeVote, readJournal } from "../../paxos/core/journal.js";
import type { ClientEnd } from "../../labrpc/index.js";
import { makePaxos } from "../../paxos/index.js";
import { decodeReply, decodeRequest, encodeReply, encodeRequest, METHODS } from "../../paxos/wire.js";
import { Persister } from "../../replica/persister.js";
import { resolveReplicaConfig, type StoredState } from "../../replica/core/index.js";
import { BadMessageError, type Storage, type StorageWrite } from "../../replica/index.js";
import { decode, encode, KvraftError, SeededRandom } from "../../runtime/index.js";
import { simulate } from "../../sim/index.js";
import { acceptOf, PaxosCluster, value } from "../harness/paxos-cluster.js";
import { outcome } from "../properties/bits.js";
import { anyReply, anyRequest, nearReply } from "../properties/paxos-messages.js";
import { holds, holdsAsync, isWholeRun } from "../properties/property.js";
import { nonsense } from "../properties/raft-messages.js";

const request = anyRequest([0, 1, 2]);
const typeOf = (reply: Reply): Request["type"] => reply.type.slice(0, -"Reply".length) as Request["type"];
const nameOf = (message: Request): string => Object.entries(METHODS).find(([, type]) => type === message.type)![0];
const six = fc.nat(2 ** 47);

// ---- ballots

test("ballots: a total order by n, then proposer; no two proposers share one; the next is the lowest above", () => {
  const ballot = fc.record({ n: fc.nat(1e6), id: fc.nat(6) });
  holds(
    fc.property(ballot, ballot, (one, other) => {
      const [a, b] = [ballotOf(one.n, one.id, 7), ballotOf(other.n, other.id, 7)];
      expect(Math.sign(a - b)).toBe(Math.sign(one.n - other.n) || Math.sign(one.id - other.id));
      expect(proposerOf(a, 7)).toBe(one.id);
      const next = nextBallot(a, other.id, 7);
      expect([next > a, proposerOf(next, 7), next - 7 <= a + 6]).toEqual([true, other.id, true]);
    }),
    1000,
  );
});

// ---- the wire

test("every request and every reply comes out of the wire as it went in", () => {
  holds(
    fc.property(request, anyReply, (message, reply) => {
      expect(decodeRequest(message.type, decode(encode(encodeRequest(message))))).toEqual(message);
      expect(decodeReply(typeOf(reply), decode(encode(encodeReply(reply))))).toEqual(reply);
    }),
    1000,
  );
});

test("whatever else arrives is refused by name: junk, nonsense in any field, a message without its last", () => {
  const refused = (read: () => unknown): void => expect(outcome(read)).toBeInstanceOf(BadMessageError);
  holds(
    fc.property(request, anyReply, nonsense, fc.nat(), fc.anything(), (message, reply, junk, at, anything) => {
      const asked = encodeRequest(message);
      const answered = encodeReply(reply);
      refused(() => decodeRequest(message.type, asked.with(at % asked.length, junk)));
      refused(() => decodeReply(typeOf(reply), answered.with(at % answered.length, junk)));
      refused(() => decodeRequest(message.type, asked.slice(0, at % asked.length)));
      for (const read of [decodeRequest, decodeReply]) {
        const result = outcome<unknown>(() => read(message.type, anything));
        // A list of whole numbers may be a message by chance.
        if (!(result instanceof BadMessageError)) expect(Array.isArray(anything)).toBe(true);
      }
    }),
    1000,
  );
});

// ---- the journal

const instanceVote: fc.Arbitrary<InstanceVote> = fc.record({
  instance: six,
  ballot: six,
  entry: fc.record({ term: six, type: fc.constantFrom(0, 1), data: fc.uint8Array({ maxLength: 20 }) }),
});

test("votes and marks come out of a record as they went in", () => {
  holds(
    fc.property(instanceVote, six, six, six, (vote, promised, chosen, position) => {
      const writer = { promised, chosen };
      expect(decodeVote(encodeVote(writer, vote))).toEqual(vote);
      const mark = { position, lastIncludedIndex: chosen, lastIncludedTerm: promised };
      expect(decodeMark(encodeMark(writer, mark))).toEqual(mark);
      expect([decodeMark(encodeVote(writer, vote)), decodeVote(encodeMark(writer, mark))]).toEqual([null, null]);
    }),
    500,
  );
});

/** Keeps every state that the disk went through, and what the acceptor had in mind when it asked for each. */
class Recorder {
  readonly disk = new Persister();
  readonly states: StoredState[] = [];

  write(write: StorageWrite): void {
    this.disk.write(write, () => {});
    const { hardState, snapshot, entries } = this.disk.load();
    this.states.push({ hardState, snapshot, entries: [...entries] });
  }
}

test("every state that a disk went through is read back as promise, votes and choices that were there at the time", () => {
  const step = fc.oneof(
    fc.record({
      type: fc.constant("accept"),
      first: fc.integer({ min: 1, max: 6 }),
      count: fc.integer({ min: 1, max: 3 }),
    }),
    fc.record({ type: fc.constantFrom("learn", "compact", "higher"), first: fc.constant(0), count: fc.constant(0) }),
  );
  holds(
    fc.property(fc.array(step, { maxLength: 25, size: "max" }), (steps) => {
      const recorder = new Recorder();
      const config = resolveReplicaConfig();
      const stored = recorder.disk.load();
      const core = new PaxosCore({ me: 0, voters: [0, 1, 2], config, random: new SeededRandom(1), stored, now: 0 });
      /** By write: promise, votes and how much is chosen. */
      const minds: { promised: number; votes: Map<number, number>; chosen: number; included: number }[] = [];
      let ballot = 4;
      let seq = 0;
      for (const { count, first, type } of steps) {
        if (type === "higher") ballot += 3;
        const { log, commitIndex } = core.state;
        if (type === "compact") core.compact(0, commitIndex, new Uint8Array(2));
        else {
          const at = log.lastIncludedIndex + first;
          // All leaders propose the same in an instance, so that anything may be chosen.
          const entries = Array.from({ length: count }, (_, i) => value(1, `${at + i}`));
          const known = type === "learn" ? Math.min(log.lastIndex, commitIndex + 2) : 0;
          const message = acceptOf({ ballot, seq: ++seq, first: Math.max(1, at), entries, commitIndex: known });
          core.step(0, { type: "request", request: seq, message });
        }
        for (const effect of core.takeEffects()) {
          if (effect.type !== "persist") continue;
          recorder.write(effect);
          const { log: now, term } = core.state;
          const votes = new Map<number, number>();
          for (let i = now.lastIncludedIndex + 1; i <= now.lastIndex; i++) {
            const vote = now.voteAt(i);
            if (vote !== undefined) votes.set(i, vote.ballot);
          }
          minds.push({ promised: term, votes, chosen: core.state.commitIndex, included: now.lastIncludedIndex });
          core.step(0, { type: "persisted", write: effect.write });
        }
      }
      for (const [i, state] of recorder.states.entries()) {
        const mind = minds[i]!;
        const read = readJournal(state);
        expect(read.promised).toBe(mind.promised);
        // Between the two writes of a compaction the snapshot is not there yet, and the votes in front of it still are.
        for (const [instance, old] of mind.votes) {
          if (instance > read.lastIncludedIndex) expect(read.votes.get(instance)?.ballot).toBe(old);
        }
        for (const instance of read.votes.keys())
          if (instance > mind.included) expect(mind.votes.has(instance)).toBe(true);
        expect(read.chosen).toBeLessThanOrEqual(mind.chosen);
        expect([mind.included, 0].includes(read.lastIncludedIndex) || read.lastIncludedIndex < mind.included).toBe(
          true,
        );
      }
    }),
    200,
  );
});

test("a journal that is torn at any record reads back as a state that the acceptor had", () => {
  const cluster = PaxosCluster.led();
  for (let i = 0; i < 10; i++) cluster.commit(0, `a${i}`, `b${i}`);
  const { hardState, entries, snapshot } = cluster.disk(1).load();
  let chosen = 0;
  for (let length = 0; length <= entries.length; length++) {
    const read = readJournal({ hardState, snapshot, entries: entries.slice(0, length) });
    expect(read.votes.size).toBe(length);
    expect(read.chosen).toBeGreaterThanOrEqual(chosen);
    expect(read.chosen).toBeLessThanOrEqual(length);
    chosen = read.chosen;
  }
  expect(chosen).toBeGreaterThanOrEqual(entries.length - 2);
});

// ---- servers

/** A disk that takes only what an acceptor may write, whatever it was told. */
class StrictStorage implements Storage {
  readonly persister = new Persister();

  load(): StoredState {
    return this.persister.load();
  }

  stateSize(): number {
    return this.persister.stateSize();
  }

  write(write: StorageWrite, done: (error: Error | null) => void): void {
    const { term } = this.load().hardState;
    const promised = write.hardState?.term ?? term;
    if (promised < term) throw new Error(`the promise goes back from ${term} to ${promised}`);
    for (const entry of write.entries) {
      if (entry.term !== promised) throw new Error(`a record of ${entry.term} under the promise of ${promised}`);
    }
    this.persister.write(write, done);
  }
}

const SILENT = { call: () => Promise.resolve(null) };
const peers = [SILENT, SILENT, SILENT];

test("a message that is not well formed is refused, and changes nothing that is stored", async () => {
  const bad = fc.tuple(anyRequest([1, 2]), fc.nat(), nonsense).map(([message, at, junk]) => {
    const fields = encodeRequest(message);
    return { name: nameOf(message), args: fields.with(at % fields.length, junk) };
  });
  await simulate({ seed: 1 }, async (runtime) => {
    const storage = new StrictStorage();
    const failures: Error[] = [];
    const server = makePaxos({
      peers,
      me: 0,
      persister: storage,
      runtime,
      onFailure: (error) => void failures.push(error),
    });
    const before = JSON.stringify(storage.load());
    await holdsAsync(
      fc.asyncProperty(bad, async ({ name, args }) => {
        expect(outcome(() => server.service.handlers.get(name)!(args))).toBeInstanceOf(KvraftError);
        expect(JSON.stringify(storage.load())).toBe(before);
        expect(failures).toEqual([]);
      }),
      500,
    );
  });
});

test("well-formed messages with any figures never bring a server down, and break no promise on its disk", async () => {
  await holdsAsync(
    fc.asyncProperty(fc.array(anyRequest([1, 2]), { minLength: 1, maxLength: 10, size: "max" }), (messages) =>
      simulate({ seed: 1, limitMs: 60_000 }, async (runtime) => {
        const storage = new StrictStorage();
        const failures: Error[] = [];
        const server = makePaxos({
          peers,
          me: 0,
          persister: storage,
          runtime,
          onFailure: (error) => void failures.push(error),
        });
        for (const message of messages) {
          const answer = outcome(() => server.service.handlers.get(nameOf(message))!(encodeRequest(message)));
          if (answer instanceof Error) expect(answer).toBeInstanceOf(KvraftError);
          else expect(Array.isArray(answer)).toBe(true);
          await runtime.clock.sleep(200);
        }
        expect(failures).toEqual([]);
        expect(server.status().killed).toBe(false);
        server.kill();
        // What is stored can be started from.
        makePaxos({ peers, me: 0, persister: storage.persister.copy(), runtime }).kill();
      }),
    ),
    300,
  );
});

/** Promises, votes and learns as it should, now and then with another tongue. */
function fickle(answers: readonly (Reply | null)[]): ClientEnd {
  let calls = 0;
  return {
    call: <R>(method: string, args: unknown) => {
      const next = answers[calls++ % answers.length]!;
      const message = decodeRequest(METHODS[method.slice("Paxos.".length) as keyof typeof METHODS], args);
      return Promise.resolve(encodeReply(next ?? honest(message)) as R);
    },
  };
}

function honest(message: Request): Reply {
  switch (message.type) {
    case "prepare": {
      const { ballot, probe } = message;
      const rest = { requestBallot: ballot, probe, granted: true, commitIndex: 0, votes: [], next: 0 };
      return { type: "prepareReply", ballot: probe ? 0 : ballot, ...rest };
    }
    case "accept": {
      const { ballot, entries, first, readContext, seq } = message;
      return { type: "acceptReply", ballot, seq, readContext, first, count: entries.length, commitIndex: 0 };
    }
    case "learn":
      return { type: "learnReply", seq: message.seq, commitIndex: 0, chosen: [], snapshot: null };
    case "takeOver":
      return { type: "takeOverReply", ballot: message.ballot };
  }
}

test("answers of any kind never bring down a server that asks, not even as leader", async () => {
  let led = 0;
  let runs = 0;
  const answer = fc.oneof({ weight: 3, arbitrary: fc.constant(null) }, { weight: 2, arbitrary: nearReply });
  await holdsAsync(
    fc.asyncProperty(fc.array(answer, { minLength: 3, maxLength: 12, size: "max" }), (answers) =>
      simulate({ seed: 1, limitMs: 60_000 }, async (runtime) => {
        const failures: Error[] = [];
        const server = makePaxos({
          peers: [SILENT, fickle(answers), fickle(answers.toReversed())],
          me: 0,
          persister: new StrictStorage(),
          runtime,
          onFailure: (error) => void failures.push(error),
        });
        for (let i = 0; i < 20; i++) {
          await runtime.clock.sleep(150);
          server.start(i);
          server.readBarrier({ timeoutMs: 10 }).catch(() => {});
        }
        expect(failures).toEqual([]);
        expect(server.status().killed).toBe(false);
        runs++;
        if (server.status().commitIndex > 5) led++;
        server.kill();
      }),
    ),
    200,
  );
  if (isWholeRun) expect(led).toBeGreaterThan(runs / 4);
});
