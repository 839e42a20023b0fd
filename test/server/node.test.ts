import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import type { StateMachine } from "../../kvraft/index.js";
import { nodeConfigOf } from "../../server/commands/options.js";
import { connect, startNode } from "../../server/index.js";
import type { NodeOptions, TlsConfig } from "../../server/index.js";
import { kvraft } from "../harness/command-line.js";
import { addresses, scratch, TestNodes } from "../harness/nodes.js";
import { Authority } from "../transport/certificates.js";

describe("a node", () => {
  test("alone: writes, and finds them again after it was closed", async () => {
    const options = { nodes: [{ id: 1, host: "127.0.0.1", port: 0 }], myid: 1, dataDir: scratch(), timeout: 50 };
    {
      await using node = await startNode(options);
      await node.clerk.put("a", "1");
      await node.clerk.append("a", "2");
    }
    await using node = await startNode(options);
    expect(await node.clerk.get("a")).toBe("12");
    expect(node.status().groups["kv"]).toMatchObject({ role: "leader", leader: 1, failure: null });
  });

  test("three: any of them serves, and the end of the leader is a hand-over", async () => {
    const nodes = await TestNodes.start(3);
    await nodes.node(1).clerk.put("k", "v");
    for (const node of nodes.all) expect(await node.clerk.get("k")).toBe("v");
    const leader = await nodes.leader();
    const { term } = leader.status().groups["kv"]!;
    await nodes.stop(leader.id);
    const next = await nodes.leader();
    expect(next.id).not.toBe(leader.id);
    expect(next.status().groups["kv"]!.term).toBe(term + 1);
    expect(await next.clerk.get("k")).toBe("v");
    const again = await nodes.start(leader.id);
    expect(await again.clerk.get("k")).toBe("v");
  });

  test("a client in another process", async () => {
    const nodes = await TestNodes.start(3);
    await using client = connect({ nodes: nodes.addresses });
    expect(await client.clerk.putIf("k", "v", 0)).toEqual({ ok: true, version: 1 });
    expect(await client.clerk.read("k")).toEqual({ value: "v", version: 1 });
    const answers = await client.status();
    expect(answers.map(({ id, error }) => [id, error])).toEqual([
      [1, null],
      [2, null],
      [3, null],
    ]);
    const leader = await nodes.leader();
    const target = 1 + (leader.id % 3);
    expect(await client.transferLeadership(target)).toBe(target);
    const status = await client.snapshot(target);
    expect(status.groups["kv"]!.snapshotIndex).toBeGreaterThan(0);
  });
});

class Sum implements StateMachine<number, number> {
  total = 0;
  apply(command: number): number {
    this.total += command;
    return this.total;
  }
  snapshot(): Uint8Array {
    return Buffer.from(String(this.total));
  }
  restore(snapshot: Uint8Array): void {
    this.total = Number(Buffer.from(snapshot).toString());
  }
}

test("groups: several logs on one port, also with the user's own state machine", async () => {
  const nodes = await TestNodes.prepare(3, { groups: ["kv", "locks"] });
  const sums = [new Sum(), new Sum(), new Sum()];
  await Promise.all([1, 2, 3].map((id) => nodes.start(id, { stateMachines: { sum: sums[id - 1]! } })));
  await nodes.node(1).clerk.put("k", "kv");
  await nodes.node(2).clerkOf("locks").put("k", "locks");
  expect(await nodes.node(3).clerk.get("k")).toBe("kv");
  expect(await nodes.node(3).clerkOf("locks").get("k")).toBe("locks");
  const leader = await nodes.leader("sum");
  const other = nodes.node(1 + (leader.id % 3));
  expect(await leader.rsm<number, number>("sum").submit(2)).toBe(2);
  expect(await other.rsm<number, number>("sum").submit(3, { timeoutMs: 60_000 })).toBe(5);
  expect(await leader.rsm<number, number>("sum").read(() => sums[leader.id - 1]!.total)).toBe(5);
});

describe("commands for a state machine of the user's, on a node that does not lead", () => {
  /** Three nodes, the id of the leader and of two others. */
  async function start(machine: () => StateMachine<unknown, unknown>): Promise<{ nodes: TestNodes; ids: number[] }> {
    const nodes = await TestNodes.prepare(3, { groups: [] });
    await Promise.all([1, 2, 3].map((id) => nodes.start(id, { stateMachines: { own: machine() } })));
    const { id } = await nodes.leader("own");
    return { nodes, ids: [id, 1 + (id % 3), 1 + ((id + 1) % 3)] };
  }

  test("reads say which node leads; without a leader submit says that nothing was proposed", async () => {
    const { nodes, ids } = await start(() => new Sum());
    const [leader, follower] = ids as [number, number];
    const rsm = nodes.node(follower).rsm<number, number>("own");
    await expect(rsm.read(() => 0)).rejects.toMatchObject({ code: "NOT_LEADER", leader });
    await Promise.all(ids.filter((id) => id !== follower).map((id) => nodes.node(id).close({ timeoutMs: 0 })));
    const alone = nodes.node(follower);
    while (alone.leaderOf("own") !== null) await new Promise((resolve) => alone.once("leader", resolve));
    await expect(rsm.submit(1)).rejects.toMatchObject({ code: "NOT_LEADER" });
    await expect(rsm.submit(1, { timeoutMs: -1 })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });

  test("a failure on the leader's node keeps its code; a result that cannot travel says that it was applied", async () => {
    class Odd extends Sum implements StateMachine<unknown, unknown> {
      override apply(command: unknown): number {
        if (command === "throw") throw new Error("out of paper");
        return (() => 1) as unknown as number;
      }
    }
    const { nodes, ids } = await start(() => new Odd());
    for (const node of nodes.all) node.on("error", () => {});
    const rsm = nodes.node(ids[1]!).rsm("own");
    await expect(rsm.submit("odd")).rejects.toMatchObject({ code: "BAD_REPLY", maybeApplied: true });
    await expect(rsm.submit("throw")).rejects.toMatchObject({ code: "STATE_MACHINE", name: "ForwardedError" });
  });

  test("limits: the command is on its way, so it may be applied", async () => {
    const { nodes, ids } = await start(() => new Sum());
    const [leader, follower] = ids as [number, number];
    const rsm = nodes.node(follower).rsm<number, number>("own");
    const hanging = new AbortController();
    const submitted = rsm.submit(1, { signal: hanging.signal });
    hanging.abort(new Error("enough"));
    await expect(submitted).rejects.toMatchObject({ code: "ABORTED", maybeApplied: true });
    expect(await nodes.node(leader).rsm<number, number>("own").submit(1)).toBeGreaterThan(0);
  });
});

describe("events and warnings", () => {
  test("leader and snapshot events; a node that keeps nothing says what that means", async () => {
    const lines: string[] = [];
    const note = (_details: object, message: string): void => void lines.push(message);
    const options = {
      nodes: [{ id: 7, host: "127.0.0.1", port: 0 }],
      myid: 7,
      timeout: 50,
      enableDataPersistence: false,
    };
    await using node = await startNode({ ...options, logger: { debug: note, info: note, warn: note, error: note } });
    const leader = new Promise((resolve) => node.once("leader", resolve));
    const snapshot = new Promise((resolve) => node.once("snapshot", resolve));
    await node.clerk.put("k", "v");
    node.snapshot("kv");
    expect(await leader).toEqual({ group: "kv", leader: 7, term: 1 });
    expect(await snapshot).toMatchObject({ group: "kv", isInstalled: false });
    expect(lines.join("\n")).toMatch(/enableDataPersistence is off.*can lose acknowledged writes/);
    expect(node.status()).toMatchObject({ persistent: false, groups: { kv: { disk: null } } });
  });

  test("a state machine that throws stops its group, and no other", async () => {
    class Broken extends Sum {
      override apply(): number {
        throw new Error("out of paper");
      }
    }
    const options = { nodes: [{ id: 1, host: "127.0.0.1", port: 0 }], myid: 1, timeout: 50, dataDir: scratch() };
    await using node = await startNode({ ...options, stateMachines: { broken: new Broken() } });
    const failure = new Promise((resolve) => node.once("error", (error, group) => resolve({ error, group })));
    while (node.leaderOf("broken") === null) await new Promise((resolve) => node.once("leader", resolve));
    await expect(node.rsm<number, number>("broken").submit(1)).rejects.toMatchObject({ code: "STATE_MACHINE" });
    expect(await failure).toMatchObject({ error: { code: "STATE_MACHINE" }, group: "broken" });
    await node.clerk.put("k", "v");
    expect(node.status().groups["broken"]!.failure).toMatch(/failed to apply/);
  });
});

test("a command that fits into no message is refused on the leader's node too, and the group goes on", async () => {
  const nodes = await TestNodes.prepare(3, { limits: { maxClientFrameBytes: 10_000, maxFrameBytes: 20_000 } });
  await Promise.all([1, 2, 3].map((id) => nodes.start(id, { stateMachines: { sum: new Sum() } })));
  for (const node of nodes.all) {
    await expect(node.clerk.put("k", "x".repeat(20_000))).rejects.toMatchObject({ code: "ENCODE" });
    const large = node.rsm("sum").submit("x".repeat(20_000));
    await expect(large).rejects.toMatchObject({
      code: "ENCODE",
      message: expect.stringMatching(/and 10000 are allowed/) as string,
    });
  }
  await nodes.node(1).clerk.put("k", "v");
});

test("a cluster with a secret: who does not know it is refused", async () => {
  const secret = "sixteen bytes or more";
  const nodes = await TestNodes.start(3, { secret });
  await using client = connect({ nodes: nodes.addresses, secret });
  await client.clerk.put("k", "v");
  await using stranger = connect({ nodes: nodes.addresses, secret: "sixteen other bytes" });
  await expect(stranger.ready()).rejects.toMatchObject({ code: "REFUSED" });
});

describe("TLS", () => {
  const tlsOf = (authority: Authority, ...names: [string, ...string[]]): TlsConfig => {
    const { ca, cert, key } = authority.issue(...names);
    return { ca, cert, key } as TlsConfig;
  };

  test("nodes and clients with certificates; strangers and clients that pose as nodes are refused", async () => {
    const authority = new Authority("the cluster's");
    const nodes = await TestNodes.prepare(3, { timeout: 300 });
    await Promise.all([1, 2, 3].map((id) => nodes.start(id, { tls: tlsOf(authority, String(id)) })));
    await using client = connect({ nodes: nodes.addresses, tls: tlsOf(authority, "somebody") });
    await client.clerk.put("k", "v");
    for (const node of nodes.all) expect(await node.clerk.get("k")).toBe("v");

    const foreign = new Authority("another one");
    await using stranger = connect({ nodes: nodes.addresses, tls: tlsOf(foreign, "somebody") });
    await expect(stranger.ready({ timeoutMs: 60_000 })).rejects.toMatchObject({ code: "REFUSED" });
    await using plain = connect({ nodes: nodes.addresses });
    await expect(plain.ready({ timeoutMs: 1000 })).rejects.toMatchObject({ code: "UNAVAILABLE" });

    // The certificate of a client does not make a node: the third one, with it, stays alone.
    await nodes.stop(3);
    const posing = await nodes.start(3, { tls: tlsOf(authority, "somebody") });
    await client.clerk.append("k", "w");
    expect(posing.status().peers.map(({ connection }) => connection)).not.toContain("ready");
    expect(posing.leaderOf("kv")).toBe(null);
  });

  test("from files, with the program: serve, and commands", async () => {
    const authority = new Authority("the cluster's");
    const dataDir = scratch();
    const write = (name: string, ...names: [string, ...string[]]): Record<string, string> => {
      const { ca, cert, key } = authority.issue(...names) as { ca: string; cert: string; key: string };
      for (const [part, pem] of Object.entries({ ca, cert, key })) writeFileSync(join(dataDir, `${name}.${part}`), pem);
      return { caFile: `${name}.ca`, certFile: `${name}.cert`, keyFile: `${name}.key` };
    };
    const [address] = await addresses(1);
    const config = join(dataDir, "node.json");
    writeFileSync(config, JSON.stringify({ nodes: [address], myid: 1, tls: write("node", "1"), timeout: 50, dataDir }));
    const { config: read } = nodeConfigOf({ config }, {});
    await using _node = await startNode(read as NodeOptions);
    const client = join(dataDir, "client.json");
    writeFileSync(client, JSON.stringify({ nodes: [address], tls: write("client", "cli") }));
    expect(await kvraft(["put", "k", "v", "--config", client])).toMatchObject({ code: 0 });
    const files = ["--tls-ca-file", "client.ca", "--tls-cert-file", "client.cert", "--tls-key-file", "client.key"];
    const flags = files.map((text) => (text.startsWith("--") ? text : join(dataDir, text)));
    expect(await kvraft(["get", "k", "--nodes", `1=127.0.0.1:${address!.port}`, ...flags])).toMatchObject({
      out: "v\n",
    });
  });
});

test("what was opened is closed again when the start fails", async () => {
  const nodes = await TestNodes.start(1);
  const [address] = nodes.addresses;
  const dataDir = scratch();
  const options = { nodes: [address!], myid: 1, dataDir, timeout: 50 };
  await expect(startNode(options)).rejects.toMatchObject({ code: "LISTEN_FAILED" });
  await nodes.stop(1);
  await using node = await startNode(options);
  await node.clerk.put("k", "v");
});

test("mistakes in a program are named", async () => {
  const options = { nodes: [{ id: 1, host: "127.0.0.1", port: 0 }], myid: 1, dataDir: scratch() };
  await expect(startNode({ ...options, dataDirectory: "x" } as typeof options)).rejects.toMatchObject({
    field: "dataDirectory",
  });
  await expect(startNode({ ...options, groups: [] })).rejects.toMatchObject({ field: "groups" });
  await expect(startNode({ ...options, stateMachines: { kv: new Sum() } })).rejects.toMatchObject({ code: "CONFIG" });
  await expect(startNode({ ...options, bind: { host: "0.0.0.0" } })).rejects.toMatchObject({ code: "UNSAFE_BIND" });
  await using node = await startNode({ ...options, stateMachines: { sum: new Sum() } });
  expect(() => node.clerkOf("nothing")).toThrow('there is no group "nothing"; known are "kv", "sum"');
  expect(() => node.clerkOf("sum")).toThrow('use rsm("sum")');
  expect(() => node.rsm("kv")).toThrow('use clerkOf("kv")');
});
