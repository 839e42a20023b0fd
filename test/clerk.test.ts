import { describe, expect, test } from "vitest";

import { makeClerk, startKVServer } from "../kvraft/index.js";
import type { Clerk, KVServer } from "../kvraft/index.js";
import { makeService, RemoteError, Server } from "../labrpc/index.js";
import { AbortError, InvalidArgumentError, TimeoutError } from "../runtime/index.js";
import { clerkStory } from "./harness/clerk-story.js";
import { forSeeds } from "./harness/seeds.js";
import { eventually, ServiceCluster, track } from "./harness/service-cluster.js";
import { Tap } from "./harness/tapped-end.js";

const others = (cluster: ServiceCluster<KVServer>, i: number): number[] =>
  cluster.nodes.map((_, j) => j).filter((j) => j !== i);

describe("clerk: operations", () => {
  test("does what the contract says", () =>
    clerkStory(3, {}, async ({ clerk, cluster }) => {
      expect(await clerk.get("x")).toBe("");
      expect(await clerk.read("x")).toBeNull();
      expect(await clerk.delete("x")).toBe(false);
      expect(await clerk.putIf("x", "no", 1)).toEqual({ ok: false, version: 0 });
      expect(await clerk.putIf("x", "a", 0)).toEqual({ ok: true, version: 1 });
      expect(await clerk.putIf("x", "b", 0)).toEqual({ ok: false, version: 1 });
      expect(await clerk.append("x", "b")).toBeUndefined();
      expect(await clerk.put("y", "")).toBeUndefined();
      expect(await clerk.read("x")).toEqual({ value: "ab", version: 2 });
      expect(await clerk.read("y")).toEqual({ value: "", version: 1 });
      expect(await clerk.get("y")).toBe("");
      expect(await clerk.delete("x")).toBe(true);
      expect(await clerk.get("x")).toBe("");
      expect(cluster.node(await cluster.leader()).status()).toMatchObject({ keys: 1, revision: 4, sessions: 1 });
    }));

  test("reads through the log give the same answers", () =>
    clerkStory(3, { readMode: "log" }, async ({ clerk }) => {
      expect(await clerk.get("x")).toBe("");
      await clerk.put("x", "a");
      expect(await Promise.all([clerk.get("x"), clerk.read("x")])).toEqual(["a", { value: "a", version: 1 }]);
    }));

  test("refuses wrong arguments and sends nothing for them", () =>
    clerkStory(1, {}, async ({ clerk, tap }) => {
      const bad = clerk as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
      const calls = [
        () => bad["get"]!(1),
        () => bad["get"]!(undefined),
        () => bad["put"]!("x", null),
        () => bad["append"]!("x"),
        () => bad["put"]!("x", "\ud800"),
        () => bad["get"]!("\udc00x"),
        () => bad["putIf"]!("x", "a", -1),
        () => bad["putIf"]!("x", "a", 1.5),
        () => bad["putIf"]!("x", "a"),
        () => clerk.get("x", { timeoutMs: NaN }),
        () => clerk.get("x", { timeoutMs: -1 }),
        () => clerk.close({ timeoutMs: -1 }),
      ];
      for (const call of calls) await expect(call(), String(call)).rejects.toBeInstanceOf(InvalidArgumentError);
      expect(tap.calls).toEqual([]);
      expect(await clerk.get("x")).toBe("");
    }));

  test("needs at least one server", () =>
    forSeeds(1, async (runtime) => {
      expect(() => makeClerk([], { runtime })).toThrow(InvalidArgumentError);
    }));

  test("a programming error is not retried", () =>
    forSeeds(1, async (runtime) => {
      const cluster = new ServiceCluster<KVServer>(runtime, 1, (context) =>
        startKVServer({ ...context, maxRaftState: -1, runtime }),
      );
      const wrong = new Server();
      wrong.addService(makeService("Other", {}));
      cluster.network.addServer("server-0", wrong);
      const tap = new Tap(cluster.clientEnds());
      const clerk = makeClerk(tap.ends, { runtime });
      const error = await clerk.get("x").catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(RemoteError);
      expect(error).toMatchObject({ code: "UNKNOWN_SERVICE" });
      expect(tap.calls).toHaveLength(1);
      await expect(clerk.put("x", "a")).rejects.toBeInstanceOf(RemoteError);
    }));
});

describe("clerk: limits", () => {
  test("an aborted signal and no time at all send nothing", () =>
    clerkStory(1, {}, async ({ runtime, clerk, tap }) => {
      const abort = await clerk.put("x", "a", { signal: AbortSignal.abort("gone") }).catch((error: unknown) => error);
      expect(abort).toBeInstanceOf(AbortError);
      expect(abort).toMatchObject({ code: "ABORTED", maybeApplied: false, cause: "gone" });
      const timeout = await clerk.put("x", "a", { timeoutMs: 0 }).catch((error: unknown) => error);
      expect(timeout).toBeInstanceOf(TimeoutError);
      expect(timeout).toMatchObject({ code: "TIMEOUT", maybeApplied: false });
      await runtime.clock.sleep(1000);
      expect(tap.calls).toEqual([]);
    }));

  test("no server is up: the deadline holds, and then nothing more is sent", () =>
    clerkStory(5, {}, async ({ runtime, cluster, clerk, tap }) => {
      await clerk.put("x", "a");
      cluster.shutdownAll();
      const before = runtime.clock.now();
      await expect(clerk.put("x", "b", { timeoutMs: 1500 })).rejects.toMatchObject({
        code: "TIMEOUT",
        maybeApplied: true,
      });
      expect(runtime.clock.now() - before).toBeCloseTo(1500);
      const sent = tap.calls.length;
      await runtime.clock.sleep(60_000);
      expect(tap.calls.length).toBe(sent);
    }));

  test("a read has no effect that could be in doubt", () =>
    clerkStory(3, {}, async ({ cluster, clerk }) => {
      cluster.shutdownAll();
      await expect(clerk.get("x", { timeoutMs: 1500 })).rejects.toMatchObject({ code: "TIMEOUT", maybeApplied: false });
    }));

  test("a write that every server refused may happen: a copy that the network made can come when there is a leader", () =>
    clerkStory(5, {}, async ({ runtime, cluster, clerk, tap }) => {
      await clerk.put("x", "a");
      cluster.partition([0], [1], [2]);
      await runtime.clock.sleep(5000);
      await expect(clerk.put("x", "b", { timeoutMs: 2000 })).rejects.toMatchObject({ maybeApplied: true });
      const copy = tap.calls.findLast(({ args }) => JSON.stringify(args).includes('"b"'))!;
      cluster.heal();
      const leader = await cluster.leader();
      await cluster.clientEnds()[leader]!.call(copy.method, copy.args);
      expect(await clerk.get("x")).toBe("b");
    }));

  test("a write that waits behind another one was not sent", () =>
    clerkStory(5, {}, async ({ runtime, cluster, clerk, tap }) => {
      await clerk.put("x", "a");
      const leader = await cluster.leader();
      cluster.isolate(leader);
      const first = track(clerk.put("x", "b", { timeoutMs: 600 }));
      await runtime.clock.sleep(10);
      await expect(clerk.put("x", "c", { timeoutMs: 300 })).rejects.toMatchObject({
        code: "TIMEOUT",
        maybeApplied: false,
      });
      await eventually(runtime, () => first.settled);
      expect(first.error).toMatchObject({ code: "TIMEOUT", maybeApplied: true });
      expect(tap.requests.flat()).not.toContainEqual([1, "x", "c"]);
    }));

  test("an abort ends the call at once, with the signal's reason", () =>
    clerkStory(5, {}, async ({ runtime, cluster, clerk, tap }) => {
      cluster.shutdownAll();
      const controller = new AbortController();
      const reason = new Error("the user went home");
      const put = track(clerk.put("x", "a", { signal: controller.signal }));
      await runtime.clock.sleep(2345);
      expect(put.settled).toBe(false);
      controller.abort(reason);
      await runtime.clock.sleep(0);
      expect(put.error).toBeInstanceOf(AbortError);
      expect((put.error as AbortError).cause).toBe(reason);
      const sent = tap.calls.length;
      await runtime.clock.sleep(10_000);
      expect(tap.calls.length).toBe(sent);
    }));

  test("a call that ends takes its place in later attempts with it, and nothing else", () =>
    clerkStory(5, {}, async ({ runtime, clerk, tap }) => {
      await clerk.put("x", "0");
      const controller = new AbortController();
      tap.onCall = ({ method }) => (method === "KVServer.Request" ? Promise.resolve(null) : undefined);
      const first = clerk.append("x", "1");
      const doomed = track(clerk.append("x", "2", { signal: controller.signal }));
      const read = clerk.get("y", { signal: controller.signal });
      const last = clerk.append("x", "3");
      await runtime.clock.sleep(50);
      controller.abort();
      await expect(read).rejects.toMatchObject({ maybeApplied: false });
      tap.calls.length = 0;
      tap.onCall = () => undefined;
      await Promise.all([first, last]);
      expect(doomed.error).toMatchObject({ code: "ABORTED", maybeApplied: true });
      for (const slots of tap.requests) expect(slots).toEqual([[2, "x", "1"], null, [2, "x", "3"]]);
      expect(await clerk.get("x")).toBe("013");
    }));

  test("a limit that is not met changes nothing, and leaves nothing behind", () =>
    clerkStory(1, {}, async ({ clerk }) => {
      const { signal } = new AbortController();
      let listeners = 0;
      const add = signal.addEventListener.bind(signal);
      const remove = signal.removeEventListener.bind(signal);
      signal.addEventListener = (...args: Parameters<typeof add>) => (listeners++, add(...args));
      signal.removeEventListener = (...args: Parameters<typeof remove>) => (listeners--, remove(...args));
      await clerk.put("x", "a", { signal, timeoutMs: 10_000 });
      expect(await clerk.get("x", { signal, timeoutMs: Infinity })).toBe("a");
      expect(listeners).toBe(0);
    }));
});

describe("clerk: many calls at once", () => {
  test("take effect in the order in which they were made, in few requests", () =>
    clerkStory(5, {}, async ({ clerk, tap }) => {
      const calls: Promise<unknown>[] = [];
      for (let i = 0; i < 500; i++) calls.push(i % 5 === 4 ? clerk.get("x") : clerk.append("x", `${i},`));
      const results = await Promise.all(calls);
      const wanted = Array.from({ length: 500 }, (_, i) => i);
      for (let i = 4; i < 500; i += 5) {
        const before = wanted.slice(0, i).filter((n) => n % 5 !== 4);
        expect(results[i]).toBe(before.map((n) => `${n},`).join(""));
      }
      // A write after a read of the same key begins a new request.
      expect(tap.requests.length).toBeLessThan(110);
    }));

  test("keep their order over a lossy network", () =>
    clerkStory(10, { maxRaftState: 1000 }, async ({ clerk, cluster, runtime }) => {
      cluster.network.reliable(false);
      const writer = makeClerk(cluster.clientEnds(), { runtime });
      const reads: Promise<string>[] = [];
      let expected = "";
      const values: string[] = [];
      for (let i = 0; i < 100; i++) {
        void writer.append("x", `${i},`);
        void clerk.append("y", "noise");
        expected += `${i},`;
        if (i % 7 === 0) {
          reads.push(writer.get("x"));
          values.push(expected);
        }
      }
      expect(await Promise.all(reads)).toEqual(values);
      expect(await writer.get("x")).toBe(expected);
    }));

  test("travel together up to 128, and up to 64 Ki of text; a larger one goes alone", () =>
    clerkStory(1, {}, async ({ clerk, tap }) => {
      await Promise.all(Array.from({ length: 300 }, (_, i) => clerk.put(`k${i}`, "v")));
      const settled = tap.requests.filter((slots) => slots.length === 128 || slots.length === 44);
      expect(settled.map((slots) => slots.length).slice(-3)).toEqual([128, 128, 44]);
      tap.calls.length = 0;
      const sizes = [10, 40_000, 20_000, 10_000, 200_000, 10, 10];
      await Promise.all(sizes.map((size, i) => clerk.put(`k${i}`, "v".repeat(size))));
      expect(tap.requests.map((slots) => slots.length)).toEqual([3, 1, 1, 2]);
    }));

  test("calls made while a request is under way go with the next one", () =>
    clerkStory(1, {}, async ({ clerk, tap }) => {
      await clerk.put("x", "a");
      tap.calls.length = 0;
      const rest: Promise<unknown>[] = [];
      tap.onCall = () => {
        tap.onCall = () => undefined;
        rest.push(clerk.append("x", "c"), clerk.append("x", "d"), clerk.get("x"));
        return undefined;
      };
      await clerk.append("x", "b");
      expect((await Promise.all(rest))[2]).toBe("abcd");
      expect(tap.requests.map((slots) => slots.length)).toEqual([1, 3]);
    }));
});

describe("clerk: finding the leader", () => {
  test("learns which end leads where, and follows hints through shuffled ends", () =>
    clerkStory(10, { size: 5, order: [3, 0, 4, 2, 1] }, async ({ cluster, clerk, tap }) => {
      const leader = await cluster.leader();
      await clerk.put("x", "a");
      // One round at most: whom it does not know yet it cannot follow.
      expect(tap.calls.length).toBeLessThanOrEqual(7);
      for (let i = 1; i <= 3; i++) {
        const next = (leader + i) % 5;
        await cluster.node((leader + i - 1) % 5).raft.transferLeadership(next);
        await clerk.put("x", String(i));
        tap.calls.length = 0;
        await clerk.get("x");
        expect(tap.calls).toHaveLength(1);
        expect([3, 0, 4, 2, 1][tap.calls[0]!.end]).toBe(next);
      }
    }));

  test("hints that lead in a circle neither hold it up nor hide the leader", () =>
    forSeeds(3, async (runtime) => {
      // Ends 0 and 1 name each other; end 2 leads.
      const asked: number[] = [];
      const ends = [0, 1, 2].map((me) => ({
        call: <Reply>(): Promise<Reply | null> => {
          asked.push(me);
          return Promise.resolve((me === 2 ? [0, 2, [["a", 1]]] : [1, me, 1 - me]) as Reply);
        },
      }));
      const clerk = makeClerk(ends, { runtime });
      expect(await clerk.get("x")).toBe("a");
      expect(asked).toEqual([0, 1, 2]);
    }));

  test("without a leader it pauses between rounds, up to a tenth of a second", () =>
    forSeeds(3, async (runtime) => {
      let asked = 0;
      const ends = [0, 1, 2].map((me) => ({
        call: <Reply>(): Promise<Reply | null> => {
          asked++;
          return Promise.resolve([1, me, null] as Reply);
        },
      }));
      const clerk = makeClerk(ends, { runtime });
      await expect(clerk.get("x", { timeoutMs: 10_000 })).rejects.toBeInstanceOf(TimeoutError);
      expect(asked).toBeGreaterThan(3 * 100);
      expect(asked).toBeLessThan(3 * 230);
    }));

  test("a server that never answers is left after a second; its late answer is not needed", () =>
    forSeeds(3, async (runtime) => {
      const ends = [0, 1].map((me) => ({
        call: <Reply>(): Promise<Reply | null> =>
          me === 0 ? new Promise<never>(() => {}) : Promise.resolve([0, 1, [["a", 1]]] as Reply),
      }));
      const clerk = makeClerk(ends, { runtime });
      expect(await clerk.get("x")).toBe("a");
      expect(runtime.clock.now()).toBe(1000);
    }));

  test("a network slower than its patience still gets answers through", () =>
    forSeeds(3, async (runtime) => {
      const end = {
        call: async <Reply>(): Promise<Reply | null> => {
          await runtime.clock.sleep(3000);
          return [0, 0, [["a", 1]]] as Reply;
        },
      };
      const clerk = makeClerk([end], { runtime });
      expect(await clerk.get("x")).toBe("a");
      expect(runtime.clock.now()).toBeLessThan(10_000);
    }));
});

describe("clerk: partitions", () => {
  test("a minority serves neither writes nor reads, and both go through after it heals", () =>
    clerkStory(10, { size: 5 }, async ({ runtime, cluster, clerk }) => {
      await clerk.put("x", "13");
      const leader = await cluster.leader();
      const [a, b, c, d] = others(cluster, leader) as [number, number, number, number];
      cluster.partition([a, b, c], [d, leader]);
      const all = [0, 1, 2, 3, 4];
      const minority = (): Clerk => makeClerk(cluster.clientEnds(all, [d, leader]), { runtime });
      const majority = makeClerk(cluster.clientEnds(all, [a, b, c]), { runtime });
      const put = track(minority().put("x", "15"));
      const get = track(minority().get("x"));
      await majority.put("x", "14");
      await runtime.clock.sleep(3000);
      expect([put.settled, get.settled]).toEqual([false, false]);
      expect(await majority.get("x")).toBe("14");
      cluster.heal();
      cluster.connectClients();
      await eventually(runtime, () => put.settled && get.settled, 4000);
      expect(["14", "15"]).toContain(get.value);
      expect(await majority.get("x")).toBe("15");
    }));

  test("a Clerk that reaches both sides finds the majority by itself", () =>
    clerkStory(10, { size: 5 }, async ({ runtime, cluster, clerk }) => {
      await clerk.put("x", "a");
      const leader = await cluster.leader();
      const [a, b, c, d] = others(cluster, leader) as [number, number, number, number];
      cluster.partition([a, b, c], [d, leader]);
      const before = runtime.clock.now();
      await clerk.append("x", "b");
      expect(runtime.clock.now() - before).toBeLessThan(5000);
      expect(await clerk.get("x")).toBe("ab");
    }));
});
