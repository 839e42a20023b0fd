import type { Clock, Runtime } from "../runtime/index.js";
import { NODE_GROUP } from "./config.js";
import type { NodeAddress, ResolvedNode } from "./config.js";
import type { PeerStatus } from "./status.js";
import { connectTo } from "./transport/index.js";
import type { Logger, TcpEnd, TransportLimits } from "./transport/index.js";

/** How long another node may take to answer a simple question. */
const ASK_MS = 1000;

interface Peer extends NodeAddress {
  /** To what that node offers as a whole. */
  readonly end: TcpEnd;
}

/** The connections of a node to all the others. */
export class Peers {
  /** By number in Raft; null for this node. */
  readonly #peers: readonly (Peer | null)[];
  readonly #clock: Clock;
  readonly #groupEnds: TcpEnd[] = [];

  /** Connects at once, and again whenever a connection is lost. */
  constructor(config: ResolvedNode, runtime: Runtime, logger: Logger, limits: Partial<TransportLimits> | undefined) {
    const { nodes, me, myid, clusterId, secret, tls } = config;
    this.#clock = runtime.clock;
    this.#peers = nodes.map((node, i) => {
      if (i === me) return null;
      const end = connectTo({
        runtime,
        host: node.host,
        port: node.port,
        clusterId,
        as: { nodeId: String(myid) },
        expectNodeId: String(node.id),
        engine: config.engine,
        group: NODE_GROUP,
        logger,
        ...(tls && { tls }),
        ...(secret !== undefined && { secret }),
        ...(limits && { limits }),
      });
      return { ...node, end };
    });
  }

  get ids(): number[] {
    return this.#others.map(({ id }) => id);
  }

  /** To a group of each of the others, by number in Raft; null for this node. */
  endsOf(group: string): (TcpEnd | null)[] {
    return this.#peers.map((peer) => {
      if (peer === null) return null;
      const end = peer.end.forGroup(group);
      this.#groupEnds.push(end);
      return end;
    });
  }

  /**
   * Calls a service of another node. Null where it did not answer within a second; also where it does not know the method
   * or refuses, for all that is done here can be tried again.
   */
  ask<R>(id: number, method: string, args: unknown): Promise<R | null> {
    const { end } = this.#others.find((peer) => peer.id === id) as Peer;
    return new Promise((resolve) => {
      const timer = this.#clock.setTimeout(() => resolve(null), ASK_MS);
      const settle = (reply: R | null): void => {
        this.#clock.clearTimeout(timer);
        resolve(reply);
      };
      end.call<R>(method, args).then(settle, () => settle(null));
    });
  }

  isConnected(id: number): boolean {
    return this.#others.some((peer) => peer.id === id && peer.end.state().status === "ready");
  }

  status(): PeerStatus[] {
    return this.#others.map(({ id, host, port, end }) => {
      const { status, error, inFlight, queuedBytes } = end.state();
      const address = addressText({ host, port });
      return { id, address, connection: status, error: error?.message ?? null, inFlight, queuedBytes };
    });
  }

  async close(): Promise<void> {
    await Promise.all([...this.#groupEnds, ...this.#others.map(({ end }) => end)].map((end) => end.close()));
  }

  get #others(): Peer[] {
    return this.#peers.filter((peer) => peer !== null);
  }
}

export function addressText({ host, port }: { host: string; port: number }): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
