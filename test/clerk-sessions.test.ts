import { describe, expect, test } from "vitest";

import type { ClientEnd } from "../labrpc/index.js";
import { ClosedError, makeClerk, SessionExpiredError } from "../kvraft/index.js";
import { clerkStory } from "./harness/clerk-story.js";
import { eventually, track } from "./harness/service-cluster.js";

describe("clerk: exactly once", () => {
  test("mutation 26: appends over a lossy network are all there, once, in order", () =>
    clerkStory(10, { maxRaftState: 1000 }, async ({ runtime, cluster }) => {
      cluster.network.reliable(false);
      const clerks = [0, 1, 2].map(() => makeClerk(cluster.clientEnds(), { runtime }));
      await Promise.all(
        clerks.map(async (clerk, who) => {
          for (let i = 0; i < 30; i++) await clerk.append("x", `[${who} ${i}]`);
        }),
      );
      const value = await clerks[0]!.get("x");
      for (const who of clerks.keys()) {
        const mine = value.match(/\[\d+ \d+\]/g)!.filter((marker) => marker.startsWith(`[${who} `));
        expect(mine).toEqual(Array.from({ length: 30 }, (_, i) => `[${who} ${i}]`));
      }
    }));

  test("a lost reply does not make a second append", () =>
    clerkStory(5, {}, async ({ clerk, tap }) => {
      await clerk.append("x", "a");
      tap.loseNextReply();
      await clerk.append("x", "b");
      expect(await clerk.read("x")).toEqual({ value: "ab", version: 2 });
    }));

  test("a conditional put whose reply was lost still says that it happened", () =>
    clerkStory(5, {}, async ({ clerk, tap }) => {
      tap.loseNextReply();
      expect(await clerk.putIf("x", "a", 0)).toEqual({ ok: true, version: 1 });
      tap.loseNextReply();
      expect(await clerk.putIf("x", "b", 0)).toEqual({ ok: false, version: 1 });
      tap.loseNextReply();
      expect(await clerk.delete("x")).toBe(true);
    }));

  test("a retry across a change of leader", () =>
    clerkStory(10, { size: 5 }, async ({ runtime, cluster, clerk, tap }) => {
      await clerk.append("x", "a");
      const leader = await cluster.leader();
      tap.onReply = (reply, call) => {
        if (call.method !== "KVServer.Request") return reply;
        // It was applied; the one who knows disappears before it can say so.
        tap.onReply = (later) => later;
        cluster.shutdown(leader);
        return null;
      };
      await clerk.append("x", "b");
      expect(await clerk.get("x")).toBe("ab");
      expect(await cluster.leader()).not.toBe(leader);
      await runtime.clock.sleep(100);
    }));

  test("mutation 28: a retry across a restart of all servers, from snapshots", () =>
    clerkStory(10, { maxRaftState: 200 }, async ({ cluster, clerk, tap }) => {
      for (let i = 0; i < 20; i++) await clerk.append("x", "a");
      tap.onReply = () => {
        tap.onReply = (later) => later;
        cluster.shutdownAll();
        cluster.startAll();
        return null;
      };
      await clerk.append("x", "b");
      expect(cluster.persisters.some((persister) => persister.snapshotSize() > 0)).toBe(true);
      expect(await clerk.get("x")).toBe("a".repeat(20) + "b");
    }));

  test("mutation 27: a retry at a server that knows the session only from InstallSnapshot", () =>
    clerkStory(10, { maxRaftState: 200 }, async ({ runtime, cluster, clerk, tap }) => {
      const leader = await cluster.leader();
      const late = (leader + 1) % 3;
      const third = (leader + 2) % 3;
      cluster.partition([leader, third], [late]);
      for (let i = 0; i < 40; i++) await clerk.append("x", "a");
      tap.onReply = () => {
        // Applied by the two. Now the late one gets their state, and then only it can lead.
        cluster.heal();
        return null;
      };
      const append = track(clerk.append("x", "b"));
      await eventually(runtime, () => cluster.node(late).status().revision === 41);
      expect(cluster.persisters[late]!.snapshotSize()).toBeGreaterThan(0);
      cluster.shutdown(leader);
      await cluster
        .node(third)
        .raft.transferLeadership(late, { timeoutMs: 5000 })
        .catch(() => {});
      tap.onReply = (reply) => reply;
      await eventually(runtime, () => append.settled, 10_000);
      expect(append.error).toBeUndefined();
      expect(await clerk.get("x")).toBe("a".repeat(40) + "b");
    }));

  test("a late copy of a write does not undo what came after it", () =>
    clerkStory(5, {}, async ({ runtime, cluster, clerk, tap }) => {
      await clerk.put("x", "a");
      await clerk.put("x", "b");
      const first = tap.calls.find(({ method }) => method === "KVServer.Request");
      await cluster.clientEnds([await cluster.leader()])[0]!.call(first!.method, first!.args);
      await runtime.clock.sleep(100);
      expect(await clerk.read("x")).toEqual({ value: "b", version: 2 });
    }));
});

describe("clerk: sessions", () => {
  test("reads need none; a Clerk opens its session with its first write", () =>
    clerkStory(1, {}, async ({ cluster, clerk, tap }) => {
      await clerk.get("x");
      const leader = cluster.node(await cluster.leader());
      expect(leader.status().sessions).toBe(0);
      await clerk.put("x", "a");
      await clerk.put("x", "b");
      expect(leader.status().sessions).toBe(1);
      expect(tap.calls.filter(({ method }) => method === "KVServer.Register").length).toBeLessThanOrEqual(3);
    }));

  test("one that expired while idle is replaced without a word", () =>
    clerkStory(5, { maxSessions: 2 }, async ({ runtime, cluster, clerk }) => {
      await clerk.append("x", "a");
      for (let i = 0; i < 3; i++) await makeClerk(cluster.clientEnds(), { runtime }).append("x", ".");
      await runtime.clock.sleep(61_000);
      expect(await Promise.all([clerk.append("x", "b"), clerk.get("x")])).toEqual([undefined, "a...b"]);
    }));

  test("one that is used now and then stays", () =>
    clerkStory(3, {}, async ({ runtime, cluster, clerk, tap }) => {
      for (let i = 0; i < 4; i++) {
        await clerk.append("x", "a");
        await runtime.clock.sleep(50_000);
      }
      expect(cluster.node(await cluster.leader()).status().sessions).toBe(1);
      const requests = tap.calls.filter(({ method }) => method === "KVServer.Request");
      expect(new Set(requests.map(({ args }) => (args as readonly unknown[])[0])).size).toBe(1);
    }));

  test("one that expired between two copies of a write, which the network made, ends that write", () =>
    clerkStory(5, { maxSessions: 2 }, async ({ runtime, cluster, clerk, tap }) => {
      await clerk.append("x", "a");
      tap.onCall = (call) => {
        if (call.method !== "KVServer.Request") return undefined;
        tap.onCall = () => undefined;
        return twice(call.end, call.args);
      };
      // The first copy is carried out; before the second one comes, others come and go. Its answer is the one that arrives.
      const twice = async (server: number, args: unknown): Promise<unknown> => {
        const [end] = cluster.clientEnds([server]) as [ClientEnd];
        await end.call("KVServer.Request", args);
        for (let i = 0; i < 3; i++) await makeClerk(cluster.clientEnds(), { runtime }).append("x", ".");
        return end.call("KVServer.Request", args);
      };
      await expect(clerk.append("x", "b")).rejects.toBeInstanceOf(SessionExpiredError);
      expect(await clerk.get("x")).toBe("ab...");
    }));

  test("one that expired while a write was in doubt ends that write, and no other", () =>
    clerkStory(5, { maxSessions: 2 }, async ({ runtime, cluster, clerk, tap }) => {
      await clerk.append("x", "a");
      tap.loseNextReply();
      const calls = [clerk.append("x", "b"), clerk.get("x"), clerk.append("x", "c")].map((call) =>
        track<unknown>(call),
      );
      tap.onCall = ({ method }) => (method === "KVServer.Request" && tap.requests.length >= 3 ? drown() : undefined);
      const drown = async (): Promise<null> => {
        // Between the two attempts other clients come and go.
        tap.onCall = () => undefined;
        for (let i = 0; i < 3; i++) await makeClerk(cluster.clientEnds(), { runtime }).append("x", ".");
        return null;
      };
      await eventually(runtime, () => calls.every((call) => call.settled), 10_000);
      expect(calls[0]!.error).toBeInstanceOf(SessionExpiredError);
      expect(calls[0]!.error).toMatchObject({ code: "SESSION_EXPIRED", maybeApplied: true });
      expect(calls[1]!.value).toBe("ab...");
      expect(calls[2]!.error).toBeUndefined();
      expect(await clerk.get("x")).toBe("ab...c");
    }));

  test("more clients than sessions: errors that say so, and nothing happens twice", () =>
    clerkStory(5, { maxSessions: 1 }, async ({ runtime, cluster }) => {
      cluster.network.reliable(false);
      const clerks = [0, 1, 2].map(() => makeClerk(cluster.clientEnds(), { runtime }));
      const done: string[] = [];
      const unknown: string[] = [];
      await Promise.all(
        clerks.map(async (clerk, who) => {
          for (let i = 0; i < 10; i++) {
            const marker = `[${who} ${i}]`;
            try {
              await clerk.append("x", marker);
              done.push(marker);
            } catch (error) {
              if (!(error instanceof SessionExpiredError)) throw error;
              unknown.push(marker);
            }
          }
        }),
      );
      const found = (await clerks[0]!.get("x")).match(/\[\d \d\]/g) ?? [];
      expect(new Set(found).size).toBe(found.length);
      expect(found).toEqual(expect.arrayContaining(done));
      for (const marker of found) expect([...done, ...unknown]).toContain(marker);
    }));

  test("where sessions expire before they can be used, a write ends in an error", () =>
    clerkStory(3, { maxSessions: 1 }, async ({ runtime, cluster, clerk, tap }) => {
      let registered = 0;
      const intrude = async (): Promise<null> => {
        await makeClerk(cluster.clientEnds(), { runtime }).append("x", ".");
        return null;
      };
      tap.onCall = (call) => {
        if (call.method !== "KVServer.Request" || registered > 5) return undefined;
        registered++;
        return intrude().then(() => cluster.clientEnds([call.end])[0]!.call(call.method, call.args));
      };
      const error = await clerk.append("x", "a").catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: "SESSION_EXPIRED", maybeApplied: true });
      expect(await clerk.get("x")).toMatch(/^\.+$/);
    }));

  test("close() lets outstanding calls finish, ends the session, and refuses further calls", () =>
    clerkStory(3, {}, async ({ cluster, clerk, tap }) => {
      const put = clerk.put("x", "a");
      const append = clerk.append("x", "b");
      const closed = clerk.close();
      await expect(clerk.get("x")).rejects.toBeInstanceOf(ClosedError);
      await Promise.all([put, append, closed, clerk.close()]);
      expect(cluster.node(await cluster.leader()).status()).toMatchObject({ keys: 1, sessions: 0 });
      const calls = tap.calls.length;
      await clerk[Symbol.asyncDispose]();
      expect(tap.calls.length).toBe(calls);
    }));

  test("close() of a Clerk that never wrote sends nothing", () =>
    clerkStory(1, {}, async ({ clerk, tap }) => {
      await clerk.close();
      expect(tap.calls).toEqual([]);
    }));

  test("disposal does not wait for ever", () =>
    clerkStory(3, {}, async ({ runtime, cluster, clerk }) => {
      await clerk.put("x", "a");
      cluster.shutdownAll();
      const before = runtime.clock.now();
      await clerk[Symbol.asyncDispose]();
      expect(runtime.clock.now() - before).toBeLessThan(1001);
    }));
});
