import { describe, expect, test } from "vitest";

import { runtime, serverOf, timed, until, World } from "./world.js";

const BULK_BYTES = 256 << 10;
const BULK_CALLS = 8;
/** A link of 4 MB/s: the bulk takes half a second. */
const BYTES_PER_MS = 4000;

interface Measured {
  slowestBeatMs: number;
  bulkMs: number;
}

/** Sends bulk data over a slow link, and heartbeats beside it. */
async function measure(bulkBytes: number): Promise<Measured> {
  await using world = new World();
  const handlers = { Bulk: () => ({}), Heartbeat: () => ({}) };
  const { address } = await world.listen({ groups: { g: serverOf(handlers) } });
  const proxy = await world.proxy(address.port);
  proxy.bytesPerMs = BYTES_PER_MS;
  const end = world.connect(proxy.port, { limits: { bulkBytes } });
  await end.ready();
  const progress = { isDone: false };
  const calls = Array.from({ length: BULK_CALLS }, () => end.call("Test.Bulk", new Uint8Array(BULK_BYTES)));
  const bulk = timed(() => Promise.all(calls)).then((result) => {
    progress.isDone = true;
    return result;
  });
  let slowestBeatMs = 0;
  while (!progress.isDone) {
    const { value, ms } = await timed(() => end.call("Test.Heartbeat", [1, 2, 3]));
    expect(value).toEqual({});
    slowestBeatMs = Math.max(slowestBeatMs, ms);
    await runtime.clock.sleep(10);
  }
  const { value, ms: bulkMs } = await bulk;
  expect(value.every((reply) => reply !== null)).toBe(true);
  return { slowestBeatMs, bulkMs };
}

describe("lanes", () => {
  test("heartbeats do not wait behind bulk data; on one connection they would", async () => {
    const apart = await measure(32 << 10);
    expect(apart.bulkMs).toBeGreaterThan(300);
    const together = await measure(1 << 30);
    expect(together.slowestBeatMs).toBeGreaterThan(300);
    expect(apart.slowestBeatMs).toBeLessThan(together.slowestBeatMs / 2);
  });

  test("requests of one method keep their order, small after large", async () => {
    await using world = new World();
    const arrived: number[] = [];
    const append = ([n]: [number, Uint8Array]): object => {
      arrived.push(n);
      return {};
    };
    const server = await world.listen({ groups: { g: serverOf({ Append: append, Vote: append }) } });
    const proxy = await world.proxy(server.address.port);
    proxy.bytesPerMs = 20_000;
    const end = world.connect(proxy.port);
    await end.ready();
    const sizes = [10, 100_000, 10, 10, 50_000, 10];
    const appends = sizes.map((size, n) => end.call("Test.Append", [n, new Uint8Array(size)]));
    const vote = end.call("Test.Vote", [100, new Uint8Array(0)]);
    await Promise.all([...appends, vote]);
    expect(arrived.filter((n) => n < 100)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(arrived.indexOf(100)).toBeLessThan(2);
    expect(server.connections()).toHaveLength(2);
    // When the bulk is through, small ones go the short way again.
    proxy.bytesPerMs = Infinity;
    await end.call("Test.Append", [200, new Uint8Array(0)]);
    expect(arrived.at(-1)).toBe(200);
  });

  test("the second connection is made only when it is needed, and again when it is lost", async () => {
    await using world = new World();
    const server = await world.listen({ limits: { pingMs: 20, idleMs: 80 } });
    const proxy = await world.proxy(server.address.port);
    const end = world.connect(proxy.port, { limits: { pingMs: 20, idleMs: 80 } });
    await end.call("Test.Echo", "small");
    expect(server.connections()).toHaveLength(1);
    await end.call("Test.Echo", "x".repeat(100_000));
    expect(server.connections()).toHaveLength(2);
    proxy.stop();
    await until(() => end.state().status !== "ready", "the loss is noticed");
    proxy.go();
    await end.ready({ timeoutMs: 2000 });
    // The second one may still have to notice; then it answers null, and comes back.
    let reply: unknown = null;
    for (let i = 0; i < 50 && reply === null; i++) {
      reply = await end.call("Test.Echo", "x".repeat(100_000));
      if (reply === null) await runtime.clock.sleep(10);
    }
    expect(reply).not.toBeNull();
  });
});
