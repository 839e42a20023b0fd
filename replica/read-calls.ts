import type { Clock } from "../runtime/index.js";
import type { ApplyChannel } from "./apply-channel.js";
import { Pending } from "./pending.js";

/** Calls of readBarrier: first the core confirms that this server still leads, then the service has to catch up. */
export class ReadCalls {
  readonly calls: Pending<void>;
  readonly #channel: ApplyChannel;
  /** Confirmed reads that wait for the service to apply up to an index, which only grows along the list. */
  readonly #waits: { read: number; index: number }[] = [];

  constructor(clock: Clock, channel: ApplyChannel) {
    this.calls = new Pending(clock, "read barrier", false);
    this.#channel = channel;
    // V8 makes a function that is written straight into a property of another object in its old generation, where it keeps
    // all that it can see, here the whole server, until a major collection. So this is a field, and others are constants.
    channel.onApplied = this.#release;
  }

  /** `reads` may be answered once entry `index` is applied. */
  confirm(reads: readonly number[], index: number): void {
    for (const read of reads) {
      if (index <= this.#channel.appliedIndex) this.calls.resolve(read, undefined);
      else this.#waits.push({ read, index });
    }
  }

  readonly #release = (): void => {
    const waits = this.#waits;
    if (waits.length === 0) return;
    const applied = this.#channel.appliedIndex;
    let count = 0;
    while (count < waits.length && (waits[count] as { index: number }).index <= applied) count++;
    for (const { read } of waits.splice(0, count)) this.calls.resolve(read, undefined);
  };
}
