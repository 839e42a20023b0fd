import { describe, expect, test } from "vitest";

import { drawPlan, ENGINE_NAMES, ENGINES, FAULT_KINDS, runPlan } from "../../sim/swarm/index.js";
import { replayCommand } from "../../sweep/index.js";

const FIRST = 1;
const COUNT = 250;

describe("swarm seeds", () => {
  test.each(ENGINE_NAMES)(
    "%s: no seed breaks a rule, and all kinds of faults and most rare states come up",
    { timeout: 300_000 },
    async (engine) => {
      const reached = new Set<string>();
      for (let seed = FIRST; seed < FIRST + COUNT; seed++) {
        const plan = drawPlan(seed, engine);
        const { violation, coverage } = await runPlan(plan);
        expect(violation, `replay: ${replayCommand(plan)}`).toBeNull();
        for (const mark of Object.keys(coverage)) reached.add(mark);
      }
      for (const kind of FAULT_KINDS) {
        if (kind !== "hook") expect(reached).toContain(`fault.${kind}`);
      }
      const missing = Object.keys(ENGINES[engine].marks).filter((mark) => !reached.has(mark));
      expect(missing.length, `never reached: ${missing.join(", ")}`).toBeLessThanOrEqual(5);
    },
  );
});
