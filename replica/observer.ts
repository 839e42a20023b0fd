import type { Message, ReplicaCore, ReplicaEffect, ReplicaEvent, ReplicaState, RequestMessage } from "./core/index.js";

/** What a core was entered with: an event, or one of the calls from above. */
export type ReplicaInput<Q extends RequestMessage, A extends Message> =
  | ReplicaEvent<Q, A>
  | { readonly type: "propose"; readonly commands: readonly Uint8Array[] }
  | { readonly type: "read"; readonly read: number }
  | { readonly type: "flush" }
  | { readonly type: "compact"; readonly index: number }
  | { readonly type: "transfer"; readonly target: number | undefined }
  | { readonly type: "stepDown" };

/** Watches a server from inside, for tests and tools. It changes nothing of what it is given, and must not throw. */
export interface ReplicaObserver<Q extends RequestMessage, A extends Message, S extends ReplicaState> {
  /**
   * The core has dealt with `input`; none of the `effects` that this brought was carried out yet. Also where the core
   * refused the input by an error.
   */
  stepped(input: ReplicaInput<Q, A>, effects: readonly ReplicaEffect<Q, A>[], state: S): void;
  /** A send, reply or restore takes place: its write is durable, says the storage. */
  released(effect: ReplicaEffect<Q, A>, state: S): void;
}

/** A core that reports every step. */
export class ObservedCore<Q extends RequestMessage, A extends Message, S extends ReplicaState> implements ReplicaCore<
  Q,
  A,
  S
> {
  readonly state: S;
  readonly #core: ReplicaCore<Q, A, S>;
  readonly #observer: ReplicaObserver<Q, A, S>;
  /** Effects of earlier steps that were not taken yet. */
  #seen = 0;

  constructor(core: ReplicaCore<Q, A, S>, observer: ReplicaObserver<Q, A, S>) {
    this.#core = core;
    this.#observer = observer;
    this.state = core.state;
  }

  #observe<T>(input: ReplicaInput<Q, A>, act: () => T): T {
    try {
      return act();
    } finally {
      const { effects } = this.#core;
      this.#observer.stepped(input, this.#seen === 0 ? effects : effects.slice(this.#seen), this.state);
      this.#seen = effects.length;
    }
  }

  get effects(): readonly ReplicaEffect<Q, A>[] {
    return this.#core.effects;
  }

  takeEffects(): readonly ReplicaEffect<Q, A>[] {
    this.#seen = 0;
    return this.#core.takeEffects();
  }

  deadline(): number {
    return this.#core.deadline();
  }

  step(now: number, event: ReplicaEvent<Q, A>): void {
    this.#observe(event, () => this.#core.step(now, event));
  }

  propose(now: number, commands: readonly Uint8Array[]): number {
    return this.#observe({ type: "propose", commands }, () => this.#core.propose(now, commands));
  }

  read(now: number, read: number): boolean {
    return this.#observe({ type: "read", read }, () => this.#core.read(now, read));
  }

  flush(now: number): void {
    this.#observe({ type: "flush" }, () => this.#core.flush(now));
  }

  compact(now: number, index: number, data: Uint8Array): boolean {
    return this.#observe({ type: "compact", index }, () => this.#core.compact(now, index, data));
  }

  transfer(now: number, target?: number): boolean {
    return this.#observe({ type: "transfer", target }, () => this.#core.transfer(now, target));
  }

  stepDown(now: number): void {
    this.#observe({ type: "stepDown" }, () => this.#core.stepDown(now));
  }
}
