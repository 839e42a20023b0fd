import { describe, expect, test } from "vitest";

import {
  drawPlan,
  runPlan,
  runSeed,
  type Outcome,
  type Plan,
  type WorldEvent,
  type WorldEventOf,
  type WorldObserver,
} from "../../sim/swarm/index.js";

const SEEDS = Array.from({ length: 12 }, (_, i) => 300 + i);

/** Keeps what can be compared of every event. */
function recorder(): WorldObserver & { readonly events: string[] } {
  const events: string[] = [];
  return { events, any: ({ seq, atMs, type }) => void events.push(`${seq} ${atMs} ${type}`) };
}

describe("swarm engine", () => {
  test("a plan goes through JSON unchanged, and so does its run", async () => {
    for (const seed of SEEDS) {
      const plan = drawPlan(seed);
      const copy = JSON.parse(JSON.stringify(plan)) as Plan;
      expect(copy).toEqual(plan);
      expect(drawPlan(seed)).toEqual(plan);
    }
    const plan = drawPlan(7);
    expect(await runPlan(JSON.parse(JSON.stringify(plan)) as Plan)).toEqual(await runPlan(plan));
  });

  test("the same seed gives the same run, also among others", async () => {
    const alone: Outcome[] = [];
    for (const seed of SEEDS) alone.push(await runSeed(seed));
    expect(new Set(alone.map(({ hash }) => hash)).size).toBe(SEEDS.length);
    expect(await Promise.all(SEEDS.map((seed) => runSeed(seed)))).toEqual(alone);
  });

  test("watching changes nothing", async () => {
    for (const seed of SEEDS.slice(0, 5)) {
      const watched = recorder();
      const outcome = await runSeed(seed, { observers: [watched] });
      expect(await runSeed(seed)).toEqual(outcome);
      // Every number from 1 on is told exactly once.
      expect(watched.events.map((line) => Number(line.split(" ")[0]))).toEqual(watched.events.map((_, i) => i + 1));
      expect(watched.events.length).toBeGreaterThanOrEqual(outcome.events);
    }
  });

  test("without one of its faults a run is the same until that fault would have struck", async () => {
    const plan = drawPlan(SEEDS.find((seed) => drawPlan(seed).faults.length > 8)!);
    const left = plan.faults.at(-1)!;
    const [whole, part] = [recorder(), recorder()];
    await runPlan(plan, { observers: [whole] });
    await runPlan({ ...plan, faults: plan.faults.slice(0, -1) }, { observers: [part] });
    const isBefore = (line: string): boolean => Number(line.split(" ")[1]) < left.atMs;
    expect(part.events.filter(isBefore)).toEqual(whole.events.filter(isBefore));
    expect(part.events).not.toEqual(whole.events);
  });

  test("an intervention changes the run from its event on, and nothing before", async () => {
    // Without faults: a server that sleeps or is down would not notice.
    const plan: Plan = { ...drawPlan(301), faults: [] };
    const events: WorldEvent[] = [];
    await runPlan(plan, { observers: [{ any: (event) => void events.push(event) }] });
    const arrived = events.find(
      (event) => event.type === "delivered" && event.seq > 500 && event.message.method === "Raft.AppendEntries",
    ) as WorldEventOf<"delivered">;
    const sent = { seq: arrived.message.id };
    const struck: Record<string, string[]> = {};
    const EACH = Array.from({ length: plan.servers - 1 }, (_, i) => i + 1);
    for (const action of [
      { type: "drop" },
      { type: "delay", byMs: 40 },
      { type: "duplicate", byMs: 5 },
      { type: "crash", server: 0, power: true, forMs: 100 },
      { type: "cut", links: [...EACH.map((i) => [0, i] as const), ...EACH.map((i) => [i, 0] as const)], forMs: 900 },
    ] as const) {
      const forked: WorldEvent[] = [];
      const observer: WorldObserver = { any: (event) => void forked.push(event) };
      const outcome = await runPlan({ ...plan, interventions: [{ seq: sent.seq, action }] }, { observers: [observer] });
      expect(outcome.violation).toBeNull();
      const lines = (list: WorldEvent[]): string[] => list.map(({ type, atMs }) => `${type} ${atMs}`);
      expect(lines(forked).slice(0, sent.seq)).toEqual(lines(events).slice(0, sent.seq));
      expect(lines(forked), action.type).not.toEqual(lines(events));
      struck[action.type] = forked
        .filter((event) => event.seq >= sent.seq)
        .map((event) => (event.type === "dropped" || event.type === "crashed" ? event.why : ""));
    }
    expect(struck["drop"]).toContain("intervention");
    expect(struck["crash"]).toContain("intervention");
    expect(struck["cut"]).toContain("cut");
  });

  test("plans differ: cluster sizes, fault classes and loads all come up, and are off in about half of the seeds", () => {
    const plans = Array.from({ length: 400 }, (_, seed) => drawPlan(seed));
    expect(new Set(plans.map(({ servers }) => servers))).toEqual(new Set([3, 5, 7]));
    const kinds = new Map<string, number>();
    for (const { faults } of plans) {
      for (const kind of new Set(faults.map((fault) => fault.kind))) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    }
    expect(kinds.size).toBe(23);
    for (const [kind, count] of kinds) {
      expect(count, kind).toBeGreaterThan(140);
      expect(count, kind).toBeLessThan(260);
    }
    const operations = plans.map(({ clients }) => clients.reduce((sum, client) => sum + client.operations.length, 0));
    expect(Math.max(...operations)).toBeGreaterThan(150);
  });

  test("a run that cannot finish, and one that makes a storm, say so", async () => {
    const plan = drawPlan(300);
    const late = await runPlan({ ...plan, limits: { ...plan.limits, livenessMs: 0.5 } });
    expect(late.violation?.rule).toMatch(/finish|catch up/);
    const storm = await runPlan({ ...plan, limits: { ...plan.limits, eventsPerSecond: 200 } });
    expect(storm.violation).toMatchObject({ rule: "no message storm" });
    expect(storm.violation!.seq).toBeGreaterThan(200);
    expect(storm.ok).toBe(false);
  });

  test("an error that nobody expects is in the outcome", async () => {
    const observer: WorldObserver = {
      phase: ({ phase }) => {
        if (phase === "liveness") throw new Error("out of the blue");
      },
    };
    const { violation } = await runSeed(300, { observers: [observer] });
    expect(violation).toMatchObject({ rule: "no error escapes", message: "out of the blue" });
  });

  test("a wrong answer to a client is found by the black-box judges", async () => {
    const plan = { ...drawPlan(305), kv: { ...drawPlan(305).kv, readMode: "log" as const }, faults: [] };
    const answering = (text: string): WorldObserver => ({
      applied: ({ results }) => {
        for (const [i, result] of (results ?? []).entries()) {
          if (Array.isArray(result)) (results as unknown[])[i] = [text, 1];
        }
      },
    });
    const stale = await runPlan(plan, { observers: [answering("ghost;")] });
    expect(stale.violation?.rule).toBe("linearizability");
    const twice = await runPlan(plan, { observers: [answering("a;b;a;")] });
    expect(twice.violation?.rule).toBe("each write happens once");
  });
});
