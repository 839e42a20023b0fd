import { checkLinearizable, simulate, SimulationDeadlock, SimulationTimeout, type SimRuntime } from "../index.js";
import { Coverage } from "./coverage.js";
import { engineOf } from "./engine.js";
import { Load } from "./load.js";
import { Nemesis } from "./nemesis.js";
import type { WorldObserver } from "./observer.js";
import { drawPlan } from "./plan.js";
import { hashBytes } from "./hash.js";
import type { HistoryEvent } from "../index.js";
import type { Outcome, Plan, Violation } from "./types.js";
import { RULES } from "./rules.js";
import { World } from "./world.js";

export interface RunOptions {
  /** They watch the run; it is the same without them. */
  readonly observers?: readonly WorldObserver[];
  /** false: only the black-box judges look, and the invariants inside the product. Default true. */
  readonly oracles?: boolean;
  /** Gets the history of all clients when the run is over. */
  readonly onHistory?: (history: readonly HistoryEvent[]) => void;
}

/** The settling servers are looked at so often. */
const LOOK_MS = 20;

/** Draws the plan of `seed` and runs it; on Raft. */
export function runSeed(seed: number, options?: RunOptions): Promise<Outcome> {
  return runPlan(drawPlan(seed), options);
}

/**
 * Runs a plan: chaos, then the liveness phase, then the judges. Never rejects for what a run does; a broken rule is in the
 * outcome. Equal plans give equal outcomes, hash included, however many runs there are at once.
 */
export async function runPlan(plan: Plan, options: RunOptions = {}): Promise<Outcome> {
  const run = new Run(plan, options);
  let report = { traceHash: "", events: 0, virtualMs: 0 };
  try {
    await simulate(
      {
        seed: plan.seed,
        limitMs: plan.chaosMs + 3 * plan.limits.livenessMs,
        onEnd: (end) => {
          report = end;
        },
      },
      (runtime) => run.main(runtime),
    );
  } catch (error) {
    run.onError(error, report.virtualMs);
  }
  return run.outcome(report);
}

class Run {
  readonly #plan: Plan;
  readonly #options: RunOptions;
  readonly #coverage: Coverage;
  #world: World | null = null;
  #load: Load | null = null;
  #violation: Violation | null = null;

  constructor(plan: Plan, options: RunOptions) {
    this.#plan = plan;
    this.#options = options;
    this.#coverage = new Coverage(plan);
  }

  async main(runtime: SimRuntime): Promise<void> {
    const { observers = [], oracles = true } = this.#options;
    const engine = engineOf(this.#plan);
    const oracle = engine.makeOracle(this.#plan.servers, (rule, message) => this.#world?.fail(rule, message));
    const coverage = [this.#coverage, ...engine.makeCoverage(this.#plan, this.#coverage)];
    const world = new World(this.#plan, runtime, [...(oracles ? [oracle] : []), ...coverage, ...observers]);
    this.#world = world;
    const load = new Load(world);
    this.#load = load;
    await Promise.race([world.broken, this.#phases(world, load)]);
    if (world.violation === null) this.#judge(world, load);
    world.hub.emit("phase", { phase: "over" });
    this.#options.onHistory?.(load.history.events);
  }

  async #phases(world: World, load: Load): Promise<void> {
    const { clock, hub, plan } = world;
    const nemesis = new Nemesis(world);
    hub.emit("phase", { phase: "chaos" });
    for (const machine of world.machines) machine.start();
    nemesis.start();
    const working = load.run();
    await clock.sleep(plan.chaosMs);
    nemesis.stop();
    // What the clients have yet to do shows that the cluster serves; between two of these there is nothing left to find.
    load.isHurried = true;
    hub.emit("phase", { phase: "liveness" });
    world.settle(plan.core);
    const bound = clock.setTimeout(() => this.#tooLate(world, load), plan.limits.livenessMs);
    await working;
    hub.emit("phase", { phase: "reading" });
    await load.readAll();
    hub.emit("phase", { phase: "settling" });
    while (!this.#isSettled(world)) await clock.sleep(LOOK_MS);
    clock.clearTimeout(bound);
  }

  #tooLate(world: World, load: Load): void {
    const { livenessMs } = this.#plan.limits;
    const [waiting] = load.open.values();
    if (waiting === undefined) {
      const core = this.#plan.core.servers.map((i) => world.machine(i).kv?.raft.status());
      const figures = core.map((status) => `${status?.id}: ${status?.appliedIndex} of ${status?.commitIndex}`);
      return world.fail(
        "convergence",
        `${livenessMs} ms after healing, applied and committed are ${figures.join(", ")}`,
      );
    }
    const { kind, key } = waiting.operation;
    const more = load.open.size > 1 ? `, and ${load.open.size - 1} more` : "";
    world.fail("liveness", `${livenessMs} ms after healing, client ${waiting.client} waits for ${kind} ${key}${more}`);
  }

  /** The healed servers all run, and have applied all that any of them has committed. */
  #isSettled(world: World): boolean {
    const statuses = this.#plan.core.servers.map((i) => world.machine(i).kv?.raft.status());
    const commitIndex = statuses[0]?.commitIndex;
    return statuses.every((status) => status?.appliedIndex === commitIndex && status?.commitIndex === commitIndex);
  }

  #judge(world: World, load: Load): void {
    const hashes = this.#plan.core.servers.map((i) => hashBytes(world.machine(i).stateBytes()));
    if (new Set(hashes).size > 1) return world.fail("stateEqual", "healed servers end in different states");
    const { verdict, explanation } = checkLinearizable(load.history.events);
    if (verdict === "not-linearizable") world.fail("linearizable", explanation);
    else if (verdict === "unknown") world.fail("undecided", explanation);
  }

  /** `simulate` has rejected: the world stood still, or an error came out where nobody expected one. */
  onError(error: unknown, atMs: number): void {
    const world = this.#world;
    if (world === null) throw error;
    if (world.violation !== null) return;
    const isHang = error instanceof SimulationDeadlock || error instanceof SimulationTimeout;
    const message = error instanceof Error ? error.message : String(error);
    const isInvariant = (error as { code?: string }).code === "INVARIANT";
    const rule = RULES[isHang ? "hang" : isInvariant ? "invariant" : "error"];
    this.#violation = { rule, message, atMs, seq: world.hub.seq };
  }

  outcome(report: { traceHash: string; events: number; virtualMs: number }): Outcome {
    const violation = this.#world?.violation ?? this.#violation;
    return {
      seed: this.#plan.seed,
      ok: violation === null,
      violation,
      hash: report.traceHash,
      events: this.#world?.hub.seq ?? 0,
      steps: report.events,
      simulatedMs: report.virtualMs,
      operations: this.#load?.operations ?? 0,
      unanswered: this.#load?.unanswered ?? 0,
      coverage: this.#coverage.counts(),
    };
  }
}
