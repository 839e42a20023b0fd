import { FAULT_KINDS, MARKS, type Outcome } from "../sim/swarm/index.js";

export interface Reached {
  /** In how many runs it came up. */
  readonly seeds: number;
  /** How often in all. */
  readonly times: number;
}

/** Sums of a sweep. */
export class Tally {
  seeds = 0;
  simulatedMs = 0;
  operations = 0;
  unanswered = 0;
  events = 0;
  readonly failures: Outcome[] = [];
  readonly #marks: Readonly<Record<string, string>>;
  readonly #coverage = new Map<string, { seeds: number; times: number }>();

  /** `marks`: the rare states that the engine can reach. */
  constructor(marks: Readonly<Record<string, string>> = MARKS) {
    this.#marks = marks;
  }

  add(outcome: Outcome): void {
    this.seeds++;
    this.simulatedMs += outcome.simulatedMs;
    this.operations += outcome.operations;
    this.unanswered += outcome.unanswered;
    this.events += outcome.events;
    if (!outcome.ok) this.failures.push(outcome);
    for (const [name, times] of Object.entries(outcome.coverage)) {
      const known = this.#coverage.get(name);
      if (known === undefined) this.#coverage.set(name, { seeds: 1, times });
      else {
        known.seeds++;
        known.times += times;
      }
    }
  }

  reached(name: string): Reached {
    return this.#coverage.get(name) ?? { seeds: 0, times: 0 };
  }

  /** Fault classes; hooks by their place. */
  get faults(): readonly string[] {
    const hooks = [...this.#coverage.keys()].filter((name) => name.startsWith("fault.hook.")).sort();
    return [...FAULT_KINDS.filter((kind) => kind !== "hook").map((kind) => `fault.${kind}`), ...hooks];
  }

  get neverReached(): readonly string[] {
    return [...this.faults, ...Object.keys(this.#marks)].filter((name) => this.reached(name).seeds === 0);
  }

  /** A line for each fault class and each rare state: by how many seeds it was reached, and how often. */
  coverageLines(): string[] {
    const faults = this.faults.map((name) =>
      this.#line(name, name.replace("fault.", "").replace("hook.", "crash at ")),
    );
    const marks = Object.entries(this.#marks).map(([name, words]) => this.#line(name, words));
    return ["faults                            seeds      times", ...faults, "", "rare states", ...marks];
  }

  #line(name: string, words: string): string {
    const { seeds, times } = this.reached(name);
    const isMark = name in this.#marks;
    const label = (isMark ? name : words).padEnd(28);
    return `  ${label} ${String(seeds).padStart(8)} ${String(times).padStart(10)}${isMark ? `  ${words}` : ""}`;
  }

  toJson(): Record<string, unknown> {
    const names = [...this.faults, ...Object.keys(this.#marks)];
    return {
      seeds: this.seeds,
      simulatedSeconds: Math.round(this.simulatedMs / 1000),
      operations: this.operations,
      unanswered: this.unanswered,
      events: this.events,
      failures: this.failures.map(({ seed, violation, hash }) => ({ seed, ...violation, hash })),
      coverage: Object.fromEntries(names.map((name) => [name, this.reached(name)])),
      neverReached: this.neverReached,
    };
  }
}
