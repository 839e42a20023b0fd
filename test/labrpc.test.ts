import { describe, expect, test } from "vitest";

import { makeService, Network, RemoteError, Server } from "../labrpc/index.js";
import { realRuntime } from "../runtime/index.js";
import { simulate } from "../sim/index.js";
import { echo, inLab, Lab, slowHandler } from "./harness/junk-lab.js";

/** How long 50 lossy calls take, while somebody else draws from the world's random source, or nobody does. */
async function timesOfCalls(disturb: boolean): Promise<number[]> {
  const times: number[] = [];
  await inLab(echo, async (lab) => {
    lab.network.reliable(false);
    const end = lab.end();
    for (let n = 0; n < 50; n++) {
      if (disturb) lab.runtime.random.next();
      times.push((await lab.timed(end, "Junk.echo")).ms);
    }
  });
  return times;
}

describe("labrpc: the labs' own tests", () => {
  test("basic: both directions of conversion on one end (TestBasic)", async () => {
    const handlers = {
      toNumber: (text: string) => ({ n: Number(text) }),
      toText: (n: number) => ({ text: `handler-${n}` }),
    };
    await inLab(handlers, async (lab) => {
      const end = lab.end();
      expect(await end.call("Junk.toText", 111)).toEqual({ text: "handler-111" });
      expect(await end.call("Junk.toNumber", "9099")).toEqual({ n: 9099 });
    });
  });

  test("types: objects, arrays, bytes and scalars as arguments (TestTypes)", async () => {
    await inLab(echo, async (lab) => {
      const end = lab.end();
      for (const args of [{ x: 1 }, [1, [2]], Uint8Array.of(1, 2), "text", 7, null, true]) {
        expect(await end.call("Junk.echo", args)).toStrictEqual({ args });
      }
      expect(await end.call("Junk.echo", undefined).catch((error: RemoteError) => error.code)).toBe("BAD_REPLY");
    });
  });

  test("a call on an end that was never enabled gets no answer (TestDisconnect)", async () => {
    await inLab(echo, async (lab) => {
      const end = lab.end("end", false);
      expect(await end.call("Junk.echo", 1)).toBeNull();
      lab.network.enable("end", true);
      expect(await end.call("Junk.echo", 1)).toEqual({ args: 1 });
    });
  });

  test("17 calls are counted as 17 (TestCounts)", async () => {
    await inLab(echo, async (lab) => {
      const end = lab.end();
      for (let i = 0; i < 17; i++) expect(await end.call("Junk.echo", i)).toEqual({ args: i });
      expect(lab.network.getCount("server")).toBe(17);
      expect(lab.server.getCount()).toBe(17);
      expect(lab.network.getTotalCount()).toBe(17);
    });
  });

  // The labs' windows were made for gob. MessagePack carries 284 one-byte characters in 287 bytes and 107 in 109, and
  // wraps a reply with one short key in 4 to 6 bytes, which puts our totals (4,981 and 1,955) well inside both.
  test("bytes of arguments and of replies are counted (TestBytes)", async () => {
    const handlers = { length: (text: string) => ({ x: text.length }), text: (n: number) => ({ x: "y".repeat(n) }) };
    await inLab(handlers, async (lab) => {
      const end = lab.end();
      for (let i = 0; i < 17; i++) expect(await end.call("Junk.length", "x".repeat(284))).toEqual({ x: 284 });
      const first = lab.network.getTotalBytes();
      expect(first).toBeGreaterThanOrEqual(4828);
      expect(first).toBeLessThanOrEqual(6000);
      for (let i = 0; i < 17; i++) expect(await end.call("Junk.text", 107)).toEqual({ x: "y".repeat(107) });
      const second = lab.network.getTotalBytes() - first;
      expect(second).toBeGreaterThanOrEqual(1800);
      expect(second).toBeLessThanOrEqual(2500);
    });
  });

  test("20 ends with 10 calls each at once (TestConcurrentMany)", async () => {
    await inLab(echo, async (lab) => {
      const replies = await Promise.all(
        Array.from({ length: 20 }, async (_, i) => {
          const end = lab.end(`end ${i}`);
          for (let n = 0; n < 10; n++) expect(await end.call("Junk.echo", `${i}/${n}`)).toEqual({ args: `${i}/${n}` });
          return 10;
        }),
      );
      expect(replies.reduce((sum, n) => sum + n)).toBe(200);
      expect(lab.network.getCount("server")).toBe(200);
    });
  });

  test("of 300 calls over an unreliable network some fail and some succeed (TestUnreliable)", async () => {
    await inLab(echo, async (lab) => {
      lab.network.reliable(false);
      const replies = await Promise.all(
        Array.from({ length: 300 }, (_, i) => lab.end(`end ${i}`).call("Junk.echo", i)),
      );
      const answered = replies.filter((reply) => reply !== null);
      expect(answered.length).toBeGreaterThan(0);
      expect(answered.length).toBeLessThan(300);
      expect(replies).toEqual(replies.map((reply, i) => reply && { args: i }));
    });
  });

  test("20 calls at once on one end (TestConcurrentOne)", async () => {
    const seen: number[] = [];
    await inLab({ add: (n: number) => ({ was: seen.push(n) }) }, async (lab) => {
      const end = lab.end();
      await Promise.all(Array.from({ length: 20 }, (_, i) => end.call("Junk.add", i)));
      expect(seen.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, i) => i));
      expect(lab.network.getCount("server")).toBe(20);
    });
  });

  test("calls that got no answer do not hold up later ones (TestRegression1)", async () => {
    const seen: unknown[] = [];
    await inLab({ see: (args: unknown) => ({ n: seen.push(args) }) }, async (lab) => {
      const end = lab.end("end", false);
      const lost = Array.from({ length: 20 }, (_, i) => end.call("Junk.see", i));
      await lab.runtime.clock.sleep(100);
      lab.network.enable("end", true);
      const { reply, ms } = await lab.timed(end, "Junk.see", 99);
      expect(reply).toEqual({ n: 1 });
      expect(ms).toBeLessThan(30);
      expect(await Promise.all(lost)).toEqual(Array<null>(20).fill(null));
      expect(seen).toEqual([99]);
      expect(lab.network.getCount("server")).toBe(1);
    });
  });

  test("a call whose server is deleted while it works returns soon (TestKilled)", async () => {
    await inLab(slowHandler(20_000), async (lab) => {
      let outcome: unknown = "pending";
      const call = lab
        .end()
        .call("Junk.work", "x")
        .then((reply) => (outcome = reply));
      await lab.runtime.clock.sleep(1100);
      expect(outcome).toBe("pending");
      lab.network.deleteServer("server");
      await lab.runtime.clock.sleep(100);
      expect(outcome).toBeNull();
      await call;
    });
  });

  test("100,000 calls one after the other (TestBenchmark)", async () => {
    await inLab(echo, async (lab) => {
      const end = lab.end();
      for (let n = 0; n < 100_000; n++) {
        if ((await end.call<{ args: number }>("Junk.echo", n))?.args !== n) throw new Error(`call ${n} went wrong`);
      }
      expect(lab.network.getCount("server")).toBe(100_000);
    });
  });

  test("long delays may change while a call to a deleted server is pending (TestLongDelayRace)", async () => {
    await inLab(echo, async (lab) => {
      const end = lab.end();
      lab.network.deleteServer("server");
      lab.network.longDelays(false);
      const call = lab.timed(end, "Junk.echo");
      lab.network.longDelays(true);
      expect(lab.network.isLongDelays()).toBe(true);
      const { reply, ms } = await call;
      expect(reply).toBeNull();
      expect(ms).toBeLessThanOrEqual(99);
    });
  });
});

describe("labrpc: delays and losses in figures", () => {
  const CALLS = 10_000;

  test("a reliable call takes no time at all", async () => {
    await inLab(echo, async (lab) => {
      const end = lab.end();
      for (let n = 0; n < 500; n++) expect((await lab.timed(end, "Junk.echo")).ms).toBe(0);
    });
  });

  test("unreliable: 0-26 ms for every outcome; a tenth of requests, then a tenth of replies are lost", async () => {
    await inLab(echo, async (lab) => {
      const end = lab.end();
      lab.network.reliable(false);
      expect(lab.network.isReliable()).toBe(false);
      const results = await Promise.all(Array.from({ length: CALLS }, (_, i) => lab.timed(end, "Junk.echo", i)));
      for (const kind of [(reply: unknown) => reply === null, (reply: unknown) => reply !== null]) {
        const times = results.filter(({ reply }) => kind(reply)).map(({ ms }) => ms);
        expect(new Set(times)).toEqual(new Set(Array.from({ length: 27 }, (_, ms) => ms)));
      }
      const answered = results.filter(({ reply }) => reply !== null).length;
      const handled = lab.network.getCount("server");
      // Five standard deviations: 0.3 % of the requests, 0.32 % of the replies.
      expect(Math.abs(handled / CALLS - 0.9)).toBeLessThan(0.015);
      expect(Math.abs(answered / handled - 0.9)).toBeLessThan(0.016);
      expect(lab.network.getTotalCount()).toBe(CALLS);
    });
  });

  test.each([
    [false, 99],
    [true, 6999],
  ])("a call to nobody takes its time: long delays %s, 0-%i ms, all alike", async (longDelays, maxMs) => {
    await inLab(echo, async (lab) => {
      lab.network.longDelays(longDelays);
      const ends = [
        lab.end("disabled", false),
        lab.network.makeEnd("bound to nothing"),
        lab.network.makeEnd("server absent"),
      ];
      lab.network.enable("bound to nothing", true);
      lab.network.enable("server absent", true);
      lab.network.connect("server absent", "never added");
      const deleted = lab.end("deleted");
      lab.network.deleteEnd("deleted");
      for (const end of [...ends, deleted]) {
        const results = await Promise.all(Array.from({ length: CALLS }, () => lab.timed(end, "Junk.echo")));
        const times = results.map(({ ms }) => ms).toSorted((a, b) => a - b);
        expect(results.every(({ reply }) => reply === null)).toBe(true);
        expect(times.every(Number.isInteger)).toBe(true);
        expect(times[0]).toBeLessThanOrEqual(maxMs / 100);
        expect(times.at(-1)).toBeGreaterThanOrEqual(maxMs * 0.99);
        expect(times.at(-1)).toBeLessThanOrEqual(maxMs);
        expect(Math.abs((times[CALLS / 2] ?? 0) / maxMs - 0.5)).toBeLessThan(0.03);
      }
      expect(lab.network.getCount("server")).toBe(0);
      expect(lab.network.getTotalCount()).toBe(4 * CALLS);
    });
  });

  test("long reordering: two thirds of the replies take 200-2199 ms more, about 700 on average", async () => {
    await inLab(echo, async (lab) => {
      const end = lab.end();
      lab.network.longReordering(true);
      const results = await Promise.all(Array.from({ length: CALLS }, (_, i) => lab.timed(end, "Junk.echo", i)));
      expect(results.every(({ reply }, i) => (reply as { args: number }).args === i)).toBe(true);
      const delayed = results.map(({ ms }) => ms).filter((ms) => ms > 0);
      expect(Math.abs(delayed.length / CALLS - 2 / 3)).toBeLessThan(0.025);
      expect(Math.min(...delayed)).toBe(200);
      expect(Math.max(...delayed)).toBeLessThanOrEqual(2199);
      expect(Math.max(...delayed)).toBeGreaterThan(2000);
      expect(delayed.reduce((sum, ms) => sum + ms) / delayed.length).toBeGreaterThan(670);
      expect(delayed.reduce((sum, ms) => sum + ms) / delayed.length).toBeLessThan(730);
    });
  });

  test("a mode is read once, when the call is made", async () => {
    await inLab(slowHandler(10), async (lab) => {
      const end = lab.end();
      const calls = Array.from({ length: 200 }, () => lab.timed(end, "Junk.work", "x"));
      lab.network.reliable(false);
      lab.network.longReordering(true);
      for (const { reply, ms } of await Promise.all(calls)) {
        expect(reply).toEqual({ name: "x" });
        expect(ms).toBe(10);
      }
    });
  });

  test("the network draws from a stream of its own: others do not change what it does", async () => {
    expect(await timesOfCalls(true)).toEqual(await timesOfCalls(false));
  });
});

describe("labrpc: any runtime will do", () => {
  test("real time", async () => {
    const lab = new Lab(realRuntime(1), echo);
    lab.network.reliable(false);
    const end = lab.end();
    const replies = await Promise.all(Array.from({ length: 100 }, (_, i) => end.call("Junk.echo", i)));
    const answered = replies.filter((reply) => reply !== null).length;
    expect(answered).toBeGreaterThan(50);
    expect(answered).toBeLessThan(100);
  });

  test("a random source that cannot fork", async () => {
    await simulate({ seed: 1 }, async ({ clock, random }) => {
      const bare = { next: () => random.next(), int: (lo: number, hi: number) => random.int(lo, hi) };
      const lab = new Lab({ clock, random: bare }, echo);
      expect(await lab.end().call("Junk.echo", 1)).toEqual({ args: 1 });
    });
  });
});

describe("labrpc: short forms", () => {
  test("an end made for a server is connected and enabled, a server takes its services at once", async () => {
    const replies = await simulate({ seed: 1 }, async (runtime) => {
      const network = new Network(runtime);
      const end = network.makeEnd("end", "server");
      const services = ["A", "B"].map((name) => makeService(name, { name: () => ({ name }) }));
      network.addServer("server", new Server(...services));
      const seen = [await end.call("A.name", 0), await end.call("B.name", 0)];
      network.enable("end", false);
      return [...seen, await end.call("A.name", 0)];
    });
    expect(replies).toEqual([{ name: "A" }, { name: "B" }, null]);
    const twice = makeService("A", {});
    expect(() => new Server(twice, twice)).toThrow(/"A" already/);
  });
});
