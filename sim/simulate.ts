import { InvalidArgumentError, KvraftError, SeededRandom } from "../runtime/index.js";
import type { Random, Runtime } from "../runtime/index.js";
import { VirtualClock } from "./clock.js";
import type { SimEvent } from "./heap.js";
import { installGuard, uninstallGuard } from "./guard.js";
import { Trace } from "./trace.js";

/** The runtime inside a simulation. */
export interface SimRuntime extends Runtime {
  readonly trace: {
    /** Hash of everything that has happened so far: 16 hexadecimal digits, equal for equal runs. */
    hash(): string;
    /** How many events have happened. */
    readonly events: number;
  };
  describeWaiting(reporter: () => string[]): () => void;
  note(value: number): void;
}

/** What a finished simulation amounted to. */
export interface SimReport {
  readonly traceHash: string;
  readonly events: number;
  readonly virtualMs: number;
}

export interface SimulateOptions {
  /** Any safe integer; the run is a function of it. */
  seed: number;
  /** Reject with SimulationTimeout when main has not settled by this virtual time. Default: no limit. */
  limitMs?: number;
  /** For watching a run. It does not change what happens in it. */
  pace?: Pace;
  /** Called once when the run ends, whichever way, before the promise settles; what it throws is the rejection. */
  onEnd?: (report: SimReport) => void;
}

/** Holds a world up now and then, so that a person can follow it, or end it. */
export interface Pace {
  /** Milliseconds of virtual time between two pauses. */
  everyMs: number;
  /**
   * Called whenever `everyMs` have passed; the world stands still until it has resolved. It runs outside the world, so it
   * may use the real clock and timers. It may look at what is in the world, but must not change it. Where it rejects, the
   * run ends with that error.
   */
  pause: (virtualMs: number) => Promise<void>;
}

/** Main waits, and nothing is left that could wake it. Code `SIMULATION_DEADLOCK`; the message lists what is waiting. */
export class SimulationDeadlock extends KvraftError {
  constructor(virtualMs: number, waiting: readonly string[]) {
    super(
      "SIMULATION_DEADLOCK",
      `at ${virtualMs} ms main still waits, but no timer is left that could ever wake it (a simulated world cannot wait ` +
        `for real timers or real input and output)${listWaiting(waiting)}`,
    );
  }
}

/** Virtual time passed `limitMs` before main settled. Code `SIMULATION_TIMEOUT`; the message lists what is waiting. */
export class SimulationTimeout extends KvraftError {
  constructor(limitMs: number, waiting: readonly string[]) {
    super("SIMULATION_TIMEOUT", `main had not settled after ${limitMs} ms of virtual time${listWaiting(waiting)}`);
  }
}

const MAX_LISTED = 20;

function listWaiting(waiting: readonly string[]): string {
  if (waiting.length === 0) return "";
  const listed = waiting.slice(0, MAX_LISTED).map((line) => `\n  - ${line}`);
  const rest = waiting.length > MAX_LISTED ? `\n  - and ${waiting.length - MAX_LISTED} more` : "";
  return `; waiting:${listed.join("")}${rest}`;
}

/**
 * Runs `main` in a world of its own, in virtual time: while nothing runs, the clock jumps to the next timer. The run is
 * a function of `seed` alone as long as `main` takes time and chance from its `runtime` only; during the run the globals
 * that would break that (Date.now, Math.random, setTimeout, randomUUID and the like) throw a SimulationGuardError.
 *
 * - Settles as `main` settles: with its value, or with the very error it threw. An error thrown by a timer's function
 *   ends the run too. Whatever is left of the world then is dropped and never runs.
 * - Rejects with SimulationDeadlock where `main` waits and no timer is left, with SimulationTimeout at `limitMs`.
 * - Timers due at the same time run in the order in which they were set; between two events all promises settle.
 * - Code takes no time. So that a loop over a network without delay cannot keep time from passing, chains of more than
 *   1,000 events without delay, each set off by the one before, go on at one event a millisecond.
 * - Several simulations may run at once in a process; they do not affect each other.
 */
export function simulate<T>(options: SimulateOptions, main: (runtime: SimRuntime) => Promise<T>): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const { limitMs = Infinity } = options;
    if (!(limitMs > 0)) throw new InvalidArgumentError(`limitMs must be a positive number, not ${String(limitMs)}`);
    if (options.pace && !(options.pace.everyMs > 0)) {
      throw new InvalidArgumentError(`pace.everyMs must be a positive number, not ${String(options.pace.everyMs)}`);
    }
    const world = new World(options, limitMs, main, (outcome) => {
      if (outcome.ok) resolve(outcome.value as T);
      else reject(outcome.error);
    });
    world.start();
  });
}

/** The real one, before any guard is up. */
const realSetImmediate = setImmediate;

/** Its `then` queues a microtask in half the time of queueMicrotask, which keeps a record for async_hooks. */
const settled = Promise.resolve();

/** Events between two turns of Node's event loop, which keep timers and sockets of the process (and vitest) alive. */
const SLICE_EVENTS = 2000;

type Outcome = { ok: true; value: unknown } | { ok: false; error: unknown };

class World implements SimRuntime {
  readonly clock = new VirtualClock();
  readonly random: Random;
  readonly trace = new Trace();
  readonly #reporters = new Set<() => string[]>();
  readonly #main: (runtime: SimRuntime) => Promise<unknown>;
  readonly #options: SimulateOptions;
  readonly #limitMs: number;
  readonly #settle: (outcome: Outcome) => void;
  #outcome: Outcome | undefined;
  #sliceEnd = 0;
  #nextPauseMs: number;
  #heapWasEmpty = false;

  constructor(
    options: SimulateOptions,
    limitMs: number,
    main: (runtime: SimRuntime) => Promise<unknown>,
    settle: (outcome: Outcome) => void,
  ) {
    this.random = new SeededRandom(options.seed);
    this.#options = options;
    this.#limitMs = limitMs;
    this.#nextPauseMs = options.pace?.everyMs ?? Infinity;
    this.#main = main;
    this.#settle = settle;
  }

  describeWaiting(reporter: () => string[]): () => void {
    this.#reporters.add(reporter);
    return () => void this.#reporters.delete(reporter);
  }

  note(value: number): void {
    this.trace.note(value);
  }

  start(): void {
    realSetImmediate(() => {
      this.#enterSlice();
      try {
        Promise.resolve(this.#main(this)).then(
          (value) => this.#end({ ok: true, value }),
          (error: unknown) => this.#end({ ok: false, error }),
        );
      } catch (error) {
        this.#end({ ok: false, error });
      }
      void settled.then(this.#afterMicrotasks);
    });
  }

  /**
   * Slices of different worlds never overlap, and no foreign callback runs within one: a slice begins in a setImmediate
   * and stays within the ticks and microtasks that follow it.
   */
  #enterSlice(): void {
    installGuard();
    this.#sliceEnd = this.trace.events + SLICE_EVENTS;
  }

  #leaveSlice(): void {
    uninstallGuard();
    this.#goOn();
  }

  #goOn(): void {
    realSetImmediate(() => {
      this.#enterSlice();
      this.#step();
    });
  }

  /** Node runs ticks when no microtask is left, so a tick sees all promises settled. */
  readonly #afterMicrotasks = (): void => process.nextTick(this.#step);

  readonly #step = (): void => {
    if (this.#outcome !== undefined) return this.#finish(this.#outcome);
    if (this.trace.events === this.#sliceEnd) return this.#leaveSlice();
    if (this.clock.heap.nextTime() >= this.#nextPauseMs) return this.#pause(this.#options.pace as Pace);
    const event = this.clock.heap.pop();
    if (event === undefined) return this.#standStill();
    this.#heapWasEmpty = false;
    if (event.time > this.#limitMs)
      this.#end({ ok: false, error: new SimulationTimeout(this.#limitMs, this.#waiting()) });
    else this.#run(event);
    void settled.then(this.#afterMicrotasks);
  };

  #pause(pace: Pace): void {
    uninstallGuard();
    const virtualMs = this.#nextPauseMs;
    this.#nextPauseMs += pace.everyMs;
    pace.pause(virtualMs).then(
      () => this.#goOn(),
      (error: unknown) => {
        this.#end({ ok: false, error });
        this.#goOn();
      },
    );
  }

  #run(event: SimEvent): void {
    this.clock.advance(event);
    this.trace.event(event.time, event.seq);
    const fn = event.fn as () => void;
    event.fn = null;
    try {
      fn();
    } catch (error) {
      this.#end({ ok: false, error });
    }
  }

  /** Code that goes through process.nextTick may need one more turn before everything has settled. */
  #standStill(): void {
    if (this.#heapWasEmpty) {
      this.#end({ ok: false, error: new SimulationDeadlock(this.clock.now(), this.#waiting()) });
      this.#finish(this.#outcome as unknown as Outcome);
    } else {
      this.#heapWasEmpty = true;
      this.#leaveSlice();
    }
  }

  #waiting(): string[] {
    return [...this.#reporters].flatMap((reporter) => reporter());
  }

  #end(outcome: Outcome): void {
    this.#outcome ??= outcome;
  }

  #finish(outcome: Outcome): void {
    uninstallGuard();
    this.clock.stop();
    const { trace, clock } = this;
    try {
      this.#options.onEnd?.({ traceHash: trace.hash(), events: trace.events, virtualMs: clock.now() });
      this.#settle(outcome);
    } catch (error) {
      this.#settle({ ok: false, error });
    }
  }
}
