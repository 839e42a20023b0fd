/**
 * Raft and Paxos under the same key/value servers, clients, network and disks, in virtual time: messages between servers
 * and latencies seen by clients, as the table in docs/paxos-and-raft.md. Equal on every machine.
 */
import { pathToFileURL } from "node:url";

import type { Clerk, MakeLog } from "../kvraft/index.js";
import { makePaxos } from "../paxos/index.js";
import { makeRaft } from "../raft/index.js";
import { simulate, type SimRuntime } from "../sim/index.js";
import { EngineCluster } from "./engine-cluster.js";

const SERVERS = 3;
const SEEDS = 40;
const WRITES = 300;

const text = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toFixed(1)).replace(/\.0$/, "");

/** Of ascending values. */
function at(values: readonly number[], part: number): number {
  return values[Math.min(values.length - 1, Math.floor(values.length * part))] as number;
}

function latencies(values: readonly number[]): string {
  const sorted = values.toSorted((a, b) => a - b);
  return `${text(at(sorted, 0.5))} / ${text(at(sorted, 0.99))} ms`;
}

interface Row {
  readonly what: string;
  readonly measure: (engine: MakeLog) => Promise<string>;
}

function world<T>(
  seed: number,
  engine: MakeLog,
  tell: (cluster: EngineCluster) => Promise<T>,
  size = SERVERS,
): Promise<T> {
  return simulate({ seed }, (runtime: SimRuntime) => tell(new EngineCluster(runtime, engine, size)));
}

/** After the first election and the first write, which also opens the client's session. */
function settled<T>(
  seed: number,
  engine: MakeLog,
  tell: (cluster: EngineCluster, clerk: Clerk) => Promise<T>,
  size = SERVERS,
): Promise<T> {
  return world(
    seed,
    engine,
    async (cluster) => {
      await cluster.leader();
      const clerk = cluster.clerk();
      await clerk.put("k", "first");
      await cluster.runtime.clock.sleep(1000);
      return tell(cluster, clerk);
    },
    size,
  );
}

/** One operation after the other. */
async function oneByOne(cluster: EngineCluster, count: number, operation: () => Promise<unknown>): Promise<string> {
  const times: number[] = [];
  const { messages } = await cluster.costOf(async () => {
    for (let i = 0; i < count; i++) times.push((await cluster.costOf(operation)).ms);
  });
  return `${text(messages / count)} messages; ${latencies(times)}`;
}

const overSeeds = async (measure: (seed: number) => Promise<number>): Promise<string> => {
  const times: number[] = [];
  for (let seed = 1; seed <= SEEDS; seed++) times.push(await measure(seed));
  return latencies(times);
};

/** From the leader's death to the answer to the next write. */
async function failover(cluster: EngineCluster, clerk: Clerk): Promise<number> {
  cluster.kill(await cluster.leader());
  const { ms } = await cluster.costOf(() => clerk.put("k", "after"));
  return ms;
}

const ROWS: readonly Row[] = [
  {
    what: "first election and first write, messages in all",
    measure: (engine) =>
      world(1, engine, async (cluster) => {
        const { messages } = await cluster.costOf(async () => cluster.clerk().put("k", "v"));
        return `${messages} messages`;
      }),
  },
  {
    what: "a write, one at a time",
    measure: (engine) => settled(1, engine, (cluster, clerk) => oneByOne(cluster, WRITES, () => clerk.put("k", "v"))),
  },
  {
    what: "a write, one at a time, 5 servers",
    measure: (engine) =>
      settled(1, engine, (cluster, clerk) => oneByOne(cluster, WRITES, () => clerk.put("k", "v")), 5),
  },
  {
    what: "a write, 64 clients at once",
    measure: (engine) =>
      settled(1, engine, async (cluster) => {
        const clerks = Array.from({ length: 64 }, () => cluster.clerk());
        await Promise.all(clerks.map((clerk) => clerk.put("k", "v")));
        const times: number[] = [];
        const { messages } = await cluster.costOf(() =>
          Promise.all(
            clerks.map(async (clerk) => {
              for (let i = 0; i < 20; i++) times.push((await cluster.costOf(() => clerk.put("k", "v"))).ms);
            }),
          ),
        );
        return `${text(messages / times.length)} messages; ${latencies(times)}`;
      }),
  },
  {
    what: "a linearizable read, one at a time",
    measure: (engine) => settled(1, engine, (cluster, clerk) => oneByOne(cluster, WRITES, () => clerk.get("k"))),
  },
  {
    what: "a write, one at a time, 10 % of all messages lost",
    measure: (engine) =>
      settled(1, engine, (cluster, clerk) => {
        cluster.conditions = { loss: 0.1 };
        return oneByOne(cluster, WRITES, () => clerk.put("k", "v"));
      }),
  },
  {
    what: "a second without work",
    measure: (engine) =>
      settled(1, engine, async (cluster) => {
        const { messages } = await cluster.costOf(() => cluster.runtime.clock.sleep(10_000));
        return `${text(messages / 10)} messages`;
      }),
  },
  {
    what: "the leader dies: until the next write is answered",
    measure: (engine) => overSeeds((seed) => settled(seed, engine, failover)),
  },
  {
    what: "the leader dies, and one of the two that are left lags by 1,000 writes",
    measure: (engine) =>
      overSeeds((seed) =>
        settled(seed, engine, async (cluster, clerk) => {
          const leader = await cluster.leader();
          const lagging = (leader + 1) % SERVERS;
          cluster.cutOff(lagging);
          const puts = Array.from({ length: 1000 }, () => clerk.put("k", "v"));
          await Promise.all(puts);
          cluster.network.healAll();
          return failover(cluster, clerk);
        }),
      ),
  },
  {
    what: "a server comes back after 5,000 writes: until it has them",
    measure: (engine) =>
      settled(1, engine, async (cluster, clerk) => {
        const leader = await cluster.leader();
        const away = (leader + 1) % SERVERS;
        cluster.kill(away);
        for (let i = 0; i < 50; i++) await Promise.all(Array.from({ length: 100 }, () => clerk.put("k", "v")));
        const goal = cluster.appliedBy(leader);
        const { bytes, messages, ms } = await cluster.costOf(async () => {
          cluster.start(away);
          await cluster.until(() => cluster.appliedBy(away) >= goal);
        });
        return `${messages} messages, ${Math.round(bytes / 1024)} KiB; ${text(ms)} ms`;
      }),
  },
];

/** The table as Markdown. */
export async function engineTable(): Promise<string> {
  const lines = ["| | Raft | Paxos |", "| --- | --- | --- |"];
  for (const { what, measure } of ROWS)
    lines.push(`| ${what} | ${await measure(makeRaft)} | ${await measure(makePaxos)} |`);
  return lines.join("\n");
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) console.log(await engineTable());
