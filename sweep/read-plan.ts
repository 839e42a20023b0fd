import { readFileSync } from "node:fs";

import { InvalidArgumentError } from "../runtime/index.js";
import { drawPlan, ENGINES, type EngineName, type Plan } from "../sim/swarm/index.js";

const PARTS = ["raft", "kv", "storage", "disk", "network", "core", "limits"] as const;
const LISTS = ["clients", "faults", "interventions"] as const;

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
  const problem = problemOf(plan);
  if (problem !== null) throw new InvalidArgumentError(`${source} holds no plan: ${problem}`);
  return plan as Plan;
}

function problemOf(plan: unknown): string | null {
  if (typeof plan !== "object" || plan === null) return "it is not an object";
  const parts = plan as Record<string, unknown>;
  for (const name of ["seed", "servers", "chaosMs"]) if (!Number.isFinite(parts[name])) return `${name} is no number`;
  for (const name of PARTS) if (typeof parts[name] !== "object" || parts[name] === null) return `${name} is missing`;
  for (const name of LISTS) if (!Array.isArray(parts[name])) return `${name} is no list`;
  const { engine = "raft" } = parts;
  if (typeof engine !== "string" || !(engine in ENGINES)) return `it names no engine, but ${JSON.stringify(engine)}`;
  return null;
}
