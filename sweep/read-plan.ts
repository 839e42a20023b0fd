import { readFileSync } from "node:fs";

import { InvalidArgumentError } from "../runtime/index.js";
import { drawPlan, type EngineName, type Plan } from "../sim/swarm/index.js";
import { problemOfPlan } from "./plan-shape.js";

/**
 * The plan of a seed on an engine, or the one in a file, which has its own.
 * @throws InvalidArgumentError where it is neither
 */
export function readPlan(source: string, engine: EngineName = "raft"): Plan {
  if (/^\d+$/.test(source)) {
    const seed = Number(source);
    if (!Number.isSafeInteger(seed)) throw new InvalidArgumentError(`seed ${source} is too large`);
    return drawPlan(seed, engine);
  }
  let plan: unknown;
  try {
    plan = JSON.parse(readFileSync(source, "utf8"));
  } catch (cause) {
    throw new InvalidArgumentError(`${source} is neither a seed nor a file with a plan (${(cause as Error).message})`);
  }
  const problem = problemOfPlan(plan);
  if (problem !== null) throw new InvalidArgumentError(`${source} holds no plan: ${problem}`);
  return plan as Plan;
}
