import { checkAppends, marker } from "./harness/kv-checks.js";
import { KVCluster, type LabClerk } from "./harness/kv-cluster.js";
import { genericTest, speedTest } from "./harness/kv-generic.js";
import { ELECTION_MS, type Lab, LabError } from "./harness/lab.js";
import { labTest } from "./harness/runner.js";

genericTest({ part: "3A", clients: 1, servers: 5 });

speedTest("3A", -1);

genericTest({ part: "3A", clients: 5, servers: 5 });

genericTest({ part: "3A", clients: 5, servers: 5, unreliable: true });

labTest("concurrent append to same key, unreliable (3A)", async (lab) => {
  const clients = 5;
  const appends = 10;
  const cluster = new KVCluster(lab, { servers: 3, unreliable: true });
  const clerk = cluster.makeClerk();
  await clerk.put("k", "");
  await cluster.withClients(clients, async (number, own) => {
    for (let j = 0; j < appends; j++) await own.append("k", marker(number, j));
  });
  const value = await clerk.get("k");
  for (let number = 0; number < clients; number++) checkAppends(number, value, appends);
});

/** An operation that runs beside the test, and whether it has returned. */
interface Pending {
  readonly name: string;
  done: boolean;
}

function inBackground(lab: Lab, name: string, operation: () => Promise<unknown>): Pending {
  const pending = { name, done: false };
  void lab.spawn(async () => {
    await operation();
    pending.done = true;
  });
  return pending;
}

/** The minority's write and its read must both still wait after a second, and the majority notices nothing of them. */
async function noProgressInMinority(
  lab: Lab,
  majorityClerk: LabClerk,
  writer: LabClerk,
  reader: LabClerk,
): Promise<Pending[]> {
  const pending = [
    inBackground(lab, "put", () => writer.put("1", "15")),
    inBackground(lab, "get", () => reader.get("1")),
  ];
  await lab.sleep(1000);
  for (const { name, done } of pending) if (done) throw new LabError(`a ${name} in the minority completed`);
  await majorityClerk.check("1", "14");
  await majorityClerk.put("1", "16");
  await majorityClerk.check("1", "16");
  for (const { name, done } of pending) if (done) throw new LabError(`a ${name} in the minority completed`);
  return pending;
}

const PARTITION_STAGES = [
  "progress in majority (3A)",
  "no progress in minority (3A)",
  "completion after heal (3A)",
] as const;

labTest(PARTITION_STAGES.join(", "), async (lab) => {
  const cluster = new KVCluster(lab, { servers: 5 });
  const clerk = cluster.makeClerk();
  await clerk.put("1", "13");

  lab.beginStage(PARTITION_STAGES[0]);
  const { majority, minority } = cluster.makePartition();
  cluster.partition(majority, minority);
  const majorityClerk = cluster.makeClerk(majority);
  const writer = cluster.makeClerk(minority);
  const reader = cluster.makeClerk(minority);
  await majorityClerk.put("1", "14");
  await majorityClerk.check("1", "14");
  lab.endStage();

  lab.beginStage(PARTITION_STAGES[1]);
  const pending = await noProgressInMinority(lab, majorityClerk, writer, reader);
  lab.endStage();

  lab.beginStage(PARTITION_STAGES[2]);
  cluster.connectAll();
  cluster.connectClerk(writer);
  cluster.connectClerk(reader);
  await lab.sleep(ELECTION_MS);
  // Both, not only the write: the labs ask for the read in a way that cannot fail.
  for (let waited = 0; waited < 3000 && pending.some(({ done }) => !done); waited += 100) await lab.sleep(100);
  for (const { name, done } of pending) if (!done) throw new LabError(`the ${name} did not complete after the heal`);
  await clerk.check("1", "15");
  lab.endStage();
});

genericTest({ part: "3A", clients: 1, servers: 5, partitions: true });

genericTest({ part: "3A", clients: 5, servers: 5, partitions: true });

genericTest({ part: "3A", clients: 1, servers: 5, crash: true });

genericTest({ part: "3A", clients: 5, servers: 5, crash: true });

genericTest({ part: "3A", clients: 5, servers: 5, unreliable: true, crash: true });

genericTest({ part: "3A", clients: 5, servers: 5, crash: true, partitions: true });

genericTest({ part: "3A", clients: 5, servers: 5, unreliable: true, crash: true, partitions: true });

genericTest({
  part: "3A",
  clients: 15,
  servers: 7,
  unreliable: true,
  crash: true,
  partitions: true,
  randomKeys: true,
});
