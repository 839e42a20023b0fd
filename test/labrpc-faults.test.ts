import { describe, expect, test } from "vitest";

import { EncodeError, makeService, Network, RemoteError } from "../labrpc/index.js";
import type { Handler } from "../labrpc/index.js";
import { InvalidArgumentError } from "../runtime/index.js";
import { simulate } from "../sim/index.js";
import { echo, inLab, makeServer, remoteErrorOf, slowHandler } from "./harness/junk-lab.js";

describe("labrpc: cuts", () => {
  test("one way: a reaches b, b does not reach a", async () => {
    await simulate({ seed: 1 }, async (runtime) => {
      const network = new Network(runtime);
      const [ab, ba] = [network.makeEnd("a to b"), network.makeEnd("b to a")];
      for (const name of ["a", "b"]) network.addServer(name, makeServer({ name: () => ({ name }) }));
      network.connect("a to b", "b");
      network.connect("b to a", "a");
      network.enable("a to b", true);
      network.enable("b to a", true);
      expect(await ba.call("Junk.name", {})).toEqual({ name: "a" });
      network.enable("b to a", false);
      expect(await ab.call("Junk.name", {})).toEqual({ name: "b" });
      expect(await ba.call("Junk.name", {})).toBeNull();
      expect(network.getCount("a")).toBe(1);
    });
  });

  test.each<[string, (network: Network) => void]>([
    ["the end disabled", (network) => network.enable("end", false)],
    ["the end deleted", (network) => network.deleteEnd("end")],
    ["the server deleted", (network) => network.deleteServer("server")],
    ["the server replaced", (network) => network.addServer("server", makeServer({}))],
  ])("%s while the handler works: null at the next 100 ms, though the work is done", async (_, cut) => {
    const finished: string[] = [];
    await inLab(slowHandler(350, finished), async (lab) => {
      await lab.runtime.clock.sleep(17);
      const call = lab.timed(lab.end(), "Junk.work", "one");
      await lab.runtime.clock.sleep(120);
      cut(lab.network);
      expect(await call).toEqual({ reply: null, ms: 200 });
      expect(finished).toEqual([]);
      await lab.runtime.clock.sleep(1000);
      expect(finished).toEqual(["one"]);
    });
  });

  test("a cut that is healed before the next look goes unnoticed; a second one does not", async () => {
    await inLab(slowHandler(350), async (lab) => {
      const { clock } = lab.runtime;
      const healed = lab.timed(lab.end("healed"), "Junk.work", "one");
      const cutAgain = lab.timed(lab.end("cut again"), "Junk.work", "two");
      for (const [ms, on, ...ends] of [
        [110, false, "healed", "cut again"],
        [40, true, "healed", "cut again"],
        [20, false, "cut again"],
        [10, true, "cut again"],
        [40, false, "cut again"],
        [20, true, "cut again"],
        [20, false, "cut again"],
      ] as [number, boolean, ...string[]][]) {
        await clock.sleep(ms);
        for (const end of ends) lab.network.enable(end, on);
      }
      expect(await cutAgain).toEqual({ reply: null, ms: 300 });
      expect(await healed).toEqual({ reply: { name: "one" }, ms: 350 });
    });
  });

  test("an answer that comes too late counts for nothing, even when the cut is healed by then", async () => {
    await inLab(slowHandler(350), async (lab) => {
      const call = lab.timed(lab.end(), "Junk.work", "one");
      await lab.runtime.clock.sleep(50);
      lab.network.enable("end", false);
      expect(await call).toEqual({ reply: null, ms: 100 });
      lab.network.enable("end", true);
      const bytes = lab.network.getTotalBytes();
      await lab.runtime.clock.sleep(1000);
      expect(lab.network.getTotalBytes()).toBe(bytes);
    });
  });

  test("the last look is when the handler returns", async () => {
    const finished: string[] = [];
    await inLab(slowHandler(250, finished), async (lab) => {
      const call = lab.timed(lab.end(), "Junk.work", "one");
      await lab.runtime.clock.sleep(210);
      lab.network.deleteServer("server");
      expect(await call).toEqual({ reply: null, ms: 250 });
      expect(finished).toEqual(["one"]);
    });
  });

  test("a server that is deleted while the request is under way does the work in vain", async () => {
    let runs = 0;
    await inLab({ run: () => ({ runs: ++runs }) }, async (lab) => {
      const call = lab.timed(lab.end(), "Junk.run");
      lab.network.deleteServer("server");
      expect(await call).toEqual({ reply: null, ms: 0 });
      expect(runs).toBe(1);
    });
  });

  test("the same server put back in time is the same server, a new one gets the later calls", async () => {
    await inLab(slowHandler(50), async (lab) => {
      const end = lab.end();
      const call = end.call("Junk.work", "one");
      await lab.runtime.clock.sleep(10);
      lab.network.deleteServer("server");
      lab.network.addServer("server", lab.server);
      expect(await call).toEqual({ name: "one" });
      lab.network.addServer("server", makeServer({ work: () => ({ name: "new" }) }));
      for (let n = 0; n < 3; n++) expect(await end.call("Junk.work", "two")).toEqual({ name: "new" });
      expect(lab.network.getCount("server")).toBe(3);
    });
  });

  test("a reply held back by long reordering arrives although the end is cut and the server gone", async () => {
    let last = 0;
    await inLab(echo, async (lab) => {
      const end = lab.end();
      lab.network.longReordering(true);
      const calls = Array.from({ length: 100 }, (_, i) => lab.timed(end, "Junk.echo", i));
      await lab.runtime.clock.sleep(1);
      const bytesBefore = lab.network.getTotalBytes();
      lab.network.enable("end", false);
      lab.network.deleteServer("server");
      const results = await Promise.all(calls);
      expect(results.map(({ reply }) => reply)).toEqual(Array.from({ length: 100 }, (_, i) => ({ args: i })));
      last = Math.max(...results.map(({ ms }) => ms));
      // Their bytes count when they arrive.
      expect(lab.network.getTotalBytes()).toBeGreaterThan(bytesBefore);
    });
    expect(last).toBeGreaterThan(200);
  });

  test("connect may come before addServer, and an end may be pointed elsewhere", async () => {
    await simulate({ seed: 1 }, async (runtime) => {
      const network = new Network(runtime);
      const end = network.makeEnd("end");
      network.connect("end", "later");
      network.enable("end", true);
      expect(await end.call("Junk.name", {})).toBeNull();
      network.addServer("later", makeServer({ name: () => ({ name: "later" }) }));
      expect(await end.call("Junk.name", {})).toEqual({ name: "later" });
      network.addServer("other", makeServer({ name: () => ({ name: "other" }) }));
      network.connect("end", "other");
      expect(await end.call("Junk.name", {})).toEqual({ name: "other" });
      network.deleteServer("never added");
    });
  });

  test("after cleanup calls get null at once and count no more", async () => {
    await inLab(slowHandler(50), async (lab) => {
      const end = lab.end();
      const before = end.call("Junk.work", "before");
      await lab.runtime.clock.sleep(1);
      lab.network.cleanup();
      expect(await lab.timed(end, "Junk.work", "after")).toEqual({ reply: null, ms: 0 });
      expect(await before).toEqual({ name: "before" });
      expect(lab.network.getTotalCount()).toBe(1);
    });
  });
});

describe("labrpc: nothing is shared", () => {
  test("arguments are copied at the moment of the call, replies at the moment of the return", async () => {
    const stored = { list: [1], bytes: Uint8Array.of(1) };
    const received: unknown[] = [];
    const handlers = {
      take: (args: { list: number[] }) => {
        received.push(args);
        args.list.push(99);
        return stored;
      },
    };
    await inLab(handlers, async (lab) => {
      const end = lab.end();
      lab.network.longReordering(true);
      const args = { list: [7] };
      const calls = Array.from({ length: 10 }, () => end.call<typeof stored>("Junk.take", args));
      args.list.push(8);
      await lab.runtime.clock.sleep(1);
      stored.list.push(2);
      stored.bytes[0] = 2;
      for (const reply of await Promise.all(calls)) {
        expect(reply).toStrictEqual({ list: [1], bytes: Uint8Array.of(1) });
        reply?.list.push(50);
      }
      expect(args.list).toEqual([7, 8]);
      expect(received).toEqual(Array.from({ length: 10 }, () => ({ list: [7, 99] })));
      expect(new Set(received).size).toBe(10);
      expect(stored.list).toEqual([1, 2]);
    });
  });
});

describe("labrpc: programming errors are loud", () => {
  test("arguments that cannot be carried reject the call, and nothing is sent", async () => {
    await inLab(echo, async (lab) => {
      const end = lab.end();
      const call = end.call("Junk.echo", { entries: [{ cmd: () => 1 }] });
      await expect(call).rejects.toThrow(EncodeError);
      await expect(call).rejects.toThrow("args.entries[0].cmd is a function");
      expect(lab.network.getTotalCount()).toBe(0);
    });
  });

  test("an unknown service or method, and a name that is not Service.Method", async () => {
    await inLab({ one: () => ({}), two: () => ({}) }, async (lab) => {
      lab.server.addService(makeService("Other", {}));
      const end = lab.end();
      const service = await remoteErrorOf(end.call("Jnuk.one", {}));
      expect(service.code).toBe("UNKNOWN_SERVICE");
      expect(service.message).toContain('no service "Jnuk"');
      expect(service.message).toContain('"Junk", "Other"');
      expect(service.candidates).toEqual(["Junk", "Other"]);
      const method = await remoteErrorOf(end.call("Junk.three", {}));
      expect(method.code).toBe("UNKNOWN_METHOD");
      expect(method.message).toContain('"one", "two"');
      expect(method.candidates).toEqual(["one", "two"]);
      expect((await remoteErrorOf(end.call("Other.x", {}))).message).toContain("it has none");
      for (const name of ["Junk", "Junk.", ".one", "", 7 as unknown as string]) {
        expect((await remoteErrorOf(end.call(name, {}))).code).toBe("BAD_METHOD");
      }
      expect(lab.network.getCount("server")).toBe(0);
    });
  });

  test("a handler that throws, at once or later", async () => {
    const cause = new RangeError("out of cheese");
    const inner = new RemoteError("UNKNOWN_METHOD", "of a call that the handler made");
    const handlers = {
      now: () => {
        throw cause;
      },
      later: async () => {
        await Promise.resolve();
        throw cause;
      },
      inner: () => {
        throw inner;
      },
    };
    await inLab(handlers, async (lab) => {
      const end = lab.end();
      for (const method of ["Junk.now", "Junk.later"]) {
        const error = await remoteErrorOf(end.call(method, {}));
        expect(error.code).toBe("HANDLER_FAILED");
        expect(error.cause).toBe(cause);
        expect(error.message).toContain(
          `the handler of "${method}" on server "server" failed: RangeError: out of cheese`,
        );
      }
      const error = await remoteErrorOf(end.call("Junk.inner", {}));
      expect([error.code, error.cause]).toEqual(["HANDLER_FAILED", inner]);
      expect(lab.network.getCount("server")).toBe(3);
    });
  });

  test("a handler that returns nothing, or what cannot be carried", async () => {
    const handlers = { nothing: () => undefined, nil: async () => null, map: () => ({ m: new Map() }) };
    await inLab(handlers, async (lab) => {
      const end = lab.end();
      for (const [method, message] of [
        ["Junk.nothing", "returned undefined; return an object"],
        ["Junk.nil", "returned null"],
        ["Junk.map", "reply.m is an instance of Map"],
      ] as const) {
        const error = await remoteErrorOf(end.call(method, {}));
        expect(error.code).toBe("BAD_REPLY");
        expect(error.message).toContain(message);
      }
    });
  });

  test("an error travels as a reply does: it is lost where the reply would be", async () => {
    const handlers = {
      fail: () => {
        throw new Error("always");
      },
    };
    await inLab(handlers, async (lab) => {
      const end = lab.end();
      const cut = end.call("Junk.fail", {});
      lab.network.enable("end", false);
      expect(await cut).toBeNull();
      lab.network.enable("end", true);
      lab.network.reliable(false);
      const outcomes = await Promise.all(
        Array.from({ length: 200 }, () =>
          end.call("Junk.fail", {}).then(
            () => "null",
            (error: RemoteError) => error.code,
          ),
        ),
      );
      expect(new Set(outcomes)).toEqual(new Set(["null", "HANDLER_FAILED"]));
    });
  });

  test("names: an end twice, unknown ends, an unknown server, services and handlers", async () => {
    await inLab(echo, async ({ network, server }) => {
      network.makeEnd("end");
      expect(() => network.makeEnd("end")).toThrow(InvalidArgumentError);
      expect(() => network.connect("nix", "server")).toThrow('there is no end "nix"');
      expect(() => network.enable("nix", true)).toThrow(InvalidArgumentError);
      expect(() => network.deleteEnd("nix")).toThrow(InvalidArgumentError);
      network.deleteEnd("end");
      expect(() => network.deleteEnd("end")).toThrow(InvalidArgumentError);
      network.makeEnd("end");
      expect(() => network.getCount("nix")).toThrow('known are "server"');
      expect(() => server.addService(makeService("Junk", {}))).toThrow('has a service "Junk" already');
      expect(() => makeService("", {})).toThrow(InvalidArgumentError);
      expect(() => makeService("a.b", {})).toThrow("no dot");
      expect(() => makeService("A", { "b.c": () => ({}) })).toThrow("no dot");
      expect(() => makeService("A", { b: 7 as unknown as Handler })).toThrow('"A.b" must be a function');
    });
  });

  test("a deleted server keeps its count", async () => {
    await inLab(echo, async (lab) => {
      await lab.end().call("Junk.echo", 1);
      lab.network.deleteServer("server");
      expect(lab.network.getCount("server")).toBe(1);
    });
  });
});
