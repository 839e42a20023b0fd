import { type Lab, LabError } from "./harness/lab.js";
import { RaftCluster, SNAPSHOT_INTERVAL } from "./harness/raft-cluster.js";
import { labTest } from "./harness/runner.js";
import { randomCommand } from "./harness/values.js";

const SERVERS = 3;
const ROUNDS = 30;

/**
 * The labs allow 2,000 bytes, for gob. Ours writes an entry of one random integer in 14 bytes. A log may hold up to nine
 * entries that no snapshot covers yet, a batch of fourteen, and one or two of `one()`: 25 x 14 = 350 bytes. So 500 is
 * generous, and well within what the labs allow.
 */
const MAX_LOG_SIZE = 500;

/** From half an interval to one and a half, so that a snapshot falls on any place of a batch. */
function batchSize(lab: Lab): number {
  return SNAPSHOT_INTERVAL / 2 + lab.random.int(0, SNAPSHOT_INTERVAL - 1);
}

interface Trouble {
  disconnect?: boolean;
  unreliable?: boolean;
  crash?: boolean;
}

/** Thirty rounds: one server misses some entries, perhaps by being cut off or down, and catches up by a snapshot. */
async function snapshotRounds(
  lab: Lab,
  { disconnect = false, unreliable = false, crash = false }: Trouble,
): Promise<void> {
  const cluster = new RaftCluster(lab, { servers: SERVERS, unreliable, snapshots: true });
  const command = (): number => randomCommand(lab.random);
  const present = disconnect || crash ? SERVERS - 1 : SERVERS;
  await cluster.one(command(), SERVERS, true);
  let leader = await cluster.checkOneLeader();
  for (let round = 0; round < ROUNDS; round++) {
    const neighbour = (leader + 1) % SERVERS;
    const [victim, sender] = round % 3 === 1 ? [leader, neighbour] : [neighbour, leader];
    if (disconnect) cluster.disconnect(victim);
    if (crash) cluster.crash1(victim);
    if (disconnect || crash) await cluster.one(command(), SERVERS - 1, true);
    for (let left = batchSize(lab); left > 0; left--) cluster.start(sender, command());
    await cluster.one(command(), present, true);
    const size = cluster.logSize();
    if (size >= MAX_LOG_SIZE) throw new LabError(`the log takes ${size} bytes, expected less than ${MAX_LOG_SIZE}`);
    if (crash) cluster.start1(victim);
    if (!disconnect && !crash) continue;
    cluster.connect(victim);
    await cluster.one(command(), SERVERS, true);
    leader = await cluster.checkOneLeader();
  }
}

/** All servers go down and come up again. */
function restartAll(cluster: RaftCluster): void {
  for (const i of cluster.all) cluster.crash1(i);
  for (const i of cluster.all) {
    cluster.start1(i);
    cluster.connect(i);
  }
}

labTest("snapshots basic (2D)", (lab) => snapshotRounds(lab, {}));

labTest("install snapshots (disconnect) (2D)", (lab) => snapshotRounds(lab, { disconnect: true }));

labTest("install snapshots (disconnect+unreliable) (2D)", (lab) =>
  snapshotRounds(lab, { disconnect: true, unreliable: true }),
);

labTest("install snapshots (crash) (2D)", (lab) => snapshotRounds(lab, { crash: true }));

labTest("install snapshots (unreliable+crash) (2D)", (lab) => snapshotRounds(lab, { crash: true, unreliable: true }));

labTest("crash and restart all servers (2D)", async (lab) => {
  const cluster = new RaftCluster(lab, { servers: SERVERS, snapshots: true });
  const agree = (): Promise<number> => cluster.one(randomCommand(lab.random), SERVERS, true);
  await agree();
  for (let round = 0; round < 5; round++) {
    for (let left = batchSize(lab); left > 0; left--) await agree();
    const before = await agree();
    restartAll(cluster);
    const after = await agree();
    if (after < before + 1) throw new LabError(`index ${after} after the restart, but ${before} before it`);
  }
});

labTest("snapshot initialization after crash (2D)", async (lab) => {
  const cluster = new RaftCluster(lab, { servers: SERVERS, snapshots: true });
  const agree = (): Promise<number> => cluster.one(randomCommand(lab.random), SERVERS, true);
  await agree();
  for (let left = SNAPSHOT_INTERVAL + 1; left > 0; left--) await agree();
  restartAll(cluster);
  // One entry, so that something is persisted again: the snapshot of before must survive it.
  await agree();
  restartAll(cluster);
  await agree();
});
