import { drawPlan, runPlan, type EngineName, type Outcome, type Plan } from "../sim/swarm/index.js";

/** Which runs: on which engine, and how. */
export interface JudgeOptions {
  readonly engine: EngineName;
  /** Runs each plan twice, the second time unobserved, and compares the hashes. */
  readonly checkDeterminism: boolean;
}

/** What a thread is given to do. */
export interface Assignment extends JudgeOptions {
  readonly seeds: readonly number[];
}

/** What a run that differs from itself breaks. */
export const DETERMINISM = "equal plans, equal runs";

export function judgeSeed(seed: number, options: JudgeOptions): Promise<Outcome> {
  return judgePlan(drawPlan(seed, options.engine), options);
}

export async function judgePlan(
  plan: Plan,
  { checkDeterminism }: Pick<JudgeOptions, "checkDeterminism">,
): Promise<Outcome> {
  const outcome = await runPlan(plan);
  // A run ends where a rule breaks: without its oracles it would go on.
  if (!checkDeterminism || outcome.violation !== null) return outcome;
  const again = await runPlan(plan, { oracles: false });
  if (again.hash === outcome.hash && again.events === outcome.events) return outcome;
  const message = `${outcome.events} events with hash ${outcome.hash}, then ${again.events} with ${again.hash}`;
  const violation = { rule: DETERMINISM, message, atMs: outcome.simulatedMs, seq: outcome.events };
  return { ...outcome, ok: false, violation };
}
