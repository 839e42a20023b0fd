import { describe, expect, test } from "vitest";

import { noMarks, runLives, type LivesOptions, type Marks } from "./lives.js";
import {
  ackBeforeSync,
  appendAfterTornTail,
  failedSyncRetried,
  noChecksum,
  noDirectorySync,
  noMistake,
  noRewriteOfWhatWasRead,
  noSyncOfWhatWasRead,
  renameBeforeSync,
  tailOverwritten,
  writesAndSyncsAtOnce,
} from "./mistakes.js";

/** Runs seed after seed until `lives` lives are over; STORAGE_SEED replays one. A failure names its seed. */
async function survive(lives: number, firstSeed: number, options: LivesOptions): Promise<Marks> {
  const marks = noMarks();
  const only = process.env["STORAGE_SEED"];
  for (let seed = only === undefined ? firstSeed : Number(only); marks.lives < lives; seed++) {
    try {
      await runLives(seed, options, marks);
    } catch (error) {
      const { currentTestName } = expect.getState();
      const command = `STORAGE_SEED=${seed} npx vitest run test/storage/power-loss.test.ts -t "${currentTestName}"`;
      if (error instanceof Error) error.message += `\n(seed ${seed}; replay with ${command})`;
      throw error;
    }
    if (only !== undefined) break;
  }
  console.log(
    Object.entries(marks)
      .map(([name, count]) => `${name} ${count}`)
      .join(", "),
  );
  return marks;
}

/** What the first seed that shows the mistake says, and its number from 1; null where none of `budget` does. */
async function catchMistake(budget: number, options: LivesOptions): Promise<{ run: number; error: Error } | null> {
  for (let run = 1; run <= budget; run++) {
    try {
      await runLives(run, options);
    } catch (error) {
      return { run, error: error as Error };
    }
  }
  return null;
}

describe("power loss", () => {
  test("15,000 lives lose nothing that was acknowledged and recover nothing that was not written", async () => {
    const marks = await survive(15_000, 1, { shape: "mixed" });
    for (const name of [
      "cutTails",
      "finishedSnapshots",
      "removedFiles",
      "severalSegments",
      "droppedSegments",
    ] as const) {
      expect(marks[name], name).toBeGreaterThan(process.env["STORAGE_SEED"] === undefined ? 100 : -1);
    }
  }, 60_000);

  test("5,000 lives with records of one size", async () => {
    await survive(5000, 1_000_000, { shape: "fixed" });
  }, 60_000);

  test("3,000 lives on a disk that writes and syncs in one operation", async () => {
    await survive(3000, 3_000_000, { shape: "mixed", wrap: writesAndSyncsAtOnce });
  }, 60_000);

  test("2,000 lives on a disk whose syncs fail", async () => {
    await survive(2000, 2_000_000, { shape: "mixed", syncErrorRate: 0.05 });
  }, 60_000);
});

const MISTAKES: readonly (readonly [name: string, budget: number, options: LivesOptions])[] = [
  ["acknowledged before the sync", 100, { shape: "mixed", wrap: ackBeforeSync }],
  ["no sync of the directory", 100, { shape: "mixed", wrap: noDirectorySync }],
  ["append after the torn tail", 300, { shape: "mixed", wrap: appendAfterTornTail }],
  ["rename before the sync", 300, { shape: "mixed", wrap: renameBeforeSync }],
  ["no checksum", 300, { shape: "mixed", check: noChecksum }],
  ["tail overwritten, not cut off", 2000, { shape: "fixed", wrap: tailOverwritten }],
  ["failed sync tried again", 300, { shape: "mixed", wrap: failedSyncRetried, syncErrorRate: 0.05 }],
  ["no sync of what was recovered", 2000, { shape: "mixed", wrap: noSyncOfWhatWasRead }],
  [
    "no second write of what was recovered",
    2000,
    { shape: "mixed", wrap: noRewriteOfWhatWasRead, syncErrorRate: 0.05 },
  ],
];

describe("mistakes put back on purpose are caught", () => {
  test.each(MISTAKES)(
    "%s, within %i runs",
    async (name, budget, options) => {
      const caught = await catchMistake(budget, options);
      console.log(`${name}: run ${caught?.run} of ${budget}: ${caught?.error.message.split("\n")[0]?.slice(0, 100)}`);
      expect(caught).not.toBeNull();
    },
    60_000,
  );

  test("and no mistake is not", async () => {
    expect(await catchMistake(500, { shape: "mixed", wrap: noMistake, syncErrorRate: 0.02 })).toBeNull();
  }, 60_000);
});
