import { Network, Server } from "../../labrpc/index.js";
import type { ClientEnd, Service } from "../../labrpc/index.js";
import { Persister } from "../../raft/index.js";
import type { Raft } from "../../raft/index.js";
import type { Runtime } from "../../runtime/index.js";

/** What runs on one server of a ServiceCluster. */
export interface Node {
  readonly raft: Raft;
  /** Registered beside Raft's own, if there is one. */
  readonly service?: Service;
  kill(): void;
}

export interface NodeContext {
  readonly servers: readonly ClientEnd[];
  readonly me: number;
  readonly persister: Persister;
}

/** A replicated service on the labs' network: servers that can be cut off, shut down and started again. */
export class ServiceCluster<N extends Node> {
  readonly network: Network;
  readonly runtime: Runtime;
  readonly size: number;
  readonly persisters: Persister[];
  readonly nodes: (N | undefined)[];
  readonly #startNode: (context: NodeContext) => N;
  /** The names of the ends of each running server, by peer. */
  readonly #ends: (string[] | undefined)[];
  readonly #clientEnds: string[] = [];
  readonly #reaches: (from: number, to: number) => boolean = (from, to) => this.#side[from] === this.#side[to];
  #side: number[];
  #names = 0;

  constructor(runtime: Runtime, size: number, startNode: (context: NodeContext) => N) {
    this.runtime = runtime;
    this.size = size;
    this.network = new Network(runtime);
    this.#startNode = startNode;
    this.persisters = Array.from({ length: size }, () => new Persister());
    this.nodes = new Array<undefined>(size).fill(undefined);
    this.#ends = new Array<undefined>(size).fill(undefined);
    this.#side = new Array<number>(size).fill(0);
    for (let i = 0; i < size; i++) this.start(i);
  }

  start(i: number): N {
    const names = this.nodes.map((_, to) => `${i}>${to}#${this.#names++}`);
    const servers = names.map((name, to) => {
      const end = this.network.makeEnd(name);
      this.network.connect(name, `server-${to}`);
      return end;
    });
    this.#ends[i] = names;
    this.persisters[i] = this.persisters[i]!.copy();
    const node = this.#startNode({ servers, me: i, persister: this.persisters[i] });
    const server = new Server();
    server.addService(node.raft.service);
    if (node.service) server.addService(node.service);
    this.nodes[i] = node;
    this.network.addServer(`server-${i}`, server);
    this.#update();
    return node;
  }

  /** Order as in the labs: first nobody hears it any more, then its storage is frozen, then it is killed. */
  shutdown(i: number): void {
    for (const name of this.#ends[i] ?? []) this.network.enable(name, false);
    this.network.deleteServer(`server-${i}`);
    this.persisters[i] = this.persisters[i]!.copy();
    this.nodes[i]?.kill();
    this.nodes[i] = undefined;
    this.#ends[i] = undefined;
  }

  shutdownAll(): void {
    for (let i = 0; i < this.size; i++) this.shutdown(i);
  }

  startAll(): void {
    for (let i = 0; i < this.size; i++) this.start(i);
  }

  node(i: number): N {
    const node = this.nodes[i];
    if (node === undefined) throw new Error(`server ${i} is not running`);
    return node;
  }

  /** Servers reach those of their own side only; a server in no list is alone. */
  partition(...sides: number[][]): void {
    this.#side = this.#side.map((_, i) => {
      const side = sides.findIndex((members) => members.includes(i));
      return side >= 0 ? side : sides.length + i;
    });
    this.#update();
  }

  heal(): void {
    this.#side = this.#side.map(() => 0);
    this.#update();
  }

  isolate(i: number): void {
    this.partition(this.nodes.map((_, j) => j).filter((j) => j !== i));
  }

  #update(): void {
    this.#ends.forEach((names, from) =>
      names?.forEach((name, to) => this.network.enable(name, this.#reaches(from, to))),
    );
  }

  /** The leader of the highest term among `candidates`, once there is one. */
  async leader(candidates = this.nodes.map((_, i) => i)): Promise<number> {
    for (let waited = 0; waited < 10_000; waited += 20) {
      let best = -1;
      let bestTerm = -1;
      for (const i of candidates) {
        const state = this.nodes[i]?.raft.getState();
        if (state?.isLeader && state.term > bestTerm) [best, bestTerm] = [i, state.term];
      }
      if (best >= 0) return best;
      await this.runtime.clock.sleep(20);
    }
    throw new Error("no leader within 10 s");
  }

  /** Ends for a client, one for each of `order`; only the servers in `reachable` can be reached. */
  clientEnds(order = this.nodes.map((_, i) => i), reachable = order): ClientEnd[] {
    return order.map((to) => {
      const name = `client>${to}#${this.#names++}`;
      const end = this.network.makeEnd(name);
      this.network.connect(name, `server-${to}`);
      this.network.enable(name, reachable.includes(to));
      this.#clientEnds.push(name);
      return end;
    });
  }

  /** Clients reach all servers. */
  connectClients(): void {
    for (const name of this.#clientEnds) this.network.enable(name, true);
  }

  /** The most log bytes that a server keeps. */
  logSize(): number {
    return Math.max(...this.persisters.map((persister) => persister.raftStateSize()));
  }
}

/** Waits until `condition` holds; fails after `limitMs` of the cluster's time. */
export async function eventually(runtime: Runtime, condition: () => boolean, limitMs = 5000): Promise<void> {
  const end = runtime.clock.now() + limitMs;
  while (!condition()) {
    if (runtime.clock.now() > end) throw new Error(`not within ${limitMs} ms: ${String(condition)}`);
    await runtime.clock.sleep(10);
  }
}

/** A promise's state now, without waiting for it. */
export function track<T>(promise: Promise<T>): { settled: boolean; value?: T; error?: unknown } {
  const state: { settled: boolean; value?: T; error?: unknown } = { settled: false };
  promise.then(
    (value) => Object.assign(state, { settled: true, value }),
    (error: unknown) => Object.assign(state, { settled: true, error }),
  );
  return state;
}
