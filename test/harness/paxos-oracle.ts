import type { LearnReply, PaxosCore, Reply, Request } from "../../paxos/core/index.js";
import { decodeVote } from "../../paxos/core/journal.js";
import type { Entry, PersistEffect, Snapshot } from "../../replica/core/index.js";
import { equalBytes, InvariantBroken } from "./core-oracle.js";
import type { CoreNode } from "./core-node.js";
import type { ClusterOracle } from "./stepped-engine.js";

type Node = CoreNode<PaxosCore, Request, Reply>;

/** What one server has said and stored over all its lives. */
interface Record {
  /** On its disk. */
  promise: number;
  commitIndex: number;
  /** The ballot of its last durable vote, by instance. */
  readonly votes: Map<number, number>;
}

/** A value in an instance and ballot, and who has a durable vote for it, a bit each. */
interface Proposal {
  readonly entry: Entry;
  voters: number;
}

function check(condition: boolean, invariant: string, message: () => string): void {
  if (!condition) throw new InvariantBroken(invariant, message());
}

/**
 * Watches a cluster of Paxos cores from outside. What is chosen it counts by itself, over all time, on the votes that were
 * ever durable: a value is chosen once a majority of the disks held votes for it in one ballot. On that rest the checks of
 * "Paxos Made Simple": P2b (what is proposed after a choice is what was chosen), one value a ballot, promises that only
 * grow and are durable before they are given; and that nobody commits, applies or tells what is not chosen.
 */
export class PaxosOracle implements ClusterOracle<Request | Reply> {
  readonly #nodes: readonly Node[];
  readonly #majority: number;
  readonly #records: Record[];
  /** By instance and ballot. */
  readonly #proposals = new Map<number, Map<number, Proposal>>();
  /** By instance: the first ballot in which a majority voted. */
  readonly #chosen = new Map<number, { readonly ballot: number; readonly entry: Entry }>();
  /** Server and life that used a ballot. */
  readonly #proposers = new Map<number, string>();
  readonly #snapshots = new Map<number, Uint8Array[]>();
  maxCommitted = 0;

  constructor(nodes: readonly Node[]) {
    this.#nodes = nodes;
    this.#majority = (nodes.length >>> 1) + 1;
    this.#records = nodes.map(() => ({ promise: 0, commitIndex: 0, votes: new Map() }));
  }

  /** How many instances have a chosen value. */
  get chosen(): number {
    return this.#chosen.size;
  }

  started(n: number): void {
    const { term, commitIndex, log } = this.#nodes[n]!.core!.state;
    const record = this.#records[n]!;
    check(
      term === record.promise,
      "promises survive",
      () => `server ${n} restarts with ${term}, not ${record.promise}`,
    );
    for (const [instance, ballot] of record.votes) {
      if (instance <= log.lastIncludedIndex) continue;
      const vote = log.voteAt(instance);
      check(
        vote?.ballot === ballot,
        "votes survive",
        () => `server ${n} restarts with vote ${vote?.ballot} in instance ${instance}, not ${ballot}`,
      );
    }
    for (let index = log.lastIncludedIndex + 1; index <= commitIndex; index++) this.#checkCommitted(n, index);
    record.commitIndex = commitIndex;
  }

  stepped(n: number): void {
    const { core } = this.#nodes[n]!;
    if (core === null) return;
    const { term, commitIndex, role } = core.state;
    const record = this.#records[n]!;
    check(term >= record.promise, "promises only grow", () => `server ${n}: from ${record.promise} to ${term}`);
    check(
      commitIndex === record.commitIndex,
      "commitment is announced",
      () => `server ${n}: ${commitIndex}, announced ${record.commitIndex}`,
    );
    if (role === "leader") {
      check(
        record.promise >= term && core.state.proposerOf(term) === n,
        "a leader has promised its ballot, durably",
        () => `server ${n} leads ballot ${term}, durable is ${record.promise}`,
      );
    }
  }

  persisting(n: number, { entries, hardState }: PersistEffect): void {
    const { core } = this.#nodes[n]!;
    const { promise } = this.#records[n]!;
    if (hardState !== null) {
      check(
        hardState.term >= promise,
        "promises only grow",
        () => `server ${n} writes ${hardState.term} after ${promise}`,
      );
    }
    for (const record of entries) {
      const vote = decodeVote(record);
      if (vote === null) continue;
      check(
        vote.ballot <= core!.state.term,
        "a vote is within the promise",
        () => `server ${n} votes in ballot ${vote.ballot}, has promised ${core!.state.term}`,
      );
      this.#propose(vote.instance, vote.ballot, vote.entry);
    }
  }

  durable(n: number, { entries, hardState }: PersistEffect): void {
    const record = this.#records[n]!;
    if (hardState !== null) record.promise = hardState.term;
    for (const each of entries) {
      const vote = decodeVote(each);
      if (vote === null) continue;
      const { ballot, entry, instance } = vote;
      check(ballot <= record.promise, "no vote without its promise", () => `server ${n}: ${ballot}, ${record.promise}`);
      const proposal = this.#propose(instance, ballot, entry);
      proposal.voters |= 1 << n;
      record.votes.set(instance, ballot);
      if (bits(proposal.voters) >= this.#majority) this.#choose(instance, ballot, entry);
    }
  }

  /** One value for each instance and ballot; and P2b. */
  #propose(instance: number, ballot: number, entry: Entry): Proposal {
    let ballots = this.#proposals.get(instance);
    if (ballots === undefined) this.#proposals.set(instance, (ballots = new Map<number, Proposal>()));
    let proposal = ballots.get(ballot);
    if (proposal === undefined) ballots.set(ballot, (proposal = { entry, voters: 0 }));
    check(
      same(proposal.entry, entry),
      "one value a ballot",
      () => `instance ${instance}, ballot ${ballot}: of ${proposal.entry.term} and of ${entry.term}`,
    );
    const chosen = this.#chosen.get(instance);
    if (chosen !== undefined && ballot >= chosen.ballot) this.#mustBeChosen(instance, ballot, entry);
    return proposal;
  }

  #mustBeChosen(instance: number, ballot: number, entry: Entry): void {
    const chosen = this.#chosen.get(instance)!;
    check(
      same(chosen.entry, entry),
      "P2b: what was chosen is proposed ever after",
      () =>
        `instance ${instance}: ballot ${ballot} has the value of ${entry.term}, ballot ${chosen.ballot} chose that of ${chosen.entry.term}`,
    );
  }

  #choose(instance: number, ballot: number, entry: Entry): void {
    const known = this.#chosen.get(instance);
    if (known === undefined || known.ballot > ballot) this.#chosen.set(instance, { ballot, entry });
    if (known !== undefined) this.#mustBeChosen(instance, ballot, known.entry);
    for (const [later, proposal] of this.#proposals.get(instance)!) {
      if (later >= ballot) this.#mustBeChosen(instance, later, proposal.entry);
    }
  }

  sending(n: number, message: Request | Reply, asker: number | null): void {
    const record = this.#records[n]!;
    switch (message.type) {
      case "prepare":
        return message.probe ? undefined : this.#prepares(n, message.ballot);
      case "prepareReply":
        check(
          !message.granted || message.probe || record.promise >= message.requestBallot,
          "a promise is durable before it is given",
          () => `server ${n} promises ${message.requestBallot} to ${asker}, durable is ${record.promise}`,
        );
        return this.#checkSaid(n, message.commitIndex);
      case "accept":
        for (const [i, entry] of message.entries.entries()) this.#propose(message.first + i, message.ballot, entry);
        check(
          message.ballot <= record.promise,
          "nothing is proposed before the ballot is durable",
          () => `server ${n} proposes in ballot ${message.ballot}, durable is ${record.promise}`,
        );
        return this.#checkSaid(n, message.commitIndex);
      case "acceptReply":
        for (let i = message.first; i < message.first + message.count; i++) this.#votes(n, i, message.ballot);
        return this.#checkSaid(n, message.commitIndex);
      case "learnReply":
        return this.#checkTaught(n, message);
      case "learn":
      case "takeOver":
      case "takeOverReply":
    }
  }

  #checkTaught(n: number, { chosen }: LearnReply): void {
    for (const { ballot, entry, instance } of chosen) {
      check(
        same(this.#chosen.get(instance)?.entry, entry),
        "only what is chosen is taught",
        () => `server ${n} teaches instance ${instance} with the value of ${entry.term} in ballot ${ballot}`,
      );
    }
  }

  #prepares(n: number, ballot: number): void {
    const life = `server ${n} in its life ${this.#nodes[n]!.life}`;
    const earlier = this.#proposers.get(ballot) ?? life;
    check(earlier === life, "a ballot is used once", () => `ballot ${ballot}: ${earlier}, and ${life}`);
    this.#proposers.set(ballot, life);
    check(
      this.#records[n]!.promise >= ballot,
      "a proposer promises its ballot first, durably",
      () => `server ${n} asks in ${ballot}, durable is ${this.#records[n]!.promise}`,
    );
  }

  /** An acknowledgement rests on a durable vote, or on the choice itself. */
  #votes(n: number, instance: number, ballot: number): void {
    const voted = this.#records[n]!.votes.get(instance);
    const isCommitted = instance <= this.#records[n]!.commitIndex && this.#chosen.has(instance);
    check(
      voted === ballot || isCommitted,
      "a vote is durable before it is given",
      () => `server ${n} says it voted in instance ${instance}, ballot ${ballot}; durable is ${voted}`,
    );
  }

  /** Up to here everything is chosen: nobody may say so of more. */
  #checkSaid(n: number, commitIndex: number): void {
    check(
      commitIndex <= this.maxCommitted,
      "only what is chosen is told",
      () => `server ${n} tells of ${commitIndex}, chosen is ${this.maxCommitted}`,
    );
  }

  committing(n: number, index: number): void {
    const record = this.#records[n]!;
    const { log } = this.#nodes[n]!.core!.state;
    check(index > record.commitIndex, "commit only grows", () => `server ${n}: from ${record.commitIndex} to ${index}`);
    for (let i = Math.max(record.commitIndex, log.lastIncludedIndex) + 1; i <= index; i++) this.#checkCommitted(n, i);
    for (let i = record.commitIndex + 1; i <= index; i++) {
      check(this.#chosen.has(i), "only what is chosen is committed", () => `server ${n}, instance ${i}`);
    }
    record.commitIndex = index;
    this.maxCommitted = Math.max(this.maxCommitted, index);
  }

  #checkCommitted(n: number, index: number): void {
    const { log } = this.#nodes[n]!.core!.state;
    check(
      same(this.#chosen.get(index)?.entry, log.voteAt(index)?.entry),
      "only what is chosen is committed",
      () =>
        `server ${n} commits instance ${index} with the value of ${log.voteAt(index)?.entry.term}, chosen is that of ${this.#chosen.get(index)?.entry.term}`,
    );
  }

  applying(n: number, index: number, term: number): void {
    check(
      this.#chosen.get(index)?.entry.term === term,
      "only what is chosen is applied",
      () =>
        `server ${n} applies instance ${index} of ${term}, chosen is that of ${this.#chosen.get(index)?.entry.term}`,
    );
  }

  compacting({ data, index }: Snapshot): void {
    this.#snapshots.set(index, [...(this.#snapshots.get(index) ?? []), data]);
  }

  restoring(n: number, { data, index, term }: Snapshot, appliedIndex: number): void {
    check(index > appliedIndex, "applied never goes back", () => `server ${n}: from ${appliedIndex} to ${index}`);
    this.applying(n, index, term);
    check(
      this.#snapshots.get(index)?.some((known) => equalBytes(known, data)) ?? false,
      "snapshots arrive whole",
      () => `server ${n} restores ${data.length} bytes at ${index} that nobody put there`,
    );
  }
}

function same(one: Entry | undefined, other: Entry | undefined): boolean {
  if (one === other) return true;
  if (one === undefined || other === undefined) return false;
  return one.term === other.term && one.type === other.type && equalBytes(one.data, other.data);
}

function bits(mask: number): number {
  let count = 0;
  for (let rest = mask; rest !== 0; rest &= rest - 1) count++;
  return count;
}
