import { describe, expect, test } from "vitest";

import { EncodeError, RemoteError } from "../../labrpc/index.js";
import { AbortError, InvalidArgumentError, TimeoutError } from "../../runtime/index.js";
import { connectTo, DisconnectedError, ListenError } from "../../server/transport/index.js";
import { CLUSTER, freePort, LogBook, runtime, serverOf, timed, until, World } from "./world.js";

describe("a call", () => {
  test("gets its reply, a copy of its own, whatever the size", async () => {
    await using world = new World();
    const { address } = await world.listen();
    const end = world.connect(address.port);
    const values = [1, "text", null, [1, [2]], { a: { b: new Uint8Array([1, 2]) } }, "é".repeat(40_000)];
    for (const value of values) expect(await end.call("Test.Echo", value)).toEqual({ args: value });
    const bytes = new Uint8Array(3_000_000).map((_, i) => i * 7);
    const reply = await end.call<{ args: Uint8Array }>("Test.Echo", bytes);
    expect(Buffer.compare(reply!.args, bytes)).toBe(0);
    expect(end.state()).toMatchObject({
      status: "ready",
      error: null,
      inFlight: 0,
      node: { nodeId: "n1", groups: ["g"] },
    });
  });

  test("many at once; replies come in any order", async () => {
    await using world = new World();
    const waiting: (() => void)[] = [];
    const hold = (n: number): Promise<object> => new Promise((resolve) => waiting.push(() => resolve({ n })));
    const { address } = await world.listen({ groups: { g: serverOf({ Hold: hold, Now: (n: number) => ({ n }) }) } });
    const end = world.connect(address.port);
    const held = Array.from({ length: 1000 }, (_, n) => end.call("Test.Hold", n));
    const now = await Promise.all(Array.from({ length: 1000 }, (_, n) => end.call("Test.Now", n)));
    expect(now).toEqual(Array.from({ length: 1000 }, (_, n) => ({ n })));
    expect(waiting).toHaveLength(1000);
    for (const release of waiting.reverse()) release();
    expect(await Promise.all(held)).toEqual(now);
  });

  test("rejects with the server's programming errors", async () => {
    await using world = new World();
    const handlers = {
      Throw: () => {
        throw new Error("spilled");
      },
      Reject: () => Promise.reject(new Error("late")),
      Odd: () => Promise.reject(Object.create(null) as Error),
      Nothing: () => null,
      Function: () => ({ f: () => 1 }),
      Long: () => {
        throw new Error("😀".repeat(10_000));
      },
    };
    const { address } = await world.listen({ groups: { g: serverOf(handlers) } });
    const end = world.connect(address.port);
    const cases = [
      ["Test.Throw", "HANDLER_FAILED", "spilled"],
      ["Test.Reject", "HANDLER_FAILED", "late"],
      ["Test.Odd", "HANDLER_FAILED", "threw a object"],
      ["Test.Nothing", "BAD_REPLY", "null"],
      ["Test.Function", "BAD_REPLY", "reply.f is a function"],
      ["Test.Long", "HANDLER_FAILED", "😀"],
      ["Test.Typo", "UNKNOWN_METHOD", '"Throw"'],
      ["Tset.Throw", "UNKNOWN_SERVICE", 'known are "Test"'],
      ["Test", "BAD_METHOD", "Service.Method"],
    ] as const;
    for (const [method, code, text] of cases) {
      const error = await end.call(method, 1).catch((thrown: unknown) => thrown);
      expect(error, method).toBeInstanceOf(RemoteError);
      expect(error).toMatchObject({ code, message: expect.stringContaining(text) as string });
    }
    expect(end.state().status).toBe("ready");
  });

  test("rejects with EncodeError what cannot be carried, or is too large for the other side", async () => {
    await using world = new World();
    const { address } = await world.listen({ limits: { maxClientFrameBytes: 10_000 } });
    const end = world.connect(address.port);
    await expect(end.call("Test.Echo", { f: () => 1 })).rejects.toThrow("args.f is a function");
    // Both before and after the connection is there to say how much the server takes.
    await expect(end.call("Test.Echo", "x".repeat(10_000))).rejects.toThrow(EncodeError);
    await end.ready();
    await expect(end.call("Test.Echo", "x".repeat(10_000))).rejects.toThrow(/maxClientFrameBytes/);
    expect(await end.call("Test.Echo", "x".repeat(9900))).not.toBeNull();
  });

  test("a reply that is too large for the caller is an error", async () => {
    await using world = new World();
    const { address } = await world.listen({ groups: { g: serverOf({ Big: () => ({ x: "x".repeat(9990) }) }) } });
    const end = world.connect(address.port, { limits: { maxFrameBytes: 10_000, maxClientFrameBytes: 9000 } });
    await expect(end.call("Test.Big", 0)).rejects.toThrow(/maxFrameBytes allows 9995/);
  });
});

describe("groups", () => {
  test("are served on one port over one connection, and do not know each other", async () => {
    await using world = new World();
    const groups = { a: serverOf({ Who: () => ({ is: "a" }) }), b: serverOf({ Who: () => ({ is: "b" }) }, "Other") };
    const server = await world.listen({ groups });
    const a = world.connect(server.address.port, { group: "a" });
    const b = a.forGroup("b");
    expect(await a.call("Test.Who", 0)).toEqual({ is: "a" });
    expect(await b.call("Other.Who", 0)).toEqual({ is: "b" });
    await expect(b.call("Test.Who", 0)).rejects.toThrow('known are "Other"');
    await expect(a.forGroup("c").call("Test.Who", 0)).rejects.toThrow('no group "c" on this node; known are "a", "b"');
    expect(server.connections()).toHaveLength(1);
    await a.close();
    expect(await a.call("Test.Who", 0)).toBeNull();
    expect(await b.call("Other.Who", 0)).toEqual({ is: "b" });
  });

  test("a group may offer clients less than peers", async () => {
    await using world = new World();
    const client = serverOf({ Get: () => ({}) }, "KVServer");
    const peer = serverOf({ Vote: () => ({}) }, "Raft");
    const { address } = await world.listen({ groups: { g: { client, peer } } });
    const asPeer = world.connect(address.port, { as: { nodeId: "n2" } });
    const asClient = world.connect(address.port);
    expect(await asPeer.call("Raft.Vote", 0)).toEqual({});
    expect(await asClient.call("KVServer.Get", 0)).toEqual({});
    await expect(asClient.call("Raft.Vote", 0)).rejects.toThrow('no service "Raft"');
  });
});

describe("a peer that does not answer", () => {
  test("never started: calls answer null at once, and it is found when it starts", async () => {
    await using world = new World();
    const port = await freePort();
    const logger = new LogBook();
    const end = world.connect(port, { logger });
    const { value, ms } = await timed(() => end.call("Test.Echo", 1));
    expect(value).toBeNull();
    expect(ms).toBeLessThan(500);
    // Nobody waits for an attempt that is not being made.
    const again = await timed(() => end.call("Test.Echo", 1));
    expect(again.value).toBeNull();
    expect(again.ms).toBeLessThan(50);
    await expect(end.ready({ timeoutMs: 30 })).rejects.toThrow(/ECONNREFUSED/);
    await world.listen({ port });
    await end.ready({ timeoutMs: 2000 });
    expect(await end.call("Test.Echo", 1)).toEqual({ args: 1 });
    expect(logger.lines).toHaveLength(1);
  });

  test("accepts and says nothing: calls answer null after connectWaitMs, and it delays nobody else", async () => {
    await using world = new World();
    const silent = world.connect(await world.bare(() => {}), { limits: { connectWaitMs: 60, handshakeMs: 250 } });
    const { address } = await world.listen();
    const good = world.connect(address.port);
    await good.ready();
    const call = timed(() => silent.call("Test.Echo", 1));
    const progress = { isOver: false };
    void call.then(() => (progress.isOver = true));
    let served = 0;
    for (; !progress.isOver; served++) expect(await good.call("Test.Echo", served)).toEqual({ args: served });
    expect(served).toBeGreaterThan(20);
    const { value, ms } = await call;
    expect(value).toBeNull();
    expect(ms).toBeGreaterThan(50);
    expect(ms).toBeLessThan(500);
    await until(() => silent.state().error !== null, "handshake given up");
    expect(silent.state().error?.message).toContain("no connection within 250 ms");
  });

  test("a handler that never returns: null after patienceMs, while others are served", async () => {
    await using world = new World();
    const { address } = await world.listen({
      groups: { g: serverOf({ Never: () => new Promise(() => {}), Now: () => ({}) }) },
    });
    const end = world.connect(address.port, { limits: { patienceMs: 80 } });
    await end.ready();
    const never = [timed(() => end.call("Test.Never", 0)), timed(() => end.call("Test.Never", 0))];
    expect(await end.call("Test.Now", 0)).toEqual({});
    for (const { value, ms } of await Promise.all(never)) {
      expect(value).toBeNull();
      expect(ms).toBeGreaterThan(75);
      expect(ms).toBeLessThan(1000);
    }
    expect(end.state().inFlight).toBe(0);
  });

  test("killed and started again: what was under way answers null, and it is found again", async () => {
    await using world = new World();
    const groups = { g: serverOf({ Never: () => new Promise(() => {}) }) };
    const first = await world.listen({ groups });
    const end = world.connect(first.address.port);
    await end.ready();
    const under = end.call("Test.Never", 0);
    await until(() => first.connections()[0]?.running === 1, "the request has arrived");
    await first.close({ timeoutMs: 0 });
    expect(await under).toBeNull();
    expect(end.state().status).toBe("waiting");
    await world.listen({ port: first.address.port });
    await end.ready({ timeoutMs: 2000 });
    expect(await end.call("Test.Echo", 2)).toEqual({ args: 2 });
  });

  test("a pulled cable: both sides notice within the idle limit, and it is found again", async () => {
    await using world = new World();
    const limits = { pingMs: 20, idleMs: 100 };
    const server = await world.listen({ limits });
    const proxy = await world.proxy(server.address.port);
    const end = world.connect(proxy.port, { limits });
    await end.ready();
    // Longer than the limit: pings keep a healthy connection that nobody uses.
    await runtime.clock.sleep(150);
    expect(end.state().status).toBe("ready");
    proxy.stop();
    const { value, ms } = await timed(() => end.call("Test.Echo", 1));
    expect(value).toBeNull();
    expect(ms).toBeLessThan(1000);
    await until(() => server.connections().length === 0, "the server noticed");
    proxy.go();
    await end.ready({ timeoutMs: 2000 });
    expect(await end.call("Test.Echo", 1)).toEqual({ args: 1 });
  });
});

describe("limits", () => {
  test("requests in flight, at the caller and at the server", async () => {
    await using world = new World();
    const groups = { g: serverOf({ Never: () => new Promise(() => {}), Now: () => ({}) }) };
    const { address } = await world.listen({ groups, limits: { maxInFlight: 5 } });
    const own = world.connect(address.port, { limits: { maxInFlight: 3 } });
    await own.ready();
    for (let i = 0; i < 3; i++) void own.call("Test.Never", i);
    expect(await own.call("Test.Now", 0)).toBeNull();
    const other = world.connect(address.port);
    await other.ready();
    for (let i = 0; i < 5; i++) void other.call("Test.Never", i);
    expect(await other.call("Test.Now", 0)).toBeNull();
    expect(other.state()).toMatchObject({ status: "ready", inFlight: 5 });
  });

  test("bytes queued for a peer that takes none; later it gets the rest", async () => {
    await using world = new World();
    const { address } = await world.listen();
    const proxy = await world.proxy(address.port);
    const limits = { maxQueuedBytes: 1 << 20, maxFrameBytes: 1 << 19, maxClientFrameBytes: 1 << 19 };
    const end = world.connect(proxy.port, { limits });
    await end.ready();
    proxy.stop();
    const calls: Promise<unknown>[] = [];
    const seen = { refused: 0 };
    while (seen.refused < 10) {
      const call = end.call("Test.Echo", new Uint8Array(200_000));
      calls.push(call);
      void call.then((reply) => (reply === null ? seen.refused++ : 0));
      await new Promise((resolve) => void setImmediate(resolve));
      expect(end.state().queuedBytes).toBeLessThanOrEqual(limits.maxQueuedBytes);
    }
    expect(seen.refused).toBe(10);
    proxy.go();
    const replies = await Promise.all(calls);
    expect(replies.filter((reply) => reply === null)).toHaveLength(10);
  });

  test("a caller that does not read its replies is not read any more", async () => {
    await using world = new World();
    const big = { bytes: new Uint8Array(400_000) };
    const limits = { maxQueuedBytes: 1 << 20, maxFrameBytes: 1 << 20, maxClientFrameBytes: 1 << 19 };
    const server = await world.listen({ limits, groups: { g: serverOf({ Big: () => big }) } });
    const proxy = await world.proxy(server.address.port);
    const end = world.connect(proxy.port);
    await end.ready();
    proxy.stopReplies();
    const calls: Promise<unknown>[] = [];
    const queued = (): number => server.connections()[0]?.queuedBytes ?? 0;
    // Until all that the system buffers is full, and then some more.
    for (let full = 0; full < 20; full += queued() > 500_000 ? 1 : 0) {
      for (let i = 0; i < 5; i++) calls.push(end.call("Test.Big", 0));
      await runtime.clock.sleep(2);
      expect(queued()).toBeLessThan(1.1 * limits.maxQueuedBytes);
    }
    proxy.go();
    // Every call is answered, the ones that found no room with null.
    const replies = await Promise.all(calls);
    expect(replies.some((reply) => reply !== null)).toBe(true);
    expect(replies.some((reply) => reply === null)).toBe(true);
    expect(end.state().status).toBe("ready");
  });

  test("connections: clients leave room for peers, and nobody gets beyond the last", async () => {
    await using world = new World();
    const logger = new LogBook();
    const { address } = await world.listen({ logger, limits: { maxConnections: 3, maxClientConnections: 2 } });
    const clients = [world.connect(address.port), world.connect(address.port)];
    for (const client of clients) await client.ready();
    const third = world.connect(address.port);
    await until(() => third.state().error !== null, "refused");
    expect(third.state().error).toMatchObject({ code: "REFUSED", reason: "busy" });
    await third.close();
    const peer = world.connect(address.port, { as: { nodeId: "n2" } });
    await peer.ready({ timeoutMs: 3000 });
    const fourth = world.connect(address.port);
    expect(await fourth.call("Test.Echo", 0)).toBeNull();
    await until(() => logger.lines.some((line) => line.includes("dropped")), "dropped");
    await fourth.close();
    // Room again: a client that waited gets in.
    await clients[0]?.close();
    const later = world.connect(address.port);
    await later.ready({ timeoutMs: 3000 });
  });

  test("unknown and impossible limits are named", async () => {
    await using world = new World();
    await expect(world.listen({ limits: { maxFrame: 1 } as object })).rejects.toThrow(
      /unknown transport limit "maxFrame"/,
    );
    await expect(world.listen({ limits: { idleMs: 0 } })).rejects.toThrow(/idleMs must be a number above 0/);
    await expect(world.listen({ limits: { idleMs: 500 } })).rejects.toThrow(/pingMs .1000. must not be above idleMs/);
  });
});

describe("opening and closing", () => {
  test("ready: limits, signals, close", async () => {
    await using world = new World();
    const end = world.connect(await freePort());
    await expect(end.ready({ timeoutMs: 10 })).rejects.toThrow(TimeoutError);
    const controller = new AbortController();
    const waiting = end.ready({ signal: controller.signal });
    controller.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow(AbortError);
    await expect(end.ready({ signal: controller.signal })).rejects.toThrow(AbortError);
    const closing = end.ready();
    await end.close();
    await expect(closing).rejects.toThrow(DisconnectedError);
    await expect(end.ready()).rejects.toThrow(DisconnectedError);
    expect(end.state().status).toBe("closed");
    expect(await end.call("Test.Echo", 1)).toBeNull();
  });

  test("closing an end answers null to what is under way", async () => {
    await using world = new World();
    const server = await world.listen({ groups: { g: serverOf({ Never: () => new Promise(() => {}) }) } });
    const end = world.connect(server.address.port);
    await end.ready();
    const calls = [end.call("Test.Never", 1), end.call("Test.Never", new Uint8Array(100_000))];
    await end.close();
    expect(await Promise.all(calls)).toEqual([null, null]);
    await until(() => server.connections().length === 0, "the server noticed");
  });

  test("closing a server lets requests in progress finish, and takes no new ones", async () => {
    await using world = new World();
    let finish = (): void => {};
    const slow = (): Promise<object> => new Promise((resolve) => (finish = () => resolve({ done: true })));
    const server = await world.listen({ groups: { g: serverOf({ Slow: slow, Now: () => ({}) }) } });
    const end = world.connect(server.address.port);
    await end.ready();
    const call = end.call("Test.Slow", 0);
    await until(() => server.connections()[0]?.running === 1, "the request has arrived");
    const closing = server.close({ timeoutMs: 2000 });
    expect(await end.call("Test.Now", 0)).toBeNull();
    finish();
    expect(await call).toEqual({ done: true });
    expect((await timed(() => closing)).ms).toBeLessThan(500);
  });

  test("closing a server is bounded, by its time and by a signal", async () => {
    await using world = new World();
    const groups = { g: serverOf({ Never: () => new Promise(() => {}) }) };
    for (const options of [{ timeoutMs: 50 }, { signal: AbortSignal.timeout(50), timeoutMs: 60_000 }]) {
      const server = await world.listen({ groups });
      const end = world.connect(server.address.port);
      await end.ready();
      void end.call("Test.Never", 0);
      await until(() => server.connections()[0]?.running === 1, "the request has arrived");
      expect((await timed(() => server.close(options))).ms).toBeLessThan(500);
    }
  });

  test("wrong options and taken ports are errors that say what to do", async () => {
    await using world = new World();
    const { address } = await world.listen();
    await expect(world.listen({ port: address.port })).rejects.toThrow(ListenError);
    await expect(world.listen({ port: address.port })).rejects.toThrow(/another process uses it/);
    await expect(world.listen({ groups: {} })).rejects.toThrow(InvalidArgumentError);
    await expect(world.listen({ groups: { "a/b": serverOf({}) } })).rejects.toThrow(/without "\/"/);
    await expect(world.listen({ nodeId: "" })).rejects.toThrow(/nodeId/);
    await expect(world.listen({ secret: "short" })).rejects.toThrow(/openssl rand/);
    const base = { runtime, host: "127.0.0.1", port: 1, clusterId: CLUSTER, as: "client", group: "g" } as const;
    for (const wrong of [{ port: 0 }, { port: 70_000 }, { host: "" }, { group: "" }, { as: { nodeId: "" } }]) {
      expect(() => connectTo({ ...base, ...wrong }), JSON.stringify(wrong)).toThrow(InvalidArgumentError);
    }
  });

  test("the advertised address is its own thing, and callers learn it", async () => {
    await using world = new World();
    const server = await world.listen({ advertise: { host: "db1.example" } });
    expect(server.address.host).toBe("127.0.0.1");
    expect(server.advertised).toEqual({ host: "db1.example", port: server.address.port });
    const end = world.connect(server.address.port);
    await end.ready();
    expect(end.state().node?.advertised).toBe(`db1.example:${server.address.port}`);
  });
});
