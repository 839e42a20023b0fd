import { randomInt } from "node:crypto";

import { SeededRandom } from "./random.js";
import type { Clock, Runtime, TimerHandle } from "./types.js";

/** Node cannot wait longer than this in one timer; longer waits are made of several. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

class RealTimer {
  timeout: NodeJS.Timeout | undefined;
}

class RealClock implements Clock {
  now(): number {
    return performance.now();
  }

  setTimeout(fn: () => void, ms: number): TimerHandle {
    const timer = new RealTimer();
    const arm = (left: number): void => {
      timer.timeout = setTimeout(
        () => (left > MAX_TIMEOUT_MS ? arm(left - MAX_TIMEOUT_MS) : fn()),
        Math.min(Math.max(left, 0), MAX_TIMEOUT_MS),
      );
    };
    arm(ms);
    return timer;
  }

  clearTimeout(handle: TimerHandle): void {
    clearTimeout((handle as RealTimer).timeout);
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return sleepOn(this, ms, signal);
  }
}

/** `sleep` in terms of a clock's timers; shared by the real and the virtual clock. */
export function sleepOn(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  if (!signal) return new Promise((resolve) => void clock.setTimeout(resolve, ms));
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason as Error);
    const onAbort = (): void => {
      clock.clearTimeout(timer);
      reject(signal.reason as Error);
    };
    const timer = clock.setTimeout(() => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    }, ms);
    signal.addEventListener("abort", onAbort, { once: true });
  });
}

let turnEnd: (() => void)[] = [];

/** Once all callbacks of a poll for events have run; also what comes up in `fn` itself, within the same turn. */
export function atTurnEnd(fn: () => void): void {
  if (turnEnd.push(fn) === 1) setImmediate(endTurn);
}

function endTurn(): void {
  let done = 0;
  try {
    while (done < turnEnd.length) (turnEnd[done++] as () => void)();
  } finally {
    // One that throws ends the process, if nobody objects. Then the others go on.
    turnEnd = turnEnd.slice(done);
    if (turnEnd.length > 0) setImmediate(endTurn);
  }
}

/**
 * The runtime of real life: the monotonic clock of the process, and a random source seeded from the system's entropy.
 * `seed` fixes the random source only; real time stays real.
 */
export function realRuntime(seed?: number): Runtime {
  return { clock: new RealClock(), random: new SeededRandom(seed ?? randomInt(2 ** 47)), atTurnEnd };
}
