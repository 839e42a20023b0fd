import { expect, test } from "vitest";

import type { StorageWrite } from "../../raft/index.js";
import { openStorage } from "../../server/storage/index.js";
import { SimDisk, simulate, type SimRuntime } from "../../sim/index.js";

const data = new Uint8Array(40).fill(7);
const nothing = {
  type: "persist",
  hardState: null,
  snapshot: null,
  discardLog: false,
  firstIndex: 0,
  entries: [],
} as const;
const entries: StorageWrite = {
  ...nothing,
  write: 1,
  hardState: { term: 4, votedFor: 1 },
  firstIndex: 1,
  entries: [{ term: 4, type: 0, data }],
};
const install: StorageWrite = {
  ...nothing,
  write: 2,
  hardState: { term: 10, votedFor: null },
  snapshot: { index: 11, term: 10, data },
  discardLog: true,
};

const open = (disk: SimDisk, runtime: SimRuntime) =>
  openStorage({ dir: "/data", disk: disk.mount(), runtime, segmentBytes: 1024 });

/** Ends the life at the `count`-th disk operation of the install; what is found then. Null where the install was through. */
function crashDuringInstall(seed: number, count: number, how: "losePower" | "killProcess") {
  return simulate({ seed }, async (runtime) => {
    const disk = new SimDisk(runtime, { latencyMs: [0.1, 1] });
    const storage = await open(disk, runtime);
    await new Promise((resolve) => storage.write(entries, resolve));
    const ended = await new Promise<boolean>((resolve) => {
      disk.endLifeAfter(count, how, () => resolve(true));
      storage.write(install, () => resolve(false));
    });
    if (!ended) return null;
    return (await open(disk, runtime)).load();
  });
}

test("a crash while a snapshot of a later term is installed never leaves it with an earlier term", async () => {
  for (const how of ["losePower", "killProcess"] as const) {
    let points = 0;
    let installed = 0;
    for (let count = 1; ; count++) {
      const stored = await crashDuringInstall(count, count, how);
      if (stored === null) break;
      points++;
      const last = stored.entries.at(-1)?.term ?? stored.snapshot?.term ?? 0;
      expect(stored.hardState.term, `operation ${count}, ${how}`).toBeGreaterThanOrEqual(last);
      if (stored.snapshot !== null) installed++;
    }
    expect(points).toBeGreaterThan(6);
    expect(installed).toBeGreaterThan(0);
  }
});
