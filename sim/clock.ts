import { InvalidArgumentError, sleepOn } from "../runtime/index.js";
import type { Clock, TimerHandle } from "../runtime/index.js";
import { EventHeap } from "./heap.js";
import type { SimEvent } from "./heap.js";

/** So many events in a row may happen without any time passing; from then on each next one takes a millisecond. */
export const MAX_INSTANT_CHAIN = 1000;

/** The time of a simulated world. It stands still while code runs and jumps from event to event. */
export class VirtualClock implements Clock {
  readonly heap = new EventHeap();
  #now = 0;
  #seq = 0;
  #depth = 0;
  #stopped = false;

  now(): number {
    return this.#now;
  }

  setTimeout(fn: () => void, ms: number): TimerHandle {
    if (typeof fn !== "function") throw new InvalidArgumentError("setTimeout needs a function to call");
    if (typeof ms !== "number" || Number.isNaN(ms)) {
      throw new InvalidArgumentError(`a timer needs a number of milliseconds, not ${String(ms)}`);
    }
    let time = ms > 0 ? this.#now + ms : this.#now;
    let depth = 0;
    if (time === this.#now) {
      depth = this.#depth + 1;
      if (depth > MAX_INSTANT_CHAIN) time++;
    }
    const event: SimEvent = { time, seq: this.#seq++, depth, fn };
    // A timer at Infinity never fires, and must not keep alive a world that waits for nothing else.
    if (!this.#stopped && time < Infinity) this.heap.push(event);
    else event.fn = null;
    return event;
  }

  clearTimeout(handle: TimerHandle): void {
    const event = handle as SimEvent;
    if (event.fn !== null) this.heap.clear(event);
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return sleepOn(this, ms, signal);
  }

  /** Moves to the time of `event`. */
  advance(event: SimEvent): void {
    this.#now = event.time;
    this.#depth = event.depth;
  }

  /** The world is over: no timer will ever fire. */
  stop(): void {
    this.#stopped = true;
    this.heap.clearAll();
  }
}
