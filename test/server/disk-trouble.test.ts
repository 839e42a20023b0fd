import { expect, test } from "vitest";

import type { Disk } from "../../runtime/index.js";
import type { KvNode } from "../../server/index.js";
import { nodeDisk } from "../../server/storage/index.js";
import { TestNodes } from "../harness/nodes.js";

/** A disk that gets into trouble when it is told to. */
class TroubledDisk {
  /** What a sync waits for. */
  hang: Promise<void> | undefined;
  /** What a write fails with. */
  writeError: Error | undefined;
  readonly disk: Disk;

  constructor() {
    const open: Disk["open"] = async (path, mode) => {
      const file = await nodeDisk.open(path, mode);
      return {
        write: (bytes, position) => {
          if (this.writeError !== undefined) return Promise.reject(this.writeError);
          return file.write(bytes, position);
        },
        sync: async () => {
          await this.hang;
          await file.sync();
        },
        truncate: (size) => file.truncate(size),
        close: () => file.close(),
      };
    };
    this.disk = new Proxy(nodeDisk, {
      get: (inner, method: keyof Disk) => (method === "open" ? open : inner[method].bind(inner)),
    });
  }
}

async function startThree(): Promise<{ nodes: TestNodes; disks: Map<number, TroubledDisk>; leader: KvNode }> {
  const nodes = await TestNodes.prepare(3);
  const disks = new Map([1, 2, 3].map((id) => [id, new TroubledDisk()]));
  await Promise.all([...disks].map(([id, { disk }]) => nodes.start(id, { disk })));
  await nodes.node(1).clerk.put("k", "a");
  return { nodes, disks, leader: await nodes.leader() };
}

const fails = (code: string): Error => Object.assign(new Error(`the disk says ${code}`), { code });

test("a leader whose disk hangs gives leadership away", async () => {
  const { nodes, disks, leader } = await startThree();
  let release = (): void => {};
  disks.get(leader.id)!.hang = new Promise((resolve) => {
    release = resolve;
  });
  const other = nodes.node(1 + (leader.id % 3));
  await other.clerk.append("k", "b");
  // The write that hangs on the leader's own disk needs no more than the two others; the next leader is one of them.
  while (other.leaderOf("kv") === leader.id || other.leaderOf("kv") === null) {
    await new Promise((resolve) => other.once("leader", resolve));
  }
  await other.clerk.append("k", "c");
  expect(await other.clerk.get("k")).toBe("abc");
  release();
});

test("S59: a full disk costs leadership, not the node; it goes on when there is space", async () => {
  const { nodes, disks, leader } = await startThree();
  const trouble = disks.get(leader.id)!;
  trouble.writeError = fails("ENOSPC");
  const other = nodes.node(1 + (leader.id % 3));
  await other.clerk.append("k", "b");
  while (other.leaderOf("kv") === leader.id || other.leaderOf("kv") === null) {
    await new Promise((resolve) => other.once("leader", resolve));
  }
  await other.clerk.append("k", "c");
  expect(leader.status().groups["kv"]).toMatchObject({ failure: null, disk: { health: "full" } });
  trouble.writeError = undefined;
  // With its vote and its copy: the third node goes.
  await nodes.stop(6 - leader.id - other.id);
  await other.clerk.append("k", "d");
  expect(await leader.clerk.get("k")).toBe("abcd");
  expect(leader.status().groups["kv"]).toMatchObject({ disk: { health: "ok" } });
});

test("a failed disk stops the node's group, and the others go on", async () => {
  const { nodes, disks, leader } = await startThree();
  const failure = new Promise((resolve) => leader.once("error", resolve));
  disks.get(leader.id)!.writeError = fails("EIO");
  const other = nodes.node(1 + (leader.id % 3));
  await other.clerk.append("k", "b");
  expect(await failure).toMatchObject({ code: "STORAGE_FAILED", cause: { code: "DISK_FAILED" } });
  expect(leader.status().groups["kv"]!.failure).toMatch(/its storage failed.*the disk says EIO/);
  expect(await leader.clerk.get("k")).toBe("ab");
});
