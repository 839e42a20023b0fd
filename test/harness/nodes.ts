import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type AddressInfo, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { onTestFinished } from "vitest";

import { startNode, type KvNode, type NodeAddress, type NodeOptions } from "../../server/index.js";

/** A directory that goes with the test. */
export function scratch(): string {
  const path = mkdtempSync(join(tmpdir(), "kvraft-test-"));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** Ports that were free a moment ago, all different. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server: Server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

export async function addresses(count: number): Promise<NodeAddress[]> {
  return (await freePorts(count)).map((port, i) => ({ id: i + 1, host: "127.0.0.1", port }));
}

/** Nodes in this process, on loopback; closed with the test. */
export class TestNodes {
  readonly addresses: readonly NodeAddress[];
  readonly dataDir: string;
  readonly #common: Partial<NodeOptions>;
  readonly #nodes = new Map<number, KvNode>();

  private constructor(nodes: readonly NodeAddress[], common: Partial<NodeOptions>) {
    this.addresses = nodes;
    this.dataDir = scratch();
    this.#common = common;
    onTestFinished(async () => {
      await Promise.all([...this.#nodes.values()].map((node) => node.close({ timeoutMs: 0 })));
    });
  }

  /** Starts none of them yet. */
  static async prepare(count: number, common: Partial<NodeOptions> = {}): Promise<TestNodes> {
    return new TestNodes(await addresses(count), common);
  }

  static async start(count: number, common: Partial<NodeOptions> = {}): Promise<TestNodes> {
    const nodes = await TestNodes.prepare(count, common);
    await Promise.all(nodes.addresses.map(({ id }) => nodes.start(id)));
    return nodes;
  }

  async start(myid: number, options: Partial<NodeOptions> = {}): Promise<KvNode> {
    const node = await startNode({
      nodes: this.addresses,
      myid,
      dataDir: this.dataDir,
      timeout: 150,
      ...this.#common,
      ...options,
    });
    this.#nodes.set(myid, node);
    return node;
  }

  node(id: number): KvNode {
    return this.#nodes.get(id) as KvNode;
  }

  get all(): KvNode[] {
    return [...this.#nodes.values()];
  }

  async stop(id: number): Promise<void> {
    await this.node(id).close();
    this.#nodes.delete(id);
  }

  /** Resolves once one of the running nodes leads the group, and the others know it. */
  async leader(group = "kv"): Promise<KvNode> {
    for (;;) {
      const leaders = new Set(this.all.map((node) => node.leaderOf(group)));
      const [id] = leaders;
      if (leaders.size === 1 && typeof id === "number" && this.#nodes.has(id)) return this.node(id);
      await Promise.race(this.all.map((node) => new Promise((resolve) => node.once("leader", resolve))));
    }
  }
}
