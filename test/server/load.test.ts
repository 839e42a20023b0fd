import { describe, expect, test } from "vitest";

import type { Clerk } from "../../kvraft/index.js";
import { TimeoutError } from "../../runtime/index.js";
import { runLoad, type LoadPlan } from "../../server/load.js";
import { simulate, type SimRuntime } from "../../sim/index.js";

const plan: LoadPlan = { mix: "mixed", seconds: 10, warmUpSeconds: 2, keys: 100, valueBytes: 5, patienceMs: 1000 };

/** Takes so long for each call in turn, over and over. */
function slowClerk({ clock }: SimRuntime, times: readonly number[], calls: string[]): Clerk {
  const answer = (call: string): Promise<void> => clock.sleep(times[calls.push(call) % times.length] as number);
  const clerk: Partial<Clerk> = {
    get: async (key) => {
      await answer(`get ${key}`);
      return "";
    },
    put: (key, value) => answer(`put ${key} ${value}`),
  };
  return clerk as Clerk;
}

describe("the load", () => {
  test("counts what was answered in its time, and how long it took", () =>
    simulate({ seed: 1 }, async (runtime) => {
      const calls: string[] = [];
      const times = [...new Array<number>(95).fill(10), ...new Array<number>(5).fill(200)];
      const figures = await runLoad([slowClerk(runtime, times, calls)], plan, runtime);
      // A hundred calls take 1950 ms.
      expect(figures).toMatchObject({ mix: "mixed", clients: 1, seconds: 10, maxMs: expect.closeTo(200) as number });
      expect(figures.perSecond).toBe(figures.operations / 10);
      expect(figures.operations).toBeGreaterThan(480);
      expect(figures.operations).toBeLessThan(540);
      expect(figures.p50Ms).toBeGreaterThanOrEqual(10);
      expect(figures.p50Ms).toBeLessThan(10.11);
      expect(figures.p99Ms).toBeGreaterThanOrEqual(198);
      expect(calls.every((call) => /^(get bench0\d\w|put bench0\d\w v{5})$/.test(call))).toBe(true);
      const puts = calls.filter((call) => call.startsWith("put")).length;
      expect(puts / calls.length).toBeGreaterThan(0.05);
      expect(puts / calls.length).toBeLessThan(0.2);
    }));

  test("does only what the mix says", () =>
    simulate({ seed: 1 }, async (runtime) => {
      for (const mix of ["put", "get"] as const) {
        const calls: string[] = [];
        await runLoad([slowClerk(runtime, [10], calls)], { ...plan, mix }, runtime);
        expect(calls.every((call) => call.startsWith(mix))).toBe(true);
      }
    }));

  test("ends by itself when the cluster stops answering", () =>
    simulate({ seed: 1 }, async (runtime) => {
      const clerks = [slowClerk(runtime, [10], []), slowClerk(runtime, [60_000], [])];
      await expect(runLoad(clerks, plan, runtime)).rejects.toThrow(TimeoutError);
      expect(runtime.clock.now()).toBe(13_000);
    }));

  test("without an answer there are no latencies", () =>
    simulate({ seed: 1 }, async (runtime) => {
      const figures = await runLoad([slowClerk(runtime, [12_500], [])], plan, runtime);
      expect(figures).toMatchObject({ operations: 0, perSecond: 0, p50Ms: 0, p99Ms: 0, maxMs: 0 });
    }));
});
