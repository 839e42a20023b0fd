import type { Entry, HardState, StorageWrite, StoredState } from "../../raft/index.js";
import type { Random } from "../../runtime/index.js";

/** What a storage may hold: the whole log, each entry by its number, and the snapshots that stand for parts of it. */
interface State {
  readonly hardState: HardState;
  /** Number of the entry at index i + 1; those that came only with a snapshot have none. */
  readonly log: readonly (number | null)[];
  readonly terms: readonly number[];
  readonly snapshots: readonly { readonly index: number; readonly text: string }[];
}

const EMPTY: State = { hardState: { term: 0, votedFor: null }, log: [], terms: [], snapshots: [] };

/** Entries of one size give records of one size, so that an old one may fit exactly where a new one is expected. */
export type Shape = "mixed" | "fixed";

/** The number stands at both ends: a part of the data with zeros behind it is not the data. */
function makeEntry(term: number, number: number, fill: number): Entry {
  return { term, type: 0, data: Buffer.from(`${String(number).padStart(7, "0")}${"x".repeat(fill)}${number % 10}`) };
}

function numberOf(entry: Entry): number | null {
  const match = /^(\d{7})x*(\d)$/.exec(Buffer.from(entry.data).toString("latin1"));
  return match !== null && Number(match[1]) % 10 === Number(match[2]) ? Number(match[1]) : null;
}

/**
 * Says what a storage may hold after a crash. Each write leads through states, one for each of its entries, because a
 * crash may leave a part of a write; a recovery must come to one of them, not before the last that was acknowledged.
 */
export class Model {
  readonly #random: Random;
  readonly #shape: Shape;
  #states: State[] = [EMPTY];
  #acknowledged = 0;
  #numbers = 0;
  #write = 0;

  constructor(random: Random, shape: Shape) {
    this.#random = random;
    this.#shape = shape;
  }

  get #now(): State {
    return this.#states.at(-1) as State;
  }

  get #snapshotIndex(): number {
    return this.#now.snapshots.at(-1)?.index ?? 0;
  }

  /** The next write, and what to call when it is durable. */
  next(): { write: StorageWrite; acknowledge: () => void } {
    const draw = this.#shape === "fixed" ? 0 : this.#random.next();
    const write =
      draw < 0.5
        ? this.#append()
        : draw < 0.62
          ? this.#vote()
          : draw < 0.75
            ? this.#truncate()
            : this.#snapshot(draw > 0.9);
    const state = this.#states.length - 1;
    return { write, acknowledge: () => void (this.#acknowledged = Math.max(this.#acknowledged, state)) };
  }

  #effect(fields: Partial<StorageWrite>): StorageWrite {
    const nothing = { hardState: null, snapshot: null, discardLog: false, firstIndex: 0, entries: [] };
    return { type: "persist", write: ++this.#write, ...nothing, ...fields };
  }

  #push(change: Partial<State>): void {
    this.#states.push({ ...this.#now, ...change });
  }

  #newTerm(): HardState {
    const hardState = {
      term: this.#now.hardState.term + 1,
      votedFor: this.#random.next() < 0.5 ? null : this.#random.int(0, 4),
    };
    this.#push({ hardState });
    return hardState;
  }

  #vote(): StorageWrite {
    return this.#effect({ hardState: this.#newTerm() });
  }

  #append(hardState: HardState | null = null, firstIndex = this.#now.log.length + 1): StorageWrite {
    const entries: Entry[] = [];
    for (let count = this.#random.int(1, 4); count > 0; count--) {
      const { term } = this.#now.hardState;
      const number = ++this.#numbers;
      entries.push(makeEntry(term, number, this.#shape === "fixed" ? 8 : this.#random.int(0, 60)));
      this.#push({ log: [...this.#now.log, number], terms: [...this.#now.terms, term] });
    }
    return this.#effect({ hardState, firstIndex, entries });
  }

  #truncate(): StorageWrite {
    const { length } = this.#now.log;
    if (length === this.#snapshotIndex) return this.#append();
    const firstIndex = this.#random.int(this.#snapshotIndex + 1, length);
    const hardState = this.#newTerm();
    this.#push({ log: this.#now.log.slice(0, firstIndex - 1), terms: this.#now.terms.slice(0, firstIndex - 1) });
    return this.#append(hardState, firstIndex);
  }

  #snapshot(isInstalled: boolean): StorageWrite {
    const { log, terms, snapshots, hardState } = this.#now;
    const least = this.#snapshotIndex + 1;
    if (!isInstalled && least > log.length) return this.#append();
    let index = this.#random.int(least, isInstalled ? log.length + 4 : log.length);
    // §7: only a log that does not lead up to the snapshot is thrown away.
    if (isInstalled && terms[index - 1] === hardState.term) index = log.length + 1;
    const term = isInstalled ? hardState.term : (terms[index - 1] as number);
    const text = `snapshot ${++this.#numbers}${"y".repeat(this.#random.int(0, 200))}`;
    const snapshot = { index, term, data: Buffer.from(text) };
    const own = { index, text };
    if (isInstalled) {
      this.#push({ log: Array<null>(index).fill(null), terms: Array<number>(index).fill(term), snapshots: [own] });
    } else {
      this.#push({ snapshots: [...snapshots, own] });
    }
    return this.#effect({ snapshot, discardLog: isInstalled });
  }

  /** Takes over what was recovered. @throws Error where it is none of the possible states */
  recovered(stored: StoredState): void {
    for (let i = this.#states.length - 1; i >= this.#acknowledged; i--) {
      const state = this.#states[i] as State;
      if (!isState(stored, state)) continue;
      const snapshots = state.snapshots.filter(({ index }) => index === stored.snapshot?.index);
      this.#states = [{ ...state, snapshots }];
      this.#acknowledged = 0;
      return;
    }
    throw new Error(
      `recovered ${describeStored(stored)}\nwhich is none of the states from the one that was acknowledged\n` +
        this.#states.slice(this.#acknowledged).map(describeState).join("\n"),
    );
  }
}

function isState({ hardState, snapshot, entries }: StoredState, state: State): boolean {
  if (hardState.term !== state.hardState.term || hardState.votedFor !== state.hardState.votedFor) return false;
  const before = snapshot?.index ?? 0;
  if (before + entries.length !== state.log.length) return false;
  if (snapshot !== null) {
    const text = Buffer.from(snapshot.data).toString("latin1");
    if (!state.snapshots.some((known) => known.index === before && known.text === text)) return false;
    if (state.terms[before - 1] !== snapshot.term) return false;
  }
  return entries.every((entry, i) => {
    const number = numberOf(entry);
    return number !== null && number === state.log[before + i] && entry.term === state.terms[before + i];
  });
}

function describeStored({ hardState: { term, votedFor }, snapshot, entries }: StoredState): string {
  const log = entries.map((entry) => `${entry.term}:${numberOf(entry) ?? "damaged"}`).join(" ");
  return `term ${term} vote ${votedFor} snapshot ${snapshot?.index ?? 0} log ${log}`;
}

function describeState({ hardState: { term, votedFor }, log, terms, snapshots }: State): string {
  const entries = log.map((number, i) => `${terms[i]}:${number}`).join(" ");
  return `term ${term} vote ${votedFor} snapshots ${snapshots.map(({ index }) => index).join(" ")} log ${entries}`;
}
