import { EntryType, type Entry } from "../../raft/index.js";
import { decode } from "../../runtime/index.js";
import type { Command } from "../../kvraft/index.js";
import { describeCommand } from "./words.js";

/** Each text and each entry of a record once: the same command travels to and rests on every server. */
export class Interner {
  readonly texts: string[] = [];
  /** Term and text, two numbers an entry. */
  readonly entries: number[] = [];
  readonly #textIds = new Map<string, number>();
  readonly #entryIds = new Map<string, number>();
  /** Entries are immutable and shared, so most are known by their identity. */
  readonly #known = new WeakMap<Entry, number>();

  text(text: string): number {
    let id = this.#textIds.get(text);
    if (id === undefined) {
      id = this.texts.push(text) - 1;
      this.#textIds.set(text, id);
    }
    return id;
  }

  entry(entry: Entry): number {
    let id = this.#known.get(entry);
    if (id === undefined) {
      id = this.#entry(entry.term, entry.type === EntryType.noop ? "no-op" : describeBytes(entry.data));
      this.#known.set(entry, id);
    }
    return id;
  }

  #entry(term: number, text: string): number {
    const key = `${term} ${text}`;
    let id = this.#entryIds.get(key);
    if (id === undefined) {
      id = this.entries.length / 2;
      this.entries.push(term, this.text(text));
      this.#entryIds.set(key, id);
    }
    return id;
  }
}

function describeBytes(data: Uint8Array): string {
  try {
    return describeCommand(decode(data) as Command);
  } catch {
    return `${data.length} bytes`;
  }
}
