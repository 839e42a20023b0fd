import { runPlan, type Outcome, type Plan } from "../sim/swarm/index.js";

export interface ShrinkOptions {
  /** Most runs to spend. Default 3000. */
  readonly maxRuns?: number;
  readonly signal?: AbortSignal;
  /** Told of each smaller plan that still fails. */
  readonly onSmaller?: (plan: Plan, runs: number) => void;
  /** How a plan is run. Default `runPlan`. */
  readonly run?: (plan: Plan) => Promise<Outcome>;
}

export interface Shrunk {
  readonly plan: Plan;
  readonly outcome: Outcome;
  readonly runs: number;
  /** No: `maxRuns` or `signal` ended it, and more could perhaps be left out. */
  readonly isDone: boolean;
}

const DEFAULT_MAX_RUNS = 3000;

/** Without what a failure hangs on, another draw of the delays may show it again: so many seeds are tried. */
const SEEDS = 3;

/**
 * Leaves out faults, clients and operations, and makes what is left plainer, for as long as the same rule breaks (delta
 * debugging: Zeller and Hildebrandt). Each part of a plan draws from a stream of its own, so the rest stays as it was.
 * @returns null where `plan` breaks no rule.
 */
export async function shrinkPlan(plan: Plan, options: ShrinkOptions = {}): Promise<Shrunk | null> {
  const run = options.run ?? runPlan;
  const outcome = await run(plan);
  if (outcome.violation === null) return null;
  return await new Shrinker(plan, outcome, run, options).shrink();
}

class Shrinker {
  #plan: Plan;
  #outcome: Outcome;
  #runs = 1;
  readonly #rule: string;
  readonly #run: (plan: Plan) => Promise<Outcome>;
  readonly #options: ShrinkOptions;

  constructor(plan: Plan, outcome: Outcome, run: (plan: Plan) => Promise<Outcome>, options: ShrinkOptions) {
    this.#plan = plan;
    this.#outcome = outcome;
    this.#rule = outcome.violation?.rule as string;
    this.#run = run;
    this.#options = options;
  }

  async shrink(): Promise<Shrunk> {
    for (let before = -1; before !== sizeOf(this.#plan) && !this.#isOver;) {
      before = sizeOf(this.#plan);
      await this.#shorten();
      await this.#reduce(this.#plan.faults, (faults) => ({ ...this.#plan, faults }));
      await this.#reduce(operationsOf(this.#plan), (operations) => withOperations(this.#plan, operations));
      for (const plainer of PLAINER) await this.#try(plainer(this.#plan));
    }
    return { plan: this.#plan, outcome: this.#outcome, runs: this.#runs, isDone: !this.#isOver };
  }

  get #isOver(): boolean {
    return this.#runs >= (this.#options.maxRuns ?? DEFAULT_MAX_RUNS) || this.#options.signal?.aborted === true;
  }

  /** Faults and operations that come after the violation have no part in it. */
  async #shorten(): Promise<void> {
    const { atMs } = this.#outcome.violation as { atMs: number };
    const faults = this.#plan.faults.filter((fault) => fault.atMs <= atMs);
    if (faults.length < this.#plan.faults.length) await this.#try({ ...this.#plan, faults });
    if (atMs < this.#plan.chaosMs) await this.#try({ ...this.#plan, chaosMs: Math.max(1, Math.ceil(atMs)) });
  }

  /** ddmin: leaves out halves, then quarters, down to single parts. */
  async #reduce<T>(parts: readonly T[], build: (parts: readonly T[]) => Plan): Promise<void> {
    let left = parts;
    if (left.length > 0 && (await this.#try(build([])))) return;
    for (let size = Math.ceil(left.length / 2); size >= 1 && left.length > 0 && !this.#isOver;) {
      let isSmaller = false;
      for (let at = 0; at < left.length && !this.#isOver;) {
        const without = [...left.slice(0, at), ...left.slice(at + size)];
        if (await this.#try(build(without))) {
          left = without;
          isSmaller = true;
        } else {
          at += size;
        }
      }
      if (size === 1 && !isSmaller) break;
      size = isSmaller ? Math.min(size, Math.ceil(left.length / 2)) : Math.floor(size / 2);
      if (size === 0) break;
    }
  }

  /** Takes the plan if it breaks the same rule, with its own seed or another one. */
  async #try(candidate: Plan | null): Promise<boolean> {
    if (candidate === null) return false;
    for (let i = 0; i < SEEDS && !this.#isOver; i++) {
      const plan = { ...candidate, seed: candidate.seed + i };
      this.#runs++;
      const outcome = await this.#run(plan);
      if (outcome.violation?.rule !== this.#rule) continue;
      this.#plan = plan;
      this.#outcome = outcome;
      this.#options.onSmaller?.(plan, this.#runs);
      return true;
    }
    return false;
  }
}

type Place = readonly [client: number, operation: number];

function operationsOf(plan: Plan): Place[] {
  return plan.clients.flatMap(({ operations }, client) => operations.map((_, i): Place => [client, i]));
}

/** Clients keep their numbers, and with them their streams of chance. */
function withOperations(plan: Plan, places: readonly Place[]): Plan {
  const clients = plan.clients.map(({ operations }, client) => {
    const kept = new Set(places.filter(([owner]) => owner === client).map(([, i]) => i));
    return { operations: operations.filter((_, i) => kept.has(i)) };
  });
  return { ...plan, clients };
}

function sizeOf(plan: Plan): number {
  return plan.faults.length + operationsOf(plan).length + plan.chaosMs / 1e6;
}

/** Each gives a plainer plan, or null where there is nothing left of its kind. */
const PLAINER: readonly ((plan: Plan) => Plan | null)[] = [
  (plan) => {
    const { network } = plan;
    if (network.loss + network.slow + network.duplicate === 0) return null;
    return { ...plan, network: { ...network, loss: 0, slow: 0, duplicate: 0 } };
  },
  (plan) => (plan.disk.slowRate === 0 ? null : { ...plan, disk: { ...plan.disk, slowRate: 0 } }),
  (plan) => (plan.kv.maxRaftState < 0 ? null : { ...plan, kv: { ...plan.kv, maxRaftState: -1 } }),
  (plan) => {
    const isPlain = plan.clients.every((client) =>
      client.operations.every((op) => op.timeoutMs === 0 && !op.pipelined),
    );
    if (isPlain) return null;
    const clients = plan.clients.map(({ operations }) => ({
      operations: operations.map((op) => ({ ...op, timeoutMs: 0, byAbort: false, pipelined: false })),
    }));
    return { ...plan, clients };
  },
];
