import { describe, expect, test } from "vitest";

import { SeededRandom } from "../runtime/index.js";
import { checkLinearizable } from "../sim/checker/index.js";
import { bruteForce, randomHistory } from "./checker-data.js";

describe("checker", () => {
  test("agrees with brute force", () => {
    const counts: Record<string, number> = {};
    const from = Number(process.env["FROM"] ?? 0);
    const sizes: number[] = [];
    for (let seed = from; seed < from + Number(process.env["N"] ?? 3000); seed++) {
      const history = randomHistory(new SeededRandom(seed));
      const expected = bruteForce(history) ? "linearizable" : "not-linearizable";
      counts[expected] = (counts[expected] ?? 0) + 1;
      const r = checkLinearizable(history);
      const got = r.verdict;
      const show = `\n${history.map((e) => JSON.stringify(e)).join("\n")}\n${r.explanation}`;
      if (got !== expected) throw new Error(`seed ${seed}: ${got}, expected ${expected}${show}`);
      if (got === "not-linearizable") {
        const ce = r.counterexample!;
        const sub = history.filter((e) => e.key === r.key && ce.some((o) => o.process === e.process && (o.call === e.time || o.return === e.time)));
        sizes[ce.length] = (sizes[ce.length] ?? 0) + 1;
        if (checkLinearizable(sub).verdict !== "not-linearizable" || bruteForce(sub)) throw new Error(`seed ${seed}: counterexample ${show}`);
        
      }
    }
    console.log(counts, sizes);
    expect(1).toBe(1);
  });
});
