import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

import { expect, test } from "vitest";

import { Gate } from "../../server/admission.js";
import { resolveNode } from "../../server/config.js";
import { Identity } from "../../server/identity.js";
import type { KvNode } from "../../server/index.js";
import { simulate } from "../../sim/index.js";
import { GroupCluster } from "../harness/group-cluster.js";
import { HandDisk } from "../harness/hand-disk.js";
import { scratch, TestNodes } from "../harness/nodes.js";
import { eventually } from "../harness/service-cluster.js";

/** Three nodes with a write; node 1 remembers the others. */
async function startThree(): Promise<TestNodes> {
  const nodes = await TestNodes.start(3);
  await nodes.node(1).clerk.put("k", "v");
  await nodes.leader();
  const identity = join(nodes.dataDir, "node-1", "node.json");
  const known = (): string[] =>
    Object.keys((JSON.parse(readFileSync(identity, "utf8")) as { peers: Record<string, unknown> }).peers);
  await expect.poll(known, { timeout: 10_000 }).toEqual(["2", "3"]);
  return nodes;
}

interface Replaced {
  readonly node: KvNode;
  /** Why it takes part in nothing any more. */
  readonly failure: Promise<Error>;
}

/** Nodes 2 and 3 start with empty directories, as machines that were put in place of those that had their names. */
async function replaceTwo(nodes: TestNodes): Promise<Replaced[]> {
  for (const id of [2, 3]) {
    await nodes.stop(id);
    rmSync(join(nodes.dataDir, `node-${id}`), { recursive: true });
  }
  const start = async (id: number): Promise<Replaced> => {
    const node = await nodes.start(id);
    return { node, failure: new Promise((resolve) => node.once("error", resolve)) };
  };
  return Promise.all([2, 3].map(start));
}

const failures = (replaced: readonly Replaced[]): Promise<Error[]> =>
  Promise.all(replaced.map(({ failure }) => failure));

test("S34: two of three servers that are replaced by empty ones do not roll back what the third has", async () => {
  // Three nodes have taken a write, and node 1 has applied it.
  const nodes = await startThree();
  const store = (): unknown => nodes.node(1).status().groups["kv"]!.store;
  await expect.poll(store).toMatchObject({ keys: 1, revision: 1 });
  // Nodes 2 and 3 come back empty: together they are a majority, and would elect each other.
  const replaced = await replaceTwo(nodes);
  // Node 1 knows both with other data, so neither takes part in anything.
  expect(await failures(replaced)).toMatchObject([{ code: "DATA_LOST" }, { code: "DATA_LOST" }]);
  // There is no leader, so nothing can be written; what was there is still on node 1.
  await expect(nodes.node(1).clerk.put("k", "rolled back", { timeoutMs: 500 })).rejects.toMatchObject({
    code: "TIMEOUT",
  });
  expect(store()).toMatchObject({ keys: 1, revision: 1 });
});

test("S34: nor do they go on as a new cluster when the third comes back", async () => {
  // While node 1 is away, nodes 2 and 3 are replaced: to each other they are as new as at the first start.
  const nodes = await startThree();
  await nodes.stop(1);
  const replaced = await replaceTwo(nodes);
  await nodes.node(2).clerk.put("new", "v");
  // Node 1 comes back, and knows better.
  const survivor = await nodes.start(1);
  const { lastIndex, lastTerm } = survivor.status().groups["kv"]!;
  const leaders: (number | null)[] = [];
  survivor.on("leader", ({ leader }) => leaders.push(leader));
  // Both stop rather than mix two histories.
  expect(await failures(replaced)).toMatchObject([{ code: "DATA_LOST" }, { code: "DATA_LOST" }]);
  for (const { node } of replaced)
    expect(node.status().groups["kv"]!.failure).toMatch(/knows this node with other data/);
  // It has followed neither, and is as it was.
  expect(leaders.filter((leader) => leader !== null)).toEqual([]);
  expect(survivor.status().groups["kv"]).toMatchObject({ lastIndex, lastTerm, failure: null });
});

/** The gates of nodes with new directories, by id, that have met each other and may vote. */
function admitted(ids: readonly number[]): Map<number, Gate> {
  const nodes = [0, 1, 2].map((id) => ({ id, host: "127.0.0.1", port: 1 + id }));
  const dataDir = scratch();
  const all = ids.map((id) => ({ id, identity: new Identity(resolveNode({ nodes, myid: id, dataDir })) }));
  for (const one of all) {
    for (const other of all) if (other !== one) one.identity.meet(other.id, other.identity.incarnation, false);
    one.identity.admit();
  }
  return new Map(all.map(({ id, identity }) => [id, new Gate(identity)]));
}

test("S34: two histories do not mix in the time before the third has met the two others", async () => {
  // Nodes 1 and 2 have been replaced by empty ones, which know each other and nobody else.
  const before = admitted([0, 1, 2]);
  const replaced = admitted([1, 2]);
  await simulate({ seed: 1, limitMs: 120_000 }, async (runtime) => {
    const cluster = new GroupCluster(runtime);
    for (const [n, gate] of before) await cluster.start(n, gate);
    await cluster.clerk().put("k", "old");
    await eventually(runtime, () => cluster.groups[0]!.status().store?.revision === 1);
    const { term, lastIndex, lastTerm } = cluster.groups[0]!.status();
    for (const n of before.keys()) await cluster.stop(n);
    // They form a cluster while node 0 is away, in the same term, and longer logs win elections.
    for (const [n, gate] of replaced) {
      cluster.disks[n] = new HandDisk();
      await cluster.start(n, gate);
    }
    const clerk = cluster.clerk();
    for (let i = 0; i < 5; i++) await clerk.append("k", "new");
    expect(cluster.groups[await cluster.leader([1, 2])]!.status().term).toBe(term);
    // Node 0 comes back, and for ten seconds there is Raft, and no meeting.
    await cluster.start(0, before.get(0));
    await cluster.pass(10_000);
    expect(cluster.groups[0]!.status()).toMatchObject({ term, lastIndex, lastTerm, leader: null, failure: null });
    const { followers } = cluster.groups[await cluster.leader([1, 2])]!.status();
    expect(followers.find(({ id }) => id === 0)).toMatchObject({ matchIndex: 0 });
    expect(cluster.failures).toEqual([]);
  });
});

test("S34: nodes that have met before need not meet again to elect a leader after a restart", async () => {
  const gates = admitted([0, 1, 2]);
  await simulate({ seed: 1, limitMs: 120_000 }, async (runtime) => {
    const cluster = new GroupCluster(runtime);
    for (const [n, gate] of gates) await cluster.start(n, gate);
    await cluster.clerk().put("k", "v");
    for (const n of gates.keys()) await cluster.stop(n);
    // One of them stays away.
    for (const n of [0, 1]) await cluster.start(n, gates.get(n));
    expect(await cluster.clerk().get("k")).toBe("v");
  });
});
