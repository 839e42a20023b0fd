import type { Clock } from "../runtime/index.js";
import type { Fault, FaultKind } from "./faults.js";

/** Something that a person who watches wants to read. */
export interface Happening {
  readonly atMs: number;
  readonly kind: "fault" | "healed" | "election" | "note";
  readonly text: string;
}

export interface Election {
  readonly atMs: number;
  readonly server: number;
  readonly term: number;
}

/** Is told of what happens, as it happens. */
export interface ChronicleListener {
  faultBegins(number: number, kind: FaultKind, text: string, servers: readonly number[]): void;
  faultEnds(number: number, text: string): void;
  phase(text: string): void;
}

/** Width of the columns of the graph of operations. */
export const BUCKET_MS = 500;

/** Everything that happened in a run, written down as it happens. */
export class Chronicle {
  readonly happenings: Happening[] = [];
  readonly elections: Election[] = [];
  readonly faults: Fault[] = [];
  /** Operations that were answered, by name. */
  readonly done = new Map<string, number>();
  /** Answered operations by BUCKET_MS of the time of the answer. */
  readonly buckets: number[] = [];
  /** Operations that were given up without an answer: nobody knows whether they happened, or they certainly did not. */
  unknown = 0;
  failed = 0;
  waiting = 0;
  readonly #clock: Pick<Clock, "now">;
  readonly #listener: (() => ChronicleListener) | null;
  /** Faults after which no operation was answered yet. */
  #recovering: Fault[] = [];
  /** Those that cannot be recovered from before there is a majority again. */
  #stalled: Fault[] = [];

  constructor(clock: Pick<Clock, "now">, listener: (() => ChronicleListener) | null = null) {
    this.#clock = clock;
    this.#listener = listener;
  }

  note(text: string): void {
    this.#add("note", text);
    this.#listener?.().phase(text);
  }

  elected(server: number, term: number): void {
    this.elections.push({ atMs: this.#clock.now(), server, term });
    this.#add("election", `S${server} leads term ${term}`);
  }

  /**
   * @param hasMajority whether a majority can still work together now that the fault is on.
   * @param servers whom it strikes; empty where it strikes all.
   */
  faultBegins(kind: FaultKind, text: string, hasMajority: boolean, servers: readonly number[] = []): Fault {
    const now = this.#clock.now();
    const fault: Fault = { kind, text, fromMs: now, untilMs: null, recoverableMs: now, recoveryMs: null };
    const number = this.faults.push(fault) - 1;
    this.#listener?.().faultBegins(number, kind, text, servers);
    this.#add("fault", text);
    if (hasMajority) {
      this.#recovering.push(fault);
    } else {
      this.#stalled.push(...this.#recovering, fault);
      this.#recovering = [];
    }
    return fault;
  }

  faultEnds(fault: Fault, text: string, hasMajority: boolean): void {
    fault.untilMs = this.#clock.now();
    this.#add("healed", text);
    this.#listener?.().faultEnds(this.faults.indexOf(fault), text);
    if (!hasMajority) return;
    for (const stalled of this.#stalled) stalled.recoverableMs = fault.untilMs;
    this.#recovering.push(...this.#stalled);
    this.#stalled = [];
  }

  operationBegins(): void {
    this.waiting++;
  }

  operationDone(name: string, begunAtMs: number): void {
    const now = this.#clock.now();
    this.waiting--;
    this.done.set(name, (this.done.get(name) ?? 0) + 1);
    const bucket = Math.floor(now / BUCKET_MS);
    while (this.buckets.length <= bucket) this.buckets.push(0);
    this.buckets[bucket] = (this.buckets[bucket] as number) + 1;
    if (this.#recovering.length > 0) this.#recover(begunAtMs, now);
  }

  operationGivenUp(mayHaveHappened: boolean): void {
    this.waiting--;
    if (mayHaveHappened) this.unknown++;
    else this.failed++;
  }

  #recover(begunAtMs: number, now: number): void {
    this.#recovering = this.#recovering.filter((fault) => {
      if (begunAtMs < fault.recoverableMs) return true;
      fault.recoveryMs = now - fault.recoverableMs;
      return false;
    });
  }

  #add(kind: Happening["kind"], text: string): void {
    this.happenings.push({ atMs: this.#clock.now(), kind, text });
  }
}
