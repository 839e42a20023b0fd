/**
 * Durable writes on the disk under the system's folder for temporary files, or under the folder given as argument: each
 * writer waits for its write before the next one; entries of 256 bytes, one a write, as a leader gets them from its
 * clients. Prints durable writes a second and how long a write took. Beside it: what a bare write and fdatasync take.
 */
import { closeSync, fdatasync, mkdtempSync, openSync, rmSync, write as writeTo } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import type { StorageWrite } from "../raft/index.js";
import { openStorage } from "../server/storage/index.js";

const SECONDS = 2;
const DATA = Buffer.alloc(256, 7);

function report(what: string, latenciesMs: number[], seconds: number): void {
  const sorted = latenciesMs.toSorted((a, b) => a - b);
  const at = (part: number): string => (sorted[Math.floor(sorted.length * part)] as number).toFixed(3);
  const perSecond = Math.round(sorted.length / seconds).toLocaleString("en");
  console.log(`storage, ${what}: ${perSecond} writes/s, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`);
}

async function measureStorage(root: string, writers: number): Promise<void> {
  const storage = await openStorage({ dir: join(root, `batch-${writers}`) });
  let next = 1;
  const save = (): Promise<void> => {
    const entries = [{ term: 1, type: 0 as const, data: DATA }];
    const fields = { hardState: null, snapshot: null, discardLog: false, firstIndex: next, entries };
    const write: StorageWrite = { type: "persist", write: next++, ...fields };
    return new Promise((resolve, reject) => {
      storage.write(write, (error) => (error === null ? resolve() : reject(error)));
    });
  };
  const latencies: number[] = [];
  const started = performance.now();
  const until = started + SECONDS * 1000;
  const work = async (): Promise<void> => {
    for (let now = performance.now(); now < until;) {
      await save();
      const done = performance.now();
      latencies.push(done - now);
      now = done;
    }
  };
  await Promise.all(Array.from({ length: writers }, work));
  report(`${writers} at a time`, latencies, (performance.now() - started) / 1000);
  const { syncs, writes, largestGroup, slowestSyncMs } = storage.stats();
  const perSync = (writes / syncs).toFixed(1);
  console.log(`  ${perSync} writes a sync, at most ${largestGroup}; slowest sync ${slowestSyncMs.toFixed(2)} ms`);
  await storage.close();
}

async function measureBare(root: string): Promise<void> {
  const fd = openSync(join(root, "bare"), "w");
  const latencies: number[] = [];
  const started = performance.now();
  const until = started + SECONDS * 1000;
  for (let now = performance.now(), position = 0; now < until; position += DATA.length) {
    await new Promise<void>((resolve, reject) => {
      writeTo(fd, DATA, 0, DATA.length, position, (failed) => {
        if (failed) return reject(failed);
        fdatasync(fd, (error) => (error ? reject(error) : resolve()));
      });
    });
    const done = performance.now();
    latencies.push(done - now);
    now = done;
  }
  closeSync(fd);
  report("bare write and fdatasync", latencies, (performance.now() - started) / 1000);
}

const root = mkdtempSync(join(process.argv[2] ?? tmpdir(), "kvraft-bench-"));
try {
  for (let round = 1; round <= 2; round++) {
    await measureBare(root);
    for (const writers of [1, 64]) {
      await measureStorage(root, writers);
      rmSync(join(root, `batch-${writers}`), { recursive: true });
    }
  }
} finally {
  rmSync(root, { recursive: true, force: true });
}
