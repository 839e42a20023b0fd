import { describe, expect, test } from "vitest";

import { FAULT_KINDS, MARKS, runSeed } from "../../sim/swarm/index.js";

const FIRST = 1;
const COUNT = 250;

describe("swarm seeds", () => {
  test(
    "no seed breaks a rule, and all kinds of faults and most rare states come up",
    { timeout: 300_000 },
    async () => {
      const reached = new Set<string>();
      for (let seed = FIRST; seed < FIRST + COUNT; seed++) {
        const { violation, coverage } = await runSeed(seed);
        expect(violation, `replay: npx kvraft sweep --replay ${seed}`).toBeNull();
        for (const mark of Object.keys(coverage)) reached.add(mark);
      }
      for (const kind of FAULT_KINDS) {
        if (kind !== "hook") expect(reached).toContain(`fault.${kind}`);
      }
      const missing = Object.keys(MARKS).filter((mark) => !reached.has(mark));
      expect(missing.length, `never reached: ${missing.join(", ")}`).toBeLessThanOrEqual(5);
    },
  );
});
