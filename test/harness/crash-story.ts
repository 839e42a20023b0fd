import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { forkRandom, type Random, SeededRandom } from "../../runtime/index.js";
import type { GroupStatus } from "../../server/index.js";
import { decodeSnapshot, parseNames, snapshotName } from "../../server/storage/format.js";
import type { ProcessCluster } from "./process-cluster.js";
import { RecordedLoad } from "./recorded-load.js";
import { until, within } from "./waiting.js";

const CLIENTS = 5;
const SNAPSHOTS_MS = 60_000;

/** CRASH_SEED chooses which faults come in which order, and what each client does; at which moment no seed can say. */
const chosen = process.env["CRASH_SEED"] ?? "1";
if (!/^\d+$/.test(chosen)) throw new Error(`CRASH_SEED must be a whole number, not "${chosen}"`);

export interface Scene {
  readonly cluster: ProcessCluster;
  readonly load: RecordedLoad;
  readonly random: Random;
}

export interface CrashStory {
  /** The test file, for who wants to run it again. */
  readonly file: string;
  readonly limitMs: number;
  /** Starts no node yet. */
  readonly prepare: (random: Random) => Promise<ProcessCluster>;
  /** Under load. At its end all nodes run, and reach one another. */
  readonly faults: (scene: Scene) => Promise<void>;
}

/**
 * Starts a cluster of processes and clients that record what they do, lets faults happen, and checks in the end: every
 * acknowledged write is there, appends once, the history is linearizable, all replicas are the same, in status and byte by
 * byte. A failure leaves data, logs and history behind, and says where.
 */
export async function tellCrashStory({ file, limitMs, prepare, faults }: CrashStory): Promise<string> {
  const seed = Number(chosen);
  const random = new SeededRandom(seed);
  let cluster: ProcessCluster | undefined;
  let load: RecordedLoad | undefined;
  try {
    const running = (cluster = await prepare(forkRandom(random, "network")));
    await running.startAll();
    load = new RecordedLoad(() => running.connect(), forkRandom(random, "clients"));
    load.start(CLIENTS);
    const scene: Scene = { cluster, load, random: forkRandom(random, "faults") };
    const all = faults(scene).then(() => finish(scene));
    await within(limitMs, "the whole story", Promise.race([all, cluster.broken, load.failed]));
    const { totalMs, longestMs } = cluster.leaderless;
    const leaderless = `without leader ${Math.round(totalMs)} ms, at most ${Math.round(longestMs)} ms at a time`;
    return `${load.summary()}, ${leaderless} (CRASH_SEED=${seed})`;
  } catch (error) {
    if (error instanceof Error) error.message += evidence(cluster, load, `CRASH_SEED=${seed} npx vitest run ${file}`);
    throw error;
  }
}

async function finish({ cluster, load }: Scene): Promise<void> {
  await load.progress();
  await load.stop();
  await load.check();
  await sameEverywhere(cluster);
}

/** All have applied the same; then each takes a snapshot, and these are the same bytes. */
async function sameEverywhere(cluster: ProcessCluster): Promise<void> {
  await using client = cluster.connect();
  const snapshots = await until(SNAPSHOTS_MS, "all nodes have snapshots of the same entry", async () => {
    await cluster.allTheSame(client);
    for (const id of cluster.ids) await client.snapshot(id);
    const groups = await Promise.all(cluster.ids.map((id) => cluster.statusOf(client, id)));
    // The engine has it at once, the disk a little later. The last command counts, not an empty entry of a new leader.
    const index = groups[0]?.snapshotIndex ?? 0;
    const isThere = (group: GroupStatus | undefined): boolean =>
      group?.snapshotIndex === index && group.disk?.isSavingSnapshot === false;
    if (index === 0 || !groups.every(isThere)) return undefined;
    return cluster.ids.map((id) => snapshotIn(join(cluster.liveDataOf(id), "kv")));
  });
  const [first] = snapshots as [Uint8Array];
  for (const [i, snapshot] of snapshots.entries()) {
    if (Buffer.compare(snapshot, first) !== 0)
      throw new Error(`nodes ${cluster.ids[0]} and ${cluster.ids[i]} hold different states`);
  }
  await client.close();
  await cluster.stop();
}

/** What the snapshot in a directory holds; its name and header are the engine's affair. */
function snapshotIn(directory: string): Uint8Array {
  const [index = 0] = parseNames(readdirSync(directory)).snapshots;
  const file = join(directory, snapshotName(index));
  return decodeSnapshot(file, readFileSync(file), index).data;
}

function evidence(cluster: ProcessCluster | undefined, load: RecordedLoad | undefined, command: string): string {
  const parts = [`\nrun the same faults again with: ${command}`];
  if (cluster !== undefined) {
    parts.push(cluster.keep());
    if (load !== undefined) {
      void load.stop();
      const path = join(cluster.directory, "history.jsonl");
      writeFileSync(path, load.asText());
      parts.push(`the history is ${path} (npx kvraft check ${path}): ${load.summary()}`);
    }
  }
  return parts.join("\n");
}
