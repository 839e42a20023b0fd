import { setTimeout as sleepReally } from "node:timers/promises";

import { describe, expect, test } from "vitest";

import { makeService, Network, Server } from "../labrpc/index.js";
import { InvalidArgumentError, KvraftError, realRuntime } from "../runtime/index.js";
import { simulate, SimulationDeadlock, SimulationTimeout } from "../sim/index.js";
import type { SimReport, SimRuntime } from "../sim/index.js";

async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("it did not fail");
}

/** Servers, lossy calls, sleeps and chance: something of everything that a world can do. Returns its trace hash. */
async function busyWorld(runtime: SimRuntime): Promise<string> {
  const { clock, random } = runtime;
  const network = new Network(runtime);
  const server = new Server();
  server.addService(
    makeService("Echo", {
      now: (text: string) => ({ text }),
      later: async (text: string) => {
        await clock.sleep(random.int(0, 300));
        return { text };
      },
    }),
  );
  network.addServer("server", server);
  network.reliable(false);
  network.longReordering(true);
  const clients = Array.from({ length: 10 }, async (_, i) => {
    const own = random.fork?.(`client ${i}`) ?? random;
    const end = network.makeEnd(`end ${i}`);
    network.connect(`end ${i}`, "server");
    for (let n = 0; n < 400; n++) {
      network.enable(`end ${i}`, own.next() < 0.8);
      const reply = await end.call<{ text: string }>(n % 2 ? "Echo.now" : "Echo.later", `${i}/${n}`);
      runtime.note(reply === null ? -1 : reply.text.length);
      if (own.int(0, 3) === 0) await clock.sleep(own.next() * 10);
    }
  });
  await Promise.all(clients);
  return runtime.trace.hash();
}

describe("sim: time", () => {
  test("minutes pass in no time, and only while everything waits", async () => {
    const started = performance.now();
    const times = await simulate({ seed: 1 }, async ({ clock }) => {
      const seen = [clock.now()];
      await clock.sleep(600_000);
      seen.push(clock.now());
      for (let i = 0; i < 1_000_000; i++) seen.length = 2;
      seen.push(clock.now());
      await clock.sleep(0.5);
      seen.push(clock.now());
      return seen;
    });
    expect(times).toEqual([0, 600_000, 600_000, 600_000.5]);
    expect(performance.now() - started).toBeLessThan(10_000);
  });

  test("timers run by time, and those due at the same time in the order in which they were set", async () => {
    const order = await simulate({ seed: 1 }, async ({ clock }) => {
      const ran: string[] = [];
      const set = (name: string, ms: number): object =>
        clock.setTimeout(() => void ran.push(`${name}@${clock.now()}`), ms);
      set("e", 10);
      set("b", 5);
      clock.clearTimeout(set("never", 5));
      set("c", 5);
      set("a", -7);
      clock.setTimeout(() => set("d", 0), 5);
      clock.setTimeout(() => set("f", 5), 5);
      const done = clock.sleep(11);
      set("g", 11);
      await done;
      return ran;
    });
    expect(order).toEqual(["a@0", "b@5", "c@5", "d@5", "e@10", "f@10"]);
  });

  test("many timers, set and cleared at random, run in order", async () => {
    const { due, ran } = await simulate({ seed: 5 }, async ({ clock, random }) => {
      const timers = { due: [] as [ms: number, id: number][], ran: [] as [ms: number, id: number][] };
      for (let id = 0; id < 20_000; id++) {
        const ms = random.int(0, 500);
        const timer = clock.setTimeout(() => void timers.ran.push([ms, id]), ms);
        if (random.next() < 0.7) clock.clearTimeout(timer);
        else timers.due.push([ms, id]);
      }
      await clock.sleep(501);
      return timers;
    });
    expect(ran).toEqual(due.toSorted((a, b) => a[0] - b[0] || a[1] - b[1]));
  });

  test("clearing a timer that has run or was cleared changes nothing; NaN is an error; Infinity never comes", async () => {
    await simulate({ seed: 1 }, async ({ clock }) => {
      let runs = 0;
      const timer = clock.setTimeout(() => runs++, 1);
      clock.setTimeout(() => runs++, Infinity);
      await clock.sleep(2);
      for (let i = 0; i < 5000; i++) clock.clearTimeout(timer);
      clock.setTimeout(() => runs++, 1);
      await clock.sleep(2);
      expect(runs).toBe(2);
      expect(() => clock.setTimeout(() => {}, Number.NaN)).toThrow(InvalidArgumentError);
      await expect(clock.sleep(Number.NaN)).rejects.toThrow("number of milliseconds");
      expect(() => clock.setTimeout(null as unknown as () => void, 1)).toThrow(InvalidArgumentError);
    });
  });

  test("all promises settle between two events, however long the chain", async () => {
    const order = await simulate({ seed: 1 }, async ({ clock }) => {
      const seen: string[] = [];
      clock.setTimeout(async () => {
        for (let i = 0; i < 1000; i++) await Promise.resolve();
        seen.push("chain of the first");
      }, 1);
      clock.setTimeout(() => seen.push("second"), 1);
      await clock.sleep(2);
      return seen;
    });
    expect(order).toEqual(["chain of the first", "second"]);
  });

  test("an aborted sleep rejects at once with the signal's reason", async () => {
    await simulate({ seed: 1 }, async ({ clock }) => {
      const reason = new Error("enough");
      const controller = new AbortController();
      clock.setTimeout(() => controller.abort(reason), 30);
      expect(await failureOf(clock.sleep(1000, controller.signal))).toBe(reason);
      expect(clock.now()).toBe(30);
      expect(await failureOf(clock.sleep(1000, controller.signal))).toBe(reason);
      expect(await failureOf(clock.sleep(0, AbortSignal.abort(reason)))).toBe(reason);
      expect(clock.now()).toBe(30);
      await clock.sleep(5, new AbortController().signal);
      expect(clock.now()).toBe(35);
    });
  });
});

describe("sim: chains of events without delay", () => {
  test("1,000 in a row take no time; each one after that takes a millisecond", async () => {
    await simulate({ seed: 1 }, async ({ clock }) => {
      for (let i = 0; i < 1000; i++) await clock.sleep(0);
      expect(clock.now()).toBe(0);
      for (let i = 0; i < 5; i++) await clock.sleep(0);
      expect(clock.now()).toBe(5);
      await clock.sleep(1);
      for (let i = 0; i < 1000; i++) await clock.sleep(0);
      expect(clock.now()).toBe(6);
    });
  });

  test("so a closed loop over a network without delay lets time pass", async () => {
    await simulate({ seed: 1 }, async (runtime) => {
      const network = new Network(runtime);
      const server = new Server();
      server.addService(makeService("S", { call: () => ({}) }));
      network.addServer("s", server);
      const end = network.makeEnd("e");
      network.connect("e", "s");
      network.enable("e", true);
      let calls = 0;
      for (; runtime.clock.now() < 50; calls++) await end.call("S.call", {});
      expect(calls).toBe(1000 + 50);
    });
  });

  test("many at one instant that do not follow from each other take no time", async () => {
    await simulate({ seed: 1 }, async ({ clock }) => {
      await Promise.all(Array.from({ length: 5000 }, () => clock.sleep(0)));
      expect(clock.now()).toBe(0);
    });
  });
});

describe("sim: the end of a world", () => {
  test("main's value is the result, main's own error object the rejection", async () => {
    expect(await simulate({ seed: 1 }, async () => 42)).toBe(42);
    const error = new RangeError("mine");
    const rejected = simulate({ seed: 1 }, async ({ clock }) => {
      await clock.sleep(1);
      throw error;
    });
    expect(await failureOf(rejected)).toBe(error);
    const thrown = simulate({ seed: 1 }, () => {
      throw error;
    });
    expect(await failureOf(thrown)).toBe(error);
  });

  test("an error thrown by a timer's function ends the run", async () => {
    const error = new Error("in a timer");
    const run = simulate({ seed: 1 }, async ({ clock }) => {
      clock.setTimeout(() => {
        throw error;
      }, 1);
      await clock.sleep(2);
    });
    expect(await failureOf(run)).toBe(error);
  });

  test("what main leaves behind never runs, nor what is set afterwards", async () => {
    let runs = 0;
    const { clock } = await simulate({ seed: 1 }, async (runtime) => {
      runtime.clock.setTimeout(() => runs++, 10);
      void runtime.clock.sleep(10).then(() => runs++);
      await runtime.clock.sleep(10);
      runtime.clock.setTimeout(() => runs++, 0);
      return runtime;
    });
    const before = runs;
    clock.setTimeout(() => runs++, 0);
    void clock.sleep(0).then(() => runs++);
    await sleepReally(20);
    expect(before).toBe(2);
    expect(runs).toBe(before);
    expect(clock.now()).toBe(10);
  });

  test("a main that nothing can wake is a SimulationDeadlock that says what is waiting", async () => {
    const run = simulate({ seed: 1 }, async (runtime) => {
      const network = new Network(runtime);
      const server = new Server();
      server.addService(makeService("Tar", { pit: () => new Promise(() => {}) }));
      network.addServer("slow server", server);
      const end = network.makeEnd("my end");
      network.connect("my end", "slow server");
      network.enable("my end", true);
      await runtime.clock.sleep(70);
      const takeBack = runtime.describeWaiting(() => ["nothing of interest"]);
      runtime.describeWaiting(() => ["the consumer of a queue"]);
      takeBack();
      // Timers that were cleared, or lie at infinity, wake nobody.
      runtime.clock.clearTimeout(runtime.clock.setTimeout(() => {}, 1e6));
      runtime.clock.setTimeout(() => {}, Infinity);
      await end.call("Tar.pit", {});
    });
    const error = (await failureOf(run)) as SimulationDeadlock;
    expect(error).toBeInstanceOf(SimulationDeadlock);
    expect(error).toBeInstanceOf(KvraftError);
    expect(error.constructor.name).toBe("SimulationDeadlock");
    expect(error.name).toBe("SimulationDeadlock");
    expect(error.code).toBe("SIMULATION_DEADLOCK");
    expect(error.message).toMatch(/^at 70 ms main still waits/);
    expect(error.message).toContain('a call of "Tar.pit" through end "my end"');
    expect(error.message).toContain('server "slow server"');
    expect(error.message).toContain("the consumer of a queue");
    expect(error.message).not.toContain("nothing of interest");
  });

  test("a long list of what is waiting is cut", async () => {
    const run = simulate({ seed: 1 }, async (runtime) => {
      runtime.describeWaiting(() => Array.from({ length: 100 }, (_, i) => `waiter ${i}`));
      await new Promise(() => {});
    });
    const { message } = (await failureOf(run)) as Error;
    expect(message).toContain("waiter 19");
    expect(message).not.toContain("waiter 20");
    expect(message).toContain("and 80 more");
  });

  test("process.nextTick is not taken for a deadlock", async () => {
    const value = await simulate({ seed: 1 }, async ({ clock }) => {
      for (let i = 0; i < 5; i++) {
        await clock.sleep(1);
        await new Promise((resolve) => process.nextTick(resolve));
      }
      return clock.now();
    });
    expect(value).toBe(5);
  });

  test("limitMs ends a main that goes on and on", async () => {
    let report: SimReport | undefined;
    const run = simulate({ seed: 1, limitMs: 1000, onEnd: (end) => (report = end) }, async (runtime) => {
      runtime.describeWaiting(() => ["an election"]);
      for (;;) await runtime.clock.sleep(300);
    });
    const error = (await failureOf(run)) as SimulationTimeout;
    expect(error).toBeInstanceOf(SimulationTimeout);
    expect(error.code).toBe("SIMULATION_TIMEOUT");
    expect(error.message).toMatch(/1000 ms of virtual time.*\n.*an election/);
    expect(report).toMatchObject({ virtualMs: 900, events: 3 });
    expect(await simulate({ seed: 1, limitMs: 1000 }, async ({ clock }) => clock.sleep(1000))).toBeUndefined();
    await expect(simulate({ seed: 1, limitMs: Number.NaN }, async () => {})).rejects.toThrow("limitMs");
    await expect(simulate({ seed: 0.5 }, async () => {})).rejects.toThrow("seed must be a safe integer");
  });

  test("onEnd tells the hash, the number of events and the time", async () => {
    let report: SimReport | undefined;
    const seen = await simulate({ seed: 1, onEnd: (end) => (report = end) }, async ({ clock, trace }) => {
      await clock.sleep(3);
      await clock.sleep(4);
      return { hash: trace.hash(), events: trace.events };
    });
    expect(report).toEqual({ traceHash: seen.hash, events: 2, virtualMs: 7 });
    expect(seen.events).toBe(2);
    expect(seen.hash).toMatch(/^[0-9a-f]{16}$/);
    const error = new Error("in onEnd");
    const onEnd = (): void => {
      throw error;
    };
    expect(await failureOf(simulate({ seed: 1, onEnd }, async () => {}))).toBe(error);
  });
});

describe("sim: the same seed is the same run", () => {
  /** Changes when the world or the network behaves differently, and for no other reason: not by pool, nor by machine. */
  const HASH_OF_SEED_7 = "727b5e2c53e0c7f4";

  test("in this and every other process, under threads and under forks", async () => {
    expect(await simulate({ seed: 7 }, busyWorld)).toBe(HASH_OF_SEED_7);
  });

  test("20 times, one after the other", async () => {
    for (let i = 0; i < 20; i++) expect(await simulate({ seed: 7 }, busyWorld)).toBe(HASH_OF_SEED_7);
  });

  test("with two others and real timers in between, which go on undisturbed", async () => {
    const { clock } = realRuntime();
    const realLife = { over: false, turns: 0 };
    const loop = (async () => {
      while (!realLife.over) {
        await clock.sleep(0);
        expect(Date.now()).toBeGreaterThan(1e12);
        expect(Math.random()).toBeLessThan(1);
        expect(clock.now()).toBeGreaterThan(0);
        realLife.turns++;
      }
    })();
    const alone = await simulate({ seed: 8 }, busyWorld);
    const hashes = await Promise.all([7, 8, 7].map((seed) => simulate({ seed }, busyWorld)));
    realLife.over = true;
    await loop;
    expect(hashes).toEqual([HASH_OF_SEED_7, alone, HASH_OF_SEED_7]);
    expect(realLife.turns).toBeGreaterThan(3);
  });

  test("another seed is another run, and a note is part of the run", async () => {
    const hashes = await Promise.all(Array.from({ length: 30 }, (_, seed) => simulate({ seed }, busyWorld)));
    expect(new Set(hashes).size).toBe(30);
    const noted = [1, 1, 2].map((note) =>
      simulate({ seed: 1 }, async (runtime) => {
        runtime.note(note);
        return runtime.trace.hash();
      }),
    );
    const [first, second, third] = await Promise.all(noted);
    expect(second).toBe(first);
    expect(third).not.toBe(first);
  });
});
