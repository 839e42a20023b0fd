import { refusal, watchLimits } from "../runtime/index.js";
import type { CallOptions, Clock, Random } from "../runtime/index.js";

const FIRST_PAUSE_MS = 10;
const MAX_PAUSE_MS = 320;

/**
 * The pauses of one who tries again: at random, and longer each time. Proposers that outbid each other for ever, which
 * Paxos allows ("Paxos Made Simple", section 2.4), come to try at different times and one gets through.
 */
export class Backoff {
  readonly #clock: Clock;
  readonly #random: Random;
  #mostMs = FIRST_PAUSE_MS;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  wait(signal: AbortSignal): Promise<void> {
    const ms = this.#random.next() * this.#mostMs;
    this.#mostMs = Math.min(2 * this.#mostMs, MAX_PAUSE_MS);
    return this.#clock.sleep(ms, signal);
  }
}

/**
 * Runs `work` until it ends or a limit of the call is met: then the call ends at once, and `work`, which must look at its
 * signal before it sends anything, soon after.
 */
export function withinLimits<T>(
  clock: Clock,
  what: string,
  options: CallOptions,
  maybeApplied: () => boolean,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const refused = refusal(what, options);
  if (refused) return Promise.reject(refused);
  return new Promise((resolve, reject) => {
    const over = new AbortController();
    const release = watchLimits(clock, what, options, (errorOf) => {
      reject(errorOf(maybeApplied()));
      over.abort();
    });
    void work(over.signal)
      .then(resolve, reject)
      .finally(() => release?.());
  });
}
