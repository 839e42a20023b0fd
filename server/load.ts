import { forkRandom, TimeoutError } from "../runtime/index.js";
import type { Clock, Runtime } from "../runtime/index.js";
import type { Clerk } from "../kvraft/index.js";

/** "mixed": nine reads to one write, at random. Reads are linearizable. */
export const MIXES = ["put", "get", "mixed"] as const;
export type Mix = (typeof MIXES)[number];

const WRITE_PART: Readonly<Record<Mix, number>> = { put: 1, get: 0, mixed: 0.1 };

export interface LoadPlan {
  readonly mix: Mix;
  /** How long is measured, and for how long the load runs before that. */
  readonly seconds: number;
  readonly warmUpSeconds: number;
  readonly keys: number;
  readonly valueBytes: number;
  /** How long after the end, and while the keys are filled, an operation may go without an answer. */
  readonly patienceMs: number;
}

export interface LoadFigures {
  readonly mix: Mix;
  readonly clients: number;
  readonly seconds: number;
  /** Answered in that time. */
  readonly operations: number;
  readonly perSecond: number;
  /** From the call to its answer, to one part in a hundred. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** Eight bytes each, for up to 46,656 of them. */
export const MAX_KEYS = 36 ** 3;
const keyOf = (i: number): string => `bench${i.toString(36).padStart(3, "0")}`;

/**
 * Every Clerk is a client: it makes a call, waits for the answer, and makes the next one. Keys are drawn at random.
 * @throws TimeoutError where a call is not answered in time; what a Clerk throws.
 */
export async function runLoad(clerks: readonly Clerk[], plan: LoadPlan, runtime: Runtime): Promise<LoadFigures> {
  const { mix, seconds, warmUpSeconds, patienceMs } = plan;
  const { clock } = runtime;
  const random = forkRandom(runtime.random, "load");
  const value = "v".repeat(plan.valueBytes);
  const latencies = new Latencies();
  const from = clock.now() + warmUpSeconds * 1000;
  const until = from + seconds * 1000;
  const client = async (clerk: Clerk): Promise<void> => {
    for (let begun = clock.now(); begun < until;) {
      const key = keyOf(Math.floor(random.next() * plan.keys));
      if (random.next() < WRITE_PART[mix]) await clerk.put(key, value);
      else await clerk.get(key);
      const ended = clock.now();
      if (begun >= from && ended <= until) latencies.add(ended - begun);
      begun = ended;
    }
  };
  await within(clock, (warmUpSeconds + seconds) * 1000 + patienceMs, Promise.all(clerks.map(client)));
  const { count: operations } = latencies;
  return {
    mix,
    clients: clerks.length,
    seconds,
    operations,
    perSecond: operations / seconds,
    p50Ms: latencies.quantile(0.5),
    p99Ms: latencies.quantile(0.99),
    maxMs: latencies.maxMs,
  };
}

/** Writes every key once, so that reads find something. */
export async function fillKeys(clerks: readonly Clerk[], plan: LoadPlan): Promise<void> {
  const value = "v".repeat(plan.valueBytes);
  await shareOut(clerks, plan, (clerk, key) => clerk.put(key, value, { timeoutMs: plan.patienceMs }));
}

export async function deleteKeys(clerks: readonly Clerk[], plan: LoadPlan): Promise<void> {
  await shareOut(clerks, plan, (clerk, key) => clerk.delete(key, { timeoutMs: plan.patienceMs }));
}

async function shareOut(
  clerks: readonly Clerk[],
  { keys }: LoadPlan,
  act: (clerk: Clerk, key: string) => Promise<unknown>,
): Promise<void> {
  await Promise.all(Array.from({ length: keys }, (_, i) => act(clerks[i % clerks.length] as Clerk, keyOf(i))));
}

async function within<T>(clock: Clock, ms: number, work: Promise<T>): Promise<T> {
  let timer: object | undefined;
  const expired = new Promise<never>((_, reject) => {
    timer = clock.setTimeout(
      () => reject(new TimeoutError("the cluster has stopped answering: some operations are still open", true)),
      ms,
    );
  });
  try {
    return await Promise.race([work, expired]);
  } finally {
    clock.clearTimeout(timer as object);
  }
}

const LEAST_MS = 0.001;
const STEP = Math.log(1.01);
/** The last step stands for all beyond seven minutes. */
const STEPS = 2000;

/** How often each latency was seen, in steps of one part in a hundred: a run may have any number of operations. */
class Latencies {
  readonly #counts = new Uint32Array(STEPS);
  count = 0;
  maxMs = 0;

  add(ms: number): void {
    const step = Math.ceil(Math.log(ms / LEAST_MS) / STEP);
    (this.#counts[Math.min(Math.max(step, 0), STEPS - 1)] as number)++;
    this.count++;
    if (ms > this.maxMs) this.maxMs = ms;
  }

  /** That part of all latencies is at most so long; 0 where there is none. */
  quantile(part: number): number {
    let left = Math.ceil(this.count * part);
    const step = this.#counts.findIndex((count) => (left -= count) <= 0);
    return this.count === 0 ? 0 : Math.min(this.maxMs, LEAST_MS * Math.exp(step * STEP));
  }
}
