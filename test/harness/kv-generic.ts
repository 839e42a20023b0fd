import { forkRandom } from "../../runtime/index.js";
import { checkAppends, checkSizes, marker } from "./kv-checks.js";
import { KVCluster, type LabClerk } from "./kv-cluster.js";
import { ELECTION_MS, type Lab, LabError } from "./lab.js";
import { labTest } from "./runner.js";
import { chance } from "./values.js";

export interface GenericTest {
  part: "3A" | "3B";
  clients: number;
  servers: number;
  unreliable?: boolean;
  crash?: boolean;
  partitions?: boolean;
  maxRaftState?: number;
  randomKeys?: boolean;
  /** See THINK_MS. */
  thinkMs?: number;
}

const ITERATIONS = 3;
const ITERATION_MS = 5000;

/**
 * The labs' clients never pause; what holds them back is the time that the servers and the test itself compute. In
 * virtual time computing takes none, and on a reliable network neither does a call. So each client thinks for a random
 * time up to this after each operation, such that a test makes about as many operations as the labs' figures say, or
 * more: one client about a hundred a second, several about as many in all.
 */
const THINK_MS = 20;

/** A title as the labs compose it. */
function title(test: GenericTest): string {
  const parts = [
    test.unreliable && "unreliable net",
    test.crash && "restarts",
    test.partitions && "partitions",
    (test.maxRaftState ?? -1) > 0 && "snapshots",
    test.randomKeys && "random keys",
    test.clients > 1 ? "many clients" : "one client",
  ];
  return `${parts.filter(Boolean).join(", ")} (${test.part})`;
}

/** Writes and reads one key of its own, or a random one of all, until told to stop. Returns the number of its writes. */
async function client(
  lab: Lab,
  test: GenericTest,
  number: number,
  clerk: LabClerk,
  stopped: () => boolean,
): Promise<number> {
  const random = forkRandom(lab.runtime.random, `client ${number}`);
  const thinkMs = test.thinkMs ?? (test.unreliable ? THINK_MS : THINK_MS * Math.min(test.clients, 5));
  let writes = 0;
  let key = String(number);
  let last = "";
  if (!test.randomKeys) await clerk.put(key, last);
  while (!stopped()) {
    if (test.randomKeys) key = String(random.int(0, test.clients - 1));
    const text = marker(number, writes);
    if (chance(random, 0.5)) {
      await clerk.append(key, text);
      last += text;
      writes++;
    } else if (test.randomKeys && chance(random, 0.1)) {
      await clerk.put(key, text);
      writes++;
    } else if (test.randomKeys) {
      await clerk.get(key);
    } else {
      await clerk.check(key, last);
    }
    await lab.sleep(random.int(0, thinkMs));
  }
  return writes;
}

/** Divides the servers at random, again and again, until told to stop. */
async function partitioner(lab: Lab, cluster: KVCluster, stopped: () => boolean): Promise<void> {
  const random = forkRandom(lab.runtime.random, "partitioner");
  while (!stopped()) {
    const side = cluster.all.map(() => chance(random, 0.5));
    cluster.partition(
      cluster.all.filter((i) => side[i]),
      cluster.all.filter((i) => !side[i]),
    );
    await lab.sleep(ELECTION_MS + random.int(0, 199));
  }
}

async function iteration(lab: Lab, test: GenericTest, cluster: KVCluster, clerk: LabClerk): Promise<void> {
  let stop = false;
  const stopped = (): boolean => stop;
  const clients = cluster.withClients(test.clients, (number, own) => client(lab, test, number, own, stopped));
  let partitions = Promise.resolve();
  if (test.partitions) {
    // The clients get a second to begin without interruption.
    await lab.sleep(ELECTION_MS);
    partitions = lab.spawn(() => partitioner(lab, cluster, stopped));
  }
  await lab.sleep(ITERATION_MS);
  stop = true;
  if (test.partitions) {
    await partitions;
    // Clients may wait for an answer that no minority can give: only a healed network lets them end.
    cluster.connectAll();
    await lab.sleep(ELECTION_MS);
  }
  if (test.crash) {
    for (const i of cluster.all) cluster.shutdownServer(i);
    await lab.sleep(ELECTION_MS);
    for (const i of cluster.all) cluster.startServer(i);
    cluster.connectAll();
  }
  for (const [number, writes] of (await clients).entries()) {
    const value = await clerk.get(String(number));
    if (!test.randomKeys) checkAppends(number, value, writes);
  }
  checkSizes(cluster, test.maxRaftState ?? -1);
}

/** The labs' GenericTest: clients write and read under the given trouble, three times over on the same servers. */
export function genericTest(test: GenericTest): void {
  labTest(title(test), async (lab) => {
    const cluster = new KVCluster(lab, test);
    const clerk = cluster.makeClerk();
    for (let i = 0; i < ITERATIONS; i++) await iteration(lab, test, cluster, clerk);
  });
}

/** Operations of one client, one after another, must not wait for the heartbeat: at least three to an interval. */
export function speedTest(part: "3A" | "3B", maxRaftState: number): void {
  const operations = 1000;
  const limitMs = 100 / 3;
  labTest(`ops complete fast enough (${part})`, async (lab) => {
    const cluster = new KVCluster(lab, { servers: 3, maxRaftState });
    const { clerk } = cluster.makeClerk();
    // The first one waits for a leader.
    await clerk.get("x");
    const started = lab.clock.now();
    for (let i = 0; i < operations; i++) await clerk.append("x", marker(0, i));
    const each = (lab.clock.now() - started) / operations;
    checkAppends(0, await clerk.get("x"), operations);
    if (each > limitMs) {
      throw new LabError(`an operation took ${each.toFixed(1)} ms, expected at most ${limitMs.toFixed(1)} ms`);
    }
  });
}
