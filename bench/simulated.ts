/**
 * Simulated seconds a wall second: five servers with heartbeats only, and five KV servers with fifteen clients that think
 * 0-200 ms between operations (half of them Gets), on the reliable network, one process, one thread.
 */
import { makeClerk, startKVServer } from "../kvraft/index.js";
import { Network, Server, type ClientEnd } from "../labrpc/index.js";
import { makeRaft, Persister } from "../raft/index.js";
import { simulate, type SimRuntime } from "../sim/index.js";

const SERVERS = 5;

function ends(network: Network, from: string): ClientEnd[] {
  return Array.from({ length: SERVERS }, (_, to) => {
    const name = `${from} to ${to}`;
    const end = network.makeEnd(name);
    network.connect(name, `server ${to}`);
    network.enable(name, true);
    return end;
  });
}

function heartbeats(seconds: number): Promise<number> {
  return simulate({ seed: 1 }, async (runtime) => {
    const network = new Network(runtime);
    for (let me = 0; me < SERVERS; me++) {
      const raft = makeRaft({ peers: ends(network, `${me}`), me, persister: new Persister(), runtime });
      const server = new Server();
      server.addService(raft.service);
      network.addServer(`server ${me}`, server);
    }
    await runtime.clock.sleep(seconds * 1000);
    return network.getTotalCount();
  });
}

async function client(runtime: SimRuntime, network: Network, id: number, untilMs: number): Promise<number> {
  const { clock, random } = runtime;
  const clerk = makeClerk(ends(network, `client ${id}`), { runtime });
  let operations = 0;
  for (; clock.now() < untilMs; operations++) {
    await clock.sleep(random.int(0, 200));
    const key = `k${random.int(0, 9)}`;
    if (random.int(0, 1) === 0) await clerk.get(key);
    else await clerk.put(key, `${id} ${operations}`);
  }
  return operations;
}

function clients(seconds: number): Promise<number> {
  return simulate({ seed: 1 }, async (runtime) => {
    const network = new Network(runtime);
    for (let me = 0; me < SERVERS; me++) {
      const kv = startKVServer({
        servers: ends(network, `${me}`),
        me,
        persister: new Persister(),
        maxRaftState: 100_000,
        runtime,
      });
      const server = new Server();
      server.addService(kv.service);
      server.addService(kv.raft.service);
      network.addServer(`server ${me}`, server);
    }
    const counts = Array.from({ length: 15 }, (_, id) => client(runtime, network, id, seconds * 1000));
    return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
  });
}

async function measure(
  what: string,
  seconds: number,
  run: (seconds: number) => Promise<number>,
  unit: string,
): Promise<void> {
  await run(seconds / 4);
  const speeds: number[] = [];
  let count = 0;
  for (let i = 0; i < 5; i++) {
    const started = performance.now();
    count = await run(seconds);
    speeds.push((seconds * 1000) / (performance.now() - started));
  }
  speeds.sort((a, b) => a - b);
  const [slowest, , median, , fastest] = speeds.map((speed) => Math.round(speed));
  console.log(
    `world, ${what}: ${median} simulated s/s median of 5 (${slowest}-${fastest}), ${Math.round(count / seconds)} ${unit} a simulated second`,
  );
}

await measure("5 servers, heartbeats only", 3000, heartbeats, "RPCs");
await measure("5 servers, 15 clients thinking 0-200 ms", 200, clients, "operations");
