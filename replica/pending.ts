import { refusal, watchLimits, type CallOptions, type Clock } from "../runtime/index.js";

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

  /** Whether the call still waits; one that its options did not let begin never does. */
  has(id: number): boolean {
    return this.#calls.has(id);
  }

  open(options: CallOptions): { id: number; promise: Promise<T> } {
    const id = ++this.#count;
    const refused = refusal(this.#what, options);
    if (refused !== undefined) return { id, promise: Promise.reject(refused) };
    const promise = new Promise<T>((resolve, reject) => {
      const release = watchLimits(this.#clock, this.#what, options, (error) => this.reject(id, error(this.#goesOn)));
      this.#calls.set(id, release === undefined ? { resolve, reject } : limited(resolve, reject, release));
    });
    return { id, promise };
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

function limited<T>(resolve: (value: T) => void, reject: (error: Error) => void, release: () => void): Call<T> {
  return {
    resolve: (value) => {
      release();
      resolve(value);
    },
    reject: (error) => {
      release();
      reject(error);
    },
  };
}
