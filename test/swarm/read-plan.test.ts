import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, describe, expect, test } from "vitest";

import { drawPlan, FAULT_KINDS, runPlan, type FaultKind, type Intervention, type Plan } from "../../sim/swarm/index.js";
import { readPlan, shrinkPlan } from "../../sweep/index.js";
import { problemOfPlan } from "../../sweep/plan-shape.js";
import { kvraft } from "../harness/command-line.js";

const folder = mkdtempSync(join(tmpdir(), "kvraft-plans-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** As a file holds it. */
const written = (plan: Plan): Plan => JSON.parse(JSON.stringify(plan)) as Plan;

/** A plan of three servers whose fault `i` is of this kind. */
function withFault(kind: FaultKind): { plan: Plan; i: number } {
  for (let seed = 1; ; seed++) {
    const plan = written(drawPlan(seed));
    const i = plan.faults.findIndex((fault) => fault.kind === kind);
    if (plan.servers === 3 && i >= 0) return { plan, i };
  }
}

/** Puts anything at all in the place of a part: `clients.0.operations`. */
function put(plan: Plan, path: string, value: unknown): void {
  const names = path.split(".");
  const last = names.pop() as string;
  let part = plan as unknown as Record<string, unknown>;
  for (const name of names) part = part[name] as Record<string, unknown>;
  part[last] = value;
}

const interventions: readonly Intervention[] = [
  { seq: 20, action: { type: "drop" } },
  { seq: 30, action: { type: "delay", byMs: 50 } },
  { seq: 40, action: { type: "duplicate", byMs: 5 } },
  { seq: 50, action: { type: "crash", server: 1, power: true, forMs: 100 } },
  {
    seq: 60,
    action: {
      type: "cut",
      links: [
        [0, 1],
        [1, 0],
      ],
      forMs: 200,
    },
  },
];

describe("plans that are taken", () => {
  test("whatever a seed draws, of either engine", () => {
    const drawn = new Set<string>();
    for (let seed = 1; seed <= 400; seed++) {
      const plan = drawPlan(seed, seed % 2 === 0 ? "raft" : "paxos");
      for (const { kind } of plan.faults) drawn.add(kind);
      expect(problemOfPlan(written(plan)), `seed ${seed}`).toBeNull();
    }
    expect(drawn).toEqual(new Set(FAULT_KINDS));
  });

  test("what the inspector's fork writes, with changes of each kind; and it runs", async () => {
    const plan = { ...drawPlan(3), interventions };
    expect(problemOfPlan(written(plan))).toBeNull();
    expect((await runPlan(plan)).violation).toBeNull();
  });

  test("what is left after shrinking, of either engine", async () => {
    for (const engine of ["raft", "paxos"] as const) {
      // So few events are allowed that every run breaks a rule.
      const plan = { ...drawPlan(5, engine), limits: { livenessMs: 10_000, eventsPerSecond: 10 } };
      const shrunk = await shrinkPlan(plan);
      expect(shrunk?.plan.faults).toEqual([]);
      expect(problemOfPlan(written(shrunk?.plan as Plan))).toBeNull();
    }
  });

  test("other numbers of servers than the usual ones", async () => {
    for (const servers of [1, 2, 9]) {
      const core = { servers: Array.from({ length: servers }, (_, i) => i), others: [] };
      const plan = { ...drawPlan(8), servers, faults: [], core };
      expect(problemOfPlan(written(plan))).toBeNull();
      expect((await runPlan(plan)).violation).toBeNull();
    }
  });
});

describe("plans that make no sense are refused by the name of the field", () => {
  test.each<[string, string, unknown]>([
    ['it names no engine, but "toString"', "engine", "toString"],
    ["servers must be a whole number from 1 to 31, not 32", "servers", 32],
    ["servers must be a whole number from 1 to 31, not 2.5", "servers", 2.5],
    ["servers is no number", "servers", "3"],
    ["seed must be a whole number", "seed", -1],
    ["chaosMs must be a number from 0", "chaosMs", -1],
    ['raft: unknown engine setting "hartbeatMs"', "raft.hartbeatMs", 1],
    ["raft: engine setting heartbeatMs must be a positive number", "raft.heartbeatMs", 0],
    ["raft: electionTimeoutMaxMs must not be below", "raft.electionTimeoutMaxMs", 1],
    ["kv.readMode must be one of barrier, log", "kv.readMode", "fast"],
    ["kv.maxSessions must be a whole number from 1", "kv.maxSessions", 0],
    ["storage.segmentBytes must be a whole number from 1024", "storage.segmentBytes", 1],
    ["disk.syncMs must begin with the lower number", "disk.syncMs", [5, 1]],
    ["network.delayMs is no pair of numbers", "network.delayMs", 5],
    ["network.loss must be a number from 0 to 1, not 2", "network.loss", 2],
    ["network.lose is not known there", "network.lose", 0],
    ["core.servers is no majority of 3", "core.servers", [0]],
    ["core names server 0 twice", "core", { servers: [0, 0], others: [] }],
    ["core.servers[1] must be a whole number from 0 to 2, not 3", "core.servers", [0, 3]],
    ["limits.livenessMs is no number", "limits.livenessMs", undefined],
    ["clients[0] is no object", "clients.0", 7],
    ["clients[0].operations is no list", "clients.0", {}],
    ["clients[1].operations[0].kind must be one of get", "clients.1.operations.0.kind", "incr"],
    ["clients[1].operations[0].thinkMs must be", "clients.1.operations.0.thinkMs", -5],
    ["faults[0] is no object", "faults", ["crash"]],
    ["faults[0].kind must be one of loss,", "faults", [{ kind: "toString", atMs: 1, forMs: 1 }]],
    ["faults[0].atMs is no number", "faults", [{ kind: "pauseLeader", forMs: 1 }]],
    ["interventions[0].action.type must be", "interventions", [{ seq: 1, action: { type: "no" } }]],
    ["interventions[0].seq is no number", "interventions", [{ action: { type: "drop" } }]],
    ["chaos is not known there", "chaos", 1],
  ])("%s", (problem, path, value) => {
    const { plan } = withFault("crash");
    put(plan, path, value);
    expect(problemOfPlan(plan)?.startsWith(problem), problemOfPlan(plan) ?? "taken").toBe(true);
  });

  test.each<[FaultKind, string, string, unknown]>([
    ["crash", ".servers[0] must be a whole number from 0 to 2, not 3", "servers", [3]],
    ["pause", ".server must be a whole number from 0 to 2, not -1", "server", -1],
    ["partition", ".groups[1][0] must be a whole number from 0 to 2", "groups", [[0], [9]]],
    ["cut", ".links[0][1] must be a whole number from 0 to 2", "links", [[0, 5]]],
    ["flap", ".links[0] is no pair of servers", "links", [[0]]],
    ["flap", ".periodMs must be a number from 1", "periodMs", 0],
    ["delay", ".ms must begin with the lower number", "ms", [9, 1]],
    ["loss", ".rate must be a number from 0 to 1", "rate", 7],
    ["isolateLeader", ".way must be one of both, out, in", "way", "up"],
    ["hook", ".hook must be one of voteGranted", "hook", "never"],
    ["hook", ".server must be a whole number", "server", 3],
    ["crashLeader", ".forMs must be a number from 0", "forMs", -1],
  ])("%s %s", (kind, problem, path, value) => {
    const { plan, i } = withFault(kind);
    const at = `faults[${i}]`;
    expect(problemOfPlan(plan)).toBeNull();
    put(plan, `faults.${i}.${path}`, value);
    const found = problemOfPlan(plan);
    expect(found?.startsWith(at + problem), found ?? "taken").toBe(true);
  });

  test("the command says the same in one line, with exit code 2", async () => {
    const file = join(folder, "plan.json");
    writeFileSync(file, JSON.stringify({ ...drawPlan(1), engine: "toString" }));
    expect(() => readPlan(file)).toThrow("holds no plan");
    for (const mode of ["--replay", "--shrink"]) {
      const { code, out, err } = await kvraft(["sweep", mode, file]);
      expect([code, out]).toEqual([2, ""]);
      expect(err).toBe(`kvraft: ${file} holds no plan: it names no engine, but "toString" [INVALID_ARGUMENT]\n`);
    }
  });
});
