import { describe, expect, test } from "vitest";

import { LeadershipLostError, makeRsm, startRsm, StateMachineError, StoppedError } from "../kvraft/index.js";
import type { Rsm, StateMachine } from "../kvraft/index.js";
import { NotLeaderError } from "../raft/index.js";
import type { Raft } from "../raft/index.js";
import { AbortError, decode, encode, InvalidArgumentError, TimeoutError } from "../runtime/index.js";
import type { Runtime } from "../runtime/index.js";
import { ENGINES, type LabEngine } from "./harness/engines.js";
import { FakeLog } from "./harness/fake-log.js";
import { forSeeds } from "./harness/seeds.js";
import { eventually, ServiceCluster, track } from "./harness/service-cluster.js";

type CounterCommand = "inc" | "null" | "dec";

/** The labs' test service. Nothing may ever execute a "dec". */
class Counter implements StateMachine<CounterCommand, number> {
  value = 0;

  apply(command: CounterCommand): number {
    if (command === "dec") throw new Error("a dec was executed");
    if (command === "inc") this.value++;
    return this.value;
  }

  snapshot(): Uint8Array {
    return encode(this.value);
  }

  restore(snapshot: Uint8Array): void {
    this.value = decode(snapshot) as number;
  }
}

interface CounterNode {
  readonly raft: Raft;
  readonly rsm: Rsm<CounterCommand, number>;
  readonly counter: Counter;
  kill(): void;
}

type CounterCluster = ServiceCluster<CounterNode>;

function counterCluster(runtime: Runtime, { make }: LabEngine, maxRaftState = -1): CounterCluster {
  return new ServiceCluster<CounterNode>(runtime, 3, (context) => {
    const counter = new Counter();
    const { rsm, raft } = startRsm({ ...context, maxRaftState, runtime, stateMachine: counter, engine: make });
    return { rsm, raft, counter, kill: () => rsm.kill() };
  });
}

/** Submits to one server after the other until one accepts and applies it. */
async function submitAnywhere(cluster: CounterCluster, command: CounterCommand, servers = [0, 1, 2]): Promise<number> {
  const { clock } = cluster.runtime;
  for (const end = clock.now() + 10_000; clock.now() < end; await clock.sleep(50)) {
    for (const i of servers) {
      try {
        return await cluster.node(i).rsm.submit(command);
      } catch (error) {
        if (!(error instanceof NotLeaderError || error instanceof LeadershipLostError)) throw error;
      }
    }
  }
  throw new Error("no server accepted the command within 10 s");
}

async function checkCounter(cluster: CounterCluster, value: number, servers = 3): Promise<void> {
  const equal = (): number => cluster.nodes.filter((node) => node?.counter.value === value).length;
  await eventually(cluster.runtime, () => equal() >= servers, 10_000);
}

async function incs(cluster: CounterCluster, count: number): Promise<void> {
  for (let i = 0; i < count; i++) await submitAnywhere(cluster, "inc");
}

const SEEDS = 20;

describe.each(ENGINES)("the labs' rsm tests on $name", (engine) => {
  test("rsm: basic (4A)", () =>
    forSeeds(SEEDS, async (runtime) => {
      const cluster = counterCluster(runtime, engine);
      for (let i = 1; i <= 10; i++) {
        expect(await submitAnywhere(cluster, "inc")).toBe(i);
        await checkCounter(cluster, i);
      }
    }));

  test("rsm: concurrent submit (4A)", () =>
    forSeeds(SEEDS, async (runtime) => {
      const cluster = counterCluster(runtime, engine);
      const results = await Promise.all(Array.from({ length: 50 }, () => submitAnywhere(cluster, "inc")));
      expect(new Set(results).size).toBe(50);
      await checkCounter(cluster, 50);
    }));

  test("rsm: leader failure (4A)", () =>
    forSeeds(SEEDS, async (runtime) => {
      const cluster = counterCluster(runtime, engine);
      await incs(cluster, 1);
      const leader = await cluster.leader();
      cluster.isolate(leader);
      const others = [0, 1, 2].filter((i) => i !== leader);
      expect(await submitAnywhere(cluster, "inc", others)).toBe(2);
      await checkCounter(cluster, 2, 2);
      cluster.heal();
      await checkCounter(cluster, 2);
    }));

  test("rsm: leader partition (4A)", () =>
    forSeeds(SEEDS, async (runtime) => {
      const cluster = counterCluster(runtime, engine);
      await incs(cluster, 1);
      const leader = await cluster.leader();
      cluster.isolate(leader);
      const stuck = Array.from({ length: 100 }, () => track(cluster.node(leader).rsm.submit("dec")));
      const others = [0, 1, 2].filter((i) => i !== leader);
      const inc = submitAnywhere(cluster, "inc", others);
      await runtime.clock.sleep(1000);
      expect(stuck.filter((submit) => submit.settled)).toEqual([]);
      expect(await inc).toBe(2);
      cluster.heal();
      await runtime.clock.sleep(1000);
      for (const submit of stuck) expect(submit.error).toBeInstanceOf(LeadershipLostError);
      await checkCounter(cluster, 2);
    }));

  test("rsm: restart (4A)", () =>
    forSeeds(SEEDS, async (runtime) => {
      const cluster = counterCluster(runtime, engine);
      await incs(cluster, 100);
      await checkCounter(cluster, 100);
      cluster.shutdownAll();
      await runtime.clock.sleep(1000);
      cluster.startAll();
      expect(await submitAnywhere(cluster, "inc")).toBe(101);
      await checkCounter(cluster, 101);
    }));

  test("rsm: shutdown (4A)", () =>
    forSeeds(SEEDS, async (runtime) => {
      const cluster = counterCluster(runtime, engine);
      const leader = await cluster.leader();
      // Cut off, so that the shutdown certainly finds them waiting.
      if (runtime.random.next() < 0.5) cluster.isolate(leader);
      const submits = Array.from({ length: 100 }, () => track(cluster.node(leader).rsm.submit("null")));
      await runtime.clock.sleep(20);
      cluster.shutdownAll();
      await runtime.clock.sleep(0);
      expect(submits.filter((submit) => !submit.settled)).toEqual([]);
      const errors = submits.flatMap(({ error }) => (error === undefined ? [] : [error]));
      expect(errors.filter((error) => !(error instanceof StoppedError))).toEqual([]);
    }));

  test("rsm: restart and submit (4A)", () =>
    forSeeds(SEEDS, async (runtime) => {
      const cluster = counterCluster(runtime, engine);
      await incs(cluster, 100);
      await checkCounter(cluster, 100);
      cluster.shutdownAll();
      await runtime.clock.sleep(1000);
      cluster.startAll();
      expect(await submitAnywhere(cluster, "inc")).toBe(101);

      const leader = await cluster.leader();
      const submits = Array.from({ length: 100 }, () => track(cluster.node(leader).rsm.submit("null")));
      if (runtime.random.next() < 0.5) await runtime.clock.sleep(20);
      cluster.shutdownAll();
      await runtime.clock.sleep(1000);
      expect(submits.filter((submit) => !submit.settled)).toEqual([]);
      cluster.startAll();
      expect(await submitAnywhere(cluster, "inc")).toBe(102);
      await checkCounter(cluster, 102);
    }));

  test("rsm: creating and restoring snapshot (4C)", () =>
    forSeeds(SEEDS, async (runtime) => {
      const maxRaftState = 1000;
      const cluster = counterCluster(runtime, engine, maxRaftState);
      for (let i = 0; i < 100; i++) {
        await submitAnywhere(cluster, "inc");
        expect(cluster.logSize()).toBeLessThanOrEqual(2 * maxRaftState);
      }
      await checkCounter(cluster, 100);
      expect(cluster.persisters.every((persister) => persister.snapshotSize() > 0)).toBe(true);
      cluster.shutdownAll();
      cluster.startAll();
      expect(await submitAnywhere(cluster, "inc")).toBe(101);
      await checkCounter(cluster, 101);
    }));
});

/** One RSM on a log that the test moves by hand. */
async function byHand(
  story: (world: {
    runtime: Runtime;
    log: FakeLog;
    counter: Counter;
    rsm: Rsm<CounterCommand, number>;
  }) => Promise<void>,
  maxRaftState = -1,
): Promise<void> {
  await forSeeds(1, async (runtime) => {
    const log = new FakeLog();
    const counter = new Counter();
    const rsm = makeRsm({ log, stateMachine: counter, snapshot: null, maxRaftState, runtime });
    await story({ runtime, log, counter, rsm });
  });
}

describe("rsm: waiters", () => {
  test("a submit resolves to the result of its own entry", () =>
    byHand(async ({ log, rsm }) => {
      const first = rsm.submit("inc");
      const second = rsm.submit("inc");
      log.commit(1);
      log.commit(2);
      expect(await Promise.all([first, second])).toEqual([1, 2]);
      expect(rsm.lastApplied).toBe(2);
    }));

  test("a server that does not lead refuses, with a hint, and proposes nothing", () =>
    byHand(async ({ log, rsm }) => {
      log.hint = 2;
      log.become(false);
      await expect(rsm.submit("inc")).rejects.toMatchObject({ code: "NOT_LEADER", leader: 2 });
      expect(log.entries).toEqual([]);
    }));

  test("losing leadership within the term releases nobody: the entry may yet commit", () =>
    byHand(async ({ runtime, log, rsm }) => {
      const submit = track(rsm.submit("inc"));
      log.become(false);
      await runtime.clock.sleep(60_000);
      expect(submit.settled).toBe(false);
      log.commit(1);
      await runtime.clock.sleep(0);
      expect(submit.value).toBe(1);
    }));

  test("a newer term releases the waiters of older ones, and only these", () =>
    byHand(async ({ runtime, log, rsm }) => {
      const old = track(rsm.submit("inc"));
      log.become(true, 2);
      const young = track(rsm.submit("inc"));
      await runtime.clock.sleep(0);
      expect(old.error).toMatchObject({ code: "LEADERSHIP_LOST", maybeApplied: true });
      expect(young.settled).toBe(false);
      log.commit(2);
      await runtime.clock.sleep(0);
      expect(young.value).toBe(1);
    }));

  test("mutation 31: another term's entry at the same index answers nobody", () =>
    byHand(async ({ runtime, log, rsm }) => {
      const submit = track(rsm.submit("inc"));
      log.deliver({ type: "command", index: 1, term: 3, command: "inc" });
      await runtime.clock.sleep(0);
      expect(submit.error).toMatchObject({ code: "LEADERSHIP_LOST", maybeApplied: false });
    }));

  test("an index that is used again belongs to the new waiter", () =>
    byHand(async ({ runtime, log, rsm }) => {
      const old = track(rsm.submit("null"));
      // Deposed, cut back and elected again, with the news of it still to come.
      log.entries = [];
      log.term = 5;
      const young = track(rsm.submit("inc"));
      log.commit(1);
      await runtime.clock.sleep(0);
      expect(old.error).toMatchObject({ code: "LEADERSHIP_LOST", maybeApplied: true });
      expect(young.value).toBe(1);
    }));

  test("S39: a snapshot that passes a waiter releases it", () =>
    byHand(async ({ runtime, log, counter, rsm }) => {
      const passed = track(rsm.submit("inc"));
      const beyond = track(rsm.submit("inc"));
      log.deliver({ type: "snapshot", index: 1, term: 1, snapshot: encode(7) });
      await runtime.clock.sleep(0);
      expect(passed.error).toMatchObject({ code: "LEADERSHIP_LOST", maybeApplied: true });
      expect(beyond.settled).toBe(false);
      expect(counter.value).toBe(7);
      log.commit(2);
      await runtime.clock.sleep(0);
      expect(beyond.value).toBe(8);
    }));

  test("kill releases all waiters, of the log's own accord too", async () => {
    for (const kill of ["rsm", "log"] as const) {
      await byHand(async ({ runtime, log, rsm }) => {
        const submit = track(rsm.submit("inc"));
        (kill === "rsm" ? rsm : log).kill();
        await runtime.clock.sleep(0);
        expect(submit.error).toMatchObject({ code: "STOPPED", maybeApplied: true });
        await expect(rsm.submit("inc")).rejects.toBeInstanceOf(NotLeaderError);
      });
    }
  });

  test("limits end the wait; the entry may be applied later", () =>
    byHand(async ({ runtime, log, counter, rsm }) => {
      const controller = new AbortController();
      const limited = rsm.submit("inc", { timeoutMs: 100 });
      const aborted = rsm.submit("inc", { signal: controller.signal });
      await expect(limited).rejects.toMatchObject({ code: "TIMEOUT", maybeApplied: true });
      controller.abort("why not");
      await expect(aborted).rejects.toMatchObject({ code: "ABORTED", maybeApplied: true, cause: "why not" });
      log.commit(1);
      log.commit(2);
      await runtime.clock.sleep(0);
      expect(counter.value).toBe(2);
    }));

  test("a call that has no chance proposes nothing", () =>
    byHand(async ({ log, rsm }) => {
      await expect(rsm.submit("inc", { signal: AbortSignal.abort() })).rejects.toBeInstanceOf(AbortError);
      await expect(rsm.submit("inc", { timeoutMs: 0 })).rejects.toBeInstanceOf(TimeoutError);
      await expect(rsm.submit("inc", { timeoutMs: NaN })).rejects.toBeInstanceOf(InvalidArgumentError);
      expect(log.entries).toEqual([]);
    }));
});

describe("rsm: snapshots", () => {
  test("the log is cut at the limit, not before, and not again before it has grown", () =>
    byHand(async ({ runtime, log, rsm }) => {
      for (let i = 1; i <= 100; i++) {
        void rsm.submit("inc");
        log.bytes += 10;
        log.commit(i);
        await runtime.clock.sleep(0);
        expect(log.bytes).toBeLessThanOrEqual(100);
      }
      expect(log.snapshots.length).toBeGreaterThanOrEqual(9);
      expect(log.snapshots.length).toBeLessThanOrEqual(15);
      const { index, snapshot } = log.snapshots.at(-1)!;
      expect(decode(snapshot)).toBe(index);
    }, 100));

  test("a tail that cannot be cut yet does not cost a snapshot for each entry", () =>
    byHand(async ({ runtime, log, rsm }) => {
      // A thousand entries are in the log before the first is applied: whatever is snapshotted, most of it stays.
      log.snapshot = (index, snapshot) => {
        log.snapshots.push({ index, snapshot });
        log.bytes = 10_000 - index;
      };
      for (let i = 1; i <= 1000; i++) void rsm.submit("inc");
      log.bytes = 10_000;
      for (let i = 1; i <= 1000; i++) log.commit(i);
      await runtime.clock.sleep(0);
      expect(rsm.lastApplied).toBe(1000);
      expect(log.snapshots.length).toBeLessThan(3);
    }, 100));

  test("-1 means never", () =>
    byHand(async ({ runtime, log, rsm }) => {
      log.bytes = 1e9;
      void rsm.submit("inc");
      log.commit(1);
      await runtime.clock.sleep(0);
      expect(log.snapshots).toEqual([]);
    }));

  test("maxRaftState must be a size or -1", async () => {
    for (const maxRaftState of [0, -2, NaN]) {
      await expect(byHand(async () => {}, maxRaftState)).rejects.toBeInstanceOf(InvalidArgumentError);
    }
  });
});

describe("rsm: reads", () => {
  test("a read waits for the barrier and leaves no entry", () =>
    byHand(async ({ log, counter, rsm }) => {
      expect(await rsm.read(() => counter.value)).toBe(0);
      expect(log.entries).toEqual([]);
      log.become(false);
      await expect(rsm.read(() => counter.value)).rejects.toBeInstanceOf(NotLeaderError);
    }));
});

describe("rsm: too much at once", () => {
  test("beyond maxPendingBytes submit refuses and proposes nothing, until entries are applied", () =>
    forSeeds(1, async (runtime) => {
      const log = new FakeLog();
      log.bytesOfEntry = 10;
      const options = { log, stateMachine: new Counter(), snapshot: null, maxRaftState: -1, runtime };
      const rsm = makeRsm({ ...options, maxPendingBytes: 25 });
      const submits = [1, 2, 3].map(() => track(rsm.submit("inc", { timeoutMs: 100 })));
      await expect(rsm.submit("inc")).rejects.toMatchObject({ code: "OVERLOADED", maybeApplied: false });
      // Who does not wait any more has an entry in the log all the same.
      await runtime.clock.sleep(200);
      for (const submit of submits) expect(submit.error).toBeInstanceOf(TimeoutError);
      await expect(rsm.submit("inc")).rejects.toMatchObject({ code: "OVERLOADED" });
      expect(log.entries).toHaveLength(3);
      log.commit(1);
      await runtime.clock.sleep(0);
      const next = rsm.submit("inc");
      log.become(false);
      await expect(rsm.submit("inc")).rejects.toBeInstanceOf(NotLeaderError);
      for (const index of [2, 3, 4]) log.commit(index);
      expect(await next).toBe(4);
    }));
});

describe("rsm: a state machine that fails stops its server", () => {
  test("apply: never run twice, nothing after it, everybody told", async () => {
    await forSeeds(1, async (runtime) => {
      const log = new FakeLog();
      const counter = new Counter();
      const failures: Error[] = [];
      const onFailure = (error: Error): void => void failures.push(error);
      const rsm = makeRsm({ log, stateMachine: counter, snapshot: null, maxRaftState: -1, runtime, onFailure });
      const submits = (["inc", "dec", "inc"] as const).map((command) => track(rsm.submit(command)));
      for (let i = 1; i <= 3; i++) log.commit(i);
      await runtime.clock.sleep(0);
      expect(counter.value).toBe(1);
      expect(rsm.lastApplied).toBe(1);
      expect(log.killed).toBe(true);
      expect(submits[0]?.value).toBe(1);
      for (const submit of submits.slice(1)) expect(submit.error).toBeInstanceOf(StateMachineError);
      expect(failures).toHaveLength(1);
      expect(failures[0]).toMatchObject({ code: "STATE_MACHINE", cause: { message: "a dec was executed" } });
      await expect(rsm.submit("inc")).rejects.toBe(failures[0]);
      await expect(rsm.read(() => 1)).rejects.toBe(failures[0]);
    });
  });

  test("S44: restore, of a delivered snapshot and of the one at the start", async () => {
    await forSeeds(1, async (runtime) => {
      const log = new FakeLog();
      const failures: Error[] = [];
      const onFailure = (error: Error): void => void failures.push(error);
      const options = { log, stateMachine: new Counter(), maxRaftState: -1, runtime, onFailure };
      const rsm = makeRsm({ ...options, snapshot: null });
      log.deliver({ type: "snapshot", index: 5, term: 1, snapshot: new Uint8Array([0xc1]) });
      await runtime.clock.sleep(0);
      expect(failures).toHaveLength(1);
      expect(failures[0]).toBeInstanceOf(StateMachineError);
      expect(rsm.lastApplied).toBe(0);
      expect(log.killed).toBe(true);

      const second = new FakeLog();
      expect(() => makeRsm({ ...options, log: second, snapshot: new Uint8Array([0xc1]) })).toThrow(StateMachineError);
      expect(second.killed).toBe(true);
    });
  });
});
