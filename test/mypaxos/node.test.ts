import { existsSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, onTestFinished, test } from "vitest";

import { connect, PaxosClient, PaxosNode, startPaxosNode } from "../../server/index.js";
import type { NodeAddress } from "../../server/index.js";
import type { EngineName } from "../../server/engines.js";
import { addresses, scratch } from "../harness/nodes.js";
import { track } from "../harness/service-cluster.js";
import { until, within } from "../harness/waiting.js";
import { PaxosNodes } from "./paxos-nodes.js";
import { ENGINES, Journal } from "./virtual-group.js";

const names = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${prefix}${i}`);

describe("groups", () => {
  test("are independent logs on one port; buffers of different groups do not mix", async () => {
    const nodes = await PaxosNodes.start();
    const client = nodes.client({ sendBufferSize: 2, flushIntervalMs: 60_000 });
    const first = client.submit("one", 1);
    const second = client.submit("two", 2);
    await client.flush();
    expect(await Promise.all([first, second])).toEqual(["1:one", "1:two"]);
    for (const id of [1, 2, 3]) {
      expect(await nodes.reach(id, 1, 1)).toEqual(["one"]);
      expect(await nodes.reach(id, 2, 1)).toEqual(["two"]);
    }
    expect(Object.keys(nodes.node(1).status().groups)).toEqual(["group-1", "group-2"]);
    const { group, leader } = await new Promise<{ group: number; leader: number | null }>((resolve) => {
      nodes.node(1).once("leader", resolve);
      void nodes.kill(2).then(() => nodes.kill(3));
    });
    expect([1, 2]).toContain(group);
    expect(leader).not.toBe(1);
  });

  test("flush of one group leaves the others' buffers as they are", async () => {
    const nodes = await PaxosNodes.start([1], { nodes: await addresses(1) });
    const client = nodes.client({ flushIntervalMs: 60_000 });
    client.setRemoteAddress("127.0.0.1", nodes.node(1).address.port);
    const first = client.submit("one", 1);
    const second = client.submit("two", 2);
    await client.flush(1);
    expect(await first).toBe("1:one");
    expect(nodes.journal(1, 2).items).toEqual([]);
    await client.flush(2);
    expect(await second).toBe("1:two");
  });

  test("an unknown group is an error to its sender, and nothing else", async () => {
    const nodes = await PaxosNodes.start();
    const client = nodes.client();
    await expect(client.submit("x", 3)).rejects.toMatchObject({
      code: "UNKNOWN_GROUP",
      group: 3,
      message: expect.stringMatching(/there is no group 3: .*"group-1", "group-2"/) as string,
    });
    expect(await client.submit("x", 1)).toBe("1:x");
    await expect(client.submit("x", 1.5)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(() => nodes.node(1).leaderOf(9)).toThrow(/no group "group-9"/);
  });

  test("a callback that throws stops its group on that node, is not run twice, and the others go on", async () => {
    const nodes = await PaxosNodes.start();
    const client = nodes.client();
    await client.submit("a", 1);
    const leader = await nodes.leader();
    const failure = new Promise((resolve) => nodes.node(leader).once("failure", (...args) => resolve(args)));
    let calls = 0;
    nodes.journal(leader, 1).onItem = () => {
      calls++;
      throw new Error("out of paper");
    };
    expect(await client.submit("b", 1)).toBe("2:b");
    expect(await failure).toMatchObject([{ code: "STATE_MACHINE", cause: { code: "CALLBACK_FAILED" } }, 1]);
    const { groups } = nodes.node(leader).status();
    expect(groups["group-1"]!.failure).toMatch(/callback of group 1 threw at item 1 of 1 .*: out of paper/);
    expect(groups["group-2"]!.failure).toBeNull();
    // Through the node whose group has stopped, too.
    const other = nodes.client({}, [leader]);
    expect(await other.submit("c", 1)).toBe("3:c");
    expect(await other.submit("c", 2)).toBe("1:c");
    await nodes.reach(leader, 2, 1);
    expect(calls).toBe(1);
  });
});

describe.each(ENGINES)("nodes that are away, over $name", ({ name }) => {
  test("one that was never started stalls nobody", async () => {
    const nodes = await PaxosNodes.start([1, 2], {}, name);
    const client = nodes.client();
    for (let i = 1; i <= 20; i++) expect(await client.submit("x", 1)).toBe(`${i}:x`);
    await nodes.start(3);
    await nodes.reach(3, 1, 20);
  });

  test("one that comes back is reached again, by all and whoever restarts after it, and catches up", async () => {
    const nodes = await PaxosNodes.start([1, 2, 3], {}, name);
    const client = nodes.client({}, [1, 2, 3]);
    await client.submit("before", 1);
    for (const id of [1, 2, 3]) {
      await nodes.kill(id);
      await client.submitAll(names(`${id}/`, 50), 1);
      await nodes.start(id);
      await nodes.reach(id, 1, 1 + 50 * id);
    }
    expect(nodes.journal(3, 1).items).toEqual(["before", ...names("1/", 50), ...names("2/", 50), ...names("3/", 50)]);
  });

  test("a client of one node goes on with the others when that one ends", async () => {
    const nodes = await PaxosNodes.start([1, 2, 3], {}, name);
    const client = nodes.client({}, [2]);
    await client.submit("a", 1);
    await nodes.kill(2);
    expect(await client.submit("b", 1)).toBe("2:b");
  });

  test("after all three are killed: the callback is run for the whole log again, in no time, and items go on", async () => {
    const nodes = await PaxosNodes.start([1, 2, 3], {}, name);
    const client = nodes.client({ sendBufferSize: 1 }, [1, 2, 3]);
    for (const item of names("i", 100)) await client.submit(item, 1);
    await Promise.all([1, 2, 3].map((id) => nodes.kill(id)));
    const before = performance.now();
    await Promise.all([1, 2, 3].map((id) => nodes.start(id)));
    expect(await client.submit("again", 1)).toBe("101:again");
    for (const id of [1, 2, 3]) expect(await nodes.reach(id, 1, 101)).toEqual([...names("i", 100), "again"]);
    expect(performance.now() - before).toBeLessThan(10_000);
  });
});

describe.each(ENGINES)("two clients through two nodes at the same time, over $name", ({ name }) => {
  test("six rounds of two items: all twelve, once, in the same order on all nodes", async () => {
    const nodes = await PaxosNodes.start([1, 2, 3], {}, name);
    const clients = [nodes.client({ sendBufferSize: 1 }, [1]), nodes.client({ sendBufferSize: 1 }, [2])];
    for (let round = 1; round <= 6; round++) {
      await Promise.all(clients.map((client, i) => client.submit(`${round}/${i}`, 1)));
    }
    const [first, ...others] = await Promise.all([1, 2, 3].map((id) => nodes.reach(id, 1, 12)));
    expect(first).toHaveLength(12);
    expect(new Set(first).size).toBe(12);
    for (const other of others) expect(other).toEqual(first);
  });
});

describe("snapshots", () => {
  test("with { apply, snapshot, restore } the log is trimmed, and a restart begins with the snapshot", async () => {
    const nodes = await addresses(1);
    const dataDir = scratch();
    const config = { nodes, myid: 1, timeout: 50, dataDir };
    const options = { maxRaftState: 2000 };
    const journal = new Journal();
    {
      await using node = await startPaxosNode(config, { ...options, groups: { 1: journal, 2: () => undefined } });
      await using client = new PaxosClient({ nodes, sendBufferSize: 1 });
      for (const item of names("item ", 100)) await client.submit(item, 1);
      for (const item of names("item ", 100)) await client.submit(item, 2);
      const { groups } = node.status();
      expect(groups["group-1"]!.snapshotIndex).toBeGreaterThan(50);
      expect(groups["group-1"]!.logBytes).toBeLessThan(2000);
      // A callback alone: its log is what there is.
      expect(groups["group-2"]).toMatchObject({ snapshotIndex: 0, firstIndex: 1 });
      expect(existsSync(join(dataDir, "node-1", "group-2"))).toBe(true);
    }
    const again = new Journal();
    let applied = 0;
    again.onItem = () => void applied++;
    await using node = await startPaxosNode(config, { ...options, groups: { 1: again, 2: () => undefined } });
    await using client = new PaxosClient({ nodes });
    expect(await client.submit("last", 1)).toBe("101:last");
    expect(again.items).toEqual([...journal.items, "last"]);
    expect(applied).toBeLessThan(50);
    await node.close();
    // What is in a snapshot cannot be given to a callback item by item.
    await expect(startPaxosNode(config, { groups: { 1: () => {}, 2: () => {} } })).rejects.toMatchObject({
      code: "STATE_MACHINE",
      message: expect.stringMatching(/a callback alone cannot read; give it restore/) as string,
    });
  });

  test.each<[what: string, engine: EngineName, fail: () => unknown, message: RegExp]>(
    ENGINES.flatMap(({ name }) => [
      [
        `throws, over ${name}`,
        name,
        () => {
          throw new Error("out of paper");
        },
        /callback of group 1 threw in snapshot\(\): out of paper/,
      ],
      [`returns nothing, over ${name}`, name, () => undefined, /returned undefined in snapshot\(\)/],
      [`returns a promise, over ${name}`, name, () => Promise.resolve(), /returned a promise in snapshot\(\)/],
    ]),
  )(
    "one that %s stops the group on that node; others answer, and each item is applied once",
    async (_, engine, fail, message) => {
      const nodes = await addresses(3);
      const dataDir = scratch();
      const groups = nodes.map(() => new Journal());
      const running = await Promise.all(
        nodes.map(({ id }, i) => {
          const config = { nodes, myid: id, timeout: 150, dataDir };
          return startPaxosNode(config, { engine, maxRaftState: 2000, groups: { 1: groups[i] as Journal } });
        }),
      );
      onTestFinished(() => Promise.all(running.map((node) => node.close({ timeoutMs: 0 }))).then(() => {}));
      const clients = [1, 2, 3, 4].map(() => new PaxosClient({ nodes, sendBufferSize: 1 }));
      onTestFinished(() => Promise.all(clients.map((client) => client.close({ timeoutMs: 0 }))).then(() => {}));
      await clients[0]?.submit("first", 1);
      const leader = running.findIndex((node) => node.leaderOf(1) === node.id);
      const failure = new Promise((resolve) => running[leader]?.once("failure", (...args) => resolve(args)));
      (groups[leader] as Journal).snapshot = fail as () => Uint8Array;
      const lists = clients.map((_client, i) => names(`client ${i} item `, 20));
      await Promise.all(
        clients.map(async (client, i) => {
          for (const item of lists[i] as string[])
            expect(await client.submit(item, 1)).toMatch(new RegExp(`:${item}$`));
        }),
      );
      const text = expect.stringMatching(message) as string;
      expect(await failure).toMatchObject([
        { code: "STATE_MACHINE", message: text, cause: { code: "CALLBACK_FAILED" } },
        1,
      ]);
      const items = groups.findIndex((_group, i) => i !== leader && running[i]?.leaderOf(1) === running[i]?.id);
      expect(groups[items]?.items.toSorted()).toEqual(["first", ...lists.flat()].toSorted());
    },
  );

  test("a client of another kind asks for a snapshot of a callback alone: an error to it, and the group goes on", async () => {
    const nodes = await PaxosNodes.start();
    const client = nodes.client();
    await client.submit("a", 1);
    await using admin = connect({ nodes: nodes.addresses, group: "group-1" });
    await expect(admin.snapshot(1)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(await client.submit("b", 1)).toBe("2:b");
  });
});

describe("a node", () => {
  test("runs Multi-Paxos; one with another engine is refused, and its data too", async () => {
    const nodes = await PaxosNodes.start([1, 2]);
    expect(await nodes.client().submit("x", 1)).toBe("1:x");
    expect(nodes.node(1).status().engine).toBe("paxos");
    // An empty directory: it starts, and nobody talks to it.
    const stranger = await nodes.start(3, { engine: "raft" });
    const refusal = /runs the engine "paxos", the caller "raft"; all nodes must run the same/;
    await until(5000, "a refusal", () => {
      const errors = stranger.status().peers.map(({ error }) => error ?? "");
      return errors.length === 2 && errors.every((error) => refusal.test(error));
    });
    await nodes.kill(2);
    await expect(nodes.start(2, { engine: "raft" })).rejects.toMatchObject({
      code: "WRONG_DIRECTORY",
      message: expect.stringMatching(/belongs to engine "paxos", but the configuration says "raft"/) as string,
    });
    await nodes.start(2);
    expect(await nodes.client().submit("y", 1)).toBe("2:y");
  });

  test("without persistence warns, and keeps nothing", async () => {
    const lines: string[] = [];
    const note = (_: object, message: string): void => void lines.push(message);
    const dataDir = scratch();
    const config = { nodes: await addresses(1), myid: 1, timeout: 50, dataDir, enableDataPersistence: false };
    const logger = { debug: note, info: note, warn: note, error: note };
    await using node = await startPaxosNode(config, { groups: { 1: () => "ok" }, logger });
    await using client = new PaxosClient({ nodes: config.nodes });
    expect(await client.submit("x", 1)).toBe("ok");
    expect(lines.join("\n")).toMatch(/enableDataPersistence is off/);
    expect(existsSync(join(dataDir, "node-1"))).toBe(false);
    expect(() => node.setGroupId(2, () => {})).toThrow(/this node has started/);
    await expect(node.start()).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });

  test("that cannot start throws, and can be closed", async () => {
    const nodes = await addresses(1);
    const config = { nodes, myid: 1, timeout: 50, enableDataPersistence: false };
    await using first = await startPaxosNode(config, { groups: { 1: () => {} } });
    expect(first.address.port).toBe(nodes[0]!.port);
    const second = new PaxosNode(config, { groups: { 1: () => {} } });
    await expect(second.start()).rejects.toMatchObject({ code: "LISTEN_FAILED" });
    await second.close();
  });
});

describe("a client", () => {
  test("what is in the buffer at close is sent; afterwards calls are refused", async () => {
    const nodes = await PaxosNodes.start();
    const client = nodes.client({ sendBufferSize: 100, flushIntervalMs: 60_000 });
    const answers = [client.submit("a", 1), client.submit("b", 2), client.submit("c", 1)];
    await client.close();
    expect(await Promise.all(answers)).toEqual(["1:a", "1:b", "2:c"]);
    await expect(client.submit("d", 1)).rejects.toMatchObject({ code: "CLOSED", maybeApplied: false });
    await expect(client.submitAll([], 1)).rejects.toMatchObject({ code: "CLOSED" });
    expect(() => client.setRemoteAddress("127.0.0.1", 1)).toThrow(/this client is closed/);
    await client.close();
  });

  test("close gives up after its limit: what was never sent certainly does not happen", async () => {
    const [nowhere] = (await addresses(1)) as [NodeAddress];
    const client = new PaxosClient();
    client.setRemoteAddress(nowhere.host, nowhere.port);
    const item = track(client.submit("a", 1));
    await within(5000, "the end of close", client.close({ timeoutMs: 200 }));
    expect(item.error).toMatchObject({ code: "CLOSED", maybeApplied: false });
  });

  test("limits of a call hold where no node answers", async () => {
    const [nowhere] = (await addresses(1)) as [NodeAddress];
    await using client = new PaxosClient({ nodes: [nowhere] });
    const limited = client.submit("a", 1, { timeoutMs: 200 });
    await expect(limited).rejects.toMatchObject({ code: "TIMEOUT", maybeApplied: false });
    await expect(client.submit("a", 1, { signal: AbortSignal.abort("no") })).rejects.toMatchObject({ code: "ABORTED" });
    await expect(client.submit("a", 1, { timeoutMs: -1 })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });

  test("of another cluster is refused, instead of trying for ever", async () => {
    const nodes = await PaxosNodes.start([1]);
    await using stranger = new PaxosClient({ nodes: [nodes.addresses[0] as NodeAddress], clusterId: "other" });
    await expect(stranger.submit("a", 1)).rejects.toMatchObject({ code: "REFUSED", reason: "cluster" });
  });

  test("without an address, or with wrong arguments, says so", async () => {
    const client = new PaxosClient();
    await expect(client.submit("a", 1)).rejects.toMatchObject({ code: "NO_ADDRESS" });
    client.setRemoteAddress("127.0.0.1", 1);
    await expect(client.submit(7 as unknown as string, 1)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    await expect(client.submit("x".repeat(9 << 20), 1)).rejects.toMatchObject({ code: "ENCODE" });
    await expect(client.submitAll("ab" as unknown as string[], 1)).rejects.toThrow(/takes a list of items/);
    expect(await client.submitAll([], 1)).toEqual([]);
    expect(() => client.setSendBufferSize(0)).toThrow(/from 1 on, not 0/);
    expect(() => new PaxosClient({ sendBufferSize: 1.5 })).toThrow(/from 1 on, not 1.5/);
    expect(() => new PaxosClient({ flushIntervalMs: -1 })).toThrow(/flushIntervalMs must be from 0 to 60000/);
    expect(() => new PaxosClient({ clusterID: "x" } as object)).toThrow(/did you mean clusterId/);
    await client.close();
  });

  test("bytes are copied when they are submitted", async () => {
    const nodes = await PaxosNodes.start();
    const client = nodes.client();
    const bytes = Uint8Array.from(Buffer.from("abc"));
    const answer = client.submit(bytes, 1);
    bytes.fill(0x78);
    expect(await answer).toBe("1:abc");
  });

  test("a batch is never larger than a message may be", async () => {
    const limits = { maxClientFrameBytes: 10_000, maxFrameBytes: 20_000 };
    const nodes = await addresses(1);
    const config = { nodes, myid: 1, timeout: 50, enableDataPersistence: false };
    await using _node = await startPaxosNode(config, { limits, groups: { 1: (bytes) => bytes.length } });
    await using client = new PaxosClient({ nodes, limits, sendBufferSize: 1000 });
    const [most, part] = [10_000 - 256 - 5, 3000];
    const items = [part, part, part, part, most, 0, 0, part, part].map((length) => new Uint8Array(length));
    expect(await Promise.all(items.map((item) => client.submit(item, 1)))).toEqual(items.map(({ length }) => length));
    const empty = Array.from({ length: 5000 }, () => client.submit("", 1));
    expect(new Set(await Promise.all(empty))).toEqual(new Set([0]));
    await expect(client.submit(new Uint8Array(most + 1), 1)).rejects.toMatchObject({ code: "ENCODE" });
    const many = Array.from({ length: 2000 }, () => "");
    await expect(client.submitAll(many, 1)).rejects.toThrow(/a batch of 10000 bytes, and 9744 are allowed/);
  });

  test("many items: all arrive, in order, whatever the size of the buffer", async () => {
    const nodes = await PaxosNodes.start();
    const client = nodes.client({ sendBufferSize: 50 });
    const items = names("item ", 5000);
    await Promise.all(items.map((item) => client.submit(item, 1)));
    const journals = await Promise.all([1, 2, 3].map((id) => nodes.reach(id, 1, items.length)));
    for (const journal of journals) expect(journal).toEqual(items);
    await until(5000, "an idle client", () => client.flush().then(() => true));
  });
});
