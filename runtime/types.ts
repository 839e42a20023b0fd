/** A pending timer. Opaque: hand it back to the clock that made it. */
export type TimerHandle = object;

/** Where time comes from. Nothing in the deterministic rooms reads any other clock. */
export interface Clock {
  /** Milliseconds since an arbitrary start; never goes back. May have a fraction. */
  now(): number;
  /** Resolves after `ms` milliseconds; rejects at once with the signal's reason when it is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Runs `fn` once after `ms` milliseconds. Timers due at the same time run in the order in which they were set. */
  setTimeout(fn: () => void, ms: number): TimerHandle;
  /** Forgets a timer; one that has run or was cleared already is ignored. */
  clearTimeout(handle: TimerHandle): void;
}

/** Where chance comes from. */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
  /** A uniform integer between `lo` and `hi`, both ends included. */
  int(lo: number, hi: number): number;
  /**
   * An independent stream named `name`. It depends on the seed, the name and on how often that name was forked before,
   * never on what was drawn from the parent: removing one user of chance does not reshuffle the others.
   */
  fork?(name: string): Random;
}

/** Everything impure that the protocol rooms may use. */
export interface Runtime {
  readonly clock: Clock;
  readonly random: Random;
  /**
   * Offered by real life: runs `fn` once all that has come in together, on all connections, has been dealt with. What is
   * put off until then goes together. Elsewhere a turn is one message, and ends with the promises that it settled.
   */
  atTurnEnd?(fn: () => void): void;
  /**
   * Offered by a simulated world: registers a function that lists, in words, what is waiting for something that is not
   * a timer. It is asked only when the world has come to a standstill. Returns the function that takes it back.
   */
  describeWaiting?(reporter: () => string[]): () => void;
  /** Offered by a simulated world: folds a number into the hash of the run, so that two runs can be compared. */
  note?(value: number): void;
}

/** What every waiting call accepts. */
export interface CallOptions {
  /** Ends the call with an AbortError. */
  signal?: AbortSignal;
  /** Ends the call with a TimeoutError after so many milliseconds of the runtime's clock. Default: wait for ever. */
  timeoutMs?: number;
}
