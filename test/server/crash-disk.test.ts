import { expect, test } from "vitest";

import { DEFAULT_ENGINE, ENGINE_NAMES } from "../../server/engines.js";
import type { GroupStatus } from "../../server/index.js";
import { tellCrashStory, type Scene } from "../harness/crash-story.js";
import { ProcessCluster } from "../harness/process-cluster.js";
import { builtProgram } from "../harness/processes.js";
import { smallDisks, type SmallDisk } from "../harness/small-disks.js";
import { until } from "../harness/waiting.js";

const program = builtProgram();

const WAIT_MS = 15_000;

/** The disk of one node is full for a while: it says so, leads no longer, and goes on by itself. */
async function fillFor(scene: Scene, disk: SmallDisk, role: "leader" | "follower"): Promise<void> {
  const { cluster, load } = scene;
  await using client = cluster.connect();
  const before = await cluster.leader();
  const victim = role === "leader" ? before.id : (cluster.others(before.id)[0] as number);
  const { pid } = cluster.running(victim);
  const victimIs = (what: string, isSo: (group: GroupStatus) => boolean): Promise<true> =>
    until(WAIT_MS, `node ${victim} ${what}`, async () => {
      const group = await cluster.statusOf(client, victim);
      return group !== undefined && isSo(group);
    });

  disk.fill(cluster, victim);
  await victimIs("finds its disk full", (group) => group.disk?.health === "full");
  if (role === "leader") {
    await cluster.leader(before.term);
    await victimIs("leads no longer", (group) => group.role !== "leader");
  }
  await load.progress(400);
  expect(cluster.running(victim).errors).toMatch(/"the disk is full"/);
  expect(cluster.running(victim).errors).toMatch(/space[^"]*node-\d\/kv[^"]*writing goes on by itself/);
  expect(await cluster.statusOf(client, victim)).toMatchObject({ failure: null, disk: { health: "full" } });

  disk.free(cluster, victim);
  await victimIs("has space again", (group) => group.disk?.health === "ok");
  // It counts again: another node stops, and no majority is left without it.
  const { id } = await cluster.leader();
  const other = cluster.running(cluster.others(victim, id)[0] as number);
  other.signal("SIGSTOP");
  await load.progress(100);
  other.signal("SIGCONT");
  expect(cluster.running(victim).pid).toBe(pid);
}

// Each in a test of its own, by what fills the disk.
for (const [i, disk] of smallDisks().entries()) {
  const title = `S59: a full disk, by ${disk.name}: of the leader, of a follower (%s)`;
  // How a disk says that it is full is the storage's affair: one kind is enough for the other engine.
  test.each(i === 0 ? ENGINE_NAMES : [DEFAULT_ENGINE])(title, { timeout: 120_000 }, async (engine) => {
    const summary = await tellCrashStory({
      file: "test/server/crash-disk.test.ts",
      limitMs: 100_000,
      prepare: async () => {
        const settings = { engine, maxRaftState: 20_000 };
        const { starterFor } = disk;
        if (starterFor === undefined) return ProcessCluster.prepare({ program, settings });
        const starterOf = (id: number) => starterFor(cluster.dataOf(id));
        const cluster: ProcessCluster = await ProcessCluster.prepare({ program, settings, starterOf });
        return cluster;
      },
      faults: async (scene) => {
        await fillFor(scene, disk, "leader");
        await fillFor(scene, disk, "follower");
      },
    });
    console.log(`${engine}, full disks, by ${disk.name}: 2; ${summary}`);
  });
}
