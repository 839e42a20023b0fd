import { describe, expect, test } from "vitest";

import { makeClerk, startKVServer } from "../kvraft/index.js";
import type { Clerk, KVServer } from "../kvraft/index.js";
import { TimeoutError } from "../runtime/index.js";
import type { Random, Runtime } from "../runtime/index.js";
import { forSeeds } from "./harness/seeds.js";
import { ServiceCluster } from "./harness/service-cluster.js";

type Cluster = ServiceCluster<KVServer>;

const CLIENTS = 5;
const FAULTS_MS = 8000;

/** Everything that the seed decides about the world itself; each fault is off in a part of the seeds. */
function drawCluster(runtime: Runtime): { cluster: Cluster; maxRaftState: number } {
  const { random } = runtime;
  const size = random.next() < 0.5 ? 3 : 5;
  const maxRaftState = [-1, 300, 1000][random.int(0, 2)]!;
  const readMode = random.next() < 0.25 ? "log" : "barrier";
  // Without check-quorum a leader that is cut off goes on believing in itself.
  const config = { checkQuorum: random.next() < 0.5 };
  const cluster = new ServiceCluster<KVServer>(runtime, size, (context) =>
    startKVServer({ ...context, maxRaftState, runtime, readMode, config }),
  );
  cluster.network.reliable(random.next() < 0.5);
  cluster.network.longReordering(random.next() < 0.3);
  return { cluster, maxRaftState };
}

async function disturb(cluster: Cluster, runtime: Runtime): Promise<void> {
  const { random, clock } = runtime;
  const end = clock.now() + FAULTS_MS;
  while (clock.now() < end) {
    const kind = random.next();
    if (kind < 0.4) {
      const side = cluster.nodes.map(() => random.int(0, 1));
      cluster.partition(...[0, 1].map((s) => [...side.keys()].filter((i) => side[i] === s)));
    } else if (kind < 0.6) {
      cluster.heal();
    } else if (kind < 0.8) {
      const victim = random.int(0, cluster.size - 1);
      cluster.shutdown(victim);
      await clock.sleep(random.int(0, 300));
      cluster.start(victim);
    } else if (kind < 0.9) {
      cluster.shutdownAll();
      await clock.sleep(random.int(0, 500));
      cluster.startAll();
    }
    await clock.sleep(random.int(0, random.next() < 0.3 ? 2500 : 500));
  }
  cluster.heal();
}

/** One client: a key of its own, of which it always knows the value, and two keys that it shares with the others. */
class Client {
  readonly clerk: Clerk;
  readonly #who: number;
  readonly #random: Random;
  readonly #runtime: Runtime;
  #count = 0;
  #own = "";
  /** Appended to the key "shared", in order. */
  readonly shared: string[] = [];
  readonly #limited: Promise<void>[] = [];

  /** What all clients together know to be in the key "shared". */
  readonly #acknowledged: string[];

  constructor(who: number, cluster: Cluster, runtime: Runtime, acknowledged: string[]) {
    this.#who = who;
    this.#acknowledged = acknowledged;
    this.#runtime = runtime;
    this.#random = runtime.random;
    this.clerk = makeClerk(cluster.clientEnds(), { runtime });
  }

  #marker(): string {
    return `[${this.#who} ${this.#count++}]`;
  }

  #appendOwn(): Promise<void> {
    const marker = this.#marker();
    this.#own += marker;
    return this.clerk.append(`own ${this.#who}`, marker);
  }

  /** Nobody else writes this key, so it must hold exactly what this client has appended before. */
  async checkOwn(expected = this.#own): Promise<void> {
    const value = await this.clerk.get(`own ${this.#who}`);
    if (value !== expected) throw new Error(`client ${this.#who} read "${value}" where it had written "${expected}"`);
  }

  async work(faults: { readonly over: boolean }): Promise<void> {
    while (!faults.over) {
      await this.#step();
      await this.#runtime.clock.sleep(this.#random.int(0, 20));
    }
    await Promise.all(this.#limited);
    await this.checkOwn();
  }

  async #step(): Promise<void> {
    const kind = this.#random.next();
    if (kind < 0.4) await this.#appendOwn();
    else if (kind < 0.5) await this.checkOwn();
    else if (kind < 0.6) await this.#burst();
    else if (kind < 0.75) await this.#appendShared();
    else if (kind < 0.9) await this.#readShared();
    else await this.#appendLimited();
  }

  /** Many calls at once take effect in their order. */
  async #burst(): Promise<void> {
    const calls: Promise<void>[] = [];
    for (let i = 0; i < 10; i++) {
      calls.push(this.#appendOwn());
      if (i % 3 === 0) calls.push(this.checkOwn());
    }
    await Promise.all(calls);
  }

  async #appendShared(): Promise<void> {
    const marker = this.#marker();
    this.shared.push(marker);
    await this.clerk.append("shared", marker);
    this.#acknowledged.push(marker);
  }

  /** A linearizable read sees every append that was acknowledged before it began, whoever made it. */
  async #readShared(): Promise<void> {
    const known = this.#acknowledged.slice();
    const found = new Set(markers(await this.clerk.get("shared")));
    const missing = known.filter((marker) => !found.has(marker));
    if (missing.length > 0) throw new Error(`client ${this.#who} read a state without ${missing.join(" ")}`);
  }

  /** Ends while it queues, while it is under way, or not at all. */
  async #appendLimited(): Promise<void> {
    const append = this.clerk.append("limited", this.#marker(), { timeoutMs: this.#random.int(1, 400) });
    this.#limited.push(
      append.catch((error: unknown) => {
        if (!(error instanceof TimeoutError)) throw error;
      }),
    );
    await this.#runtime.clock.sleep(this.#random.int(0, 50));
  }
}

const markers = (value: string): string[] => value.match(/\[\d+ \d+\]/g) ?? [];

describe("kv swarm", () => {
  test("under every fault each write happens once, reads are fresh, replicas end equal", { timeout: 600_000 }, () =>
    forSeeds(40, async (runtime) => {
      const { cluster, maxRaftState } = drawCluster(runtime);
      const acknowledged: string[] = [];
      const clients = Array.from({ length: CLIENTS }, (_, who) => new Client(who, cluster, runtime, acknowledged));
      const faults = { over: false };
      const working = clients.map((client) => client.work(faults));
      await disturb(cluster, runtime);
      faults.over = true;
      await Promise.all(working);

      const reader = clients[0]!.clerk;
      const shared = markers(await reader.get("shared"));
      for (const [who, client] of clients.entries()) {
        expect(shared.filter((marker) => marker.startsWith(`[${who} `))).toEqual(client.shared);
      }
      const limited = markers(await reader.get("limited"));
      expect(new Set(limited).size).toBe(limited.length);

      await runtime.clock.sleep(3000);
      const [first, ...rest] = cluster.nodes.map((node) => node!.status());
      for (const status of rest) expect(status).toEqual(first);
      expect(cluster.logSize()).toBeLessThanOrEqual(maxRaftState > 0 ? 8 * maxRaftState : Infinity);
    }),
  );
});
