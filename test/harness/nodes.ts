import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
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

/** From here up to where systems begin to give out ports for outgoing connections. */
const FIRST_PORT = 10_000;
const PORTS = 20_000;
/** Test files run at the same time, each in a process of its own. */
const PORTS_OF_A_PROCESS = 100;

let portsGiven = 0;

/**
 * Ports that are free, all different, and that stay free while who uses them is down for a while: the system gives none
 * of them to somebody's outgoing connection, as it does with what it chooses for port 0.
 */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) {
    const offset = process.pid * PORTS_OF_A_PROCESS + portsGiven++;
    if (portsGiven > PORTS) throw new Error("there is no free port left for the tests");
    const port = FIRST_PORT + (offset % PORTS);
    if (await isFree(port)) ports.push(port);
  }
  return ports;
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => void server.close(() => resolve(true)));
  });
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
