import { describe, expect, test } from "vitest";

import type { ClientEnd } from "../../labrpc/index.js";
import { METHODS } from "../../server/mypaxos/service.js";
import { forSeeds } from "../harness/seeds.js";
import { eventually, track } from "../harness/service-cluster.js";
import { Tap } from "../harness/tapped-end.js";
import { bytesOf, ENGINES, Sender, textOf, VirtualGroup } from "./virtual-group.js";

/** The batches that a client sent, as texts; each once, however often it was sent. */
function batchesOf(tap: Tap): string[][] {
  const sent = tap.calls.filter(({ method }) => method === METHODS.submit);
  const batches = new Map(
    sent.map(({ args }) => (args as [number, number, number, Uint8Array[]]).slice(2) as [number, Uint8Array[]]),
  );
  return [...batches.values()].map((items) => items.map(textOf));
}

const names = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${prefix}${i}`);

describe.each(ENGINES)("the send buffer, over $name", ({ engine }) => {
  /** A client whose calls are answered at once, and what it sends. */
  function tapped(group: VirtualGroup, bufferSize: number, flushIntervalMs = 1000): { sender: Sender; tap: Tap } {
    const tap = new Tap(group.clientEnds());
    return { sender: group.sender({ bufferSize, flushIntervalMs }, tap.ends), tap };
  }

  test("is sent when it holds so many items, when the oldest has waited so long, and by flush", () =>
    forSeeds(1, async (runtime) => {
      const group = new VirtualGroup(runtime, engine);
      await group.leader();
      const { sender, tap } = tapped(group, 3);
      const first = ["a", "b", "c", "d"].map((item) => sender.submit(item));
      expect(await Promise.all(first.slice(0, 3))).toEqual(["1:a", "2:b", "3:c"]);
      expect(batchesOf(tap)).toEqual([["a", "b", "c"]]);
      const before = runtime.clock.now();
      expect(await first[3]).toBe("4:d");
      expect(runtime.clock.now() - before).toBeLessThanOrEqual(1000);
      expect(batchesOf(tap)).toEqual([["a", "b", "c"], ["d"]]);
      const last = sender.submit("e");
      sender.flush();
      expect(await last).toBe("5:e");
      expect(runtime.clock.now() - before).toBeLessThan(1100);
      await sender.idle();
      expect(sender.isIdle).toBe(true);
    }));

  test("a smaller size sends what is in it; what waits while a batch is on its way goes together", () =>
    forSeeds(1, async (runtime) => {
      const group = new VirtualGroup(runtime, engine);
      const { sender, tap } = tapped(group, 100);
      const first = ["a", "b"].map((item) => sender.submit(item));
      sender.bufferSize = 2;
      await runtime.clock.sleep(0);
      const more = ["c", "d", "e", "f"].map((item) => sender.submit(item));
      await Promise.all([...first, ...more]);
      expect(batchesOf(tap)).toEqual([
        ["a", "b"],
        ["c", "d", "e", "f"],
      ]);
    }));

  test("64 KiB are enough for a batch; a larger call goes alone", () =>
    forSeeds(1, async (runtime) => {
      const group = new VirtualGroup(runtime, engine);
      const { sender, tap } = tapped(group, 1000);
      const half = "x".repeat(33 << 10);
      const large = "y".repeat(100 << 10);
      await Promise.all([half, half, half, large, "z"].map((item) => sender.submit(item)));
      expect(batchesOf(tap).map((batch) => batch.length)).toEqual([1, 1, 1, 1, 1]);
      expect(group.node(await group.leader()).journal.items.map((item) => item.length)).toEqual(
        [half, half, half, large, "z"].map((x) => x.length),
      );
    }));

  test("items are applied in the order in which they were submitted, also before a batch of the user's", () =>
    forSeeds(3, async (runtime) => {
      const group = new VirtualGroup(runtime, engine);
      const sender = group.sender({ bufferSize: 3 });
      const items = names("i", 50);
      const answers = items.map((item) => sender.submit(item));
      const batch = sender.submitAll("x", "y");
      const after = sender.submit("after");
      await Promise.all([...answers, batch, after]);
      await eventually(runtime, () => group.journals.every((journal) => journal.length === 53));
      for (const journal of group.journals) expect(journal).toEqual([...items, "x", "y", "after"]);
      expect(await batch).toEqual(["51:x", "52:y"]);
    }));

  test("a batch of the user's stands together, whoever else writes", () =>
    forSeeds(5, async (runtime) => {
      const group = new VirtualGroup(runtime, engine);
      group.network.reliable(false);
      const senders = [0, 1, 2].map(() => group.sender({ bufferSize: 2, flushIntervalMs: 1 }));
      const calls = senders.flatMap((sender, s) =>
        names(`${s}-`, 6).flatMap((name) => [
          sender.submitAll(`${name}a`, `${name}b`, `${name}c`),
          sender.submit(name),
        ]),
      );
      await Promise.all(calls);
      const journal = group.node(await group.leader()).journal.items;
      expect(journal.length).toBe(3 * 6 * 4);
      for (const [i, item] of journal.entries()) {
        if (item.endsWith("a"))
          expect(journal.slice(i, i + 3)).toEqual(["a", "b", "c"].map((x) => item.slice(0, -1) + x));
      }
    }));
});

describe.each(ENGINES)("each item once, over $name", ({ engine }) => {
  test("acknowledgements that are lost apply nothing twice", () =>
    forSeeds(3, async (runtime) => {
      const group = new VirtualGroup(runtime, engine);
      const tap = new Tap(group.clientEnds());
      let lost = 0;
      tap.onReply = (reply, { method }) => {
        const isLost = method === METHODS.submit && (reply as [number] | null)?.[0] === 0 && lost++ < 3;
        return isLost ? null : reply;
      };
      const sender = group.sender({}, tap.ends);
      expect(await sender.submit("only")).toBe("1:only");
      expect(lost).toBeGreaterThan(3);
      expect(await sender.submit("next")).toBe("2:next");
      await eventually(runtime, () => group.journals.every((journal) => journal.length === 2));
    }));

  test("two clients through two nodes at the same time, six rounds: all twelve values, once, on all nodes", () =>
    forSeeds(20, async (runtime) => {
      const group = new VirtualGroup(runtime, engine);
      group.network.reliable(false);
      const senders = [
        group.sender({ bufferSize: 1 }, group.clientEnds([0, 1, 2])),
        group.sender({ bufferSize: 1 }, group.clientEnds([1, 0, 2])),
      ];
      for (let round = 1; round <= 6; round++) {
        await Promise.all(senders.map((sender, i) => sender.submit(`${round}/${i}`)));
      }
      await eventually(runtime, () => group.journals.every((journal) => journal.length >= 12));
      const [first, ...others] = group.journals as [string[], string[], string[]];
      expect(new Set(first).size).toBe(12);
      expect(first.length).toBe(12);
      for (const other of others) expect(other).toEqual(first);
      expect(first.map((item) => item[0])).toEqual([1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6].map(String));
    }));

  test("while leaders come and go: every item once, in the order of its client, the same on all nodes", () =>
    forSeeds(8, async (runtime) => {
      const group = new VirtualGroup(runtime, engine, { user: (journal) => journal, maxRaftState: 2000 });
      group.network.reliable(false);
      const clients = [0, 1, 2].map((c) => ({ prefix: `${c}:`, sender: group.sender({ bufferSize: 4 }) }));
      const load = Promise.all(
        clients.map(async ({ prefix, sender }) => {
          for (let k = 0; k < 25; k++) {
            await Promise.all(names(`${prefix}${k}/`, 4).map((item) => sender.submit(item)));
          }
        }),
      );
      for (let fault = 0; fault < 4; fault++) {
        await runtime.clock.sleep(runtime.random.int(100, 900));
        const leader = await group.leader();
        if (fault % 2 === 0) {
          group.shutdown(leader);
          await runtime.clock.sleep(400);
          group.start(leader);
        } else {
          group.isolate(leader);
          await runtime.clock.sleep(1200);
          group.heal();
        }
      }
      await load;
      await eventually(runtime, () => group.journals.every((journal) => journal.length >= 300), 20_000);
      const [first, ...others] = group.journals as [string[], ...string[][]];
      for (const other of others) expect(other).toEqual(first);
      for (const { prefix } of clients) {
        const own = first.filter((item) => item.startsWith(prefix));
        expect(own).toEqual(Array.from({ length: 25 }, (_, k) => names(`${prefix}${k}/`, 4)).flat());
      }
    }));

  test("after a restart of all nodes the callback is run again for the whole log; items that are repeated still count once", () =>
    forSeeds(3, async (runtime) => {
      const group = new VirtualGroup(runtime, engine);
      const tap = new Tap(group.clientEnds());
      const sender = group.sender({ bufferSize: 1 }, tap.ends);
      for (const item of names("i", 10)) await sender.submit(item);
      // The last one is applied, and its answer lost with all nodes.
      let isLost = true;
      tap.onReply = (reply, { method }) => (isLost && method === METHODS.submit ? null : reply);
      const last = sender.submit("last");
      await eventually(runtime, () => group.journals.every((journal) => journal.includes("last")));
      group.shutdownAll();
      group.startAll();
      isLost = false;
      group.connectClients();
      expect(await last).toBe("11:last");
      await eventually(runtime, () => group.journals.every((journal) => journal.length === 11));
      for (const journal of group.journals) expect(journal).toEqual([...names("i", 10), "last"]);
    }));

  test("recovery takes no time for each instance: 500 of them, and a write within one election", () =>
    forSeeds(2, async (runtime) => {
      const group = new VirtualGroup(runtime, engine);
      const sender = group.sender({ bufferSize: 1 });
      for (const item of names("i", 500)) await sender.submit(item);
      group.shutdownAll();
      group.startAll();
      const before = runtime.clock.now();
      expect(await sender.submit("again")).toBe("501:again");
      expect(runtime.clock.now() - before).toBeLessThan(3000);
      await eventually(runtime, () => group.journals.every((journal) => journal.length === 501));
    }));
});

describe.each(ENGINES)("what ends a call, over $name", ({ engine }) => {
  /** Nobody answers; then somebody does. */
  function silent(group: VirtualGroup): { sender: Sender; answer: () => void } {
    let isSilent = true;
    const tap = new Tap(group.clientEnds());
    tap.onCall = () => (isSilent ? new Promise(() => {}) : undefined);
    return { sender: group.sender({}, tap.ends), answer: () => (isSilent = false) };
  }

  test("a limit, before it is sent: it certainly does not happen; the others go on", () =>
    forSeeds(1, async (runtime) => {
      const group = new VirtualGroup(runtime, engine);
      const { sender } = silent(group);
      // This one is on its way to somebody who does not answer.
      const first = track(sender.submit("first", { timeoutMs: 5000 }));
      await runtime.clock.sleep(100);
      const controller = new AbortController();
      const late = track(sender.submit("late", { timeoutMs: 500 }));
      const aborted = track(sender.submit("aborted", { signal: controller.signal }));
      controller.abort("enough");
      await runtime.clock.sleep(600);
      expect(late.error).toMatchObject({ code: "TIMEOUT", maybeApplied: false });
      expect(aborted.error).toMatchObject({ code: "ABORTED", maybeApplied: false, cause: "enough" });
      await runtime.clock.sleep(5000);
      expect(first.error).toMatchObject({ code: "TIMEOUT" });
      expect(sender.isIdle).toBe(true);
    }));

  test("a limit, on its way: it may have happened, and what comes later is not held up", () =>
    forSeeds(2, async (runtime) => {
      const group = new VirtualGroup(runtime, engine);
      const tap = new Tap(group.clientEnds());
      const sender = group.sender({}, tap.ends);
      await sender.submit("before");
      tap.onReply = () => null;
      const doubtful = track(sender.submit("doubtful", { timeoutMs: 700 }));
      await runtime.clock.sleep(1000);
      expect(doubtful.error).toMatchObject({ code: "TIMEOUT", maybeApplied: true });
      tap.onReply = (reply) => reply;
      await sender.submit("after");
      const leader = group.node(await group.leader());
      expect(leader.journal.items).toEqual(["before", "doubtful", "after"]);
    }));

  test("a batch that was given up is not applied behind a later one", () =>
    forSeeds(1, async (runtime) => {
      const group = new VirtualGroup(runtime, engine);

      const leader = await group.leader();
      const [end] = group.clientEnds([leader]) as [ClientEnd];
      const held: (() => Promise<unknown>)[] = [];
      const tap = new Tap([end]);
      tap.onCall = ({ method, args }) => {
        if (method !== METHODS.submit || held.length > 0) return undefined;
        held.push(() => end.call(method, args));
        return new Promise(() => {});
      };
      const sender = group.sender({}, tap.ends);
      const givenUp = track(sender.submit("given up", { timeoutMs: 300 }));
      await runtime.clock.sleep(500);
      expect(givenUp.error).toMatchObject({ code: "TIMEOUT", maybeApplied: true });
      await sender.submit("later");
      await held[0]!();
      expect(group.node(leader).journal.items).toEqual(["later"]);
    }));

  test("nodes that have forgotten the client: a new session, or an error where its items may have been applied", () =>
    forSeeds(1, async (runtime) => {
      const group = new VirtualGroup(runtime, engine, { maxSessions: 1 });
      const tap = new Tap(group.clientEnds());
      const sender = group.sender({}, tap.ends);
      const other = group.sender();
      await sender.submit("a");
      await other.submit("b");
      expect(await sender.submit("c")).toBe("3:c");
      tap.onReply = (reply, { method }) => (method === METHODS.submit ? null : reply);
      const doubtful = track(sender.submit("d"));
      await runtime.clock.sleep(300);
      await other.submit("e");
      tap.onReply = (reply) => reply;
      await eventually(runtime, () => doubtful.settled, 20_000);
      expect(doubtful.error).toMatchObject({ code: "SESSION_EXPIRED", maybeApplied: true });
      expect(group.node(await group.leader()).journal.items).toEqual(["a", "b", "c", "d", "e"]);
      expect(await sender.submit("f")).toBe("6:f");
    }));

  test("a callback that throws on one node stops the group there, once; the others go on", () =>
    forSeeds(3, async (runtime) => {
      const group = new VirtualGroup(runtime, engine);
      const sender = group.sender({ bufferSize: 1 });
      await sender.submit("a");
      const leader = await group.leader();
      const node = group.node(leader);
      let calls = 0;
      node.journal.onItem = () => {
        calls++;
        throw new Error("out of paper");
      };
      // The others apply it, and have its answer for the client that asks again.
      expect(await sender.submit("b")).toBe("2:b");
      expect(await sender.submit("c")).toBe("3:c");
      expect(calls).toBe(1);
      expect(node.failures).toMatchObject([{ code: "STATE_MACHINE", cause: { code: "CALLBACK_FAILED" } }]);
      expect(node.journal.items).toEqual(["a"]);
      expect(node.failures[0]!.message).toMatch(/callback of group 1 threw at item 1 of 1 in entry \d+: out of paper/);
    }));

  test("a callback that throws wherever it is called: the client is told that the group has stopped, and why", () =>
    forSeeds(3, async (runtime) => {
      const group = new VirtualGroup(runtime, engine);
      for (const { journal } of group.nodes as { journal: { onItem: (item: string) => void } }[]) {
        journal.onItem = (item) => {
          if (item === "bad") throw new Error("out of paper");
        };
      }
      const sender = group.sender();
      await sender.submit("good");
      await expect(sender.submit("bad")).rejects.toMatchObject({
        code: "GROUP_STOPPED",
        maybeApplied: true,
        message: expect.stringMatching(/out of paper/) as string,
      });
      await expect(sender.submit("more")).rejects.toMatchObject({ code: "GROUP_STOPPED" });
      for (const journal of group.journals) expect(journal).toEqual(["good"]);
    }));

  test("a request that no client of ours sends is an error to its sender, and harms nobody", () =>
    forSeeds(1, async (runtime) => {
      const group = new VirtualGroup(runtime, engine);
      const [end] = group.clientEnds([await group.leader()]) as [ClientEnd];
      const malformed: [string, unknown][] = [
        [METHODS.open, ["x"]],
        [METHODS.open, []],
        [METHODS.submit, [1, 1, 1, ["text"]]],
        [METHODS.submit, [1, -1, 1, []]],
        [METHODS.submit, { session: 1 }],
        [METHODS.end, [1.5, 1]],
      ];
      for (const [method, args] of malformed) {
        await expect(end.call(method, args)).rejects.toMatchObject({ code: "HANDLER_FAILED" });
      }
      expect(await end.call(METHODS.submit, [9, 9, 1, [bytesOf("x")]])).toEqual([0, null]);
      expect(await group.sender().submit("a")).toBe("1:a");
    }));
});
