import { AbortError, InvalidArgumentError, TimeoutError, type CallOptions, type Clock } from "../runtime/index.js";

interface Call<T> {
  resolve(value: T): void;
  reject(error: Error): void;
}

/** Calls that wait for an answer, by number, each with its limits. A number that is gone is ignored. */
export class Pending<T> {
  readonly #clock: Clock;
  readonly #what: string;
  readonly #goesOn: boolean;
  readonly #calls = new Map<number, Call<T>>();
  #count = 0;

  /** `goesOn`: what a call has set off goes on after its limits have ended the call, and may still happen. */
  constructor(clock: Clock, what: string, goesOn: boolean) {
    this.#clock = clock;
    this.#what = what;
    this.#goesOn = goesOn;
  }

  /** Whether the call still waits; one whose signal was aborted beforehand never does. */
  has(id: number): boolean {
    return this.#calls.has(id);
  }

  open(options: CallOptions): { id: number; promise: Promise<T> } {
    const { signal, timeoutMs } = options;
    if (timeoutMs !== undefined && !(timeoutMs >= 0)) {
      throw new InvalidArgumentError(`timeoutMs must be a number from 0, not ${String(timeoutMs)}`);
    }
    const id = ++this.#count;
    if (signal?.aborted) return { id, promise: Promise.reject(this.#aborted(signal, false)) };
    const promise = new Promise<T>((resolve, reject) => {
      if (signal === undefined && timeoutMs === undefined) this.#calls.set(id, { resolve, reject });
      else this.#openLimited(id, resolve, reject, signal, timeoutMs);
    });
    return { id, promise };
  }

  #openLimited(
    id: number,
    resolve: (value: T) => void,
    reject: (error: Error) => void,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
  ): void {
    const onAbort = (): void => this.reject(id, this.#aborted(signal, this.#goesOn));
    const timer =
      timeoutMs === undefined || timeoutMs === Infinity
        ? null
        : this.#clock.setTimeout(
            () => this.reject(id, new TimeoutError(`${this.#what} took longer than ${timeoutMs} ms`, this.#goesOn)),
            timeoutMs,
          );
    const end = (): void => {
      if (timer !== null) this.#clock.clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    };
    this.#calls.set(id, {
      resolve: (value) => {
        end();
        resolve(value);
      },
      reject: (error) => {
        end();
        reject(error);
      },
    });
    signal?.addEventListener("abort", onAbort, { once: true });
  }

  #aborted(signal: AbortSignal | undefined, maybeApplied: boolean): AbortError {
    return new AbortError(`${this.#what} was aborted by its signal`, maybeApplied, signal?.reason);
  }

  resolve(id: number, value: T): void {
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    call?.resolve(value);
  }

  reject(id: number, error: Error): void {
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    call?.reject(error);
  }

  rejectAll(error: () => Error): void {
    for (const id of [...this.#calls.keys()]) this.reject(id, error());
  }
}
