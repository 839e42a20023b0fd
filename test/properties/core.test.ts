import * as fc from "fast-check";
import { expect, test } from "vitest";

import { config, Host, step } from "./core-host.js";
import { holds, isWholeRun } from "./property.js";

test("no well-formed message, however wrong its figures, brings a core down or makes it break a promise", () => {
  const reached = { steps: 0, leading: 0, committed: 0, refused: 0 };
  holds(
    fc.property(config, fc.boolean(), fc.array(step, { maxLength: 40, size: "max" }), (partial, isSlow, steps) => {
      const host = new Host(partial, isSlow);
      for (const given of steps) {
        host.take(given);
        reached.steps++;
        if (host.core.state.isLeader()) reached.leading++;
        if (host.core.state.commitIndex > 2) reached.committed++;
      }
      reached.refused += host.refused;
      host.end();
    }),
    600,
  );
  if (!isWholeRun) return;
  // Cores that do nothing break no promise.
  expect(reached.leading).toBeGreaterThan(reached.steps / 20);
  expect(reached.committed).toBeGreaterThan(reached.steps / 20);
  expect(reached.refused).toBeGreaterThan(10);
});
