import { setTimeout as sleepReally } from "node:timers/promises";

import { describe, expect, test } from "vitest";

import { simulate, type SimReport, type SimRuntime, type SimulateOptions } from "../sim/index.js";

/** Draws and waits; the list of what it saw is a function of the seed. */
async function walk({ clock, random }: SimRuntime): Promise<string[]> {
  const seen: string[] = [];
  while (clock.now() < 1000) {
    await clock.sleep(random.next() * 30);
    seen.push(`${clock.now()} ${random.int(0, 9)}`);
  }
  return seen;
}

async function run(options: Partial<SimulateOptions>): Promise<{ seen: string[]; hash: string }> {
  let hash = "";
  const onEnd = (report: SimReport): void => void (hash = report.traceHash);
  return { seen: await simulate({ seed: 7, ...options, onEnd }, walk), hash };
}

describe("sim: pace", () => {
  test("the world is held up at each step of virtual time, and runs as it does without", async () => {
    const pauses: number[] = [];
    const pause = async (virtualMs: number): Promise<void> => {
      await sleepReally(0);
      pauses.push(virtualMs);
    };
    expect(await run({ pace: { everyMs: 100, pause } })).toEqual(await run({}));
    expect(pauses).toEqual([100, 200, 300, 400, 500, 600, 700, 800, 900, 1000]);
  });

  test("a pause comes before what happens at its time, and steps without events are not left out", async () => {
    const order: string[] = [];
    const pause = async (virtualMs: number): Promise<void> => void order.push(`pause ${virtualMs}`);
    await simulate({ seed: 1, pace: { everyMs: 10, pause } }, async ({ clock }) => {
      await clock.sleep(30);
      order.push("main");
    });
    expect(order).toEqual(["pause 10", "pause 20", "pause 30", "main"]);
  });

  test("a pause that rejects ends the run with its error", async () => {
    const error = new Error("enough");
    const pause = (virtualMs: number): Promise<void> => (virtualMs < 500 ? Promise.resolve() : Promise.reject(error));
    await expect(run({ pace: { everyMs: 50, pause } })).rejects.toBe(error);
  });

  test("a step that is not a positive number is an error", async () => {
    await expect(run({ pace: { everyMs: 0, pause: () => Promise.resolve() } })).rejects.toThrow(/pace\.everyMs/);
  });
});
