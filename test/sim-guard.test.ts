import nodeCrypto, { randomUUID } from "node:crypto";
import { performance as perfHooksPerformance } from "node:perf_hooks";
import { setTimeout as namedSetTimeout } from "node:timers";
import { scheduler, setTimeout as sleepReally } from "node:timers/promises";

import { describe, expect, test } from "vitest";

import { realRuntime } from "../runtime/index.js";
import { simulate, SimulationGuardError, type SimRuntime } from "../sim/index.js";

async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("it did not fail");
}

function globals(): unknown[] {
  const guarded: [object, string][] = [
    [globalThis, "Date"],
    [Date, "now"],
    [Math, "random"],
    [globalThis, "setTimeout"],
    [globalThis, "setImmediate"],
    [globalThis, "setInterval"],
    [performance, "now"],
    [process, "hrtime"],
    [crypto, "randomUUID"],
    [nodeCrypto, "randomBytes"],
    [AbortSignal, "timeout"],
  ];
  return [
    ...guarded.map(([holder, key]) => Reflect.get(holder, key) as unknown),
    ...[globalThis, performance, crypto].map((holder) => Object.getOwnPropertyNames(holder).length),
    ...[randomUUID, namedSetTimeout, sleepReally],
  ];
}

describe("sim: the guard", () => {
  const forbidden: [name: string, use: () => unknown, instead: RegExp][] = [
    ["Date.now()", () => Date.now(), /runtime\.clock\.now\(\)/],
    ["new Date()", () => new Date(), /runtime\.clock\.now\(\)/],
    // eslint-disable-next-line unicorn/new-for-builtins -- the call is what is tested
    ["Date()", () => Date(), /runtime\.clock\.now\(\)/],
    ["performance.now()", () => performance.now(), /runtime\.clock\.now\(\)/],
    ["performance.now()", () => perfHooksPerformance.now(), /runtime\.clock\.now\(\)/],
    ["process.hrtime()", () => process.hrtime(), /runtime\.clock\.now\(\)/],
    ["process.hrtime.bigint()", () => process.hrtime.bigint(), /runtime\.clock\.now\(\)/],
    ["Math.random()", () => Math.random(), /runtime\.random\.next\(\)/],
    ["crypto.randomUUID()", () => crypto.randomUUID(), /runtime\.random/],
    ["crypto.randomUUID()", () => randomUUID(), /runtime\.random/],
    ["crypto.randomBytes()", () => nodeCrypto.randomBytes(4), /runtime\.random/],
    ["crypto.getRandomValues()", () => crypto.getRandomValues(new Uint8Array(4)), /runtime\.random/],
    ["crypto.randomInt()", () => realRuntime(), /runtime\.random/],
    ["setTimeout()", () => setTimeout(() => {}, 1), /runtime\.clock\.setTimeout/],
    ["setTimeout()", () => namedSetTimeout(() => {}, 1), /runtime\.clock\.setTimeout/],
    ["setTimeout()", () => sleepReally(1), /runtime\.clock\.sleep/],
    ["scheduler.wait()", () => scheduler.wait(1), /runtime\.clock\.sleep/],
    ["setInterval()", () => setInterval(() => {}, 1), /runtime\.clock\.setTimeout/],
    ["setImmediate()", () => setImmediate(() => {}), /runtime\.clock\.setTimeout/],
    ["AbortSignal.timeout()", () => AbortSignal.timeout(1), /AbortController/],
  ];

  test.each(forbidden)("%s is an error that says what to use", async (name, use, instead) => {
    const error = (await failureOf(simulate({ seed: 1 }, async () => void use()))) as SimulationGuardError;
    expect(error).toBeInstanceOf(SimulationGuardError);
    expect(error.code).toBe("NOT_DETERMINISTIC");
    expect(error.message).toContain(`${name} inside a simulation`);
    expect(error.message).toMatch(instead);
  });

  test.each<[string, () => unknown]>([
    ["Date.now", () => Date.now()],
    ["new Date", () => new Date()],
    ["Math.random", () => Math.random()],
    ["setTimeout", () => setTimeout(() => {}, 1)],
    ["performance.now", () => performance.now()],
    ["process.uptime", () => process.uptime()],
    ["randomUUID", () => crypto.randomUUID()],
  ])("%s throws where nothing but a promise called the code", async (_name, forbidden) => {
    const ask = ({ clock }: SimRuntime): Promise<unknown> => clock.sleep(1).then(forbidden);
    await expect(simulate({ seed: 1 }, ask)).rejects.toThrow(SimulationGuardError);
    await expect(simulate({ seed: 1 }, ({ clock }) => clock.sleep(1).then(Math.random))).rejects.toThrow(
      SimulationGuardError,
    );
  });

  test("it holds in main itself after a wait, in a function without a name", async () => {
    const run = simulate({ seed: 1 }, async (runtime) => {
      await runtime.clock.sleep(1);
      return [Date.now(), Math.random()];
    });
    await expect(run).rejects.toThrow("use runtime.clock.now() instead");
  });

  test("it holds after any wait, and in timers", async () => {
    await simulate({ seed: 1 }, async ({ clock }) => {
      for (let i = 0; i < 5000; i++) await clock.sleep(1);
      expect(() => Date.now()).toThrow(SimulationGuardError);
      await new Promise<void>((resolve, reject) => {
        clock.setTimeout(() => {
          try {
            expect(() => Math.random()).toThrow(SimulationGuardError);
            resolve();
          } catch (error) {
            reject(error);
          }
        }, 1);
      });
    });
  });

  test("what does not ask for the time of day still works", async () => {
    await simulate({ seed: 1 }, async () => {
      expect(new Date(0).toISOString()).toBe("1970-01-01T00:00:00.000Z");
      expect(new Date(0)).toBeInstanceOf(Date);
      expect(Date.UTC(1970, 0, 2)).toBe(86_400_000);
      class Stamp extends Date {}
      expect(new Stamp(5)).toBeInstanceOf(Stamp);
      clearTimeout(undefined);
      clearInterval(undefined);
      clearImmediate(undefined);
      expect([Math.max(1, 2), nodeCrypto.createHash("sha256").update("x").digest("hex").length]).toEqual([2, 64]);
      // vitest reads the clock and sets a timer for this.
      console.log("written inside a simulation");
    });
  });

  test("all is as it was when the run is over, however it ended", async () => {
    const before = globals();
    await simulate({ seed: 1 }, async ({ clock }) => clock.sleep(1));
    expect(globals()).toEqual(before);
    await failureOf(simulate({ seed: 1 }, () => new Promise(() => {})));
    expect(globals()).toEqual(before);
    await failureOf(simulate({ seed: 1 }, async () => void Math.random()));
    expect(globals()).toEqual(before);
    await failureOf(simulate({ seed: 1, limitMs: 1 }, async ({ clock }) => clock.sleep(2)));
    expect(globals()).toEqual(before);
    expect(Date.now()).toBeGreaterThan(1e12);
  });
});
