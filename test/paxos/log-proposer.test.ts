import { expect, test } from "vitest";

import { PaxosCore } from "../../paxos/core/index.js";
import type { Accept, Effect, InstanceVote, PrepareReply } from "../../paxos/core/index.js";
import { defaultReplicaConfig, EntryType, type Entry } from "../../replica/core/index.js";
import { SeededRandom } from "../../runtime/index.js";

const value = (term: number, text: string): Entry => ({
  term,
  type: EntryType.command,
  data: new TextEncoder().encode(text),
});

const textOf = ({ data, type }: Entry): string => (type === EntryType.noop ? "no-op" : new TextDecoder().decode(data));

/** Server 0 of `size`, which has just stood for the first time. Its ballot is `size`. */
class Proposer {
  readonly core: PaxosCore;
  readonly #size: number;

  constructor(size = 3, preVote = false) {
    this.#size = size;
    const voters = Array.from({ length: size }, (_, i) => i);
    const config = { ...defaultReplicaConfig, preVote };
    const stored = { hardState: { term: 0, votedFor: null }, snapshot: null, entries: [] };
    this.core = new PaxosCore({ me: 0, voters, config, random: new SeededRandom(1), stored, now: 0 });
    this.core.step(5000, { type: "tick" });
  }

  /** The acceptor `from` promises, and tells of these votes. */
  promise(from: number, votes: readonly InstanceVote[] = [], more: Partial<PrepareReply> = {}): void {
    const ballot = this.#size;
    const message = { ballot, requestBallot: ballot, probe: false, granted: true, commitIndex: 0, votes, next: 0 };
    this.core.step(5000, { type: "reply", from, message: { type: "prepareReply", ...message, ...more } });
  }

  /** All that was written is durable. */
  persisted(): void {
    this.core.step(5000, { type: "persisted", write: this.core.state.lastWrite });
  }

  /** What it asks server 1 to vote for. */
  asked(): { instance: number; text: string }[] {
    this.core.flush(5000);
    const sent = this.core
      .takeEffects()
      .filter(isAccept)
      .map(({ message }) => message);
    return sent.flatMap(({ entries, first }) =>
      entries.map((each, i) => ({ instance: first + i, text: textOf(each) })),
    );
  }
}

function isAccept(effect: Effect): effect is Effect & { message: Accept } {
  return effect.type === "send" && effect.to === 1 && effect.message.type === "accept";
}

const vote = (instance: number, ballot: number, text: string): InstanceVote => ({
  ...{ instance, ballot, entry: value(ballot, text) },
});

test("its own promise counts once it is durable", () => {
  const proposer = new Proposer();
  proposer.promise(1);
  expect(proposer.core.state.role).toBe("candidate");
  proposer.persisted();
  expect(proposer.core.state.role).toBe("leader");
});

test("of the votes in an instance, that of the highest ballot is proposed again", () => {
  const proposer = new Proposer(5);
  proposer.persisted();
  proposer.promise(1, [vote(1, 3, "c"), vote(2, 2, "x")]);
  proposer.promise(2, [vote(1, 1, "a"), vote(2, 4, "y")]);
  expect(proposer.asked()).toEqual([
    { instance: 1, text: "c" },
    { instance: 2, text: "y" },
  ]);
});

test("a hole between votes is filled with a no-op, and nothing moves to another instance", () => {
  const proposer = new Proposer();
  proposer.persisted();
  proposer.promise(1, [vote(2, 1, "b"), vote(4, 2, "d")]);
  expect(proposer.asked().map(({ instance, text }) => `${instance}: ${text}`)).toEqual([
    ...["1: no-op", "2: b", "3: no-op", "4: d"],
  ]);
});

test("a promise counts once all of its votes are there", () => {
  const proposer = new Proposer();
  proposer.persisted();
  proposer.promise(1, [vote(1, 1, "a")], { next: 2 });
  expect(proposer.core.state.role).toBe("candidate");
  proposer.promise(1, [vote(2, 1, "b")]);
  expect(proposer.asked().map(({ text }) => text)).toEqual(["a", "b"]);
});

test("how far a promise had come is forgotten with its ballot", () => {
  const proposer = new Proposer(3, true);
  const probed = { type: "prepareReply", probe: true, granted: true, commitIndex: 0, votes: [], next: 0 } as const;
  proposer.core.step(5000, { type: "reply", from: 2, message: { ...probed, ballot: 0, requestBallot: 3 } });
  proposer.persisted();
  expect(proposer.core.state.role).toBe("candidate");
  proposer.promise(1, [vote(1, 1, "a")], { next: 2 });
  // Somebody else leads for a while, and what it has chosen goes into a snapshot.
  const entries = [value(4, "b"), value(4, "c"), value(4, "d")];
  const accept = { type: "accept", sender: 1, seq: 1, ballot: 4, first: 1, entries, commitIndex: 3 } as const;
  proposer.core.step(5000, { type: "request", request: 1, message: { ...accept, readContext: 0 } });
  proposer.core.takeEffects();
  proposer.core.step(20_000, { type: "tick" });
  const asked = proposer.core.takeEffects().flatMap((effect) => (effect.type === "send" ? [effect.message] : []));
  // An acceptor refuses whoever would need its snapshot: this server does not.
  expect(asked).toMatchObject([
    { type: "prepare", probe: true, from: 4 },
    { type: "prepare", probe: true, from: 4 },
  ]);
});

test("its own vote counts once it is durable", () => {
  const proposer = new Proposer();
  proposer.persisted();
  proposer.promise(1, [vote(1, 1, "a")]);
  const ballot = 3;
  const answer = { type: "acceptReply", ballot, seq: 0, readContext: 0, first: 1, count: 1, commitIndex: 0 } as const;
  proposer.core.step(5000, { type: "reply", from: 1, message: answer });
  expect(proposer.core.state.commitIndex).toBe(0);
  proposer.persisted();
  expect(proposer.core.state.commitIndex).toBe(1);
});

test("a leader that is refused leads no more", () => {
  const proposer = new Proposer();
  proposer.persisted();
  proposer.promise(1);
  expect(proposer.core.state.role).toBe("leader");
  const answer = {
    type: "acceptReply",
    ballot: 7,
    seq: 0,
    readContext: 0,
    first: 1,
    count: 0,
    commitIndex: 0,
  } as const;
  proposer.core.step(5000, { type: "reply", from: 1, message: answer });
  expect(proposer.core.state).toMatchObject({ role: "follower", term: 7, leader: null });
});

test("votes in an earlier ballot of its own count for nothing in this one", () => {
  const proposer = new Proposer();
  proposer.persisted();
  proposer.promise(1, [vote(1, 1, "a")]);
  const answer = { type: "acceptReply", seq: 0, readContext: 0, first: 1, count: 1, commitIndex: 0 } as const;
  proposer.core.step(5000, { type: "reply", from: 1, message: { ...answer, ballot: 4, count: 0 } });
  proposer.core.step(9000, { type: "tick" });
  expect(proposer.core.state.term).toBe(6);
  proposer.core.step(9000, { type: "persisted", write: proposer.core.state.lastWrite });
  const promise = { requestBallot: 6, probe: false, granted: true, commitIndex: 0, votes: [], next: 0 } as const;
  proposer.core.step(9000, { type: "reply", from: 2, message: { type: "prepareReply", ballot: 6, ...promise } });
  expect(proposer.core.state.role).toBe("leader");
  proposer.core.step(9000, { type: "persisted", write: proposer.core.state.lastWrite });
  // Server 1 has voted in ballot 3; that comes only now.
  proposer.core.step(9000, { type: "reply", from: 1, message: { ...answer, ballot: 3 } });
  expect(proposer.core.state.commitIndex).toBe(0);
  proposer.core.step(9000, { type: "reply", from: 1, message: { ...answer, ballot: 6 } });
  expect(proposer.core.state.commitIndex).toBe(1);
});

test("its own vote under an earlier leadership counts for nothing in this one, however late it is durable", () => {
  const proposer = new Proposer();
  proposer.persisted();
  proposer.promise(1, [vote(1, 1, "a")]);
  const late = proposer.core.state.lastWrite;
  const answer = { type: "acceptReply", seq: 0, readContext: 0, first: 1, count: 1, commitIndex: 0 } as const;
  proposer.core.step(5000, { type: "reply", from: 1, message: { ...answer, ballot: 4, count: 0 } });
  // The vote in ballot 3 is on the disk now; nobody is led by it any more.
  proposer.core.step(5000, { type: "persisted", write: late });
  proposer.core.step(9000, { type: "tick" });
  proposer.core.step(9000, { type: "persisted", write: proposer.core.state.lastWrite });
  const promise = { requestBallot: 6, probe: false, granted: true, commitIndex: 0, votes: [], next: 0 } as const;
  proposer.core.step(9000, { type: "reply", from: 2, message: { type: "prepareReply", ballot: 6, ...promise } });
  expect(proposer.core.state.role).toBe("leader");
  // That in ballot 6 is not durable yet, and server 1 alone is no majority.
  proposer.core.step(9000, { type: "reply", from: 1, message: { ...answer, ballot: 6 } });
  expect(proposer.core.state.commitIndex).toBe(0);
  proposer.core.step(9000, { type: "persisted", write: proposer.core.state.lastWrite });
  expect(proposer.core.state.commitIndex).toBe(1);
});
