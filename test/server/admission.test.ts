import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { expect, test } from "vitest";

import { DataLostError, startNode, type KvNode } from "../../server/index.js";
import { scratch, TestNodes } from "../harness/nodes.js";

const wipe = (nodes: TestNodes, id: number): void => rmSync(join(nodes.dataDir, `node-${id}`), { recursive: true });

const failure = (node: KvNode): Promise<Error> => new Promise((resolve) => node.once("error", resolve));

/** Resolves once node `id` has applied everything that is committed now. */
async function caughtUp(nodes: TestNodes, id: number): Promise<void> {
  const commitIndex = Math.max(...nodes.all.map((node) => node.status().groups["kv"]!.commitIndex));
  while (nodes.node(id).status().groups["kv"]!.appliedIndex < commitIndex) await sleep(10);
}

test("S33: a node whose data directory was wiped is not let in", async () => {
  const nodes = await TestNodes.start(3);
  await nodes.node(1).clerk.put("k", "v");
  await nodes.leader();
  await nodes.stop(3);
  wipe(nodes, 3);
  const wiped = await nodes.start(3);
  const error = await failure(wiped);
  expect(error).toBeInstanceOf(DataLostError);
  expect(error).toMatchObject({
    code: "DATA_LOST",
    message: expect.stringMatching(/must not vote/) as string,
  });
  expect(wiped.status()).toMatchObject({
    isAdmitted: false,
    groups: { kv: { failure: error.message, term: 0, votedFor: null } },
  });
  await nodes.stop(3);
  // Nor at the next attempt.
  expect(await failure(await nodes.start(3))).toMatchObject({ code: "DATA_LOST" });
  expect(await nodes.node(1).clerk.get("k")).toBe("v");
});

test("with replaceLostData it gets a copy, and counts again", async () => {
  const nodes = await TestNodes.start(3);
  await nodes.node(1).clerk.put("k", "v");
  const leader = await nodes.leader();
  const lost = 1 + (leader.id % 3);
  const other = 6 - leader.id - lost;
  await nodes.stop(lost);
  wipe(nodes, lost);
  await nodes.start(lost, { replaceLostData: true });
  await caughtUp(nodes, lost);
  expect(nodes.node(lost).status().isAdmitted).toBe(true);
  await nodes.stop(other);
  await nodes.node(lost).clerk.append("k", "w");
  expect(await nodes.node(lost).clerk.get("k")).toBe("vw");
  // It is known under its new data from now on.
  await nodes.stop(lost);
  await nodes.start(lost);
  expect(await nodes.node(lost).clerk.get("k")).toBe("vw");
});

test("replaceLostData does nothing while another node is away: that one alone may have what was acknowledged", async () => {
  const nodes = await TestNodes.start(3);
  const leader = await nodes.leader();
  await leader.clerk.put("k", "v");
  const lost = 1 + (leader.id % 3);
  await nodes.stop(6 - leader.id - lost);
  await nodes.stop(lost);
  wipe(nodes, lost);
  const wiped = await nodes.start(lost, { replaceLostData: true });
  await expect(wiped.clerk.get("k", { timeoutMs: 600 })).rejects.toMatchObject({ code: "TIMEOUT" });
  expect(wiped.status()).toMatchObject({ isAdmitted: false, groups: { kv: { term: 0, lastIndex: 0, failure: null } } });
});

test("a node that was not started before delays nobody, and is let in when it comes", async () => {
  const nodes = await TestNodes.prepare(3);
  await Promise.all([nodes.start(1), nodes.start(2)]);
  await nodes.node(1).clerk.put("k", "v");
  await nodes.start(3);
  await caughtUp(nodes, 3);
  expect(nodes.node(3).status().isAdmitted).toBe(true);
  await nodes.stop(1);
  expect(await nodes.node(3).clerk.get("k")).toBe("v");
});

test("one after the other: the first node does not wait for the second", async () => {
  const nodes = await TestNodes.prepare(3);
  for (const id of [1, 2, 3]) await nodes.start(id);
  await nodes.node(1).clerk.put("k", "v");
});

test("a data directory says whose it is", async () => {
  const dataDir = scratch();
  const one = { nodes: [{ id: 1, host: "127.0.0.1", port: 0 }], myid: 1, dataDir, timeout: 50 };
  await (await startNode(one)).close();
  const refused = (options: typeof one & { clusterId?: string }, message: RegExp): Promise<void> =>
    expect(startNode(options)).rejects.toMatchObject({
      code: "WRONG_DIRECTORY",
      message: expect.stringMatching(message) as string,
    });
  await refused({ ...one, clusterId: "other" }, /belongs to cluster "kvraft", but the configuration says "other"/);
  const two = [
    { id: 1, host: "127.0.0.1", port: 1 },
    { id: 2, host: "127.0.0.1", port: 2 },
  ];
  await refused({ ...one, nodes: two }, /belongs to a cluster of nodes \[1\]/);
  writeFileSync(join(dataDir, "node-1", "node.json"), "{");
  await refused(one, /node\.json is damaged/);
});
