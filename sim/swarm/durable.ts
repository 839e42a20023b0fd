import type { HardState, StorageWrite, StoredState } from "../../raft/index.js";

/**
 * What is durable on one server, kept from what its storage has acknowledged: terms of the entries by index, term and
 * vote, and how far snapshots reach. What was handed to the storage and not acknowledged may be there after a crash, or a
 * part of it; what was acknowledged must be.
 */
export class DurableState {
  hardState: HardState = { term: 0, votedFor: null };
  /** Below this index entries are only in the snapshot that was installed here. */
  base = 0;
  /** terms[index]; undefined below `base`. */
  terms: (number | undefined)[] = [0];
  readonly pending: StorageWrite[] = [];

  get lastIndex(): number {
    return this.terms.length - 1;
  }

  /** Whether the entry is durable here, by itself or within a snapshot. */
  holds(index: number, term: number): boolean {
    return index < this.base || this.terms[index] === term;
  }

  /** The oldest pending write was acknowledged. False where it is not `write`. */
  acknowledge(write: StorageWrite): boolean {
    if (this.pending.shift() !== write) return false;
    this.hardState = write.hardState ?? this.hardState;
    applyTo(this, write, write.entries.length);
    return true;
  }

  /**
   * Takes over what a recovery found. Null where that can be: all that was acknowledged, and after it a first part of
   * what was under way. Otherwise says what is wrong.
   */
  recover(stored: StoredState): string | null {
    const problem = this.#problem(stored);
    const base = stored.snapshot?.index ?? 0;
    this.pending.length = 0;
    this.hardState = stored.hardState;
    if (stored.snapshot !== null && (base > this.lastIndex || this.terms[base] !== stored.snapshot.term)) {
      this.terms = emptyUpTo(base, stored.snapshot.term);
      this.base = base;
    }
    this.terms.length = base + 1;
    for (const { term } of stored.entries) this.terms.push(term);
    return problem;
  }

  #problem(stored: StoredState): string | null {
    const votes = [this.hardState, ...this.pending.map(({ hardState }) => hardState)];
    const { term, votedFor } = stored.hardState;
    if (!votes.some((vote) => vote?.term === term && vote.votedFor === votedFor)) {
      return `term ${term} and vote ${votedFor} instead of ${this.hardState.term} and ${this.hardState.votedFor}`;
    }
    const trial = { base: this.base, terms: this.terms.slice() };
    let last = "";
    for (let done = 0; ; done++) {
      const write = this.pending[done];
      const difference = differenceOf(trial, stored);
      if (difference === null) return null;
      if (last === "") last = difference;
      if (write === undefined) return last;
      // Of a large write a crash may leave the first entries.
      for (let count = 0; count < write.entries.length; count++) {
        const part = { base: trial.base, terms: trial.terms.slice() };
        applyTo(part, write, count);
        if (differenceOf(part, stored) === null) return null;
      }
      applyTo(trial, write, write.entries.length);
    }
  }
}

interface Trial {
  base: number;
  terms: (number | undefined)[];
}

function emptyUpTo(index: number, term: number): (number | undefined)[] {
  const terms: (number | undefined)[] = Array.from({ length: index + 1 }, () => undefined);
  terms[index] = term;
  return terms;
}

function applyTo(trial: Trial, { snapshot, discardLog, firstIndex, entries }: StorageWrite, count: number): void {
  if (snapshot !== null && discardLog) {
    trial.terms = emptyUpTo(snapshot.index, snapshot.term);
    trial.base = snapshot.index;
  }
  if (firstIndex === 0) return;
  trial.terms.length = Math.min(trial.terms.length, firstIndex);
  for (let i = 0; i < count; i++) trial.terms.push((entries[i] as { term: number }).term);
}

function differenceOf({ base, terms }: Trial, { snapshot, entries }: StoredState): string | null {
  const start = snapshot?.index ?? 0;
  if (start < base) return `a snapshot up to ${start} instead of ${base}`;
  const lastIndex = start + entries.length;
  if (lastIndex !== terms.length - 1) return `a log up to ${lastIndex} instead of ${terms.length - 1}`;
  for (let i = 0; i < entries.length; i++) {
    const { term } = entries[i] as { term: number };
    const index = start + 1 + i;
    if (terms[index] !== term) return `entry ${index} of term ${term} instead of ${terms[index]}`;
  }
  return null;
}
