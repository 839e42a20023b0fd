import { setTimeout as sleep } from "node:timers/promises";

const POLL_MS = 20;

const tooLate = (limitMs: number, what: string): Error => new Error(`waited ${limitMs} ms for this in vain: ${what}`);

/** `promise`, or an error that says that `what` did not come within `limitMs`. */
export async function within<T>(limitMs: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(tooLate(limitMs, what)), limitMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

type Found<T> = Exclude<NonNullable<T>, false>;

/** Asks again and again until the answer is neither undefined nor false, and returns it. `ask` itself must end in time. */
export async function until<T>(limitMs: number, what: string, ask: () => T | Promise<T>): Promise<Found<T>> {
  const deadline = performance.now() + limitMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== null && answer !== false) return answer as Found<T>;
    if (performance.now() >= deadline) throw tooLate(limitMs, what);
    await sleep(POLL_MS);
  }
}
