import { spawnSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { connect, type KvClient } from "../../server/index.js";
import { kvraft } from "../harness/command-line.js";
import { addresses, scratch } from "../harness/nodes.js";
import { builtProgram, Program, type Json } from "../harness/processes.js";

const program = builtProgram();

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** A process that is not our child ends unseen. */
async function ended(pids: readonly number[]): Promise<void> {
  while (pids.some(isAlive)) await sleep(20);
}

async function startCluster(
  dataDir: string,
  ...flags: string[]
): Promise<{ cluster: Program; pids: Map<number, number> }> {
  const cluster = new Program(program.path, ["cluster", "--port", "0", "--data-dir", dataDir, ...flags]);
  const pids = new Map<number, number>();
  await cluster.event((event) => {
    if (event["event"] === "node") pids.set(event["id"] as number, event["pid"] as number);
    return event["event"] === "ready";
  });
  return { cluster, pids };
}

async function leaderOf(client: KvClient): Promise<number> {
  for (;;) {
    const answers = await client.status({ timeoutMs: 300 });
    const leader = answers.find(({ status }) => status?.groups["kv"]?.role === "leader");
    if (leader) return leader.id;
    await sleep(20);
  }
}

describe("kvraft cluster", () => {
  test("a killed node comes back, Ctrl-C stops all of them, and the next start has the data", async () => {
    const dataDir = scratch();
    const config = ["--config", join(dataDir, "cluster.json")];
    const { cluster, pids } = await startCluster(dataDir);
    expect([...pids.keys()].sort()).toEqual([1, 2, 3]);
    expect(await kvraft(["put", "k", "v", ...config])).toMatchObject({ code: 0 });

    const killed = pids.get(2)!;
    process.kill(killed, "SIGKILL");
    const isOf2 = (event: Json): boolean => event["id"] === 2;
    expect(await cluster.event(isOf2)).toMatchObject({ event: "exit", how: "SIGKILL", restartMs: 200 });
    const again = await cluster.event(isOf2);
    expect(again).toMatchObject({ event: "node" });
    expect(await kvraft(["append", "k", "w", ...config])).toMatchObject({ code: 0 });

    cluster.signal("SIGINT");
    await cluster.event(({ event }) => event === "stopped");
    expect(await cluster.ended).toBe(0);
    expect([...pids.values(), again["pid"] as number].filter(isAlive)).toEqual([]);

    const next = await startCluster(dataDir);
    expect(await kvraft(["get", "k", ...config])).toEqual({ code: 0, out: "vw\n", err: "" });
    // Without its supervisor no node stays behind.
    next.cluster.signal("SIGKILL");
    await ended([...next.pids.values()]);
  });
});

test("kvraft cluster --engine paxos: the same store, and a later start goes on with it", async () => {
  const dataDir = scratch();
  const config = ["--config", join(dataDir, "cluster.json")];
  const first = await startCluster(dataDir, "--engine", "paxos");
  expect(await kvraft(["put", "k", "v", ...config])).toMatchObject({ code: 0 });
  const status = await kvraft(["status", ...config, "--json"]);
  expect(status.out.match(/"engine":"paxos"/g)).toHaveLength(3);
  first.cluster.signal("SIGINT");
  expect(await first.cluster.ended).toBe(0);
  const next = await startCluster(dataDir);
  expect(await kvraft(["append", "k", "w", ...config])).toMatchObject({ code: 0 });
  expect(await kvraft(["get", "k", ...config])).toEqual({ code: 0, out: "vw\n", err: "" });
  next.cluster.signal("SIGINT");
  expect(await next.cluster.ended).toBe(0);
});

describe("kvraft serve", () => {
  async function startThree(): Promise<{ nodes: Program[]; client: KvClient }> {
    const list = await addresses(3);
    const nodes = list
      .map(({ id, host }) => ({ id, host }))
      .map(({ id }) => {
        const all = list.map((each) => `${each.id}=${each.host}:${each.port}`).join(",");
        return new Program(program.path, ["serve", "--nodes", all, "--myid", String(id), "--data-dir", scratch()]);
      });
    await Promise.all(nodes.map((node) => node.event(({ type }) => type === "ready")));
    return { nodes, client: connect({ nodes: list }) };
  }

  test("SIGTERM of the leader hands leadership over; a second one ends at once", async () => {
    const { nodes, client } = await startThree();
    await using _client = client;
    const first = await leaderOf(client);
    const { term } = (await client.status({ timeoutMs: 300 })).find(({ id }) => id === first)!.status!.groups["kv"]!;
    nodes[first - 1]!.signal("SIGTERM");
    expect(await nodes[first - 1]!.ended).toBe(0);
    const second = await leaderOf(client);
    const { groups } = (await client.status({ timeoutMs: 300 })).find(({ id }) => id === second)!.status!;
    expect(groups["kv"]!.term).toBe(term + 1);
    await client.clerk.put("k", "v");

    // Nobody can take over from it: it waits, until it is told not to.
    const last = 6 - first - second;
    nodes[last - 1]!.signal("SIGSTOP");
    const leader = nodes[second - 1]!;
    leader.signal("SIGTERM");
    await leader.said("a second signal ends the process at once");
    leader.signal("SIGTERM");
    expect(await leader.ended).toBe(143);
  });

  test("a second process on the same directory, and on the same port", async () => {
    const dataDir = scratch();
    const [one] = await addresses(1);
    const options = ["serve", "--nodes", `1=127.0.0.1:${one!.port}`, "--myid", "1", "--data-dir"];
    const first = new Program(program.path, [...options, dataDir]);
    await first.event(({ type }) => type === "ready");
    const second = new Program(program.path, [...options, dataDir]);
    expect(await second.event(() => true)).toMatchObject({ error: { code: "DIRECTORY_LOCKED" } });
    expect(await second.ended).toBe(5);
    const third = new Program(program.path, [...options, scratch()]);
    expect(await third.event(() => true)).toMatchObject({ error: { code: "LISTEN_FAILED" } });
    expect(await third.ended).toBe(5);
    first.signal("SIGINT");
    expect(await first.ended).toBe(0);
  });
});

test("whoever has read enough may go: a closed pipe is no error", () => {
  const command = '"$0" "$1" sweep --replay 5 | head -n 1';
  const { stdout, stderr } = spawnSync("sh", ["-c", command, process.execPath, program.path], { encoding: "utf8" });
  expect(stdout).toMatch(/^\d servers; .*\n$/);
  expect(stderr).toBe("");
});
