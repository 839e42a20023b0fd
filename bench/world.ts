/**
 * What the simulated world costs on one core. Prints, best of five: an event of the bare heap, an event and a sleep in a
 * simulation, encoding and decoding, and a complete call through a reliable network.
 */
import { makeService, Network, Server } from "../labrpc/index.js";
import { decode, encode } from "../runtime/index.js";
import { EventHeap } from "../sim/heap.js";
import { simulate } from "../sim/index.js";
import type { SimRuntime } from "../sim/index.js";

const ROUNDS = 5;

function report(name: string, perSecond: number): void {
  const ns = (1e9 / perSecond).toFixed(0).padStart(7);
  console.log(`${name.padEnd(58)} ${ns} ns  ${Math.round(perSecond).toLocaleString("en").padStart(12)} /s`);
}

function measure(name: string, times: number, run: () => void): void {
  let best = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now();
    for (let i = 0; i < times; i++) run();
    best = Math.max(best, (times * 1000) / (performance.now() - start));
  }
  report(name, best);
}

/** `main` does `times` of what is measured. */
async function measureWorld(name: string, times: number, main: (runtime: SimRuntime) => Promise<void>): Promise<void> {
  let best = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now();
    await simulate({ seed: round }, main);
    best = Math.max(best, (times * 1000) / (performance.now() - start));
  }
  report(name, best);
}

const doNothing = (): void => {};

function heapOfSize(size: number): () => void {
  const heap = new EventHeap();
  let seq = 0;
  // Times like those of timers, without a random source in the measured part.
  const spread = Array.from({ length: 1024 }, (_, i) => ((i * 2654435761) % 1000) + 1);
  for (let i = 0; i < size; i++) heap.push({ time: spread[i & 1023] ?? 0, seq: seq++, depth: 0, fn: doNothing });
  return () => {
    const event = heap.pop();
    if (event) heap.push({ time: event.time + (spread[seq & 1023] ?? 0), seq: seq++, depth: 0, fn: doNothing });
  };
}

async function sleepLoops(runtime: SimRuntime, loops: number, each: number): Promise<void> {
  await Promise.all(
    Array.from({ length: loops }, async (_, i) => {
      for (let n = 0; n < each; n++) await runtime.clock.sleep(1 + i / 7);
    }),
  );
}

function timerChain(runtime: SimRuntime, events: number): Promise<void> {
  return new Promise((resolve) => {
    let left = events;
    const next = (): void => {
      if (--left === 0) resolve();
      else runtime.clock.setTimeout(next, 1);
    };
    next();
  });
}

/** Five callers with an end to each of five servers: the shape of an idle Raft group. */
async function callLoops(runtime: SimRuntime, each: number, args: unknown, isAsync: boolean): Promise<void> {
  const network = new Network(runtime);
  const reply = [3, true, 0, 0];
  const ends = Array.from({ length: 5 }, (_, i) => {
    const server = new Server();
    server.addService(makeService("Raft", { append: isAsync ? async () => reply : () => reply }));
    network.addServer(`s${i}`, server);
    const end = network.makeEnd(`e${i}`);
    network.connect(`e${i}`, `s${i}`);
    network.enable(`e${i}`, true);
    return end;
  });
  await Promise.all(
    ends.map(async (end) => {
      for (let n = 0; n < each; n++) await end.call("Raft.append", args);
    }),
  );
}

const heartbeat = [12, 3, 1001, 11, 1000, 0, []];
const append = [12, 3, 1001, 11, 1000, 0, [[11, 0, new Uint8Array(100)]]];

measure("heap of 20: pop and push", 1_000_000, heapOfSize(20));
measure("heap of 1,000: pop and push", 1_000_000, heapOfSize(1000));
for (const [name, message] of [
  ["heartbeat", heartbeat],
  ["append of 100 bytes", append],
  ["client's put", { op: "put", key: "some key", value: "some value or other", client: 12345678, request: 17 }],
] as const) {
  const bytes = encode(message);
  measure(`encode ${name} (${bytes.length} bytes)`, 500_000, () => encode(message));
  measure(`decode ${name}`, 500_000, () => decode(bytes));
}
await measureWorld("simulate: timers without promises", 500_000, (runtime) => timerChain(runtime, 500_000));
await measureWorld("simulate: sleeps, 20 at a time", 500_000, (runtime) => sleepLoops(runtime, 20, 25_000));
await measureWorld("reliable call of a heartbeat, synchronous handler", 250_000, (r) =>
  callLoops(r, 50_000, heartbeat, false),
);
await measureWorld("reliable call of a heartbeat, async handler", 250_000, (r) =>
  callLoops(r, 50_000, heartbeat, true),
);
await measureWorld("reliable call of an append of 100 bytes", 250_000, (r) => callLoops(r, 50_000, append, false));
