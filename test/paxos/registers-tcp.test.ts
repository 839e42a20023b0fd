import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { expect, test } from "vitest";

import { Server } from "../../labrpc/index.js";
import { makePaxosKV, Proposer, startAcceptor, type Ballot } from "../../paxos/index.js";
import { METHODS } from "../../paxos/messages.js";
import { openStorage, type DurableStorage } from "../../server/storage/index.js";
import { connectTo, listen, type TcpEnd, type TransportServer } from "../../server/transport/index.js";
import { freePorts } from "../harness/nodes.js";
import { CLUSTER, runtime, timed } from "../transport/world.js";

const limits = { timeoutMs: 10_000 };

/** An acceptor as in real life: a data directory and an open port. */
class AcceptorNode implements AsyncDisposable {
  readonly #storage: DurableStorage;
  readonly #server: TransportServer;

  constructor(storage: DurableStorage, server: TransportServer) {
    this.#storage = storage;
    this.#server = server;
  }

  static async start(dir: string, i: number, port: number): Promise<AcceptorNode> {
    const storage = await openStorage({ dir: join(dir, `${i}`) });
    const { service } = startAcceptor({ storage, snapshotFrom: 500 });
    const groups = { registers: new Server(service) };
    return new AcceptorNode(storage, await listen({ runtime, port, clusterId: CLUSTER, nodeId: `a${i}`, groups }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.close({ timeoutMs: 0 });
    await this.#storage.close();
  }
}

/** Three acceptors over TCP, on directories of the real file system. */
class TcpAcceptors implements AsyncDisposable {
  readonly #dir = mkdtempSync(join(tmpdir(), "kvraft-registers-"));
  readonly #ports: readonly number[];
  readonly #nodes = new Map<number, AcceptorNode>();
  readonly #ends: TcpEnd[] = [];

  constructor(ports: readonly number[]) {
    this.#ports = ports;
  }

  static async start(): Promise<TcpAcceptors> {
    const acceptors = new TcpAcceptors(await freePorts(3));
    for (const i of [0, 1, 2]) await acceptors.start(i);
    return acceptors;
  }

  async start(i: number): Promise<void> {
    this.#nodes.set(i, await AcceptorNode.start(this.#dir, i, this.#ports[i] as number));
  }

  async stop(i: number): Promise<void> {
    await this.#nodes.get(i)?.[Symbol.asyncDispose]();
    this.#nodes.delete(i);
  }

  ends(): TcpEnd[] {
    const ends = this.#ports.map((port) => {
      const to = { host: "127.0.0.1", port, clusterId: CLUSTER, group: "registers" };
      return connectTo({ runtime, ...to, as: "client", limits: { backoffMaxMs: 100, connectWaitMs: 2000 } });
    });
    this.#ends.push(...ends);
    return ends;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#ends.map((end) => end.close()));
    for (const i of [...this.#nodes.keys()]) await this.stop(i);
    rmSync(this.#dir, { recursive: true, force: true });
  }
}

test("slides 33 and 34 over TCP, with acceptors that are restarted between any two steps", async () => {
  await using acceptors = await TcpAcceptors.start();
  const ends = acceptors.ends();
  const only = (...numbers: number[]): TcpEnd[] => numbers.map((i) => ends[i] as TcpEnd);
  const restart = async (): Promise<void> => {
    for (const i of [0, 1, 2]) {
      await acceptors.stop(i);
      await acceptors.start(i);
      await ends[i]?.ready(limits);
    }
  };
  const proposer = (ballot: Ballot): Proposer =>
    new Proposer({ register: { key: "i", version: 0 }, acceptors: ends, runtime, ballot });
  const x = proposer({ n: 1, proposerId: 10 });
  expect(await x.phase1(only(0, 1))).toMatchObject({ ok: true, found: null });
  await restart();
  const y = proposer({ n: 2, proposerId: 11 });
  expect(await y.phase1(only(1, 2))).toMatchObject({ ok: true, found: null });
  await restart();
  expect(await x.phase2(100, only(0, 1))).toEqual({ ok: false, highest: { n: 2, proposerId: 11 } });
  await restart();
  expect(await y.phase2(200, only(1, 2))).toMatchObject({ ok: true });
  await restart();
  expect(await x.runPaxos(100)).toEqual({ value: 200, ours: false });
}, 60_000);

test("a store over TCP: an acceptor is down, comes back with what it promised, and another goes", async () => {
  await using acceptors = await TcpAcceptors.start();
  const ends = acceptors.ends();
  const kv = makePaxosKV(ends, { runtime });
  for (let i = 0; i < 30; i++) expect(await kv.put("k", { number: i }, limits)).toBe(i);
  await acceptors.stop(0);
  expect((await timed(() => kv.put("k", "without 0", limits))).value).toBe(30);
  await acceptors.start(0);
  await acceptors.stop(1);
  await ends[0]?.ready(limits);
  const other = makePaxosKV(acceptors.ends(), { runtime });
  expect(await other.latest("k", limits)).toEqual({ version: 30, value: "without 0" });
  expect(await other.get("k", 7, limits)).toEqual({ version: 7, value: { number: 7 } });
  expect(await other.set("k", 7, "other", limits)).toEqual({ value: { number: 7 }, ours: false });
  await other.trim("k", 29, limits);
  expect(await kv.versions("k", limits)).toEqual([29, 30]);
  await acceptors.start(1);
  await ends[1]?.ready(limits);
  await acceptors.stop(2);
  await expect(kv.get("k", 7, limits)).rejects.toMatchObject({ code: "TRIMMED", below: 29 });
}, 60_000);

test("nonsense over TCP is answered with RemoteError, and the acceptor goes on", async () => {
  await using acceptors = await TcpAcceptors.start();
  const [end] = acceptors.ends() as [TcpEnd];
  for (const args of [null, [], { key: "k" }, { key: "k", version: 0, ballot: { n: "1", proposerId: 1 } }]) {
    await expect(end.call(METHODS.prepare, args)).rejects.toMatchObject({
      name: "RemoteError",
      code: "HANDLER_FAILED",
    });
  }
  expect(await end.call(METHODS.versions, { key: "k" })).toEqual({ floor: 0, versions: [] });
}, 60_000);
