import { decodeVote, readJournal, type InstanceVote, type Vote } from "../../paxos/index.js";
import type { Entry, Snapshot, StorageWrite, StoredState } from "../../replica/index.js";
import { DurableState } from "./durable.js";

/** The instance at which the stored snapshot ends; the storage itself knows only a position of the journal. */
export function lastIncludedOf(stored: StoredState): number {
  return stored.snapshot === null ? 0 : readJournal(stored).lastIncludedIndex;
}

/** The votes among these records of a journal. */
export function votesIn(records: readonly Entry[]): InstanceVote[] {
  const votes: InstanceVote[] = [];
  for (const record of records) {
    const vote = decodeVote(record);
    if (vote !== null) votes.push(vote);
  }
  return votes;
}

/** What an acknowledged write, or a recovery, has brought. */
export interface Kept {
  readonly fresh: readonly InstanceVote[];
  /** What should be there and is not, in words. */
  readonly lost: string | null;
}

/**
 * What is durable on one acceptor: its promise and its votes, kept from what its storage has acknowledged. Positions of the
 * journal are compared as those of a log are; on top of that no vote may get lost where the journal is cut in front.
 */
export class DurableVotes {
  promised = 0;
  lastIncludedIndex = 0;
  lastIncludedTerm = 0;
  /** Up to here it has written down that these values were chosen. */
  chosen = 0;
  votes = new Map<number, Vote>();
  readonly #journal = new DurableState();
  #snapshot: Snapshot | null = null;
  /** From the snapshot's position on. */
  #records: Entry[] = [];

  write(write: StorageWrite): void {
    this.#journal.pending.push(write);
  }

  /** The oldest pending write was acknowledged. Null where it is not `write`. */
  acknowledge(write: StorageWrite): Kept | null {
    if (!this.#journal.acknowledge(write)) return null;
    const { discardLog, entries, firstIndex, hardState, snapshot } = write;
    if (hardState !== null) this.promised = hardState.term;
    if (snapshot !== null) {
      this.#records.splice(0, discardLog ? this.#records.length : snapshot.index - (this.#snapshot?.index ?? 0));
      this.#snapshot = snapshot;
    }
    const fresh = votesIn(entries);
    if (firstIndex > 0) {
      this.#records.length = firstIndex - 1 - (this.#snapshot?.index ?? 0);
      this.#records.push(...entries);
    }
    return { fresh, lost: snapshot === null ? this.#add(fresh) : this.#readAgain() };
  }

  /** Takes over what a recovery found: its votes, and what is missing. */
  recover(stored: StoredState): Kept {
    const problem = this.#journal.recover(stored);
    this.promised = stored.hardState.term;
    this.#snapshot = stored.snapshot;
    this.#records = [...stored.entries];
    const lost = this.#readAgain();
    const fresh = [...this.votes].map(([instance, vote]): InstanceVote => ({ instance, ...vote }));
    return { fresh, lost: problem ?? lost };
  }

  #add(fresh: readonly InstanceVote[]): string | null {
    let lost: string | null = null;
    for (const { ballot, entry, instance } of fresh) {
      const before = this.votes.get(instance);
      if (before !== undefined && before.ballot > ballot) lost ??= gone(instance, before, ballot);
      this.votes.set(instance, { ballot, entry });
    }
    return lost;
  }

  #readAgain(): string | null {
    const { lastIncludedIndex: reached, votes: before } = this;
    const hardState = { term: this.promised, votedFor: null };
    try {
      const read = readJournal({ hardState, snapshot: this.#snapshot, entries: this.#records });
      this.lastIncludedIndex = read.lastIncludedIndex;
      this.lastIncludedTerm = read.lastIncludedTerm;
      this.chosen = read.chosen;
      this.votes = new Map(read.votes);
    } catch (error) {
      return (error as Error).message;
    }
    for (let instance = this.lastIncludedIndex + 1; instance <= reached; instance++) {
      if (!this.votes.has(instance)) return `the snapshot up to instance ${reached} gone, and no vote in ${instance}`;
    }
    for (const [instance, vote] of before) {
      const now = this.votes.get(instance)?.ballot ?? 0;
      if (instance > this.lastIncludedIndex && now < vote.ballot) return gone(instance, vote, now);
    }
    return null;
  }
}

function gone(instance: number, { ballot }: Vote, now: number): string {
  return `the vote of ballot ${ballot} in instance ${instance} gone; there is ${now === 0 ? "none" : `that of ${now}`}`;
}
