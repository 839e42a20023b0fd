import { expect, test } from "vitest";

import { makeClerk, startKVServer } from "../../kvraft/index.js";
import type { KVServer } from "../../kvraft/index.js";
import { Server } from "../../labrpc/index.js";
import { Persister } from "../../raft/index.js";
import { connectTo, listen } from "../../server/transport/index.js";
import type { TcpEnd, TransportServer } from "../../server/transport/index.js";
import { CLUSTER, freePort, runtime, until } from "./world.js";

const SECRETS = { peer: "peers know this secret", client: "clients know this one" };
const config = { heartbeatMs: 30, electionTimeoutMinMs: 150, electionTimeoutMaxMs: 300 };

/** One server of the cluster, with its way to the others. */
class Node implements AsyncDisposable {
  readonly kv: KVServer;
  readonly #ends: TcpEnd[];
  #server: TransportServer | undefined;

  constructor(ports: readonly number[], me: number, persister: Persister) {
    this.#ends = ports.map((port, i) =>
      connectTo({
        runtime,
        host: "127.0.0.1",
        port,
        clusterId: CLUSTER,
        as: { nodeId: `n${me}` },
        ...(i === me ? {} : { expectNodeId: `n${i}` }),
        group: "kv",
        secret: SECRETS.peer,
      }),
    );
    this.kv = startKVServer({ servers: this.#ends, me, persister, maxRaftState: 20_000, runtime, config });
  }

  static async start(ports: readonly number[], me: number, persister: Persister): Promise<Node> {
    const node = new Node(ports, me, persister);
    const client = new Server();
    client.addService(node.kv.service);
    const peer = new Server();
    peer.addService(node.kv.raft.service);
    const groups = { kv: { client, peer } };
    const port = ports[me] as number;
    node.#server = await listen({ runtime, port, clusterId: CLUSTER, nodeId: `n${me}`, groups, secret: SECRETS });
    return node;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kv.kill();
    await Promise.all([...this.#ends.map((end) => end.close()), this.#server?.close({ timeoutMs: 0 })]);
  }
}

test("three servers and a Clerk over TCP: one is killed, comes back, and all goes on", async () => {
  const ports = [await freePort(), await freePort(), await freePort()];
  const persisters = ports.map(() => new Persister());
  const nodes = await Promise.all(ports.map((_, me) => Node.start(ports, me, persisters[me] as Persister)));
  const clientEnds = ports.map((port) =>
    connectTo({
      runtime,
      host: "127.0.0.1",
      port,
      clusterId: CLUSTER,
      as: "client",
      group: "kv",
      secret: SECRETS.client,
    }),
  );
  const clerk = makeClerk(clientEnds, { runtime });
  const limits = { timeoutMs: 5000 };
  try {
    await clerk.put("name", "Mike", limits);
    await clerk.append("name", " and Ada", limits);
    expect(await clerk.get("name", limits)).toBe("Mike and Ada");

    const leader = nodes.findIndex((node) => node.kv.raft.getState().isLeader);
    await nodes[leader]?.[Symbol.asyncDispose]();
    for (let i = 0; i < 50; i++) await clerk.append("log", `${i},`, limits);
    // Long enough to be carried as a snapshot, in chunks on the second connection.
    await clerk.put("large", "x".repeat(300_000), limits);

    const returned = await Node.start(ports, leader, (persisters[leader] as Persister).copy());
    nodes[leader] = returned;
    const goal = (nodes[(leader + 1) % 3] as Node).kv.status().lastApplied;
    await until(() => returned.kv.status().lastApplied >= goal, "the node that came back catches up");
    for (let i = 50; i < 60; i++) await clerk.append("log", `${i},`, limits);
    expect(await clerk.get("log", limits)).toBe(Array.from({ length: 60 }, (_, i) => `${i},`).join(""));
    expect(await clerk.get("large", limits)).toHaveLength(300_000);
  } finally {
    await Promise.all([...clientEnds.map((end) => end.close()), ...nodes.map((node) => node[Symbol.asyncDispose]())]);
  }
}, 20_000);
