import type { Random } from "../../runtime/index.js";

/**
 * Pauses between attempts to connect: the limit doubles each time, and the pause is between half of it and all of it at
 * random, so that the many callers of one server do not come back in step.
 */
export class Backoff {
  readonly #random: Random;
  readonly #minMs: number;
  readonly #maxMs: number;
  #nextMs: number;

  constructor(random: Random, minMs: number, maxMs: number) {
    this.#random = random;
    this.#minMs = this.#nextMs = minMs;
    this.#maxMs = maxMs;
  }

  next(): number {
    const pauseMs = this.#nextMs * (0.5 + this.#random.next() / 2);
    this.#nextMs = Math.min(this.#nextMs * 2, this.#maxMs);
    return pauseMs;
  }

  reset(): void {
    this.#nextMs = this.#minMs;
  }
}
