import type { Clock } from "../runtime/index.js";
import { TransferError } from "./errors.js";
import { Pending } from "./pending.js";

/** Calls of transferLeadership: one transfer is under way at a time, and a new one takes the place of the old. */
export class TransferCalls {
  readonly calls: Pending<void>;
  /** Those that wait for the transfer under way. */
  #waiting: number[] = [];

  constructor(clock: Clock) {
    this.calls = new Pending(clock, "leadership transfer", true);
  }

  /** `start` begins the transfer for call `id`; false: there is nobody to hand over to. */
  begin(id: number, start: () => boolean): void {
    const replaced = this.#waiting;
    // What the start ends must not be taken for the end of the new one.
    this.#waiting = [];
    let isUnderWay = false;
    try {
      isUnderWay = start();
      if (!isUnderWay) this.calls.reject(id, new TransferError("there is no other server to take over"));
    } catch (error) {
      this.calls.reject(id, error as Error);
    }
    if (!isUnderWay) {
      this.#waiting = replaced;
      return;
    }
    for (const old of replaced) this.calls.reject(old, new TransferError("another transfer took its place"));
    this.#waiting = [id];
  }

  end(ok: boolean): void {
    for (const id of this.#waiting.splice(0)) {
      if (ok) this.calls.resolve(id, undefined);
      else this.calls.reject(id, new TransferError("the target did not take over in time"));
    }
  }
}
