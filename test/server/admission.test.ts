import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

import { expect, test } from "vitest";

import { Gate, seekAdmission, type AdmissionOptions, type Other } from "../../server/admission.js";
import { resolveNode } from "../../server/config.js";
import { Identity } from "../../server/identity.js";
import { DataLostError, startNode, type KvNode } from "../../server/index.js";
import { silentLogger } from "../../server/transport/index.js";
import { makeService } from "../../labrpc/index.js";
import { simulate } from "../../sim/index.js";
import { scratch, TestNodes } from "../harness/nodes.js";

const wipe = (nodes: TestNodes, id: number): void => rmSync(join(nodes.dataDir, `node-${id}`), { recursive: true });

const failure = (node: KvNode): Promise<Error> => new Promise((resolve) => node.once("error", resolve));

/** Resolves once node `id` has applied everything that is committed now. */
async function caughtUp(nodes: TestNodes, id: number): Promise<void> {
  const commitIndex = Math.max(...nodes.all.map((node) => node.status().groups["kv"]!.commitIndex));
  while (nodes.node(id).status().groups["kv"]!.appliedIndex < commitIndex) await sleep(10);
}

test("S33: a node whose data directory was wiped is not let in", async () => {
  const nodes = await TestNodes.start(3);
  await nodes.node(1).clerk.put("k", "v");
  await nodes.leader();
  await nodes.stop(3);
  wipe(nodes, 3);
  const wiped = await nodes.start(3);
  const error = await failure(wiped);
  expect(error).toBeInstanceOf(DataLostError);
  expect(error).toMatchObject({
    code: "DATA_LOST",
    message: expect.stringMatching(/must not vote/) as string,
  });
  expect(wiped.status()).toMatchObject({
    isAdmitted: false,
    groups: { kv: { failure: error.message, term: 0, votedFor: null } },
  });
  await nodes.stop(3);
  // Nor at the next attempt.
  expect(await failure(await nodes.start(3))).toMatchObject({ code: "DATA_LOST" });
  expect(await nodes.node(1).clerk.get("k")).toBe("v");
});

test("with replaceLostData it gets a copy, and counts again", async () => {
  const nodes = await TestNodes.start(3);
  await nodes.node(1).clerk.put("k", "v");
  const leader = await nodes.leader();
  const lost = 1 + (leader.id % 3);
  const other = 6 - leader.id - lost;
  await nodes.stop(lost);
  wipe(nodes, lost);
  await nodes.start(lost, { replaceLostData: true });
  await caughtUp(nodes, lost);
  expect(nodes.node(lost).status().isAdmitted).toBe(true);
  await nodes.stop(other);
  await nodes.node(lost).clerk.append("k", "w");
  expect(await nodes.node(lost).clerk.get("k")).toBe("vw");
  // It is known under its new data from now on.
  await nodes.stop(lost);
  await nodes.start(lost);
  expect(await nodes.node(lost).clerk.get("k")).toBe("vw");
});

test("replaceLostData does nothing while another node is away: that one alone may have what was acknowledged", async () => {
  const nodes = await TestNodes.start(3);
  const leader = await nodes.leader();
  await leader.clerk.put("k", "v");
  const lost = 1 + (leader.id % 3);
  await nodes.stop(6 - leader.id - lost);
  await nodes.stop(lost);
  wipe(nodes, lost);
  const wiped = await nodes.start(lost, { replaceLostData: true });
  await expect(wiped.clerk.get("k", { timeoutMs: 600 })).rejects.toMatchObject({ code: "TIMEOUT" });
  expect(wiped.status()).toMatchObject({ isAdmitted: false, groups: { kv: { term: 0, lastIndex: 0, failure: null } } });
});

test("a node that was not started before delays nobody, and is let in when it comes", async () => {
  const nodes = await TestNodes.prepare(3);
  await Promise.all([nodes.start(1), nodes.start(2)]);
  await nodes.node(1).clerk.put("k", "v");
  await nodes.start(3);
  await caughtUp(nodes, 3);
  expect(nodes.node(3).status().isAdmitted).toBe(true);
  await nodes.stop(1);
  expect(await nodes.node(3).clerk.get("k")).toBe("v");
});

test("one after the other: the first node does not wait for the second", async () => {
  const nodes = await TestNodes.prepare(3);
  for (const id of [1, 2, 3]) await nodes.start(id);
  await nodes.node(1).clerk.put("k", "v");
});

test("a data directory says whose it is", async () => {
  const dataDir = scratch();
  const one = { nodes: [{ id: 1, host: "127.0.0.1", port: 0 }], myid: 1, dataDir, timeout: 50 };
  await (await startNode(one)).close();
  const refused = (options: typeof one & { clusterId?: string }, message: RegExp): Promise<void> =>
    expect(startNode(options)).rejects.toMatchObject({
      code: "WRONG_DIRECTORY",
      message: expect.stringMatching(message) as string,
    });
  await refused({ ...one, clusterId: "other" }, /belongs to cluster "kvraft", but the configuration says "other"/);
  const two = [
    { id: 1, host: "127.0.0.1", port: 1 },
    { id: 2, host: "127.0.0.1", port: 2 },
  ];
  await refused({ ...one, nodes: two }, /belongs to a cluster of nodes \[1\]/);
  writeFileSync(join(dataDir, "node-1", "node.json"), "{");
  await refused(one, /node\.json is damaged/);
  rmSync(join(dataDir, "node-1", "node.json"));
  await refused(one, /holds data, but its node\.json, .*, is gone; restore that file/);
});

test("S33: whom a node has met counts only once it is durable", () => {
  const nodes = [1, 2, 3].map((id) => ({ id, host: "127.0.0.1", port: id }));
  const config = resolveNode({ nodes, myid: 1, dataDir: scratch() });
  const identity = new Identity(config);
  // A directory in its place: the file cannot be written.
  const inTheWay = join(identity.directory, "node.json.tmp");
  mkdirSync(inTheWay);
  for (let i = 0; i < 2; i++) expect(() => identity.meet(2, "abc", false)).toThrow(/check the disk/);
  expect(() => identity.admit()).toThrow(/check the disk/);
  expect(identity.isAdmitted).toBe(false);
  rmSync(inTheWay, { recursive: true });
  expect(identity.meet(2, "abc", false)).toEqual({ incarnation: "abc", metFresh: true });
  identity.admit();
  const again = new Identity(config);
  expect(again.isAdmitted).toBe(true);
  expect(again.meet(2, "other", false)).toEqual({ incarnation: "abc", metFresh: true });
});

// ---- who is asked, and for how long, in virtual time ----------------------------------------------------------------------

const IDS = [1, 2, 3];

function identityOf(myid: number): Identity {
  const nodes = IDS.map((id) => ({ id, host: "127.0.0.1", port: id }));
  return new Identity(resolveNode({ nodes, myid, dataDir: scratch() }));
}

/** What node 1, whose directory is new, finds of another one. "silent": connected, and it does not answer. */
interface Neighbour {
  readonly identity: Identity;
  state: "away" | "silent" | "answers";
}

function neighbour(id: number, state: Neighbour["state"]): Neighbour {
  return { identity: identityOf(id), state };
}

/** Node 3 has known node 1 with other data. */
function survivor(state: Neighbour["state"]): Neighbour {
  const it = neighbour(3, state);
  it.identity.meet(1, "before", false);
  it.identity.admit();
  return it;
}

const ASK_MS = 1000;

/** Node 1 seeks admission; `during` is told how, and its time goes by. Resolves to how it ended, and when. */
async function seek(
  identity: Identity,
  neighbours: readonly [Neighbour, Neighbour],
  during: (sleep: (ms: number) => Promise<void>) => Promise<void> = async () => {},
): Promise<{ error: unknown; ms: number }> {
  let result: { error: unknown; ms: number } | undefined;
  await simulate({ seed: 1, limitMs: 60_000 }, async ({ clock }) => {
    const other = (it: Neighbour, id: number): Other => ({
      id,
      isConnected: () => it.state !== "away",
      meet: async () => {
        if (it.state === "silent") await clock.sleep(ASK_MS);
        if (it.state !== "answers") return null;
        const known = it.identity.meet(1, identity.incarnation, false);
        return { incarnation: it.identity.incarnation, known, isRefused: it.identity.witness !== null };
      },
    });
    const options: AdmissionOptions = {
      identity,
      myid: 1,
      peers: neighbours.map((it, i) => other(it, i + 2)),
      statusOf: async () => null,
      transfer: async () => null,
      replace: false,
      clock,
      logger: silentLogger,
      signal: new AbortController().signal,
    };
    const startMs = clock.now();
    const end = (error: unknown): void => void (result = { error, ms: clock.now() - startMs });
    const seeking = seekAdmission(options).then(() => end(null), end);
    await Promise.all([seeking, during((ms) => clock.sleep(ms))]);
  });
  return result!;
}

test("S33: who is new waits for one second, not more, before it takes the third node for absent", async () => {
  const { error, ms } = await seek(identityOf(1), [neighbour(2, "answers"), neighbour(3, "away")]);
  expect(error).toBeNull();
  expect(ms).toBeGreaterThanOrEqual(1000);
  expect(ms).toBeLessThan(1200);
});

test("it does not wait where all answer", async () => {
  const { error, ms } = await seek(identityOf(1), [neighbour(2, "answers"), neighbour(3, "answers")]);
  expect({ error, ms }).toEqual({ error: null, ms: 0 });
});

test("S34: two empty nodes are not admitted by each other while the third runs and is not connected yet", async () => {
  const identity = identityOf(1);
  const third = survivor("away");
  const { error } = await seek(identity, [neighbour(2, "answers"), third], async (pass) => {
    await pass(900);
    expect(identity.isAdmitted).toBe(false);
    third.state = "answers";
  });
  expect(error).toMatchObject({ code: "DATA_LOST" });
});

test("S34: nor while it is connected and does not answer, however long", async () => {
  const identity = identityOf(1);
  const third = survivor("silent");
  const { error } = await seek(identity, [neighbour(2, "answers"), third], async (pass) => {
    await pass(20_000);
    expect(identity.isAdmitted).toBe(false);
    third.state = "answers";
  });
  expect(error).toMatchObject({ code: "DATA_LOST" });
});

test("S34: who was refused once is refused after a restart too, and lets nobody else in, with the witness away", async () => {
  const identity = identityOf(1);
  const witness = survivor("answers");
  const second = neighbour(2, "answers");
  expect((await seek(identity, [second, witness])).error).toMatchObject({ code: "DATA_LOST" });
  witness.state = "away";
  expect((await seek(identity, [second, witness])).error).toMatchObject({
    code: "DATA_LOST",
    message: expect.stringMatching(/^node 3 knows/) as string,
  });
  // A third one, as new as the second, that has met none but the one that was refused.
  const refused: Neighbour = { identity, state: "answers" };
  const other = identityOf(1);
  const { error } = await seek(other, [refused, neighbour(3, "away")], async (pass) => {
    await pass(5000);
    expect(other.isAdmitted).toBe(false);
    refused.identity.admit();
  });
  expect(error).toBeNull();
});

test("the gate lets through what goes between two nodes that know each other's data, and nothing else", async () => {
  const [one, two] = [identityOf(1), identityOf(2)];
  const service = new Gate(two).service(makeService("Raft", { Ask: (args: unknown) => ({ heard: args }) }));
  const handler = service.handlers.get("Ask")!;
  const end = new Gate(one).end({ call: async (_, args) => handler(args) as never }, 2);
  const ask = (): Promise<unknown> => end.call("Raft.Ask", "hello");
  const refused = { code: "NOT_ADMITTED" };
  one.meet(2, two.incarnation, false);
  expect(await ask()).toBeNull();
  one.admit();
  await expect(ask()).rejects.toMatchObject(refused);
  two.admit();
  await expect(ask()).rejects.toMatchObject(refused);
  two.meet(1, one.incarnation, false);
  expect(await ask()).toEqual({ heard: "hello" });
  // Somebody else with the place of node 1, and somebody else whom node 1 takes for node 2.
  two.meet(1, "replaced", true);
  await expect(ask()).rejects.toMatchObject(refused);
  two.meet(1, one.incarnation, true);
  one.meet(2, "before", true);
  await expect(ask()).rejects.toMatchObject(refused);
  await expect((async () => handler("hello"))()).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
});
