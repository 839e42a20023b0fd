import type { ReplicatedLog } from "../../kvraft/index.js";
import { NotLeaderError } from "../../raft/index.js";
import type { ApplyMsg } from "../../raft/index.js";

/** A log of which the test decides all: who leads, what commits, when the consumer sees it. Starts as leader of term 1. */
export class FakeLog implements ReplicatedLog {
  term = 1;
  isLeader = true;
  hint: number | null = null;
  killed = false;
  bytes = 0;
  bytesOfEntry = 0;
  /** Entries that start() appended, from index `firstIndex` on. */
  entries: { term: number; command: unknown }[] = [];
  readonly snapshots: { index: number; snapshot: Uint8Array }[] = [];
  readonly applyCh: AsyncIterable<ApplyMsg>;
  #listeners = new Set<() => void>();
  #messages: ApplyMsg[] = [];
  #wake: (() => void) | undefined;

  constructor() {
    this.applyCh = this.#messagesAsTheyCome();
  }

  async *#messagesAsTheyCome(): AsyncGenerator<ApplyMsg> {
    for (;;) {
      while (this.#messages.length > 0 && !this.killed) yield this.#messages.shift()!;
      if (this.killed) return;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  start(command: unknown): { index: number; term: number; isLeader: boolean } {
    if (!this.isLeader || this.killed) return { index: -1, term: this.term, isLeader: false };
    this.entries.push({ term: this.term, command });
    this.bytes += this.bytesOfEntry;
    return { index: this.entries.length, term: this.term, isLeader: true };
  }

  getState(): { term: number; isLeader: boolean } {
    return { term: this.term, isLeader: this.isLeader && !this.killed };
  }

  snapshot(index: number, snapshot: Uint8Array): void {
    this.snapshots.push({ index, snapshot });
    this.bytes = 0;
  }

  readBarrier(): Promise<void> {
    return this.isLeader ? Promise.resolve() : Promise.reject(new NotLeaderError(this.hint));
  }

  leaderHint(): number | null {
    return this.hint;
  }

  onStateChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  stateSize(): number {
    return this.bytes;
  }

  kill(): void {
    this.killed = true;
    this.#wake?.();
    for (const listener of this.#listeners) listener();
  }

  // ---- the test's side --------------------------------------------------------------------------------------------------

  deliver(message: ApplyMsg): void {
    this.#messages.push(message);
    this.#wake?.();
  }

  /** Entry `index` commits as it stands. */
  commit(index: number): void {
    const { term, command } = this.entries[index - 1]!;
    this.deliver({ type: "command", index, term, command });
  }

  become(isLeader: boolean, term = this.term): void {
    this.isLeader = isLeader;
    this.term = term;
    for (const listener of this.#listeners) listener();
  }
}
