import { OpKind } from "./commands.js";
import type { ReadResult, WriteOp, WriteResult } from "./commands.js";

interface Item {
  value: string;
  /** 1 for a key that was just created, one more with every write. A key that was deleted starts again at 1. */
  version: number;
}

/**
 * Keys with values and versions. `revision` counts the successful writes of the whole store: a put, an append, a
 * conditional put that matched, a delete of a key that was there.
 */
export class KvStore {
  readonly #items = new Map<string, Item>();
  #revision = 0;

  get revision(): number {
    return this.#revision;
  }

  get size(): number {
    return this.#items.size;
  }

  read(key: string): ReadResult {
    const item = this.#items.get(key);
    return item === undefined ? null : [item.value, item.version];
  }

  /** Carries out one write. What its result means stands at `WriteResult`. */
  write(op: WriteOp): WriteResult {
    const item = this.#items.get(op[1]);
    switch (op[0]) {
      case OpKind.put:
        return this.#set(op[1], item, op[2]);
      case OpKind.append:
        return this.#set(op[1], item, item === undefined ? op[2] : item.value + op[2]);
      case OpKind.putIf: {
        const stored = item?.version ?? 0;
        return stored === op[3] ? this.#set(op[1], item, op[2]) : 0 - stored;
      }
      case OpKind.delete:
        if (item === undefined) return 0;
        this.#items.delete(op[1]);
        this.#revision++;
        return item.version;
    }
  }

  #set(key: string, item: Item | undefined, value: string): number {
    this.#revision++;
    if (item === undefined) {
      this.#items.set(key, { value, version: 1 });
      return 1;
    }
    item.value = value;
    return ++item.version;
  }

  /** All items as one flat list: key, value, version, key, ... in an order that is the same on every server. */
  toRow(): (string | number)[] {
    const row: (string | number)[] = [];
    for (const [key, item] of this.#items) row.push(key, item.value, item.version);
    return row;
  }

  /** Replaces everything; nothing of the state before remains (S43). */
  restore(revision: number, row: readonly (string | number)[]): void {
    this.#items.clear();
    this.#revision = revision;
    for (let i = 0; i < row.length; i += 3) {
      this.#items.set(row[i] as string, { value: row[i + 1] as string, version: row[i + 2] as number });
    }
  }
}
