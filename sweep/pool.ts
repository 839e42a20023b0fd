import { Worker } from "node:worker_threads";

import { RULES, type Outcome } from "../sim/swarm/index.js";
import { judgeSeed, type Assignment, type JudgeOptions } from "./judge.js";

export interface PoolOptions extends JudgeOptions {
  /** 1 runs the seeds in this very thread; more, each in a thread of its own. */
  readonly workers: number;
  /** A run that takes longer on the wall clock than this is stuck: it is reported as such, and its thread is ended. */
  readonly stuckMs: number;
  readonly signal: AbortSignal;
  readonly onOutcome: (outcome: Outcome) => void;
}

/** Seeds handed to a thread at once: few enough that all end at about the same time. */
const CHUNK = 16;

/** What a run that does not come back breaks. */
export const STUCK = "every run ends";

/** Runs every seed once, in no certain order; stops early where `signal` says so. */
export async function runSeeds(seeds: Iterator<number>, options: PoolOptions): Promise<void> {
  if (options.workers > 1) {
    await Promise.all(Array.from({ length: options.workers }, () => new Hand(seeds, options).work()));
    return;
  }
  for (let next = seeds.next(); next.done !== true && !options.signal.aborted; next = seeds.next()) {
    options.onOutcome(await judgeSeed(next.value, options));
  }
}

/** One thread, and what it is busy with. */
class Hand {
  readonly #seeds: Iterator<number>;
  readonly #options: PoolOptions;
  #worker: Worker | null = null;
  /** Seeds that the thread has not answered yet, in its order. */
  #assigned: number[] = [];
  #stuck: NodeJS.Timeout | undefined;
  /** What a thread still tells is not waited for any more. */
  #isOver = false;
  #finish: () => void = () => {};
  #fail: (error: Error) => void = () => {};

  constructor(seeds: Iterator<number>, options: PoolOptions) {
    this.#seeds = seeds;
    this.#options = options;
  }

  async work(): Promise<void> {
    const { signal } = this.#options;
    const onAbort = (): void => this.#finish();
    try {
      await new Promise<void>((resolve, reject) => {
        this.#finish = resolve;
        this.#fail = reject;
        signal.addEventListener("abort", onAbort, { once: true });
        this.#next();
      });
    } finally {
      this.#isOver = true;
      signal.removeEventListener("abort", onAbort);
      clearTimeout(this.#stuck);
      await this.#worker?.terminate();
    }
  }

  #next(): void {
    while (this.#assigned.length < CHUNK) {
      const { value, done } = this.#seeds.next();
      if (done === true) break;
      this.#assigned.push(value);
    }
    if (this.#assigned.length === 0 || this.#options.signal.aborted) return this.#finish();
    const { checkDeterminism, engine } = this.#options;
    this.#thread().postMessage({ seeds: this.#assigned, checkDeterminism, engine } satisfies Assignment);
    this.#watch();
  }

  #thread(): Worker {
    if (this.#worker !== null) return this.#worker;
    const worker = new Worker(new URL("./worker.js", import.meta.url));
    worker.on("message", (outcome: Outcome) => {
      if (this.#isOver) return;
      this.#assigned.shift();
      this.#options.onOutcome(outcome);
      if (this.#assigned.length === 0) this.#next();
      else this.#watch();
    });
    // For instance a promise of the run that was rejected and that nobody waited for.
    worker.on("error", (error) => void this.#giveUp(RULES.error, String(error)));
    this.#worker = worker;
    return worker;
  }

  #watch(): void {
    const { stuckMs } = this.#options;
    clearTimeout(this.#stuck);
    this.#stuck = setTimeout(() => {
      void this.#giveUp(STUCK, `it has not ended within ${stuckMs / 1000} s of wall time`);
    }, stuckMs);
  }

  /** The thread is lost; the seed it was busy with has failed, and another thread goes on with the rest. */
  async #giveUp(rule: string, message: string): Promise<void> {
    const worker = this.#worker;
    if (this.#isOver || worker === null) return;
    this.#worker = null;
    clearTimeout(this.#stuck);
    try {
      await worker.terminate();
      const seed = this.#assigned.shift() as number;
      const violation = { rule, message, atMs: 0, seq: 0 };
      const figures = { hash: "", events: 0, steps: 0, simulatedMs: 0, operations: 0, unanswered: 0, coverage: {} };
      this.#options.onOutcome({ seed, ok: false, violation, ...figures });
      this.#next();
    } catch (error) {
      this.#fail(error as Error);
    }
  }
}
