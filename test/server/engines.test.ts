import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import type { Persister, Storage } from "../../raft/index.js";
import { ENGINE_NAMES, engines } from "../../server/engines.js";
import { connect, startNode, type KvNode, type NodeEvents } from "../../server/index.js";
import { simulate } from "../../sim/index.js";
import { kvraft } from "../harness/command-line.js";
import { DriverCluster } from "../harness/driver-cluster.js";
import { addresses, scratch, TestNodes } from "../harness/nodes.js";
import { until } from "../harness/waiting.js";

const WAIT_MS = 15_000;

/** What a node's files hold, by name; the sockets that lock a directory are no files. */
function filesIn(directory: string): Record<string, string> {
  const entries = readdirSync(directory, { withFileTypes: true, recursive: true }).filter((entry) => entry.isFile());
  const paths = entries.map((entry) => join(entry.parentPath, entry.name)).sort();
  return Object.fromEntries(paths.map((path) => [path, readFileSync(path, "hex")]));
}

type SnapshotEvent = NodeEvents["snapshot"][0];

function eventsOf(node: KvNode): SnapshotEvent[] {
  const events: SnapshotEvent[] = [];
  node.on("snapshot", (event) => events.push(event));
  return events;
}

describe("a cluster of Paxos: what its nodes tell is of the log, not of the journal that they keep", () => {
  test("status, transfer, snapshots that are taken and that come from others, inspect", async () => {
    const nodes = await TestNodes.start(3, { engine: "paxos", httpPort: 0 });
    await using client = connect({ nodes: nodes.addresses });
    for (let i = 0; i < 20; i++) await client.clerk.put(`key ${i % 7}`, `value ${i}`);
    const target = 1 + ((await nodes.leader()).id % 3);
    expect(await client.transferLeadership(target)).toBe(target);
    const [behind, other] = [1, 2, 3].filter((id) => id !== target) as [number, number];
    const group = (id: number) => nodes.node(id).status().groups["kv"]!;

    await nodes.stop(behind);
    await client.clerk.put("k", "v");
    const own = eventsOf(nodes.node(target));
    for (const id of [target, other]) await client.snapshot(id);
    const index = group(target).appliedIndex;
    await until(WAIT_MS, "the snapshot is on the disk", () => group(target).disk?.isSavingSnapshot === false);
    expect(group(target)).toMatchObject({ snapshotIndex: index, firstIndex: index + 1 });
    expect(own).toMatchObject([{ group: "kv", index, bytes: group(target).snapshotBytes, isInstalled: false }]);

    const late = await nodes.start(behind);
    const foreign = eventsOf(late);
    await until(WAIT_MS, "the late node has the snapshot", () => group(behind).appliedIndex >= index && foreign.length);
    expect(foreign).toMatchObject([{ group: "kv", index: group(behind).snapshotIndex, isInstalled: true }]);
    const { host, port } = late.httpAddress!;
    expect(await (await fetch(`http://${host}:${port}/metrics`)).text()).toContain(
      'kvraft_snapshots_total{group="kv",origin="leader"} 1',
    );

    for (const value of ["w", "x"]) await client.clerk.put("k", value);
    const { lastIndex } = group(target);
    await nodes.stop(target);
    const { code, out, err } = await kvraft(["inspect", join(nodes.dataDir, `node-${target}`)]);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toMatch(/^data directory .*, engine paxos\n/);
    expect(out).toMatch(/^snapshot-\d+\.snap {2}at position \d+ of the journal, \d+ bytes of data$/m);
    expect(out).toMatch(/^wal-\d+\.log .* positions 1-\d+ of ballots \d+-\d+ \(\d+ written\)$/m);
    const [, last] = new RegExp(`snapshot up to entry ${index}, votes for entries ${index + 1}-(\\d+), chosen`).exec(
      out,
    )!;
    expect(Number(last)).toBeGreaterThanOrEqual(lastIndex);
  });
});

// The places of what is stored differ from engine to engine; what it means for the log does not.
test.each(ENGINE_NAMES)("where in the log a write changes something, and up to which command (%s)", (name) =>
  simulate({ seed: 1 }, async (runtime) => {
    const { make, changeOf } = engines[name];
    const changes: (readonly [number, number])[] = [];
    const watched = (_: number, persister: Persister): Storage => ({
      load: () => persister.load(),
      stateSize: () => persister.stateSize(),
      write: (write, done) => {
        const change = changeOf(write);
        if (change !== null) changes.push(change);
        persister.write(write, done);
      },
    });
    const config = { noopOnElection: true };
    const cluster = new DriverCluster(runtime, 1, { engine: make, config, storage: watched });
    await cluster.leader();
    const { raft, applied } = cluster.nodes[0]!;
    for (const command of ["a", "b"]) raft.start(command);
    await cluster.until(() => applied.length === 2);
    raft.snapshot(2, Uint8Array.of(1));
    raft.start("c");
    await cluster.until(() => applied.length === 3);
    // First what the new leader begins with, which is no command.
    expect(changes).toEqual([[1, 0], ...[2, 3, 4].map((index) => [index, index])]);
  }),
);

describe("two engines", () => {
  test("in one cluster: who is alone is refused and says why, the others work", async () => {
    const nodes = await TestNodes.prepare(3, { httpPort: 0 });
    const engineOf = (id: number) => (id === 1 ? "raft" : "paxos");
    await Promise.all([1, 2, 3].map((id) => nodes.start(id, { engine: engineOf(id) })));
    await using client = connect({ nodes: nodes.addresses });
    await client.clerk.put("k", "v");
    expect(await client.clerk.get("k")).toBe("v");
    const refusal = /runs the engine "paxos", the caller "raft"; all nodes must run the same/;
    await until(WAIT_MS, "both refusals", () =>
      nodes
        .node(1)
        .status()
        .peers.every(({ error }) => refusal.test(error ?? "")),
    );
    const { host, port } = nodes.node(1).httpAddress!;
    const ready = await fetch(`http://${host}:${port}/readyz`);
    expect(ready.status).toBe(503);
    expect(await ready.text()).toContain("group kv knows no leader");
    const { out, code } = await kvraft(["status"], {
      KVRAFT_NODES: nodes.addresses.map(({ id, host: name, port: at }) => `${id}=${name}:${at}`).join(),
    });
    expect(code).toBe(1);
    expect(out.match(/ (raft|paxos) +kv /g)?.map((cell) => cell.trim().split(" ")[0])).toEqual([
      "raft",
      "paxos",
      "paxos",
    ]);
    await nodes.stop(1);
    // It was never a part of the cluster, and has nothing to lose.
    rmSync(join(nodes.dataDir, "node-1"), { recursive: true });
    const mended = await nodes.start(1, { engine: "paxos" });
    expect(await mended.clerk.get("k")).toBe("v");
  });

  test.each(ENGINE_NAMES)("data of %s are refused by the other one, and not touched", async (engine) => {
    const options = { nodes: await addresses(1), myid: 1, dataDir: scratch(), timeout: 50 };
    {
      await using node = await startNode({ ...options, engine });
      await node.clerk.put("k", "v");
      node.snapshot("kv");
      await node.clerk.put("k", "w");
    }
    const before = filesIn(options.dataDir);
    expect(Object.keys(before).length).toBeGreaterThan(2);
    const other = ENGINE_NAMES.find((name) => name !== engine)!;
    await expect(startNode({ ...options, engine: other })).rejects.toMatchObject({
      code: "WRONG_DIRECTORY",
      message: expect.stringContaining(
        `belongs to engine "${engine}", but the configuration says "${other}"; use the right directory`,
      ) as string,
    });
    expect(filesIn(options.dataDir)).toEqual(before);
    await using node = await startNode({ ...options, engine });
    expect(await node.clerk.get("k")).toBe("w");
  });
});
