import { expect, test } from "vitest";

import { PaxosCore } from "../../paxos/core/index.js";
import type { Effect, Reply, Request } from "../../paxos/core/index.js";
import { decodeMark, decodeVote } from "../../paxos/core/journal.js";
import { defaultReplicaConfig, EntryType, type Entry, type StoredState } from "../../replica/core/index.js";
import { SeededRandom } from "../../runtime/index.js";

const VOTERS = [0, 1, 2];
const EMPTY: StoredState = { hardState: { term: 0, votedFor: null }, snapshot: null, entries: [] };

/** Server 0 of three, whose disk is done with a write when the test says so. */
class Acceptor {
  readonly core: PaxosCore;
  #requests = 0;
  #written = 0;

  constructor(stored: StoredState = EMPTY, { leaseReads = false } = {}) {
    const config = { ...defaultReplicaConfig, preVote: false, leaseReads };
    this.core = new PaxosCore({ me: 0, voters: VOTERS, config, random: new SeededRandom(1), stored, now: 0 });
  }

  ask(message: Request): { effects: readonly Effect[]; answer: Reply; after: number } {
    const request = ++this.#requests;
    // As wished by the leader of the present ballot, whom the acceptor would protect otherwise.
    const wished = message.type === "prepare" ? { ...message, handover: this.core.state.term } : message;
    this.core.step(this.core.state.now, { type: "request", request, message: wished });
    const effects = this.core.takeEffects();
    for (const effect of effects) if (effect.type === "persist") this.#written = effect.write;
    const reply = effects.find((effect) => effect.type === "reply");
    if (reply?.type !== "reply") throw new Error("there is no answer");
    return { effects, answer: reply.message, after: reply.after };
  }

  persisted(): readonly Effect[] {
    this.core.step(this.core.state.now, { type: "persisted", write: this.#written });
    return this.core.takeEffects();
  }
}

const value = (term: number, text: string): Entry => ({
  term,
  type: EntryType.command,
  data: new TextEncoder().encode(text),
});

const prepare = (ballot: number, from = 1): Request => ({
  ...{ type: "prepare", ballot, sender: ballot % 3, seq: 1, from, probe: false, handover: 0 },
});

const accept = (ballot: number, first: number, entries: readonly Entry[], commitIndex = 0): Request => ({
  ...{ type: "accept", ballot, sender: ballot % 3, seq: 2, first, entries, commitIndex, readContext: 7 },
});

test("a promise waits for the disk, and so does a vote", () => {
  const acceptor = new Acceptor();
  const promised = acceptor.ask(prepare(4));
  expect(promised.answer).toMatchObject({ granted: true, ballot: 4 });
  expect(promised.effects).toContainEqual(
    expect.objectContaining({ type: "persist", write: promised.after, hardState: { term: 4, votedFor: null } }),
  );
  const voted = acceptor.ask(accept(4, 1, [value(4, "a")]));
  expect(voted.answer).toMatchObject({ ballot: 4, first: 1, count: 1 });
  expect(voted.after).toBeGreaterThan(promised.after);
});

test("a refusal is no vote, though its ballot be the one in which the leader came back", () => {
  const acceptor = new Acceptor();
  acceptor.ask(prepare(4));
  acceptor.ask(prepare(7));
  // Server 1 has led in ballot 4, and leads in 7: its accept of then comes late.
  const late = acceptor.ask(accept(4, 1, [value(4, "a")]));
  expect(late.answer).toMatchObject({ ballot: 7, count: 0, readContext: 0 });
  expect(acceptor.core.state.log.voteAt(1)).toBeUndefined();
});

test("a promise tells of every vote, each with the ballot and the value of its instance", () => {
  const acceptor = new Acceptor();
  acceptor.ask(accept(4, 1, [value(4, "a"), value(4, "b")]));
  acceptor.ask(accept(5, 2, [value(5, "c")]));
  const { answer } = acceptor.ask(prepare(7));
  expect(answer).toMatchObject({
    votes: [
      { instance: 1, ballot: 4, entry: { term: 4 } },
      { instance: 2, ballot: 5, entry: { term: 5 } },
    ],
  });
});

test("a vote of an earlier ballot is not taken for what the leader says is chosen", () => {
  const acceptor = new Acceptor();
  acceptor.ask(accept(4, 1, [value(4, "a")]));
  acceptor.ask(accept(5, 2, [value(5, "b")], 2));
  expect(acceptor.core.state.commitIndex).toBe(0);
  acceptor.ask(accept(5, 1, [value(4, "a")], 2));
  expect(acceptor.core.state.commitIndex).toBe(2);
});

test("with a snapshot the votes beyond it are written once more, behind a mark", () => {
  const acceptor = new Acceptor();
  acceptor.ask(accept(4, 1, [value(4, "a"), value(4, "b"), value(4, "c")], 2));
  acceptor.persisted();
  acceptor.core.compact(0, 2, new Uint8Array(3));
  const writes = acceptor.core.takeEffects().filter((effect) => effect.type === "persist");
  const [records, snapshot] = writes.map(({ entries }) => entries);
  expect(writes.map((write) => write.snapshot?.index ?? 0)).toEqual([0, 3]);
  expect(decodeMark(records![0]!)).toMatchObject({ position: 3, lastIncludedIndex: 2, lastIncludedTerm: 4 });
  expect(decodeVote(records![1]!)).toMatchObject({ instance: 3, ballot: 4 });
  expect(snapshot).toEqual([]);
});

test("a snapshot from another server must be durable before anything rests on it", () => {
  const acceptor = new Acceptor();
  acceptor.ask(accept(4, 9, [], 8));
  const [question] = acceptor.core.state.learnSeq === 0 ? [] : [acceptor.core.state.learnSeq];
  const chunk = { index: 8, term: 4, ballot: 4, offset: 0, data: new Uint8Array(5), done: true };
  const message: Reply = { type: "learnReply", seq: question!, commitIndex: 8, chosen: [], snapshot: chunk };
  acceptor.core.step(0, { type: "reply", from: 1, message });
  const effects = acceptor.core.takeEffects();
  const write = effects.find((effect) => effect.type === "persist" && effect.snapshot !== null);
  expect(write).toMatchObject({ isForeign: true, discardLog: false });
  expect(effects).toContainEqual(
    expect.objectContaining({ type: "restore", after: (write as { write: number }).write }),
  );
});

test("a restarted proposer never uses a ballot again", () => {
  const acceptor = new Acceptor({ ...EMPTY, hardState: { term: 9, votedFor: null } });
  acceptor.core.step(5000, { type: "tick" });
  expect(acceptor.core.state.role).toBe("candidate");
  expect(acceptor.core.state.term).toBe(12);
});

test("S51: with leases, an acceptor that starts again protects the leader whom it may just have promised one", () => {
  const stored = { ...EMPTY, hardState: { term: 4, votedFor: null } };
  const grants = (acceptor: Acceptor, now: number): boolean => {
    acceptor.core.step(now, { type: "request", request: 1, message: prepare(8) });
    const reply = acceptor.core.takeEffects().find((effect) => effect.type === "reply");
    return reply?.type === "reply" && reply.message.type === "prepareReply" && reply.message.granted;
  };
  const { electionTimeoutMinMs } = defaultReplicaConfig;
  const acceptor = new Acceptor(stored, { leaseReads: true });
  expect(grants(acceptor, electionTimeoutMinMs - 1)).toBe(false);
  expect(grants(acceptor, electionTimeoutMinMs)).toBe(true);
  expect(grants(new Acceptor(stored), 0)).toBe(true);
  // One that has never promised anything has promised no lease.
  expect(grants(new Acceptor(EMPTY, { leaseReads: true }), 0)).toBe(true);
});
