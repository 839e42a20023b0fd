import * as fc from "fast-check";

import {
  RaftCore,
  RefusedMessageError,
  resolveRaftConfig,
  type Effect,
  type Entry,
  type Event,
  type RaftConfig,
  type Reply,
  type Request,
} from "../../raft/core/index.js";
import { Persister } from "../../raft/index.js";
import { SeededRandom } from "../../runtime/index.js";
import { formatDisk } from "../harness/core-disks.js";
import { bytes, terms } from "../harness/core-messages.js";
import { outcome } from "./bits.js";
import { anyReply, anyRequest } from "./raft-messages.js";

const ME = 0;
const VOTERS = [0, 1, 2];

export type Step =
  | { readonly type: "request"; readonly message: Request }
  | { readonly type: "reply"; readonly from: number; readonly message: Reply }
  /** The answer that this server asked for, with a grant or a success in it: so it becomes leader, and commits. */
  | { readonly type: "help"; readonly from: number }
  /** A refusal of the append that this server sent last, with a hint so far before it; or a wish for a byte so far on. */
  | { readonly type: "refuse"; readonly from: number; readonly back: number }
  /** A leader whose log is said to be this server's up to some entry, and then different. */
  | { readonly type: "lie"; readonly from: number; readonly ahead: number; readonly at: number; readonly count: number }
  | { readonly type: "unanswered"; readonly to: number; readonly seq: number }
  | { readonly type: "wait"; readonly ms: number }
  | { readonly type: "propose" | "read" | "written" | "compact" | "transfer" | "stepDown" | "timeout" | "campaign" };

const peer = fc.constantFrom(1, 2);
export const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ type: fc.constant("request"), message: anyRequest([1, 2]) }) },
  { weight: 8, arbitrary: fc.record({ type: fc.constant("reply"), from: peer, message: anyReply }) },
  { weight: 6, arbitrary: fc.record({ type: fc.constant("help"), from: peer }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant("refuse"), from: peer, back: fc.nat(8) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant("lie"),
      from: peer,
      ahead: fc.nat(2),
      at: fc.nat(6),
      count: fc.integer({ min: 1, max: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("unanswered"), to: peer, seq: fc.nat(20) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("wait"), ms: fc.nat(1200) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      type: fc.constantFrom("propose", "read", "written", "compact", "transfer", "stepDown", "timeout", "campaign"),
    }),
  },
);

export const config: fc.Arbitrary<Partial<RaftConfig>> = fc.record({
  preVote: fc.boolean(),
  checkQuorum: fc.boolean(),
  noopOnElection: fc.boolean(),
  leaseReads: fc.boolean(),
  maxInflightMessages: fc.integer({ min: 1, max: 3 }),
  snapshotChunkBytes: fc.integer({ min: 1, max: 8 }),
});

function check(isKept: boolean, promise: string): void {
  if (!isKept) throw new Error(`broken: ${promise}`);
}

/** One core, its disk, and what it must never do whatever it is told. */
export class Host {
  readonly core: RaftCore;
  readonly disk = new Persister();
  refused = 0;
  readonly #limits: RaftConfig;
  #now = 0;
  #isSlow: boolean;
  #waiting: (Effect & { type: "persist" })[] = [];
  #answers = new Map<number, number>();
  #requests = 0;
  /** Who asked for a vote, by request; and who got one, by term. */
  readonly #candidates = new Map<number, number>();
  readonly #votes = new Map([[3, 1]]);
  /** Terms by index, of all that was ever committed here. */
  readonly #committed = new Map<number, number>();
  #lastRequests = new Map<number, Request>();
  /** Of the disk. */
  #term = 0;
  #votedFor: number | null = null;
  #reads = 0;

  constructor(partial: Partial<RaftConfig>, isSlow: boolean) {
    this.#isSlow = isSlow;
    this.#limits = resolveRaftConfig(partial);
    const snapshot = { index: 2, term: 1, data: bytes("s2") };
    const stored = formatDisk(this.disk, { snapshot, log: terms("1 2 2"), term: 3, votedFor: 1 });
    const random = new SeededRandom(1);
    this.core = new RaftCore({ me: ME, voters: VOTERS, config: this.#limits, random, stored, now: 0 });
    this.#term = 3;
    this.#votedFor = 1;
    this.#check();
  }

  take(given: Step): void {
    const { core } = this;
    switch (given.type) {
      case "request":
        return this.#request(given.message);
      case "reply":
      case "unanswered":
        return this.#step(given);
      case "help":
        return this.#help(given.from);
      case "refuse":
        return this.#refuse(given.from, given.back);
      case "lie":
        return this.#lie(given);
      case "wait":
        this.#now += given.ms;
        return this.#step({ type: "tick" });
      case "timeout":
        this.#now = Math.max(this.#now, core.deadline());
        return this.#step({ type: "tick" });
      case "campaign":
        return this.#campaign();
      case "written":
        return this.#written();
      case "propose":
        core.propose(this.#now, [bytes("x"), bytes("y")]);
        core.flush(this.#now);
        break;
      case "read":
        core.read(this.#now, ++this.#reads);
        core.flush(this.#now);
        break;
      case "compact":
        core.compact(this.#now, core.state.commitIndex, bytes(`s${core.state.commitIndex}`));
        break;
      case "transfer":
        core.transfer(this.#now);
        break;
      case "stepDown":
        core.stepDown(this.#now);
        break;
    }
    this.#perform();
  }

  #request(message: Request): void {
    const request = ++this.#requests;
    this.#answers.set(request, 0);
    if (message.type === "requestVote") this.#candidates.set(request, message.candidate);
    const error = outcome(() => this.core.step(this.#now, { type: "request", request, message }));
    if (error instanceof Error) {
      if (!(error instanceof RefusedMessageError)) throw error;
      this.#answers.delete(request);
      this.refused++;
    }
    this.#perform();
  }

  #step(event: Event): void {
    this.core.step(this.#now, event);
    this.#perform();
  }

  /** The answer that this server hopes for. */
  #help(from: number): void {
    const asked = this.#lastRequests.get(from);
    if (asked?.type === "requestVote") {
      const { term, preVote } = asked;
      this.#step({
        type: "reply",
        from,
        message: {
          type: "requestVoteReply",
          term: preVote ? term - 1 : term,
          requestTerm: term,
          preVote,
          granted: true,
        },
      });
    } else if (asked?.type === "appendEntries") {
      const { term, seq, readContext, prevLogIndex, entries } = asked;
      const index = prevLogIndex + entries.length;
      const rest = { success: true, index, hintIndex: 0, hintTerm: 0 };
      this.#step({ type: "reply", from, message: { type: "appendEntriesReply", term, seq, readContext, ...rest } });
    } else if (asked?.type === "installSnapshot") {
      const { term, seq, lastIncludedIndex, offset, data, done } = asked;
      const rest = { lastIncludedIndex, offset: offset + data.length, done };
      this.#step({ type: "reply", from, message: { type: "installSnapshotReply", term, seq, ...rest } });
    }
  }

  #refuse(from: number, back: number): void {
    const asked = this.#lastRequests.get(from);
    if (asked?.type === "installSnapshot") {
      const { term, seq, lastIncludedIndex, offset } = asked;
      const rest = { lastIncludedIndex, offset: offset + back, done: false };
      return this.#step({ type: "reply", from, message: { type: "installSnapshotReply", term, seq, ...rest } });
    }
    if (asked?.type !== "appendEntries") return;
    const { term, seq, readContext, prevLogIndex: index } = asked;
    const hint = { success: false, index, hintIndex: Math.max(0, index - back), hintTerm: term };
    this.#step({ type: "reply", from, message: { type: "appendEntriesReply", term, seq, readContext, ...hint } });
  }

  #lie({ from, ahead, at, count }: Step & { type: "lie" }): void {
    const { log, term: now } = this.core.state;
    const prevLogIndex = log.lastIncludedIndex + (at % (log.lastIndex - log.lastIncludedIndex + 1));
    const prevLogTerm = log.termAt(prevLogIndex)!;
    const term = now + ahead;
    const entries = Array.from({ length: count }, (): Entry => ({ term, type: 0, data: bytes("lie") }));
    const rest = { seq: 1, leaderCommit: prevLogIndex + count, readContext: 0 };
    this.#request({ type: "appendEntries", term, leader: from, prevLogIndex, prevLogTerm, entries, ...rest });
  }

  /** Leads in a few steps, as far as it depends on the others. */
  #campaign(): void {
    for (let i = 0; i < 3 && !this.core.state.isLeader(); i++) {
      this.take({ type: "timeout" });
      this.#written();
      for (const from of [1, 1, 2, 2]) this.#help(from);
    }
  }

  #written(): void {
    for (const write of this.#waiting.splice(0, 1)) this.#durable(write);
    this.#perform();
  }

  #durable(write: Effect & { type: "persist" }): void {
    const { hardState } = write;
    if (hardState !== null) {
      const { term, votedFor } = hardState;
      check(term >= this.#term, "terms only grow");
      const isFree = term > this.#term || this.#votedFor === null;
      check(isFree || votedFor === this.#votedFor, "one vote a term");
      this.#term = term;
      this.#votedFor = votedFor;
    }
    // It refuses gaps, and snapshots that go back.
    this.disk.write(write, () => {});
    this.core.step(this.#now, { type: "persisted", write: write.write });
  }

  #perform(): void {
    const sent = new Map<number, number>();
    while (this.core.effects.length > 0) {
      for (const effect of this.core.takeEffects()) {
        if (effect.type === "persist") {
          if (this.#isSlow) this.#waiting.push(effect);
          else this.#durable(effect);
        } else if (effect.type === "reply") {
          const count = this.#answers.get(effect.request);
          check(count === 0, "one answer to each request");
          this.#answers.set(effect.request, 1);
          if (effect.message.type === "requestVoteReply") this.#voted(effect.request, effect.message);
        } else if (effect.type === "send") {
          sent.set(effect.to, (sent.get(effect.to) ?? 0) + 1);
          this.#lastRequests.set(effect.to, effect.message);
          if (effect.message.type === "installSnapshot") this.#sendsChunk(effect.message);
        }
      }
    }
    for (const count of sent.values()) {
      check(count <= this.#limits.maxInflightMessages + 3, `no storm: ${count} messages in one step`);
    }
    this.#check();
  }

  #voted(request: number, { granted, preVote, requestTerm }: Reply & { type: "requestVoteReply" }): void {
    if (!granted || preVote) return;
    const candidate = this.#candidates.get(request)!;
    const earlier = this.#votes.get(requestTerm) ?? candidate;
    check(earlier === candidate && requestTerm >= this.#term, "one vote a term, and none in one that is over");
    this.#votes.set(requestTerm, candidate);
  }

  #sendsChunk({ lastIncludedIndex, offset, data }: Request & { type: "installSnapshot" }): void {
    const { snapshot } = this.core.state;
    if (snapshot?.index !== lastIncludedIndex) return;
    check(offset + data.length <= snapshot.data.length, "chunks are of the snapshot");
  }

  #check(): void {
    const { log, commitIndex, followers, lastWrite, durableWrite } = this.core.state;
    check(commitIndex <= log.lastIndex, "what is committed is in the log");
    for (const [index, term] of this.#committed) {
      check(index <= commitIndex, "commit only grows");
      const now = log.termAt(index);
      check(now === term || index <= log.lastIncludedIndex, `committed entry ${index} stays`);
    }
    for (let index = log.lastIncludedIndex + 1; index <= commitIndex; index++) {
      this.#committed.set(index, log.termAt(index)!);
    }
    for (const { matchIndex, nextIndex } of followers) {
      check(matchIndex < nextIndex, "matchIndex < nextIndex");
      check(matchIndex <= log.lastIndex, "nobody matches what does not exist");
    }
    check(this.#waiting.length > 0 || durableWrite === lastWrite, "every write is asked for");
  }

  /** All that was begun is on the disk: that is what the core has in mind, and a server can start from it. */
  end(): void {
    for (const count of this.#answers.values()) check(count === 1, "one answer to each request");
    // A refused message may have told of a later term; that is written with the next event.
    this.#step({ type: "unanswered", to: 1, seq: 0 });
    while (this.#waiting.length > 0) this.#written();
    const stored = this.disk.load();
    const { state } = this.core;
    const { term, votedFor } = stored.hardState;
    check(term === state.term && votedFor === state.votedFor, "term and vote are stored");
    check((stored.snapshot?.index ?? 0) === state.log.lastIncludedIndex, "the snapshot is stored");
    const { lastIncludedIndex, lastIndex } = state.log;
    const isSame = stored.entries.every((entry, i) => entry.term === state.log.termAt(lastIncludedIndex + 1 + i));
    check(isSame && lastIndex === lastIncludedIndex + stored.entries.length, "the log is stored");
    const random = new SeededRandom(1);
    const next = new RaftCore({ me: ME, voters: VOTERS, config: this.#limits, random, stored, now: 0 });
    check(next.state.term === state.term, "a server can start from what is stored");
  }
}
