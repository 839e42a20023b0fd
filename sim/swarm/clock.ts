import { sleepOn, type Clock, type TimerHandle } from "../../runtime/index.js";

interface Timer {
  /** When it is due, by this clock. */
  readonly at: number;
  fn: (() => void) | null;
  /** In the world's clock; null for a time that never comes. */
  handle: TimerHandle | null;
}

/**
 * The clock of one machine. It may run at another rate than the world's and jump; for the process it never goes back: where
 * it is set back, it stands still until it has caught up. Each life of a process gets a view of its own, whose timers end
 * with it.
 */
export class MachineClock {
  readonly #world: Clock;
  readonly #gate: (act: () => void) => void;
  #rate = 1;
  #baseWorld = 0;
  #base = 0;
  /** The latest time that was shown to anybody. */
  #floor = 0;
  #life = 0;
  readonly #timers = new Set<Timer>();

  /** What comes due goes through `gate`, which may hold it back. */
  constructor(world: Clock, gate: (act: () => void) => void) {
    this.#world = world;
    this.#gate = gate;
  }

  now(): number {
    const now = this.#linear();
    if (now > this.#floor) this.#floor = now;
    return this.#floor;
  }

  get rate(): number {
    return this.#rate;
  }

  /** Goes on at another rate, and at once by so much ahead (or back). */
  change(rate: number, jumpMs: number): void {
    this.#base = this.#linear() + jumpMs;
    this.#baseWorld = this.#world.now();
    this.#rate = rate;
    for (const timer of this.#timers) {
      if (timer.handle !== null) this.#world.clearTimeout(timer.handle);
      this.#schedule(timer);
    }
  }

  /** The clock of a new life. */
  beginLife(): Clock {
    this.endLife();
    const life = this.#life;
    const clock: Clock = {
      now: () => this.now(),
      setTimeout: (fn, ms) => this.#set(life, fn, ms),
      clearTimeout: (handle) => this.#clear(handle as Timer),
      sleep: (ms, signal) => sleepOn(clock, ms, signal),
    };
    return clock;
  }

  /** No timer of this life ever comes due. */
  endLife(): void {
    this.#life++;
    for (const timer of this.#timers) {
      timer.fn = null;
      if (timer.handle !== null) this.#world.clearTimeout(timer.handle);
    }
    this.#timers.clear();
  }

  #linear(): number {
    return this.#base + (this.#world.now() - this.#baseWorld) * this.#rate;
  }

  #set(life: number, fn: () => void, ms: number): TimerHandle {
    const timer: Timer = { at: this.now() + (ms > 0 ? ms : 0), fn, handle: null };
    if (life !== this.#life || timer.at === Infinity) return timer;
    this.#timers.add(timer);
    this.#schedule(timer);
    return timer;
  }

  #schedule(timer: Timer): void {
    const delayMs = (timer.at - this.#linear()) / this.#rate;
    timer.handle = this.#world.setTimeout(() => this.#gate(() => this.#fire(timer)), delayMs);
  }

  #fire(timer: Timer): void {
    const { fn } = timer;
    if (fn === null) return;
    timer.fn = null;
    this.#timers.delete(timer);
    // Rounding must not show a timer that it has come too early.
    if (timer.at > this.#floor) this.#floor = timer.at;
    fn();
  }

  #clear(timer: Timer): void {
    if (timer.fn === null) return;
    timer.fn = null;
    this.#timers.delete(timer);
    if (timer.handle !== null) this.#world.clearTimeout(timer.handle);
  }
}
