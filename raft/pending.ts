import { AbortError, InvalidArgumentError, TimeoutError, type CallOptions, type Clock } from "../runtime/index.js";

interface Call<T> {
  resolve(value: T): void;
  reject(error: Error): void;
}

/** Calls that wait for an answer, by number, each with its limits. A number that is gone is ignored. */
export class Pending<T> {
  readonly #clock: Clock;
  readonly #what: string;
  readonly #calls = new Map<number, Call<T>>();
  #count = 0;

  constructor(clock: Clock, what: string) {
    this.#clock = clock;
    this.#what = what;
  }

  open(options: CallOptions): { id: number; promise: Promise<T> } {
    const { signal, timeoutMs } = options;
    if (timeoutMs !== undefined && !(timeoutMs >= 0)) {
      throw new InvalidArgumentError(`timeoutMs must be a number from 0, not ${String(timeoutMs)}`);
    }
    const id = ++this.#count;
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
    const onAbort = (): void =>
      this.reject(id, new AbortError(`${this.#what} was aborted by its signal`, false, signal?.reason));
    const timer =
      timeoutMs === undefined || timeoutMs === Infinity
        ? null
        : this.#clock.setTimeout(
            () => this.reject(id, new TimeoutError(`${this.#what} took longer than ${timeoutMs} ms`, false)),
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
    if (signal?.aborted) onAbort();
    else signal?.addEventListener("abort", onAbort, { once: true });
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
