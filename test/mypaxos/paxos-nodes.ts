import { onTestFinished } from "vitest";

import { PaxosClient, PaxosNode } from "../../server/index.js";
import type { NodeAddress, PaxosClientOptions, PaxosConfig, PaxosNodeOptions } from "../../server/index.js";
import type { EngineName } from "../../server/engines.js";
import { addresses, scratch } from "../harness/nodes.js";
import { until } from "../harness/waiting.js";
import { Journal } from "./virtual-group.js";

const TIMEOUT_MS = 150;
const LIMIT_MS = 20_000;

/** Nodes with groups 1 and 2 in this process, on loopback; closed with the test. */
export class PaxosNodes {
  readonly addresses: readonly NodeAddress[];
  /** What the callbacks of a node were called with since it started: by node, then by group. */
  readonly journals = new Map<number, ReadonlyMap<number, Journal>>();
  readonly #dataDir = scratch();
  readonly #config: Partial<PaxosConfig>;
  readonly #engine: EngineName;
  readonly #nodes = new Map<number, PaxosNode>();

  private constructor(nodes: readonly NodeAddress[], config: Partial<PaxosConfig>, engine: EngineName) {
    this.addresses = nodes;
    this.#config = config;
    this.#engine = engine;
    onTestFinished(async () => {
      await Promise.all([...this.#nodes.values()].map((node) => node.close({ timeoutMs: 0 })));
    });
  }

  /** Starts those of three nodes. */
  static async start(
    ids: readonly number[] = [1, 2, 3],
    config: Partial<PaxosConfig> = {},
    engine: EngineName = "paxos",
  ): Promise<PaxosNodes> {
    const nodes = new PaxosNodes(await addresses(3), config, engine);
    await Promise.all(ids.map((id) => nodes.start(id)));
    return nodes;
  }

  async start(myid: number, options: PaxosNodeOptions = {}): Promise<PaxosNode> {
    const journals = new Map([1, 2].map((group) => [group, new Journal()]));
    const config = { nodes: this.addresses, myid, timeout: TIMEOUT_MS, dataDir: this.#dataDir, ...this.#config };
    const node = new PaxosNode(config, { engine: this.#engine, ...options });
    for (const [group, journal] of journals) node.setGroupId(group, (bytes) => journal.apply(bytes));
    this.journals.set(myid, journals);
    this.#nodes.set(myid, node);
    return node.start();
  }

  node(id: number): PaxosNode {
    return this.#nodes.get(id) as PaxosNode;
  }

  journal(id: number, group: number): Journal {
    return this.journals.get(id)?.get(group) as Journal;
  }

  /** As a crash: nothing is handed over. What was acknowledged is on the disk. */
  async kill(id: number): Promise<void> {
    await this.node(id).close({ timeoutMs: 0 });
    this.#nodes.delete(id);
  }

  /** Knows the nodes in the order of `ids`. */
  client(options: PaxosClientOptions = {}, ids: readonly number[] = [1]): PaxosClient {
    const client = new PaxosClient(options);
    for (const id of ids.toReversed()) {
      const { host, port } = this.addresses[id - 1] as NodeAddress;
      client.setRemoteAddress(host, port);
    }
    onTestFinished(() => client.close({ timeoutMs: 0 }));
    return client;
  }

  /** Waits until `group` of node `id` has `count` items. */
  async reach(id: number, group: number, count: number): Promise<string[]> {
    const { items } = this.journal(id, group);
    await until(LIMIT_MS, `${count} items in group ${group} of node ${id}`, () => items.length >= count);
    return items;
  }

  /** The id of the node that leads, once all running ones know it. */
  leader(group = 1): Promise<number> {
    return until(LIMIT_MS, `a leader of group ${group}`, () => {
      const [first, ...others] = [...this.#nodes.values()].map((node) => node.leaderOf(group));
      const isRunning = first !== null && first !== undefined && this.#nodes.has(first);
      return isRunning && others.every((each) => each === first) ? first : undefined;
    });
  }
}
