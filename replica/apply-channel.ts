import { assert, decode, KvraftError } from "../runtime/index.js";
import { EntryType, type CommittedEntries, type Snapshot } from "./core/index.js";
import type { ApplyMsg } from "./types.js";

/** Messages made ready at once; the rest stays in the log, so a slow consumer holds up nothing and fills no queue. */
const BATCH = 64;
/** In a row; then everything else gets its turn. Promises alone would not let it: a long log would hold up heartbeats. */
const STREAK = 256;

type Result = IteratorResult<ApplyMsg, undefined>;

/** Where the channel finds committed entries: the log itself is the queue. */
export interface CommittedLog {
  readonly commitIndex: number;
  readonly log: CommittedEntries;
}

/**
 * applyCh: committed commands in order, from the log as the consumer asks. Asking for the next message says that the one
 * before is done with: `appliedIndex` follows the consumer, and passes entries that carry no command by itself.
 */
export class ApplyChannel implements AsyncIterable<ApplyMsg>, AsyncIterator<ApplyMsg, undefined> {
  /** The consumer has finished with everything up to here. */
  appliedIndex: number;
  /** Called when `appliedIndex` grew. */
  onApplied: () => void = () => {};
  readonly #log: CommittedLog;
  #batch: ApplyMsg[] = [];
  #next = 0;
  /** Handed out or passed over up to here. */
  #takenIndex: number;
  #snapshot: Snapshot | null = null;
  #waiter: ((result: Result) => void) | null = null;
  readonly #atTurnEnd: ((fn: () => void) => void) | undefined;
  /** Messages that were asked for since the last wait. */
  #streak = 0;
  #isIterated = false;
  #isClosed = false;

  constructor(log: CommittedLog, appliedIndex: number, atTurnEnd?: (fn: () => void) => void) {
    this.#log = log;
    this.#atTurnEnd = atTurnEnd;
    this.appliedIndex = appliedIndex;
    this.#takenIndex = appliedIndex;
  }

  get isWaiting(): boolean {
    return this.#waiter !== null;
  }

  /** Up to here the consumer has at least seen everything. */
  get takenIndex(): number {
    return this.#takenIndex;
  }

  [Symbol.asyncIterator](): AsyncIterator<ApplyMsg, undefined> {
    if (this.#isIterated) {
      throw new KvraftError("APPLYCH_TAKEN", "applyCh is iterated once: two consumers would each see half of the log");
    }
    this.#isIterated = true;
    return this;
  }

  next(): Promise<Result> {
    if (this.#waiter !== null) {
      return Promise.reject(new KvraftError("APPLYCH_BUSY", "await one next() of applyCh before the next"));
    }
    const isLong = this.#atTurnEnd !== undefined && ++this.#streak > STREAK;
    const message = isLong ? undefined : this.#take();
    if (message !== undefined) return Promise.resolve({ value: message, done: false });
    if (this.#isClosed) return Promise.resolve({ value: undefined, done: true });
    this.#streak = 0;
    if (isLong) this.#atTurnEnd(() => this.wake());
    return new Promise((resolve) => {
      this.#waiter = resolve;
    });
  }

  /** A consumer that leaves its loop has done with its last message and wants no more. */
  return(): Promise<Result> {
    this.close();
    return Promise.resolve({ value: undefined, done: true });
  }

  /** More entries are committed, or a snapshot is there: hand it out if somebody waits. */
  wake(): void {
    if (this.#waiter === null) return;
    const message = this.#take();
    if (message !== undefined) this.#resolve({ value: message, done: false });
  }

  /** The state of the service is to be replaced; what is older is skipped. */
  restore(snapshot: Snapshot): void {
    assert(snapshot.index > this.#takenIndex, "a snapshot was installed that is behind the service");
    this.#snapshot = snapshot;
    this.wake();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#batch = [];
    this.#next = 0;
    this.#snapshot = null;
    if (this.#waiter !== null) this.#resolve({ value: undefined, done: true });
  }

  #resolve(result: Result): void {
    const waiter = this.#waiter;
    this.#waiter = null;
    waiter?.(result);
  }

  /** The next message, if there is one. Whoever asks has finished with all that was handed out before. */
  #take(): ApplyMsg | undefined {
    if (this.#isClosed) return undefined;
    if (this.#snapshot !== null) return this.#takeSnapshot(this.#snapshot);
    if (this.#next === this.#batch.length) this.#fill();
    const message = this.#batch[this.#next];
    if (message === undefined) {
      this.#setApplied(this.#takenIndex);
      return undefined;
    }
    this.#next++;
    // Entries in between carry no command: nothing needs doing for them.
    this.#takenIndex = message.index;
    this.#setApplied(message.index - 1);
    return message;
  }

  #takeSnapshot(snapshot: Snapshot): ApplyMsg {
    this.#snapshot = null;
    this.#batch = [];
    this.#next = 0;
    this.#setApplied(this.#takenIndex);
    this.#takenIndex = snapshot.index;
    // A copy: what the service does to its bytes must not change what is sent to followers.
    return { type: "snapshot", index: snapshot.index, term: snapshot.term, snapshot: snapshot.data.slice() };
  }

  /** Decodes a batch of commands; passes over entries without one while no command stands before them. */
  #fill(): void {
    const { commitIndex, log } = this.#log;
    this.#batch.length = 0;
    this.#next = 0;
    // The log may have been replaced by a snapshot that is not durable yet and comes later.
    if (this.#takenIndex < log.lastIncludedIndex) return;
    for (let index = this.#takenIndex + 1; index <= commitIndex && this.#batch.length < BATCH; index++) {
      const { type, term, data } = log.entryAt(index);
      if (type === EntryType.command) this.#batch.push({ type: "command", index, term, command: decode(data) });
      else if (this.#batch.length === 0) this.#takenIndex = index;
    }
  }

  #setApplied(index: number): void {
    if (index <= this.appliedIndex) return;
    this.appliedIndex = index;
    this.onApplied();
  }
}
