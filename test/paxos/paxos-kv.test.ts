import { describe, expect, test } from "vitest";

import type { ClientEnd } from "../../labrpc/index.js";
import { encode, EncodeError } from "../../runtime/index.js";
import { makePaxosKV, Proposer, type PaxosKV } from "../../paxos/index.js";
import { METHODS } from "../../paxos/messages.js";
import { simulate, type SimRuntime } from "../../sim/index.js";
import { AcceptorCluster } from "./registers-cluster.js";

interface Shop {
  readonly runtime: SimRuntime;
  readonly cluster: AcceptorCluster;
  /** Methods that `kv` has called. */
  readonly calls: string[];
  readonly kv: PaxosKV;
  readonly other: PaxosKV;
}

function inShop(story: (shop: Shop) => Promise<void>, seed = 1): Promise<void> {
  return simulate({ seed, limitMs: 600_000 }, async (runtime) => {
    const cluster = new AcceptorCluster(runtime);
    const calls: string[] = [];
    const ends = cluster.ends().map((end): ClientEnd => ({
      call: (method, args) => {
        calls.push(method);
        return end.call(method, args);
      },
    }));
    const other = makePaxosKV(cluster.ends(), { runtime });
    await story({ runtime, cluster, calls, kv: makePaxosKV(ends, { runtime }), other });
  });
}

/** How often each method was called since the last time. */
function counted(calls: string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const method of calls.splice(0)) counts[method] = (counts[method] ?? 0) + 1;
  return counts;
}

describe("PaxosKV", () => {
  test("set gives a version its value once, and says whose it is", () =>
    inShop(async ({ kv, other }) => {
      expect(await kv.set("foo", 0, 5)).toEqual({ value: 5, ours: true });
      expect(await other.set("foo", 0, 7)).toEqual({ value: 5, ours: false });
      // An equal value is still another's: of two who take a lock, one has it.
      expect(await other.set("foo", 0, 5)).toEqual({ value: 5, ours: false });
      expect(await other.set("foo", 1, 6)).toEqual({ value: 6, ours: true });
      expect(await kv.get("foo", 0)).toEqual({ version: 0, value: 5 });
      expect(await kv.get("foo", 1)).toEqual({ version: 1, value: 6 });
      expect(await kv.get("foo", 2)).toBeNull();
      expect(await kv.get("bar", 0)).toBeNull();
    }));

  test("values are plain data of any type, null among them", () =>
    inShop(async ({ kv, other }) => {
      const values = [null, 0, -0, "", "text", true, 2n ** 62n, [1, [2]], { a: { b: null } }, Uint8Array.of(1, 2), NaN];
      for (const [version, value] of values.entries()) {
        expect(await kv.set("k", version, value)).toEqual({ value, ours: true });
        expect(await other.get("k", version)).toEqual({ version, value });
      }
      expect(await other.versions("k")).toEqual([...values.keys()]);
    }));

  test("values may be as deep as a message can carry, also over a snapshot, and no deeper", () =>
    simulate({ seed: 1, limitMs: 60_000 }, async (runtime) => {
      const cluster = new AcceptorCluster(runtime, 3, 1);
      const kv = makePaxosKV(cluster.ends(), { runtime });
      const nested = (levels: number): unknown => (levels === 0 ? "core" : [nested(levels - 1)]);
      expect(await kv.set("k", 0, nested(99))).toEqual({ value: nested(99), ours: true });
      await expect(kv.set("k", 1, nested(100))).rejects.toMatchObject({ code: "ENCODE" });
      await expect(kv.put("k", nested(100))).rejects.toMatchObject({ code: "ENCODE" });
      for (const i of [0, 1, 2]) cluster.start(i);
      expect(await kv.latest("k")).toEqual({ version: 0, value: nested(99) });
    }));

  test("put goes on after the latest version, and two puts never get the same", () =>
    inShop(async ({ kv, other, cluster, runtime }) => {
      expect(await kv.put("k", "a")).toBe(0);
      expect(await other.put("k", "b")).toBe(1);
      await kv.set("k", 10, "far");
      expect(await kv.put("k", "c")).toBe(11);
      expect(await other.latest("k")).toEqual({ version: 11, value: "c" });
      expect(await other.versions("k")).toEqual([0, 1, 10, 11]);

      const stores = Array.from({ length: 5 }, () => makePaxosKV(cluster.ends(), { runtime }));
      const puts = stores.flatMap((store, i) => [store.put("busy", i), store.put("busy", i)]);
      const versions = await Promise.all(puts);
      expect(versions.toSorted((a, b) => a - b)).toEqual(puts.map((_, i) => i));
    }));

  test("what is learned is read without phase 2, also where one acceptor knows nothing of it", () =>
    inShop(async ({ kv, calls, cluster, runtime }) => {
      cluster.stop(2);
      await kv.set("k", 0, "v");
      await kv.set("k", 1, "w");
      await runtime.clock.sleep(100);
      cluster.start(2);
      cluster.stop(0);
      counted(calls);
      expect(await kv.get("k", 0)).toEqual({ version: 0, value: "v" });
      expect(counted(calls)).toEqual({ [METHODS.look]: 3 });
      expect(await kv.latest("k")).toEqual({ version: 1, value: "w" });
      expect(counted(calls)).toEqual({ [METHODS.look]: 6 });
      expect(await kv.versions("k")).toEqual([0, 1]);
      expect(counted(calls)).toEqual({ [METHODS.versions]: 3 });
    }));

  test("a restarted system has forgotten what it learned, and finds out by its votes", () =>
    inShop(async ({ kv, calls, cluster, runtime }) => {
      await kv.set("k", 0, "v");
      await runtime.clock.sleep(100);
      for (const i of [0, 1, 2]) cluster.start(i);
      counted(calls);
      expect(await kv.latest("k")).toEqual({ version: 0, value: "v" });
      expect(counted(calls)).toEqual({ [METHODS.look]: 6 });
    }));

  test("an acceptor is not misled by what it voted for before", () =>
    inShop(async ({ kv, other, cluster, runtime }) => {
      const ends = cluster.ends();
      const register = { key: "k", version: 0 };
      const early = new Proposer({ register, acceptors: ends, runtime, ballot: { proposerId: 1 } });
      await early.phase1();
      await early.phase2("early", [ends[0] as ClientEnd]);
      cluster.stop(0);
      expect(await kv.set("k", 0, "late")).toEqual({ value: "late", ours: true });
      cluster.start(0);
      // All are told what is chosen; acceptor 0 has a vote for something else.
      await Promise.all(
        ends.map((end) => end.call(METHODS.learn, { ...register, ballot: { n: 2 ** 40, proposerId: 1 } })),
      );
      const learn = { ...register, ballot: { n: 1, proposerId: 1 } };
      expect(await ends[0]?.call(METHODS.learn, learn)).toEqual({ done: true });
      cluster.stop(1);
      expect(await other.get("k", 0)).toEqual({ version: 0, value: "late" });
    }));

  test("latest finishes a higher version that was left half-done", () =>
    inShop(async ({ kv, cluster, runtime }) => {
      await kv.put("k", "a");
      const ends = cluster.ends();
      const half = new Proposer({ register: { key: "k", version: 1 }, acceptors: ends, runtime });
      await half.phase1();
      await half.phase2("half", [ends[1] as ClientEnd]);
      cluster.stop(2);
      expect(await kv.latest("k")).toEqual({ version: 1, value: "half" });
      cluster.start(2);
      cluster.stop(1);
      expect(await kv.get("k", 1)).toEqual({ version: 1, value: "half" });
      expect(await kv.put("k", "c")).toBe(2);
    }));

  test("latest is not misled by a version that is chosen after a higher one, while it looks", () =>
    inShop(async ({ kv, cluster, runtime }) => {
      await kv.put("k", "a");
      const ends = cluster.ends() as [ClientEnd, ClientEnd, ClientEnd];
      const proposerOf = (version: number): Proposer =>
        new Proposer({ register: { key: "k", version }, acceptors: ends, runtime });
      const low = proposerOf(1);
      await low.phase1();
      await low.phase2("low", [ends[0]]);

      // The reader's question to acceptor 1 is long under way, the one to acceptor 2 is lost.
      let arrive = (): void => {};
      const underWay = new Promise<void>((resolve) => void (arrive = resolve));
      const slow: ClientEnd = { call: (method, args) => underWay.then(() => ends[1].call(method, args)) };
      const reader = makePaxosKV([ends[0], slow, { call: () => Promise.resolve(null) }], { runtime });
      const latest = reader.latest("k");
      await runtime.clock.sleep(10);

      const high = proposerOf(2);
      await high.phase1([ends[0], ends[2]]);
      await high.phase2("high", [ends[0], ends[2]]);
      await low.phase2("low", [ends[1]]);
      arrive();
      // At no time was version 1 the latest: it had no value before version 2 had one.
      expect(await latest).toEqual({ version: 2, value: "high" });
    }));

  test("reads of what is not there create nothing", () =>
    inShop(async ({ kv, cluster }) => {
      for (let i = 0; i < 20; i++) {
        expect(await kv.get(`key ${i}`, i)).toBeNull();
        expect(await kv.latest(`key ${i}`)).toBeNull();
        expect(await kv.versions(`key ${i}`)).toEqual([]);
      }
      expect(cluster.registers()).toEqual([0, 0, 0]);
      expect(cluster.acceptors.map((acceptor) => acceptor.stats().keys)).toEqual([0, 0, 0]);
    }));

  test("trim drops old versions; whoever comes late for one gets an error, and decides nothing", () =>
    inShop(async ({ kv, other, cluster, runtime }) => {
      for (let i = 0; i < 5; i++) await kv.put("k", i);
      const register = { key: "k", version: 1 };
      const late = new Proposer({ register, acceptors: cluster.ends(), runtime, ballot: { n: 5 } });
      await late.phase1();
      await kv.trim("k", 3);
      await runtime.clock.sleep(100);
      expect(cluster.registers()).toEqual([2, 2, 2]);
      expect(await other.versions("k")).toEqual([3, 4]);
      expect(await other.latest("k")).toEqual({ version: 4, value: 4 });
      const trimmed = {
        code: "TRIMMED",
        below: 3,
        message: 'version 1 of "k" was trimmed; the lowest version that is kept is 3',
      };
      await expect(late.phase2(1)).rejects.toMatchObject(trimmed);
      await expect(other.set("k", 1, "again")).rejects.toMatchObject({ ...trimmed, maybeApplied: false });
      await expect(other.get("k", 1)).rejects.toMatchObject(trimmed);
      expect(await other.get("k", 3)).toEqual({ version: 3, value: 3 });

      // The acceptors keep it, and a lower trim changes nothing.
      await kv.trim("k", 2);
      for (const i of [0, 1, 2]) cluster.start(i);
      await expect(other.get("k", 2)).rejects.toMatchObject({ code: "TRIMMED", below: 3 });
      expect(await kv.put("k", "next")).toBe(5);
    }));

  test("a put goes on where others write and trim the version that it chose, unless its value may be the one", () =>
    inShop(async ({ kv, other, cluster, runtime }) => {
      await kv.put("k", "a");
      /** Ends that stop at the first request of a kind until what happens meanwhile is over. */
      const putAmid = (method: string, meanwhile: () => Promise<unknown>): Promise<number> => {
        let over: Promise<unknown> | undefined;
        const ends = cluster.ends().map((end): ClientEnd => ({
          call: async (asked, args) => {
            if (asked === method) await (over ??= meanwhile());
            return end.call(asked, args);
          },
        }));
        return makePaxosKV(ends, { runtime }).put("k", "late");
      };
      const overtake = async (): Promise<void> =>
        other.trim("k", await other.put("k", "b").then(() => other.put("k", "c")));
      expect(await putAmid(METHODS.prepare, overtake)).toBe(3);
      await expect(putAmid(METHODS.accept, overtake)).rejects.toMatchObject({ code: "TRIMMED", maybeApplied: true });
      expect(await kv.versions("k")).toEqual([5]);
    }));

  test("a trim that only a quorum heard of holds for all", () =>
    inShop(async ({ kv, cluster }) => {
      for (let i = 0; i < 3; i++) await kv.put("k", i);
      cluster.stop(0);
      await kv.trim("k", 2);
      cluster.start(0);
      for (const down of [1, 2]) {
        cluster.stop(down);
        await expect(kv.get("k", 0)).rejects.toMatchObject({ code: "TRIMMED" });
        await expect(kv.set("k", 0, "again")).rejects.toMatchObject({ code: "TRIMMED" });
        expect(await kv.versions("k")).toEqual([2]);
        cluster.start(down);
      }
    }));

  test("the latest version cannot be trimmed", () =>
    inShop(async ({ kv }) => {
      await expect(kv.trim("k", 0)).rejects.toThrow('trimming "k" below 0 would leave no version of it: it has none');
      await kv.put("k", "a");
      await kv.trim("k", 0);
      await expect(kv.trim("k", 1)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
      expect(await kv.latest("k")).toEqual({ version: 0, value: "a" });
    }));

  test("every call has its limits, and a write says whether it may have happened", () =>
    inShop(async ({ kv, cluster, runtime }) => {
      await kv.put("k", "a");
      cluster.stop(0);
      cluster.stop(1);
      const limits = { timeoutMs: 500 };
      const calls: readonly (readonly [string, () => Promise<unknown>])[] = [
        ["set", () => kv.set("k", 1, "b", limits)],
        ["get", () => kv.get("k", 0, limits)],
        ["put", () => kv.put("k", "b", limits)],
        ["latest", () => kv.latest("k", limits)],
        ["versions", () => kv.versions("k", limits)],
        ["trim", () => kv.trim("k", 0, limits)],
      ];
      for (const [name, call] of calls) {
        const begin = runtime.clock.now();
        await expect(call(), name).rejects.toMatchObject({ code: "TIMEOUT", maybeApplied: false });
        expect(runtime.clock.now() - begin, name).toBeLessThanOrEqual(501);
      }
      const signal = AbortSignal.abort("no");
      await expect(kv.put("k", "b", { signal })).rejects.toMatchObject({ code: "ABORTED", maybeApplied: false });
      await expect(kv.latest("k", { timeoutMs: NaN })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
      // What has ended sends nothing more.
      await runtime.clock.sleep(5000);
      const before = cluster.calls;
      await runtime.clock.sleep(60_000);
      expect(cluster.calls).toBe(before);
    }));

  test("a put that was cut off after its votes were asked for may have happened", () =>
    inShop(async ({ cluster, runtime }) => {
      const ends = cluster.ends().map((end): ClientEnd => ({
        call: async <Reply>(method: string, args: unknown) => {
          const reply = await end.call<Reply>(method, args);
          return method === METHODS.accept ? null : reply;
        },
      }));
      const deaf = makePaxosKV(ends, { runtime });
      const cut = deaf.put("k", "a", { timeoutMs: 300 });
      await expect(cut).rejects.toMatchObject({ code: "TIMEOUT", maybeApplied: true });
      const kv = makePaxosKV(cluster.ends(), { runtime });
      expect(await kv.latest("k")).toEqual({ version: 0, value: "a" });
    }));

  test("what is too large for its acceptors is told so, and not tried for ever", () =>
    inShop(async ({ cluster, runtime, kv }) => {
      // As an end over TCP refuses what fits into no frame.
      const narrow = cluster.ends().map((end): ClientEnd => ({
        call: (method, args) => {
          const { length } = encode(args, "args");
          if (length <= 1000) return end.call(method, args);
          return Promise.reject(new EncodeError(`args take ${length} bytes, and 1000 are allowed`));
        },
      }));
      const small = makePaxosKV(narrow, { runtime });
      const large = new Uint8Array(2000);
      const refused = { code: "QUORUM_FAILED", maybeApplied: true, cause: { code: "ENCODE" } };
      await expect(small.set("k", 0, large)).rejects.toMatchObject(refused);
      await expect(small.put("k", large)).rejects.toThrow(/args take 2\d\d\d bytes, and 1000 are allowed/);
      expect(await kv.latest("k")).toBeNull();
      // One acceptor could be reached: it has voted, and who reads finishes that.
      const mixed = makePaxosKV([cluster.ends()[0]!, ...narrow.slice(1)], { runtime });
      await expect(mixed.set("k", 0, large)).rejects.toMatchObject(refused);
    }));

  test("after the highest version there is no next one", () =>
    inShop(async ({ kv }) => {
      await kv.set("k", Number.MAX_SAFE_INTEGER, "last");
      await expect(kv.put("k", "more")).rejects.toMatchObject({
        code: "INVALID_ARGUMENT",
        message: '"k" has the highest version that there is, and no next one',
      });
      expect(await kv.latest("k")).toEqual({ version: Number.MAX_SAFE_INTEGER, value: "last" });
    }));

  test("wrong arguments are refused before anything is sent", () =>
    inShop(async ({ kv, cluster, runtime }) => {
      const wrong: readonly (readonly [Promise<unknown>, string])[] = [
        [kv.set("k", -1, 1), "version must be a whole number from 0 to 2^53 - 1, not -1"],
        [kv.set("k", 1.5, 1), "not 1.5"],
        [kv.set("k", 2 ** 53, 1), "not 9007199254740992"],
        [kv.set("k", 0, undefined), "a value cannot be undefined; null is one"],
        [kv.put("k", undefined), "undefined"],
        [kv.set(5 as never, 0, 1), "a key must be a string"],
        [kv.get("\ud800", 0), "a key must be a string"],
        [kv.get("k", NaN), "not NaN"],
        [kv.latest(null as never), "a key must be a string"],
        [kv.versions(undefined as never), "a key must be a string"],
        [kv.trim("k", -1), "below must be a whole number"],
      ];
      for (const [call, text] of wrong) {
        await expect(call).rejects.toMatchObject({ code: "INVALID_ARGUMENT", message: expect.stringContaining(text) });
      }
      await expect(kv.set("k", 0, { f: () => 1 })).rejects.toMatchObject({ code: "ENCODE" });
      await expect(kv.put("k", new Map())).rejects.toMatchObject({ code: "ENCODE" });
      expect(cluster.calls).toBe(0);
      expect(() => makePaxosKV([], { runtime })).toThrow("at least one");
      expect(() => makePaxosKV(cluster.ends(), { runtime, proposerId: 0 })).toThrow("from 1 on, not 0");
      expect(() => makePaxosKV(cluster.ends(), { runtime, quorum: 1 })).toThrow("from 2 to 3, not 1");
    }));
});
