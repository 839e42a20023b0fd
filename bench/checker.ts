/**
 * Speed of the linearizability checker, on histories that a linearizable store could have made, and on the same with one
 * late read spoiled. For each: the verdict, the configurations tried, the median time of five runs, and how many
 * operations the counterexample has.
 */
import { SeededRandom } from "../runtime/index.js";
import { checkLinearizable } from "../sim/index.js";
import type { HistoryEvent } from "../sim/index.js";
import { makeHistory, spoil } from "./histories.js";
import type { Workload } from "./histories.js";

const RUNS = 5;

const labs = { put: 5, append: 45, get: 50 };
const busy = { think: 0, unknown: 0 };

const WORKLOADS: readonly (readonly [name: string, workload: Workload])[] = [
  ["labs, 18,000 operations, 15 clients, one key", { operations: 18_000, clients: 15, keys: 1, mix: labs, ...busy }],
  ["the same, 1 % unknown", { operations: 18_000, clients: 15, keys: 1, mix: labs, think: 0, unknown: 0.01 }],
  ["labs, 50,000 operations, 15 clients, ten keys", { operations: 50_000, clients: 15, keys: 10, mix: labs, ...busy }],
  ["appends only, 6,000, one key", { operations: 6_000, clients: 15, keys: 1, mix: { append: 1, get: 1 }, ...busy }],
  [
    "register of 100 values, 20,000, 20 clients",
    { operations: 20_000, clients: 20, keys: 1, mix: { put: 1, get: 1 }, values: 100, ...busy },
  ],
  [
    "Jepsen: cas register of 5 values, 170, 15 % unknown",
    { operations: 170, clients: 5, keys: 1, mix: { put: 1, get: 1, cas: 1 }, values: 5, think: 20, unknown: 0.15 },
  ],
  [
    "versioned, 10,000, 15 clients, 1 % unknown",
    { operations: 10_000, clients: 15, keys: 1, mix: { read: 5, putif: 4, put: 1 }, think: 0, unknown: 0.01 },
  ],
];

function measure(name: string, history: readonly HistoryEvent[]): void {
  const times: number[] = [];
  let result = checkLinearizable(history);
  for (let run = 0; run < RUNS; run++) {
    const start = performance.now();
    result = checkLinearizable(history);
    times.push(performance.now() - start);
  }
  const median = times.sort((a, b) => a - b)[RUNS >> 1] as number;
  const example = result.counterexample ? `, counterexample of ${result.counterexample.length}` : "";
  const nodes = String(result.nodes).padStart(7);
  console.log(`${name.padEnd(52)} ${median.toFixed(1).padStart(7)} ms  ${nodes} nodes  ${result.verdict}${example}`);
}

for (const [name, workload] of WORKLOADS) {
  const random = new SeededRandom(1);
  const history = makeHistory(random, workload);
  measure(name, history);
  measure("  spoiled", spoil(random, history));
}
