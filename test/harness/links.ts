import { onTestFinished } from "vitest";

import type { Random } from "../../runtime/index.js";
import type { NodeAddress } from "../../server/index.js";
import { addresses } from "./nodes.js";
import { TcpProxy, type Conditions } from "./tcp-proxy.js";

/**
 * The network between nodes that are processes: each reaches each other one through a proxy of its own. Clients are not
 * concerned: they go to the nodes' own addresses.
 */
export class Links {
  readonly nodes: readonly NodeAddress[];
  /** By who dials and who listens. */
  readonly #proxies = new Map<string, TcpProxy>();

  private constructor(nodes: readonly NodeAddress[]) {
    this.nodes = nodes;
    onTestFinished(async () => {
      await Promise.all([...this.#proxies.values()].map((proxy) => proxy.close()));
    });
  }

  static async between(count: number, random: Random): Promise<Links> {
    const links = new Links(await addresses(count));
    for (const from of links.nodes) {
      for (const to of links.nodes) {
        if (from !== to) links.#proxies.set(`${from.id}-${to.id}`, await TcpProxy.listen(to.port, random));
      }
    }
    return links;
  }

  /** What node `id` is told of where the nodes are. */
  addressesFor(id: number): NodeAddress[] {
    return this.nodes.map((node) => (node.id === id ? node : { ...node, port: this.#proxy(id, node.id).port }));
  }

  /** What goes from one node to another, on the connections that it made and on those that it accepted. */
  change(from: number, to: number, conditions: Partial<Conditions>): void {
    Object.assign(this.#proxy(from, to).forward, conditions);
    Object.assign(this.#proxy(to, from).backward, conditions);
  }

  changeAll(conditions: Partial<Conditions>): void {
    for (const from of this.nodes)
      for (const to of this.nodes) if (from !== to) this.change(from.id, to.id, conditions);
  }

  /** Nothing passes between `id` and the others, and nobody is told. */
  isolate(id: number): void {
    for (const other of this.#others(id)) {
      this.change(id, other, { isBlocked: true });
      this.change(other, id, { isBlocked: true });
    }
  }

  /** All connections between `id` and the others are reset, and new ones too. */
  refuse(id: number): void {
    for (const other of this.#others(id)) {
      for (const proxy of [this.#proxy(id, other), this.#proxy(other, id)]) {
        proxy.isRefusing = true;
        proxy.reset();
      }
    }
  }

  resetAll(): void {
    for (const proxy of this.#proxies.values()) proxy.reset();
  }

  heal(): void {
    for (const proxy of this.#proxies.values()) proxy.heal();
  }

  #others(id: number): number[] {
    return this.nodes.map((node) => node.id).filter((other) => other !== id);
  }

  #proxy(from: number, to: number): TcpProxy {
    return this.#proxies.get(`${from}-${to}`) as TcpProxy;
  }
}
