import { describe, expect, test } from "vitest";

import type { Clerk } from "../../kvraft/index.js";
import type { Disk } from "../../runtime/index.js";
import { simulate, type SimRuntime } from "../../sim/index.js";
import { DiskCluster } from "./disk-cluster.js";
import { ackBeforeSync, noDirectorySync, noMistake, renameBeforeSync } from "./mistakes.js";

const SERVERS = 3;
const CLIENTS = 3;
const FAULTS_MS = 3000;

/** Power losses of one server or of all, killed processes, syncs that fail, disks that are full for a while. */
async function disturb(cluster: DiskCluster, { random, clock }: SimRuntime): Promise<void> {
  const until = clock.now() + FAULTS_MS;
  while (clock.now() < until) {
    await clock.sleep(random.int(10, 600));
    const kind = random.next();
    const one = random.int(0, SERVERS - 1);
    const all = [...cluster.machines.keys()];
    if (kind < 0.8) {
      const victims = kind < 0.45 ? [one] : all;
      for (const i of victims) cluster.end(i, random.next() < 0.8 ? "losePower" : "killProcess");
      for (const i of victims) {
        await clock.sleep(random.int(0, 300));
        await cluster.start(i);
      }
    } else if (kind < 0.9) {
      const { faults } = (cluster.machines[one] as { disk: { faults: { capacityBytes: number } } }).disk;
      faults.capacityBytes = random.int(0, 3000);
      await clock.sleep(random.int(50, 500));
      faults.capacityBytes = Infinity;
    } else {
      const { faults } = (cluster.machines[one] as { disk: { faults: { syncErrorRate: number } } }).disk;
      faults.syncErrorRate = 0.1;
      await clock.sleep(random.int(10, 200));
      faults.syncErrorRate = 0;
    }
  }
}

/** Appends one marker after the other to its own key and to one that all share; returns those it was acknowledged. */
async function appendMarkers(clerk: Clerk, who: number, runtime: SimRuntime, isOver: () => boolean): Promise<string[]> {
  const acknowledged: string[] = [];
  for (let count = 0; !isOver(); count++) {
    const marker = `[${who} ${count}]`;
    await Promise.all([clerk.append(`own ${who}`, marker), clerk.append("shared", marker)]);
    acknowledged.push(marker);
    await runtime.clock.sleep(runtime.random.int(0, 60));
  }
  return acknowledged;
}

const markersIn = (value: string): string[] => value.match(/\[\d+ \d+\]/g) ?? [];

async function story(runtime: SimRuntime, wrap: (disk: Disk) => Disk): Promise<void> {
  let fail: (error: Error) => void = () => {};
  const failure = new Promise<never>((_, reject) => {
    fail = reject;
  });
  const run = async (): Promise<void> => {
    const cluster = new DiskCluster(runtime, SERVERS, fail, wrap);
    await Promise.all([...cluster.machines.keys()].map((i) => cluster.start(i)));
    let isOver = false;
    const clients = Array.from({ length: CLIENTS }, (_, who) =>
      appendMarkers(cluster.clerk(), who, runtime, () => isOver),
    );
    await disturb(cluster, runtime);
    isOver = true;
    const acknowledged = await Promise.all(clients);
    const reader = cluster.clerk();
    const shared = markersIn(await reader.get("shared"));
    for (const [who, markers] of acknowledged.entries()) {
      expect(markersIn(await reader.get(`own ${who}`))).toEqual(markers);
      expect(shared.filter((marker) => marker.startsWith(`[${who} `))).toEqual(markers);
    }
  };
  await Promise.race([run(), failure]);
}

async function runSeeds(first: number, last: number, wrap: (disk: Disk) => Disk): Promise<void> {
  const only = process.env["STORAGE_SEED"];
  const [from, to] = only === undefined ? [first, last] : [Number(only), Number(only)];
  for (let seed = from; seed <= to; seed++) {
    try {
      await simulate({ seed, limitMs: 120_000 }, (runtime) => story(runtime, wrap));
    } catch (error) {
      const command = `STORAGE_SEED=${seed} npx vitest run test/storage/cluster.test.ts`;
      if (error instanceof Error) error.message += `\n(seed ${seed}; replay with ${command})`;
      throw error;
    }
  }
}

describe("a cluster on disks that lose their power", () => {
  test("every acknowledged append is there, once and in order, in 200 worlds", async () => {
    await runSeeds(1, 200, noMistake);
  }, 120_000);

  test.each([
    ["acknowledged before the sync", ackBeforeSync],
    ["no sync of the directory", noDirectorySync],
    ["rename before the sync", renameBeforeSync],
  ] as const)(
    "it would show: %s",
    async (_, wrap) => {
      await expect(runSeeds(1, 100, wrap)).rejects.toThrow(/seed/);
    },
    120_000,
  );
});
