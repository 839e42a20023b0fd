import { InvalidArgumentError } from "../../runtime/index.js";

/** How the lab suites run; read from the environment once per test file. */
export interface LabSettings {
  /** `virtual`: in a simulated world, minutes in seconds. `real`: on the wall clock. */
  readonly time: "virtual" | "real";
  /** Each test runs once for each of these. */
  readonly seeds: readonly number[];
}

/** Without LAB_SEED every run is the same run: a red suite is red for everybody. */
export const DEFAULT_SEED = 1;

function wholeNumber(name: string, text: string, least: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < least) {
    throw new InvalidArgumentError(`${name} must be a whole number of at least ${least}, not "${text}"`);
  }
  return value;
}

/**
 * LAB_TIME=virtual|real, LAB_SEED=n (replay that seed), LAB_SEEDS=n (n seeds, from LAB_SEED or the default upwards).
 * @throws InvalidArgumentError that names the variable.
 */
export function parseLabSettings(env: Readonly<Record<string, string | undefined>>): LabSettings {
  const time = env["LAB_TIME"] ?? "virtual";
  if (time !== "virtual" && time !== "real") {
    throw new InvalidArgumentError(`LAB_TIME must be "virtual" or "real", not "${time}"`);
  }
  const first = env["LAB_SEED"] === undefined ? DEFAULT_SEED : wholeNumber("LAB_SEED", env["LAB_SEED"], 0);
  const count = env["LAB_SEEDS"] === undefined ? 1 : wholeNumber("LAB_SEEDS", env["LAB_SEEDS"], 1);
  return { time, seeds: Array.from({ length: count }, (_, i) => first + i) };
}
