import { expect, test } from "vitest";

import type { Disk } from "../../runtime/index.js";
import { connect, startNode } from "../../server/index.js";
import type { KvNode, NodeOptions } from "../../server/index.js";
import { nodeDisk } from "../../server/storage/index.js";
import { scratch, TestNodes } from "../harness/nodes.js";

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

async function startThree(
  options: Partial<NodeOptions> = {},
): Promise<{ nodes: TestNodes; disks: Map<number, TroubledDisk>; leader: KvNode }> {
  const nodes = await TestNodes.prepare(3);
  const disks = new Map([1, 2, 3].map((id) => [id, new TroubledDisk()]));
  await Promise.all([...disks].map(([id, { disk }]) => nodes.start(id, { ...options, disk })));
  await nodes.node(1).clerk.put("k", "a");
  return { nodes, disks, leader: await nodes.leader() };
}

async function anotherLeads(node: KvNode, leader: number): Promise<void> {
  while (node.leaderOf("kv") === leader || node.leaderOf("kv") === null) {
    await new Promise((resolve) => node.once("leader", resolve));
  }
}

/** Until it is released, nothing becomes durable. */
function hang(disks: readonly TroubledDisk[]): () => void {
  let release = (): void => {};
  const hung = new Promise<void>((resolve) => {
    release = resolve;
  });
  for (const disk of disks) disk.hang = hung;
  return release;
}

const fails = (code: string): Error => Object.assign(new Error(`the disk says ${code}`), { code });

test("a leader whose disk hangs gives leadership away", async () => {
  const { nodes, disks, leader } = await startThree();
  const release = hang([disks.get(leader.id)!]);
  const other = nodes.node(1 + (leader.id % 3));
  await other.clerk.append("k", "b");
  // The write that hangs on the leader's own disk needs no more than the two others; the next leader is one of them.
  await anotherLeads(other, leader.id);
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
  await anotherLeads(other, leader.id);
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

test("while a majority of the disks hangs, a flood of writes does not fill the leader's memory, and none is lost", async () => {
  const limit = 200_000;
  const { nodes, disks, leader } = await startThree({ maxPendingBytes: limit, timeout: 1000 });
  const value = "x".repeat(10_000);
  await using client = connect({ nodes: nodes.addresses });
  const clerks = Array.from({ length: 100 }, () => client.makeClerk());
  await Promise.all(clerks.map((clerk, i) => clerk.put(`k${i}`, "")));
  const logBytes = (): number => leader.status().groups["kv"]!.logBytes;
  const before = logBytes();
  const release = hang([...disks].filter(([id]) => id !== leader.id).map(([, disk]) => disk));
  const writes = clerks.map((clerk, i) => clerk.append(`k${i}`, value));
  while (logBytes() < before + limit) await new Promise((resolve) => setImmediate(resolve));
  await expect(leader.clerk.put("late", value, { timeoutMs: 300 })).rejects.toMatchObject({ code: "TIMEOUT" });
  // What may wait, and one command on top.
  expect(logBytes()).toBeLessThan(before + limit + 2 * value.length);
  release();
  await Promise.all(writes);
  // Each was sent several times, and is there once.
  for (const i of [0, 50, 99]) expect((await leader.clerk.get(`k${i}`)).length).toBe(value.length);
});

test("S59: the limit on file sizes is a want of space", async () => {
  const { nodes, disks, leader } = await startThree();
  const trouble = disks.get(leader.id)!;
  trouble.writeError = fails("EFBIG");
  const other = nodes.node(1 + (leader.id % 3));
  await other.clerk.append("k", "b");
  await anotherLeads(other, leader.id);
  expect(leader.status().groups["kv"]).toMatchObject({ failure: null, disk: { health: "full" } });
  trouble.writeError = undefined;
});

test("closing a node does not wait for ever for a disk that hangs, and says so", async () => {
  const disk = new TroubledDisk();
  const dataDir = scratch();
  const options = { nodes: [{ id: 1, host: "127.0.0.1", port: 0 }], myid: 1, dataDir, timeout: 50 };
  const node = await startNode({ ...options, disk: disk.disk });
  await node.clerk.put("k", "a");
  const release = hang([disk]);
  const write = node.clerk.put("k", "b").catch((error: unknown) => error);
  await expect(node.close({ timeoutMs: 10, diskTimeoutMs: 20 })).rejects.toMatchObject({ code: "CLOSE_TIMEOUT" });
  expect(await write).toMatchObject({ code: "STOPPED", maybeApplied: true });
  await expect(startNode(options)).rejects.toMatchObject({ code: "DIRECTORY_LOCKED" });
  release();
});
