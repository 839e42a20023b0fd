import { expect, test } from "vitest";

import { noCounts, runRegisters, type Counts } from "./registers-swarm/run.js";

/** PAXOS_SEEDS=10000 runs as many; PAXOS_SEED=17 replays one. */
const SEEDS = Number(process.env["PAXOS_SEEDS"] ?? 400);
const only = process.env["PAXOS_SEED"];

test("single-decree Paxos, seed after seed: one value is chosen for a register, for ever", async () => {
  const counts = noCounts();
  const begin = performance.now();
  const seeds = only === undefined ? Array.from({ length: SEEDS }, (_, i) => i + 1) : [Number(only)];
  for (const seed of seeds) {
    try {
      await runRegisters(seed, counts);
    } catch (error) {
      const replay = `PAXOS_SEED=${seed} npx vitest run test/paxos/registers-swarm.test.ts`;
      if (error instanceof Error) error.message += `\n(seed ${seed}; replay with ${replay})`;
      throw error;
    }
  }
  const seconds = (performance.now() - begin) / 1000;
  const figures = Object.entries(counts).map(([name, count]) => `${name} ${count}`);
  console.log(
    `${seeds.length} seeds in ${seconds.toFixed(1)} s, ${(seeds.length / seconds).toFixed(0)} a second: ${figures.join(", ")}`,
  );
  if (seeds.length < 100) return;
  for (const name of Object.keys(counts) as (keyof Counts)[]) expect(counts[name], name).toBeGreaterThan(20);
}, 3_600_000);
