import { assert } from "../../runtime/index.js";
import type { CommittedEntries, Entry } from "../../replica/core/index.js";
import type { InstanceVote, Vote } from "./types.js";

/** What a vote adds to a message besides the bytes of its value, roughly. */
export const VOTE_OVERHEAD_BYTES = 16;

/** The votes of one acceptor by instance, from the end of the snapshot on. There may be holes. */
export class Instances implements CommittedEntries {
  /** From the first instance behind the snapshot on. */
  #votes: (InstanceVote | undefined)[] = [];
  #lastIncludedIndex: number;
  #lastIncludedTerm: number;
  #lastIncludedBallot: number;
  #lastIndex: number;

  constructor(lastIncludedIndex: number, lastIncludedTerm: number, lastIncludedBallot: number) {
    this.#lastIncludedIndex = lastIncludedIndex;
    this.#lastIncludedTerm = lastIncludedTerm;
    this.#lastIncludedBallot = lastIncludedBallot;
    this.#lastIndex = lastIncludedIndex;
  }

  /** Instances up to here are chosen and in the snapshot. */
  get lastIncludedIndex(): number {
    return this.#lastIncludedIndex;
  }

  get lastIncludedTerm(): number {
    return this.#lastIncludedTerm;
  }

  /** The highest ballot of the votes that went into the snapshot. */
  get lastIncludedBallot(): number {
    return this.#lastIncludedBallot;
  }

  /** The highest instance that this server knows to be in use. */
  get lastIndex(): number {
    return this.#lastIndex;
  }

  get lastTerm(): number {
    return this.voteAt(this.#lastIndex)?.entry.term ?? this.#lastIncludedTerm;
  }

  voteAt(instance: number): Vote | undefined {
    return this.#votes[instance - this.#lastIncludedIndex - 1];
  }

  entryAt(instance: number): Entry {
    const vote = this.voteAt(instance);
    assert(vote !== undefined, () => `no value in instance ${instance}`);
    return vote.entry;
  }

  /** An acceptor never votes twice in a ballot, and never in a lower one again. */
  set(vote: InstanceVote): void {
    const { ballot, instance } = vote;
    const at = instance - this.#lastIncludedIndex - 1;
    assert(at >= 0, () => `a vote in instance ${instance} inside the snapshot`);
    const before = this.#votes[at];
    assert(before === undefined || before.ballot < ballot, () => `a second vote in instance ${instance}`);
    this.#votes[at] = vote;
    this.extendTo(instance);
  }

  /** Instances up to here are in use elsewhere. */
  extendTo(instance: number): void {
    if (instance > this.#lastIndex) this.#lastIndex = instance;
  }

  /** Drops the votes up to `instance`, which a snapshot now holds; `ballot` is the highest that is in it. */
  compactTo(instance: number, term: number, ballot: number): void {
    this.#votes = this.#votes.slice(instance - this.#lastIncludedIndex);
    this.#lastIncludedIndex = instance;
    this.#lastIncludedTerm = term;
    this.#lastIncludedBallot = Math.max(this.#lastIncludedBallot, ballot);
    this.extendTo(instance);
  }

  /** The votes that are here, in order of instance, from `from` up to `to`, about `maxBytes` of them but always one. */
  votesFrom(from: number, to: number, maxBytes: number): InstanceVote[] {
    const votes: InstanceVote[] = [];
    let bytes = 0;
    for (let instance = Math.max(from, this.#lastIncludedIndex + 1); instance <= to; instance++) {
      const vote = this.#votes[instance - this.#lastIncludedIndex - 1];
      if (vote === undefined) continue;
      bytes += vote.entry.data.length + VOTE_OVERHEAD_BYTES;
      if (bytes > maxBytes && votes.length > 0) break;
      votes.push(vote);
    }
    return votes;
  }
}
