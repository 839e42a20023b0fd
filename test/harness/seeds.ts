import { simulate } from "../../sim/index.js";
import type { SimRuntime } from "../../sim/index.js";
import { parseLabSettings } from "./settings.js";

/** LAB_SEED and LAB_SEEDS choose the seeds, as for the lab suites. */
const chosen =
  "LAB_SEED" in process.env || "LAB_SEEDS" in process.env ? parseLabSettings(process.env).seeds : undefined;

/** Runs a story in a fresh world for each of `seeds` seeds. A failure names the seed, so that it can be replayed alone. */
export async function forSeeds(seeds: number, story: (runtime: SimRuntime) => Promise<void>): Promise<void> {
  for (const seed of chosen ?? Array.from({ length: seeds }, (_, i) => i + 1)) {
    try {
      await simulate({ seed, limitMs: 600_000 }, story);
    } catch (error) {
      if (error instanceof Error) error.message += `\n(seed ${seed}: replay with LAB_SEED=${seed})`;
      throw error;
    }
  }
}
