/**
 * The order run: integers from 1 on, then "end", from one client with a large send buffer through three nodes with the
 * callback of a group. Each node counts where an integer is not the one after the last. Four processes on loopback: the
 * nodes, and this one as the load. See --help.
 */
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { PaxosClient, startPaxosNode, type NodeAddress, type PaxosConfig } from "../server/index.js";
import { ENGINE_NAMES, type EngineName } from "../server/engines.js";
import { freePorts, HOST } from "./ports.js";

const GROUP = 1;
const IDS = [1, 2, 3];
const START_MS = 60_000;

const HELP = `npm run bench:groups -- [options]

  --engine ${ENGINE_NAMES.join()}   which engines, one after the other
  --items 100000   integers, before the "end"
  --buffer 2000    the client's send buffer
  --memory         without persistence: no disk
  --dir build/bench  where the data are, on a disk; removed afterwards

Exit code 1 where the order broke, or a node missed an item.
`;

const { values: options } = parseArgs({
  options: {
    engine: { type: "string", default: ENGINE_NAMES.join() },
    items: { type: "string", default: "100000" },
    buffer: { type: "string", default: "2000" },
    memory: { type: "boolean", default: false },
    dir: { type: "string", default: "build/bench" },
    node: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

/** What a node has seen when the "end" comes. */
interface Seen {
  readonly id: number;
  readonly items: number;
  readonly orderBreaks: number;
}

/** One of the nodes, in its own process. */
async function runNode(config: PaxosConfig, engine: EngineName): Promise<void> {
  let items = 0;
  let last = 0;
  let orderBreaks = 0;
  const text = new TextDecoder();
  const callback = (bytes: Uint8Array): number => {
    const item = text.decode(bytes);
    if (item === "end") {
      process.send?.({ id: config.myid, items, orderBreaks } satisfies Seen);
      return items;
    }
    if (item === "warm up") return 0;
    items++;
    if (Number(item) !== last + 1) orderBreaks++;
    last = Number(item);
    return items;
  };
  await startPaxosNode(config, { engine, groups: { [GROUP]: callback } });
  process.send?.("ready");
  process.once("disconnect", () => process.exit(0));
}

async function startNodes(nodes: readonly NodeAddress[], dataDir: string, engine: EngineName): Promise<ChildProcess[]> {
  const children = IDS.map((myid) => {
    const config = { nodes, myid, dataDir, timeout: 1000, enableDataPersistence: !options.memory };
    return fork(fileURLToPath(import.meta.url), ["--node", JSON.stringify(config), "--engine", engine]);
  });
  process.once("exit", () => children.forEach((child) => child.kill("SIGKILL")));
  await Promise.all(children.map((child) => once(child, "message", { signal: AbortSignal.timeout(START_MS) })));
  return children;
}

/** Submits all items at once. Returns how long each waited for its answer, ascending, and the whole run, in milliseconds. */
async function load(client: PaxosClient, count: number): Promise<{ waits: Float64Array; totalMs: number }> {
  const waits = new Float64Array(count);
  const started = performance.now();
  const submit = async (n: number): Promise<void> => {
    const begun = performance.now();
    const answer = await client.submit(String(n), GROUP);
    waits[n - 1] = performance.now() - begun;
    if (answer !== n) throw new Error(`the answer to ${n} was ${String(answer)}: it was not the ${n}th item`);
  };
  const submitted = Array.from({ length: count }, (_, i) => submit(i + 1));
  const end = client.submit("end", GROUP);
  await Promise.all([client.flush(), ...submitted]);
  await end;
  return { waits: waits.sort(), totalMs: performance.now() - started };
}

/** Returns whether every node saw every item in order. */
async function run(engine: EngineName): Promise<boolean> {
  const count = Number(options.items);
  mkdirSync(options.dir, { recursive: true });
  const dataDir = mkdtempSync(join(options.dir, "groups-"));
  const ports = await freePorts(IDS.length);
  const nodes = IDS.map((id, i) => ({ id, host: HOST, port: ports[i] as number }));
  const children = await startNodes(nodes, dataDir, engine);
  try {
    const ended = children.map((child) => once(child, "message", { signal: AbortSignal.timeout(10 * START_MS) }));
    const client = new PaxosClient({ nodes, sendBufferSize: Number(options.buffer) });
    await client.submit("warm up", GROUP);
    const { waits, totalMs } = await load(client, count);
    await client.close();
    const seen = (await Promise.all(ended)).map(([message]) => message as Seen);
    const at = (part: number): string => (waits[Math.min(count - 1, Math.floor(count * part))] as number).toFixed(1);
    const perSecond = Math.round((count / totalMs) * 1000).toLocaleString("en");
    const breaks = seen.map(({ orderBreaks }) => orderBreaks);
    console.log(
      `${engine.padEnd(6)} ${perSecond} items/s  p50 ${at(0.5)} ms  p99 ${at(0.99)} ms  ` +
        `order breaks on the nodes: ${breaks.join(" ")}`,
    );
    return seen.every(({ items, orderBreaks }) => items === count && orderBreaks === 0);
  } finally {
    const gone = children.map((child) => once(child, "exit"));
    for (const child of children) child.kill("SIGKILL");
    await Promise.all(gone);
    rmSync(dataDir, { recursive: true, force: true });
  }
}

async function main(): Promise<void> {
  console.log(
    `${options.items} integers and "end", send buffer ${options.buffer}, ${options.memory ? "in memory" : "synced disks"}; ` +
      `three node processes and the load on ${availableParallelism()} cores, node ${process.version}. ` +
      `All are submitted at once: a latency counts the wait for those before.`,
  );
  for (const engine of options.engine.split(",") as EngineName[]) if (!(await run(engine))) process.exitCode = 1;
}

for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));
if (options.help) console.log(HELP);
else if (options.node === undefined) await main();
else await runNode(JSON.parse(options.node) as PaxosConfig, options.engine as EngineName);
