import { expect, test } from "vitest";

import { ApplyChannel } from "../replica/apply-channel.js";
import { encode } from "../runtime/index.js";

test("a long log is handed out in streaks, between which everything else has its turn", async () => {
  const turns: (() => void)[] = [];
  const commitIndex = 1000;
  const data = encode("command");
  const log = { commitIndex, log: { lastIncludedIndex: 0, entryAt: () => ({ term: 1, type: 0 as const, data }) } };
  const channel = new ApplyChannel(log, 0, (fn) => turns.push(fn));
  const seen: number[] = [];
  const consumed = (async () => {
    for await (const { index } of channel) seen.push(index);
  })();
  const perTurn: number[] = [];
  for (let before = 0; seen.length < commitIndex; before = seen.length) {
    // All that promises alone can do.
    await new Promise(setImmediate);
    perTurn.push(seen.length - before);
    turns.shift()?.();
  }
  expect(seen).toEqual(Array.from({ length: commitIndex }, (_, i) => i + 1));
  expect(perTurn).toEqual([256, 257, 257, 230]);
  expect(channel.appliedIndex).toBe(commitIndex);
  channel.close();
  await consumed;
});
