/**
 * A real cluster: three `kvraft serve` processes with synced disks and this process as the load, on loopback. Keys of 8
 * bytes; throughput and latencies, failover, restart with a long log. See --help.
 */
import { mkdirSync, statfsSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus } from "node:os";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { realRuntime } from "../runtime/index.js";
import type { KvClient, NodeStatus } from "../server/index.js";
import { table } from "../server/commands/table.js";
import { fillKeys, MIXES, runLoad, type LoadFigures, type LoadPlan, type Mix } from "../server/load.js";
import { measureFailover } from "./failover.js";
import { isLeader, Nodes } from "./nodes.js";
import { measureRestart } from "./restart.js";

const PROGRAM = fileURLToPath(new URL("../server/cli.js", import.meta.url));
const NODES = 3;
const WARM_UP_CLIENTS = 64;
const WARM_UP_SECONDS = 1.5;

const HELP = `npm run bench:cluster -- [options]

  --parts load,failover,restart   which parts
  --clients 1,64,256,1000         of the load
  --mix put,get,mixed             of the load; gets are linearizable, mixed is 9 gets to a put
  --connections 1                 to each node, for all clients; 0: one for each client
  --seconds 4                     measured for each line of the load, after a quarter of that to warm up
  --value-bytes 256               size of the values
  --rounds 1                      how often the load is run; each round on a fresh cluster
  --kills 20                      of the leader
  --entries 1000000               in the log of the node that restarts
  --dir build/bench               where the data are, on a disk; removed afterwards
  --out build/bench-cluster.json  all figures for programs
`;

const { values: options } = parseArgs({
  options: {
    parts: { type: "string", default: "load,failover,restart" },
    clients: { type: "string", default: "1,64,256,1000" },
    mix: { type: "string", default: MIXES.join() },
    connections: { type: "string", default: "1" },
    seconds: { type: "string", default: "4" },
    "value-bytes": { type: "string", default: "256" },
    rounds: { type: "string", default: "1" },
    kills: { type: "string", default: "20" },
    entries: { type: "string", default: "1000000" },
    dir: { type: "string", default: "build/bench" },
    out: { type: "string", default: "build/bench-cluster.json" },
    help: { type: "boolean", default: false },
  },
});

const PLAN = { keys: 10_000, valueBytes: Number(options["value-bytes"]), patienceMs: 10_000 };

interface LoadLine extends LoadFigures {
  readonly round: number;
  /** Processor time of an operation, in microseconds: of the nodes, the leader first, and of the load. */
  readonly cpuMicros: { readonly nodes: readonly number[]; readonly load: number } | null;
  /** Of the leader's log; null where the leader changed. */
  readonly syncsPerSecond: number | null;
}

async function measureLoad(round: number): Promise<LoadLine[]> {
  const lines: LoadLine[] = [];
  const nodes = await Nodes.prepare(PROGRAM, options.dir, NODES);
  try {
    await nodes.startAll();
    await using observer = nodes.connect();
    await nodes.until(observer, isLeader);
    await warmUp(observer);
    for (const clients of numbers(options.clients)) {
      const count = Math.min(Number(options.connections) || clients, clients);
      const connections = Array.from({ length: count }, () => nodes.connect());
      const clerks = Array.from({ length: clients }, (_, i) => (connections[i % count] as KvClient).makeClerk());
      for (const mix of options.mix.split(",") as Mix[]) {
        const seconds = Number(options.seconds);
        const plan = { ...PLAN, mix, seconds, warmUpSeconds: seconds / 4 };
        lines.push(await measureLine(round, nodes, observer, () => runLoad(clerks, plan, realRuntime())));
        printLine(lines.at(-1) as LoadLine, lines.length === 1 && round === 1);
      }
      await Promise.all(connections.map((each) => each.close()));
    }
  } finally {
    await nodes.remove();
  }
  return lines;
}

/** All keys are there, and all programs compiled: what is measured is a cluster that has run for a while. */
async function warmUp(client: KvClient): Promise<void> {
  const clerks = Array.from({ length: WARM_UP_CLIENTS }, () => client.makeClerk());
  const plan: LoadPlan = { ...PLAN, mix: "put", seconds: WARM_UP_SECONDS, warmUpSeconds: 0 };
  await fillKeys(clerks, plan);
  for (const mix of MIXES) await runLoad(clerks, { ...plan, mix }, realRuntime());
}

async function measureLine(
  round: number,
  nodes: Nodes,
  client: KvClient,
  load: () => Promise<LoadFigures>,
): Promise<LoadLine> {
  const before = await nodes.until(client, isLeader);
  const cpuBefore = nodes.cpuMs();
  const ownBefore = process.cpuUsage();
  const started = performance.now();
  const figures = await load();
  const seconds = (performance.now() - started) / 1000;
  const own = process.cpuUsage(ownBefore);
  const cpuAfter = nodes.cpuMs();
  const after = await nodes.until(client, isLeader);
  const syncsOf = ({ groups }: NodeStatus): number => groups["kv"]?.disk?.syncs ?? 0;
  const syncsPerSecond = before.id === after.id ? (syncsOf(after) - syncsOf(before)) / seconds : null;
  const operations = figures.perSecond * seconds;
  const spent = cpuAfter?.map((ms, i) => ((ms - (cpuBefore as number[])[i]!) * 1000) / operations) ?? null;
  // The leader first.
  const order = nodes.ids.toSorted((a, b) => Number(b === after.id) - Number(a === after.id));
  const cpuMicros = spent && {
    nodes: order.map((id) => spent[id - 1] as number),
    load: (own.user + own.system) / operations,
  };
  return { round, ...figures, cpuMicros, syncsPerSecond };
}

const WIDTHS = [8, 8, 10, 10, 10, 10, 10, 24];

function printLine(line: LoadLine, isFirst: boolean): void {
  const print = (cells: readonly string[]): void =>
    console.log(cells.map((cell, i) => cell.padStart(WIDTHS[i] as number)).join(""));
  if (isFirst) print(["clients", "mix", "ops/s", "p50 ms", "p99 ms", "max ms", "syncs/s", "cpu µs/op"]);
  const { clients, mix, perSecond, p50Ms, p99Ms, maxMs, syncsPerSecond, cpuMicros } = line;
  const cpu = cpuMicros === null ? "-" : [...cpuMicros.nodes, cpuMicros.load].map((us) => us.toFixed(0)).join(" ");
  const times = [p50Ms, p99Ms, maxMs].map((ms) => ms.toFixed(2));
  const syncs = syncsPerSecond === null ? "-" : syncsPerSecond.toFixed(0);
  print([String(clients), mix, Math.round(perSecond).toLocaleString("en"), ...times, syncs, cpu]);
}

function numbers(list: string): number[] {
  return list.split(",").map(Number);
}

async function main(): Promise<void> {
  const parts = new Set(options.parts.split(","));
  const started = performance.now();
  const result: Record<string, unknown> = {
    date: new Date().toISOString(),
    node: process.version,
    cores: availableParallelism(),
    processor: cpus()[0]?.model,
    valueBytes: Number(options["value-bytes"]),
  };
  mkdirSync(options.dir, { recursive: true });
  console.log(
    `${NODES} nodes and the load on ${availableParallelism()} cores, node ${process.version}, ` +
      `file system ${statfsSync(options.dir).type.toString(16)}; cpu: leader, followers, load`,
  );
  if (parts.has("load")) {
    const lines: LoadLine[] = [];
    for (let round = 1; round <= Number(options.rounds); round++) lines.push(...(await measureLoad(round)));
    result["load"] = lines;
  }
  if (parts.has("failover")) {
    const failover = await measureFailover(PROGRAM, options.dir, NODES, Number(options.kills));
    result["failover"] = failover;
    const [min, median, max] = [failover.minMs, failover.medianMs, failover.maxMs].map((ms) => ms.toFixed(0));
    console.log(`failover, ${failover.kills} kills of the leader: min ${min}, median ${median}, max ${max} ms`);
  }
  if (parts.has("restart")) {
    const restart = await measureRestart(PROGRAM, options.dir, NODES, Number(options.entries));
    result["restart"] = restart;
    console.log(
      table(
        Object.entries(restart).map(([name, figure]) => [`restart, ${name}`, Math.round(figure).toLocaleString("en")]),
      ),
    );
  }
  mkdirSync(dirname(options.out), { recursive: true });
  writeFileSync(options.out, `${JSON.stringify(result, null, 2)}\n`);
  console.log(`took ${((performance.now() - started) / 1000).toFixed(0)} s; figures are in ${options.out}`);
}

for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));
if (options.help) console.log(HELP);
else await main();
