import type { ApplyMsg } from "../../raft/index.js";

type Command = Extract<ApplyMsg, { type: "command" }>;
type Snapshot = Extract<ApplyMsg, { type: "snapshot" }>;

/** Commands are compared by identity: the tests propose numbers and strings. */
export type Value = number | string;

/** Stands for an index that servers pass over: the engine has filled it with a value of its own, which is no command. */
export const FILLED: Value = "(filled by the engine)";

interface Agreed {
  readonly command: Value;
  readonly term: number;
}

/** What the test service keeps in a snapshot: everything applied so far, so that its content can be checked. */
export function encodeSnapshot(index: number, commands: readonly Value[]): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ index, commands }));
}

function decodeSnapshot(bytes: Uint8Array): { index: number; commands: Value[] } | null {
  try {
    const value = JSON.parse(new TextDecoder().decode(bytes)) as { index?: unknown; commands?: unknown };
    if (typeof value.index !== "number" || !Array.isArray(value.commands)) return null;
    return value as { index: number; commands: Value[] };
  } catch {
    return null;
  }
}

/**
 * Everything that any server has ever reported as committed, over all incarnations: what one of them applied at an
 * index, nobody may ever contradict (State Machine Safety, figure 3). Since each server applies without gaps, what a
 * server has recorded is a prefix, and one number a server says how long it is. An engine that fills holes passes over
 * these indices: it must do so on every server.
 */
export class CommitRecord {
  readonly #agreed: (Agreed | undefined)[] = [undefined];
  /** Server i has recorded 1..#recorded[i]; it survives restarts, as in the labs. */
  readonly #recorded: number[];
  /** Highest index delivered to the present incarnation of server i. */
  readonly #lastApplied: number[];

  readonly #fillsHoles: boolean;

  constructor(servers: number, { fillsHoles = false } = {}) {
    this.#fillsHoles = fillsHoles;
    this.#recorded = Array.from({ length: servers }, () => 0);
    this.#lastApplied = Array.from({ length: servers }, () => 0);
  }

  /** The highest index ever committed. */
  get maxIndex(): number {
    return this.#agreed.length - 1;
  }

  at(index: number): Value | undefined {
    return this.#agreed[index]?.command;
  }

  /** How many servers have recorded `index`. */
  count(index: number): number {
    let count = 0;
    for (const recorded of this.#recorded) if (recorded >= index) count++;
    return count;
  }

  /** Commands 1..index: the state that a snapshot there must hold. */
  prefix(index: number): Value[] {
    return this.#agreed.slice(1, index + 1).map((entry) => entry!.command);
  }

  /** A new incarnation begins: with nothing, or with the snapshot that it left on disk. Returns what is wrong, or null. */
  begin(server: number, snapshot: Uint8Array | null): string | null {
    this.#lastApplied[server] = 0;
    if (snapshot === null) return null;
    const state = decodeSnapshot(snapshot);
    if (!state) return `server ${server}: the persisted snapshot cannot be decoded`;
    return this.#install(server, state.index, state.commands);
  }

  /** Checks and records a delivered command. Returns what is wrong, or null. */
  command(server: number, msg: Command): string | null {
    const expected = this.#lastApplied[server]! + 1;
    if (msg.index < expected || (msg.index > expected && !this.#fillsHoles)) {
      return `server ${server} applied index ${msg.index} out of order, expected ${expected}`;
    }
    const wrong = this.#passOver(server, expected, msg.index) ?? this.agrees(server, msg);
    if (wrong) return wrong;
    this.#agreed[msg.index] ??= { command: msg.command as Value, term: msg.term };
    this.#lastApplied[server] = msg.index;
    if (msg.index > this.#recorded[server]!) this.#recorded[server] = msg.index;
    return null;
  }

  /** Records the indices from `first` to the one before `end` as filled. */
  #passOver(server: number, first: number, end: number): string | null {
    for (let index = first; index < end; index++) {
      this.#agreed[index] ??= { command: FILLED, term: 0 };
      if (this.at(index) !== FILLED)
        return `server ${server} passed over index ${index}, which holds ${this.at(index)}`;
    }
    return null;
  }

  /** Whether nobody has committed anything else at the index of `msg`. */
  agrees(server: number, msg: Command): string | null {
    const agreed = this.#agreed[msg.index];
    if (!agreed || (agreed.command === msg.command && agreed.term === msg.term)) return null;
    return (
      `commit index=${msg.index} server=${server} ${String(msg.command)} (term ${msg.term}) ` +
      `differs from what was committed there before: ${agreed.command} (term ${agreed.term})`
    );
  }

  /** Checks and records a delivered snapshot. Returns what is wrong, or null. */
  snapshot(server: number, msg: Snapshot): string | null {
    const state = decodeSnapshot(msg.snapshot);
    if (!state) return `server ${server}: the snapshot at ${msg.index} cannot be decoded`;
    if (state.index !== msg.index) {
      return `server ${server}: a snapshot of index ${state.index} was delivered as one of index ${msg.index}`;
    }
    if (msg.index <= this.#lastApplied[server]!) {
      return `server ${server} went back: a snapshot at ${msg.index} after index ${this.#lastApplied[server]}`;
    }
    if (this.#agreed[msg.index]?.term !== msg.term) {
      return `server ${server}: the snapshot at ${msg.index} came with term ${msg.term}, not the entry's`;
    }
    return this.#install(server, state.index, state.commands);
  }

  #install(server: number, index: number, commands: readonly Value[]): string | null {
    if (commands.length !== index) return `server ${server}: a snapshot at ${index} holds ${commands.length} commands`;
    for (let i = 1; i <= index; i++) {
      if (this.#agreed[i]?.command !== commands[i - 1]) {
        return `server ${server}: the snapshot at ${index} holds ${commands[i - 1]} at ${i}, not ${this.at(i)}`;
      }
    }
    this.#lastApplied[server] = index;
    this.#recorded[server] = index;
    return null;
  }
}
