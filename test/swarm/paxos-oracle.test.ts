import { describe, expect, test } from "vitest";

import type { PaxosEffect, PaxosInput, PaxosState, Vote } from "../../paxos/index.js";
import { encodeMark, encodeVote } from "../../paxos/core/journal.js";
import type { Entry, Snapshot, StorageWrite, StoredState } from "../../replica/index.js";
import { PaxosOracle } from "../../sim/swarm/paxos-oracle.js";
import type { Rule } from "../../sim/swarm/rules.js";

const value = (term: number, text = `v${term}`): Entry => ({ term, type: 0, data: new TextEncoder().encode(text) });
const NO_WRITE = { type: "persist", hardState: null, snapshot: null, discardLog: false, firstIndex: 0, entries: [] };
const promised = (term: number) => ({ hardState: { term, votedFor: null } });

/** The part of a core's state that the oracle looks at. */
function state(term: number, more: Partial<Record<keyof PaxosState, unknown>> = {}, votes: Record<number, Vote> = {}) {
  const log = {
    lastIncludedIndex: 0,
    voteAt: (instance: number) => votes[instance],
    entryAt: (instance: number) => votes[instance]!.entry,
  };
  return { term, role: "follower", commitIndex: 0, chosenBefore: 0, log, ...more } as unknown as PaxosState;
}

/** Three acceptors, and an oracle that is told a story. */
class Story {
  readonly broken: Rule[] = [];
  readonly oracle = new PaxosOracle(3, (rule) => void this.broken.push(rule));
  readonly #ends = [0, 0, 0];
  #seq = 0;
  #lives = 0;

  constructor() {
    for (const server of [0, 1, 2]) this.start(server);
  }

  #event(what: object): never {
    return { seq: ++this.#seq, atMs: this.#seq, ...what } as never;
  }

  start(server: number, stored: Partial<StoredState> = {}): this {
    const found = { hardState: { term: 0, votedFor: null }, snapshot: null, entries: [], ...stored };
    this.oracle.started(this.#event({ server, life: ++this.#lives, stored: found, tornBytes: 0 }));
    return this;
  }

  write(server: number, what: Partial<StorageWrite>): StorageWrite {
    const write = { ...NO_WRITE, write: ++this.#seq, ...what } as StorageWrite;
    this.oracle.writing(this.#event({ server, write }));
    return write;
  }

  store(server: number, what: Partial<StorageWrite>): this {
    this.oracle.durable(this.#event({ server, write: this.write(server, what) }));
    return this;
  }

  /** A record behind all others. */
  append(server: number, ...records: Entry[]): this {
    const firstIndex = this.#ends[server]! + 1;
    this.#ends[server]! += records.length;
    return this.store(server, { firstIndex, entries: records });
  }

  vote(server: number, instance: number, ballot: number, entry = value(ballot)): this {
    return this.append(server, encodeVote({ promised: ballot, chosen: 0 }, { instance, ballot, entry }));
  }

  snapshot(server: number, snapshot: Snapshot): this {
    return this.store(server, { snapshot });
  }

  step(server: number, now: PaxosState, input: PaxosInput = { type: "tick" }, effects: PaxosEffect[] = []): this {
    this.oracle.paxosStepped(this.#event({ server, input, effects, state: now }));
    return this;
  }

  say(server: number, effect: object): this {
    this.oracle.paxosReleased(this.#event({ server, effect, state: state(0) }));
    return this;
  }
}

const send = (message: object) => ({ type: "send", after: 0, to: 1, message });
const accept = (ballot: number, entries: readonly Entry[] = [], first = 1) =>
  send({ type: "accept", ballot, first, entries, commitIndex: 0 });

/** Servers 0 and 1 have voted for author 3's value of instance 1 in ballot 3, server 0's. */
const chosen = (): Story => {
  const story = new Story();
  for (const server of [0, 1]) story.store(server, promised(3)).vote(server, 1, 3);
  return story;
};

describe("what is chosen", () => {
  test("a majority of votes in one ballot chooses, and the value may be proposed again", () => {
    const story = chosen().store(2, promised(4)).vote(2, 1, 4, value(3));
    story.step(2, state(4, { commitIndex: 1 }, { 1: { ballot: 4, entry: value(3) } }));
    expect(story.broken).toEqual([]);
  });

  test("another value in a higher ballot breaks it, in one vote and more so in two", () => {
    const story = chosen();
    for (const server of [1, 2]) story.store(server, promised(4)).vote(server, 1, 4, value(4));
    expect(story.broken).toContain("chosenProposed");
    expect(story.broken).toContain("oneValue");
  });

  test("votes for a chosen value count although the voters have voted again", () => {
    const story = new Story().store(0, promised(3)).vote(0, 1, 3).store(0, promised(5)).vote(0, 1, 5, value(5));
    expect(story.broken).toEqual([]);
    story.vote(1, 1, 3);
    expect(story.broken).toContain("chosenProposed");
  });

  test("a ballot has one value for an instance", () => {
    expect(new Story().vote(0, 1, 3).vote(1, 1, 3, value(3, "other")).broken).toContain("oneProposal");
  });

  test("what is committed is chosen, and is that value", () => {
    const vote = { ballot: 3, entry: value(3) };
    const story = new Story().vote(0, 1, 3);
    expect(story.step(0, state(3, { commitIndex: 1 }, { 1: vote })).broken).toContain("committedChosen");
    const other = chosen().step(2, state(3, { commitIndex: 1 }, { 1: { ballot: 2, entry: value(2) } }));
    expect(other.broken).toEqual(["committedChosen"]);
    expect(chosen().step(0, state(3, { commitIndex: 1 }, { 1: vote })).broken).toEqual([]);
  });
});

describe("acceptors", () => {
  test("never vote below a promise, unless they write down what is chosen", () => {
    expect(new Story().store(2, promised(5)).vote(2, 1, 3).broken).toEqual(["promiseKept"]);
    expect(chosen().store(2, promised(5)).vote(2, 1, 3).broken).toEqual([]);
  });

  test("keep promises and votes over a restart", () => {
    const story = new Story().store(0, promised(5)).start(0, promised(3));
    expect(story.broken).toEqual(["recovery", "promisesGrow"]);
    expect(chosen().start(0, promised(3)).broken).toContain("recovery");
    const record = encodeVote({ promised: 3, chosen: 0 }, { instance: 1, ballot: 3, entry: value(3) });
    expect(chosen().start(0, { ...promised(3), entries: [record] }).broken).toEqual([]);
  });

  test("keep the votes beyond a snapshot", () => {
    const mark = encodeMark({ promised: 3, chosen: 1 }, { position: 2, lastIncludedIndex: 1, lastIncludedTerm: 3 });
    const copy = encodeVote({ promised: 3, chosen: 1 }, { instance: 2, ballot: 3, entry: value(3, "b") });
    const snapshot = { index: 2, term: 3, data: new Uint8Array(1) };
    const before = (): Story => chosen().vote(0, 2, 3, value(3, "b"));
    expect(before().append(0, mark, copy).snapshot(0, snapshot).broken).toEqual([]);
    expect(before().append(0, mark).snapshot(0, snapshot).broken).toEqual(["votesStay"]);
  });

  test("say nothing before it is durable", () => {
    const reply = { ballot: 3, requestBallot: 3, probe: false, granted: true, commitIndex: 0, votes: [], next: 0 };
    const promise = { type: "reply", after: 0, request: 1, message: { type: "prepareReply", ...reply } } as const;
    expect(new Story().say(1, promise).broken).toEqual(["saidDurable"]);
    expect(new Story().store(1, promised(3)).say(1, promise).broken).toEqual([]);
    const message = {
      type: "accept",
      ballot: 3,
      sender: 0,
      seq: 1,
      first: 1,
      entries: [value(3)],
      commitIndex: 0,
    } as const;
    const input = { type: "request", request: 1, message: { ...message, readContext: 0 } } as const;
    const answer = {
      type: "acceptReply",
      ballot: 3,
      seq: 1,
      readContext: 0,
      first: 1,
      count: 1,
      commitIndex: 0,
    } as const;
    const voted = { type: "reply", after: 0, request: 1, message: answer } as const;
    const story = (): Story => new Story().store(1, promised(3)).step(1, state(3), input, [voted]);
    expect(story().say(1, voted).broken).toEqual(["saidDurable"]);
    expect(story().vote(1, 1, 3).say(1, voted).broken).toEqual([]);
  });

  test("tell of all their votes with a promise", () => {
    const message = { type: "prepare", ballot: 4, sender: 1, seq: 1, from: 1, probe: false, handover: 0 } as const;
    const input = { type: "request", request: 1, message } as const;
    const told = (votes: { instance: number; ballot: number; entry: Entry }[]): Rule[] => {
      const rest = { ballot: 4, requestBallot: 4, probe: false, granted: true, commitIndex: 0, next: 0 };
      const reply = { type: "reply", after: 0, request: 1, message: { type: "prepareReply", ...rest, votes } } as const;
      return chosen().step(0, state(4), input, [reply]).broken;
    };
    expect(told([{ instance: 1, ballot: 3, entry: value(3) }])).toEqual([]);
    expect(told([])).toEqual(["votesTold"]);
  });
});

describe("proposers", () => {
  test("lead with durable promises of a majority", () => {
    const story = new Story().store(0, promised(3)).step(0, state(3, { role: "leader" }));
    expect(story.broken).toEqual(["promisedQuorum"]);
    const two = new Story()
      .store(0, promised(3))
      .store(2, promised(3))
      .step(0, state(3, { role: "leader" }));
    expect(two.broken).toEqual([]);
  });

  test("take over with what is chosen", () => {
    const story = (): Story => chosen().store(1, promised(4)).store(2, promised(4));
    expect(story().step(1, state(4, { role: "leader" })).broken).toEqual(["chosenProposed"]);
    const votes = { 1: { ballot: 4, entry: value(3) } };
    expect(story().step(1, state(4, { role: "leader" }, votes)).broken).toEqual([]);
    expect(story().step(1, state(4, { role: "leader", chosenBefore: 2 }, votes)).broken).toEqual(["committedChosen"]);
  });

  test("use a ballot of their own, in one life", () => {
    const story = new Story().store(0, promised(3)).say(0, accept(3));
    expect(story.broken).toEqual([]);
    expect(story.start(0, promised(3)).say(0, accept(3)).broken).toEqual(["ballotOwner"]);
    expect(new Story().store(1, promised(3)).say(1, accept(3)).broken).toEqual(["ballotOwner"]);
  });

  test("propose no other value than the chosen one, and none before their promise is durable", () => {
    expect(
      chosen()
        .store(1, promised(4))
        .say(1, accept(4, [value(4)])).broken,
    ).toEqual(["chosenProposed"]);
    expect(new Story().say(1, accept(4)).broken).toEqual(["saidDurable"]);
  });

  test("teach only what is chosen", () => {
    const learnt = { type: "learnReply", seq: 1, commitIndex: 1, snapshot: null } as const;
    const told = { instance: 1, ballot: 3, entry: value(3) };
    const reply = { type: "reply", after: 0, request: 1, message: { ...learnt, chosen: [told] } } as const;
    expect(chosen().say(0, reply).broken).toEqual([]);
    expect(new Story().vote(0, 1, 3).say(0, reply).broken).toEqual(["committedChosen"]);
  });
});
