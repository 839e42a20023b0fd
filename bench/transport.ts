/**
 * Requests a second over the TCP transport, between two processes on loopback: requests of about 150 bytes, replies of
 * about 20, one caller and 256 of them; once as it is, with all frames of a turn in one write, and once with a write for
 * each frame. Rounds alternate, so that a busy neighbour meets both.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

import { makeService, Server } from "../labrpc/index.js";
import { realRuntime } from "../runtime/index.js";
import { connectTo, listen } from "../server/transport/index.js";

const CLUSTER = "bench";
const ROUNDS = 5;
const ROUND_MS = 1000;

async function serve(): Promise<void> {
  const server = new Server();
  server.addService(makeService("Echo", { Call: (args: { n: number }) => ({ n: args.n, ok: true, x: "reply" }) }));
  const options = { runtime: realRuntime(), clusterId: CLUSTER, nodeId: "server", groups: { g: server } };
  const coalesced = await listen(options);
  const separate = await listen({ ...options, coalesce: false });
  process.send?.([coalesced.address.port, separate.address.port]);
}

async function round(port: number, coalesce: boolean, inFlight: number): Promise<{ perSecond: number; p50Ms: number }> {
  await using end = connectTo({
    runtime: realRuntime(),
    host: "127.0.0.1",
    port,
    clusterId: CLUSTER,
    as: "client",
    group: "g",
    coalesce,
  });
  await end.ready({ timeoutMs: 5000 });
  const payload = "p".repeat(100);
  const times: number[] = [];
  const started = performance.now();
  let count = 0;
  const caller = async (): Promise<void> => {
    for (;;) {
      const sent = performance.now();
      if (sent - started >= ROUND_MS) return;
      const reply = await end.call("Echo.Call", { n: count, key: "some-key", payload });
      if (reply === null) throw new Error("no answer");
      if (count++ % 16 === 0) times.push(performance.now() - sent);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, caller));
  const seconds = (performance.now() - started) / 1000;
  times.sort((a, b) => a - b);
  return { perSecond: count / seconds, p50Ms: times[times.length >> 1] as number };
}

async function main(): Promise<void> {
  const child = fork(fileURLToPath(import.meta.url), ["serve"], { execArgv: process.execArgv });
  const [ports] = (await once(child, "message")) as [[number, number]];
  for (const inFlight of [1, 256]) {
    await round(ports[0], true, inFlight);
    const results = {
      coalesced: [] as Awaited<ReturnType<typeof round>>[],
      separate: [] as Awaited<ReturnType<typeof round>>[],
    };
    for (let i = 0; i < ROUNDS; i++) {
      results.coalesced.push(await round(ports[0], true, inFlight));
      results.separate.push(await round(ports[1], false, inFlight));
    }
    for (const [name, rounds] of Object.entries(results)) {
      rounds.sort((a, b) => a.perSecond - b.perSecond);
      const median = rounds[ROUNDS >> 1] as (typeof rounds)[number];
      const thousands = rounds.map((result) => (result.perSecond / 1000).toFixed(1));
      console.log(
        `${inFlight} in flight, ${name === "coalesced" ? "one write a turn" : "one write a frame"}: ` +
          `${thousands[ROUNDS >> 1]} k requests/s median of ${ROUNDS} (${thousands[0]}-${thousands.at(-1)} k), ` +
          `p50 ${median.p50Ms.toFixed(3)} ms`,
      );
    }
  }
  child.kill();
}

await (process.argv[2] === "serve" ? serve() : main());
