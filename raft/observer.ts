import { RaftCore, type Effect, type Event, type RaftCoreOptions, type RaftState } from "./core/index.js";

/** What a core was entered with: an event, or one of the calls from above. */
export type RaftInput =
  | Event
  | { readonly type: "propose"; readonly commands: readonly Uint8Array[] }
  | { readonly type: "read"; readonly read: number }
  | { readonly type: "flush" }
  | { readonly type: "compact"; readonly index: number }
  | { readonly type: "transfer"; readonly target: number | undefined }
  | { readonly type: "stepDown" };

/** Watches a Raft server from inside, for tests and tools. It changes nothing of what it is given, and must not throw. */
export interface RaftObserver {
  /**
   * The core has dealt with `input`; none of the `effects` that this brought was carried out yet. Also where the core
   * refused the input by an error.
   */
  stepped(input: RaftInput, effects: readonly Effect[], state: RaftState): void;
  /** A send, reply or restore takes place: its write is durable, says the storage. */
  released(effect: Effect, state: RaftState): void;
}

/** A core that reports every step. */
class ObservedCore extends RaftCore {
  readonly #observer: RaftObserver;
  /** Effects of earlier steps that were not taken yet. */
  #seen = 0;
  /** A step may flush by itself: that is one step, not two. */
  #isInside = false;

  constructor(options: RaftCoreOptions, observer: RaftObserver) {
    super(options);
    this.#observer = observer;
  }

  #observe<T>(input: RaftInput, act: () => T): T {
    if (this.#isInside) return act();
    this.#isInside = true;
    try {
      return act();
    } finally {
      this.#isInside = false;
      const { effects } = this.state;
      this.#observer.stepped(input, this.#seen === 0 ? effects : effects.slice(this.#seen), this.state);
      this.#seen = effects.length;
    }
  }

  override takeEffects(): readonly Effect[] {
    this.#seen = 0;
    return super.takeEffects();
  }

  override step(now: number, event: Event): void {
    this.#observe(event, () => super.step(now, event));
  }

  override propose(now: number, commands: readonly Uint8Array[]): number {
    return this.#observe({ type: "propose", commands }, () => super.propose(now, commands));
  }

  override read(now: number, read: number): boolean {
    return this.#observe({ type: "read", read }, () => super.read(now, read));
  }

  override flush(now: number): void {
    this.#observe({ type: "flush" }, () => super.flush(now));
  }

  override compact(now: number, index: number, data: Uint8Array): boolean {
    return this.#observe({ type: "compact", index }, () => super.compact(now, index, data));
  }

  override transfer(now: number, target?: number): boolean {
    return this.#observe({ type: "transfer", target }, () => super.transfer(now, target));
  }

  override stepDown(now: number): void {
    this.#observe({ type: "stepDown" }, () => super.stepDown(now));
  }
}

export function makeCore(options: RaftCoreOptions, observer: RaftObserver | undefined): RaftCore {
  return observer === undefined ? new RaftCore(options) : new ObservedCore(options, observer);
}
