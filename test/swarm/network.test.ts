import { describe, expect, test } from "vitest";

import { makeService, Server } from "../../labrpc/index.js";
import { LinkNetwork, simulate, type LinkConditions, type NetMessage, type SimRuntime } from "../../sim/index.js";
import { MachineClock } from "../../sim/swarm/clock.js";

function setUp(runtime: SimRuntime, conditions: Partial<LinkConditions> = {}) {
  const log: string[] = [];
  const note =
    (what: string) =>
    (message: NetMessage, why = ""): undefined =>
      void log.push(`${what} ${message.leg} ${why}`.trim());
  const observer = { delivered: note("delivered"), dropped: note("dropped"), duplicated: note("duplicated") };
  const network = new LinkNetwork(runtime, { conditions, observer });
  const calls: unknown[] = [];
  const service = makeService("Echo", {
    Say: (args: unknown) => {
      calls.push(args);
      return { said: args };
    },
    Wait: () => new Promise(() => {}),
    Fail: () => {
      throw new Error("no");
    },
  });
  network.host("b").serve(new Server(service));
  return { network, log, calls, end: network.host("a").end("b") };
}

describe("the link network", () => {
  test("carries a call as two messages, and copies what it carries", () =>
    simulate({ seed: 1 }, async (runtime) => {
      const { end, log, calls } = setUp(runtime);
      const args = { list: [1] };
      const reply = end.call("Echo.Say", args);
      args.list.push(2);
      expect(await reply).toEqual({ said: { list: [1] } });
      expect(calls).toEqual([{ list: [1] }]);
      expect(log).toEqual(["delivered request", "delivered reply"]);
      expect(runtime.clock.now()).toBeGreaterThan(2);
    }));

  test("says null for what is lost, cut, or sent to nobody, some time later", () =>
    simulate({ seed: 1 }, async (runtime) => {
      const { end, log, network, calls } = setUp(runtime, { noticeMs: [70, 70] });
      network.link("a", "b").cut();
      expect(await end.call("Echo.Say", 1)).toBeNull();
      network.link("a", "b").heal();
      network.link("b", "a").cut();
      expect(await end.call("Echo.Say", 2)).toBeNull();
      network.healAll();
      network.link("a", "b").conditions = { ...network.conditions, loss: 1 };
      expect(await end.call("Echo.Say", 3)).toBeNull();
      network.link("a", "b").conditions = null;
      network.host("b").crash();
      expect(await end.call("Echo.Say", 4)).toBeNull();
      expect(log.filter((line) => line.startsWith("dropped"))).toEqual([
        "dropped request cut",
        "dropped reply cut",
        "dropped request loss",
        "dropped request down",
      ]);
      // A link that is cut one way carries the request all the same.
      expect(calls).toEqual([2]);
      expect(runtime.clock.now()).toBeGreaterThan(4 * 70);
    }));

  test("delivers a request twice, and its caller hears once", () =>
    simulate({ seed: 1 }, async (runtime) => {
      const { end, log, calls } = setUp(runtime, { duplicate: 1, duplicateMs: [5, 5] });
      expect(await end.call("Echo.Say", "x")).toEqual({ said: "x" });
      await runtime.clock.sleep(50);
      expect(calls).toEqual(["x", "x"]);
      expect(log.filter((line) => line.startsWith("duplicated"))).toHaveLength(1);
      expect(log.at(-1)).toBe("dropped reply gone");
    }));

  test("tells the caller when the host that works for it dies; the dead hear nothing", () =>
    simulate({ seed: 1 }, async (runtime) => {
      const { end, network } = setUp(runtime);
      const waiting = end.call("Echo.Wait", {});
      await runtime.clock.sleep(10);
      network.host("b").crash();
      expect(await waiting).toBeNull();

      const { end: again, network: other, calls } = setUp(runtime);
      let heard: unknown = "nothing";
      void again.call("Echo.Say", 1).then((reply) => (heard = reply));
      other.host("a").crash();
      void again.call("Echo.Say", 2).then((reply) => (heard = reply));
      await runtime.clock.sleep(500);
      // What was on its way when its sender died arrived; what the dead say later does not.
      expect([heard, calls]).toEqual(["nothing", [1]]);
    }));

  test("errors of handlers and wrong names reach the caller", () =>
    simulate({ seed: 1 }, async (runtime) => {
      const { end } = setUp(runtime);
      await expect(end.call("Echo.Fail", {})).rejects.toMatchObject({ code: "HANDLER_FAILED" });
      await expect(end.call("Echo.Sing", {})).rejects.toMatchObject({ code: "UNKNOWN_METHOD" });
      await expect(end.call("Echo", {})).rejects.toMatchObject({ code: "BAD_METHOD" });
    }));

  test("a host that sleeps gets everything when it wakes", () =>
    simulate({ seed: 1 }, async (runtime) => {
      const { end, network, calls } = setUp(runtime);
      const held: (() => void)[] = [];
      network.host("b").gate = (arrive) => void held.push(arrive);
      const reply = end.call("Echo.Say", 1);
      await runtime.clock.sleep(100);
      expect(calls).toEqual([]);
      network.host("b").gate = null;
      for (const arrive of held) arrive();
      expect(await reply).toEqual({ said: 1 });
    }));

  test("the luck of one link does not depend on what happens on another", async () => {
    const delays = (others: number): Promise<number[]> =>
      simulate({ seed: 5 }, async (runtime) => {
        const { end, network } = setUp(runtime, { delayMs: [0, 100] });
        network.host("c").serve(new Server(makeService("Echo", { Say: () => ({}) })));
        for (let i = 0; i < others; i++) void network.host("a").end("c").call("Echo.Say", 1);
        const times: number[] = [];
        for (let i = 0; i < 5; i++) {
          const start = runtime.clock.now();
          await end.call("Echo.Say", i);
          times.push(Math.round((runtime.clock.now() - start) * 1000));
        }
        return times;
      });
    expect(await delays(7)).toEqual(await delays(0));
  });
});

describe("a machine's clock", () => {
  const at = (runtime: SimRuntime) => {
    const machine = new MachineClock(runtime.clock, (act) => act());
    return { machine, clock: machine.beginLife() };
  };

  test("runs at its rate; timers are due by it", () =>
    simulate({ seed: 1 }, async (runtime) => {
      const { machine, clock } = at(runtime);
      machine.change(2, 0);
      await clock.sleep(100);
      expect([clock.now(), runtime.clock.now()]).toEqual([100, 50]);
      const slept = clock.sleep(100);
      machine.change(0.5, 0);
      await slept;
      expect([clock.now(), runtime.clock.now()]).toEqual([200, 250]);
    }));

  test("a jump ahead brings what is due by then; a jump back makes it stand still, never go back", () =>
    simulate({ seed: 1 }, async (runtime) => {
      const { machine, clock } = at(runtime);
      const slept = clock.sleep(1000);
      machine.change(1, 5000);
      await slept;
      expect(runtime.clock.now()).toBe(0);
      const before = clock.now();
      machine.change(1, -300);
      expect(clock.now()).toBe(before);
      await runtime.clock.sleep(200);
      expect(clock.now()).toBe(before);
      await clock.sleep(10);
      expect(runtime.clock.now()).toBe(310);
      expect(clock.now()).toBe(before + 10);
    }));

  test("nothing of an ended life comes due", () =>
    simulate({ seed: 1 }, async (runtime) => {
      const { machine, clock } = at(runtime);
      const rung: string[] = [];
      clock.setTimeout(() => void rung.push("old"), 10);
      const next = machine.beginLife();
      clock.setTimeout(() => void rung.push("dead"), 10);
      next.setTimeout(() => void rung.push("new"), 10);
      await runtime.clock.sleep(50);
      expect(rung).toEqual(["new"]);
    }));
});
