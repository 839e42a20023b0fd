import { CommandKind, KvMachine, OpKind, type Command } from "../../kvraft/index.js";
import type { StoreChange } from "./format.js";
import type { Interner } from "./interner.js";

/**
 * What one server's store holds, told by the entries that it applied: a second machine fed the same commands. Only so
 * it can be seen which writes of a repeated request took effect.
 */
export class StoreReplica {
  #machine = new KvMachine();
  readonly #interner: Interner;

  constructor(interner: Interner) {
    this.#interner = interner;
  }

  /** The server starts with nothing in memory. */
  clear(): void {
    this.#machine = new KvMachine();
  }

  apply(command: Command, index: number, term: number): StoreChange[] {
    const keys = writtenKeys(command);
    const before = keys.map((key) => this.#machine.store.read(key));
    this.#machine.apply(command, { index, term });
    const changes: StoreChange[] = [];
    for (const [i, key] of keys.entries()) {
      const old = before[i] ?? null;
      const now = this.#machine.store.read(key);
      if (now === null ? old === null : old?.[1] === now[1] && old[0] === now[0]) continue;
      changes.push(this.#change(key, old?.[0], now));
    }
    return changes;
  }

  /** The whole content after the restore: text of the key, text of the value, version, and so on. */
  restore(snapshot: Uint8Array): number[] {
    this.#machine.restore(snapshot);
    const row = this.#machine.store.toRow();
    return row.map((cell) => (typeof cell === "number" ? cell : this.#interner.text(cell)));
  }

  #change(key: string, old: string | undefined, now: readonly [string, number] | null): StoreChange {
    const { text } = this.#interner;
    const id = (words: string): number => text.call(this.#interner, words);
    if (now === null) return [2, id(key), id(""), 0];
    const [value, version] = now;
    // Values that grow would otherwise be written down again and again.
    const grew = old !== undefined && old !== "" && value.startsWith(old);
    return grew ? [1, id(key), id(value.slice(old.length)), version] : [0, id(key), id(value), version];
  }
}

/** Each key that the command may write, once. */
function writtenKeys(command: Command): string[] {
  if (command[0] !== CommandKind.request) return [];
  const keys = new Set<string>();
  for (const slot of command[3]) if (slot !== null && slot[0] !== OpKind.read) keys.add(slot[1]);
  return [...keys];
}
