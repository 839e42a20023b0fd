import type { Value } from "./harness/commit-record.js";
import { RAFT } from "./harness/engines.js";
import { figure8 } from "./harness/figure8.js";
import { ELECTION_MS, type Lab, LabError } from "./harness/lab.js";
import { RaftCluster } from "./harness/raft-cluster.js";
import { labTest } from "./harness/runner.js";
import { chance, randomCommand } from "./harness/values.js";

function restart(cluster: RaftCluster, i: number): void {
  cluster.start1(i);
  cluster.connect(i);
}

labTest("basic persistence (2C)", async (lab) => {
  const servers = 3;
  const cluster = new RaftCluster(lab, { servers });
  await cluster.one(11, servers, true);
  for (const i of cluster.all) cluster.start1(i);
  for (const i of cluster.all) cluster.connect(i);
  await cluster.one(12, servers, true);

  restart(cluster, await cluster.checkOneLeader());
  await cluster.one(13, servers, true);

  const leader = await cluster.checkOneLeader();
  cluster.disconnect(leader);
  await cluster.one(14, servers - 1, true);
  restart(cluster, leader);
  // The restarted server must have caught up before the next one goes, or two of three would lack index 4.
  await cluster.wait(4, servers);

  const follower = ((await cluster.checkOneLeader()) + 1) % servers;
  cluster.disconnect(follower);
  await cluster.one(15, servers - 1, true);
  restart(cluster, follower);
  await cluster.one(16, servers, true);
});

labTest("more persistence (2C)", async (lab) => {
  const servers = 5;
  const cluster = new RaftCluster(lab, { servers });
  let next = 10;
  for (let round = 0; round < 5; round++) {
    await cluster.one(++next, servers, true);
    const leader = await cluster.checkOneLeader();
    const other = (offset: number): number => (leader + offset) % servers;
    cluster.disconnect(other(1));
    cluster.disconnect(other(2));
    await cluster.one(++next, servers - 2, true);
    for (const offset of [0, 3, 4]) cluster.disconnect(other(offset));
    // The two that lack the last entry come back first; without a third they can do nothing.
    restart(cluster, other(1));
    restart(cluster, other(2));
    await lab.sleep(ELECTION_MS);
    restart(cluster, other(3));
    await cluster.one(++next, servers - 2, true);
    cluster.connect(other(4));
    cluster.connect(leader);
  }
  await cluster.one(1000, servers, true);
});

labTest("partitioned leader and one follower crash, leader restarts (2C)", async (lab) => {
  const servers = 3;
  const cluster = new RaftCluster(lab, { servers });
  await cluster.one(101, 3, true);
  const leader = await cluster.checkOneLeader();
  const [first, second] = [(leader + 1) % servers, (leader + 2) % servers];
  cluster.disconnect(second);
  await cluster.one(102, 2, true);
  cluster.crash1(leader);
  cluster.crash1(first);
  cluster.connect(second);
  restart(cluster, leader);
  await cluster.one(103, 2, true);
  restart(cluster, first);
  await cluster.one(104, servers, true);
});

/** Mostly too short a time for anything to commit, sometimes long enough for an election. */
async function pauseOfFigure8(lab: Lab): Promise<void> {
  await lab.sleep(chance(lab.random, 0.1) ? lab.random.int(0, ELECTION_MS / 2 - 1) : lab.random.int(0, 12));
}

labTest("Figure 8 (2C)", async (lab) => {
  const servers = 5;
  const cluster = new RaftCluster(lab, { servers });
  await cluster.one(randomCommand(lab.random), 1, true);
  let up = servers;
  for (let round = 0; round < 1000; round++) {
    let leader = -1;
    for (const i of cluster.all) if (cluster.start(i, randomCommand(lab.random)).isLeader) leader = i;
    await pauseOfFigure8(lab);
    if (leader !== -1) {
      cluster.crash1(leader);
      up--;
    }
    if (up >= 3) continue;
    const i = lab.random.int(0, servers - 1);
    if (cluster.isRunning(i)) continue;
    restart(cluster, i);
    up++;
  }
  for (const i of cluster.all) if (!cluster.isRunning(i)) restart(cluster, i);
  await cluster.one(randomCommand(lab.random), servers, true);
});

// Its steps follow the terms of entries and Raft's rule on who may be elected. What Paxos does at the same places: it votes
// anew for the value of the highest ballot, which test/paxos/stories.test.ts has.
labTest("Figure 8, directed (2C)", figure8, [RAFT]);

labTest("unreliable agreement (2C)", async (lab) => {
  const servers = 5;
  const cluster = new RaftCluster(lab, { servers, unreliable: true });
  const beside: Promise<number>[] = [];
  for (let round = 1; round < 50; round++) {
    for (let i = 0; i < 4; i++) beside.push(lab.spawn(() => cluster.one(100 * round + i, 1, true)));
    await cluster.one(round, 1, true);
  }
  cluster.net.reliable(true);
  await Promise.all(beside);
  await cluster.one(100, servers, true);
});

labTest("Figure 8 (unreliable) (2C)", async (lab) => {
  const servers = 5;
  const cluster = new RaftCluster(lab, { servers, unreliable: true });
  const command = (): number => lab.random.int(0, 9999);
  await cluster.one(command(), 1, true);
  let up = servers;
  for (let round = 0; round < 1000; round++) {
    if (round === 200) cluster.net.longReordering(true);
    let leader = -1;
    for (const i of cluster.all) if (cluster.start(i, command()).isLeader && cluster.isConnected(i)) leader = i;
    await pauseOfFigure8(lab);
    if (leader !== -1 && chance(lab.random, 0.5)) {
      cluster.disconnect(leader);
      up--;
    }
    if (up >= 3) continue;
    const i = lab.random.int(0, servers - 1);
    if (cluster.isConnected(i)) continue;
    cluster.connect(i);
    up++;
  }
  for (const i of cluster.all) if (!cluster.isConnected(i)) cluster.connect(i);
  // Within the 10 s of one(), although the network still loses and reorders.
  await cluster.one(command(), servers, true);
});

/** Proposes until told to stop; returns the commands that it saw committed. */
async function churnClient(lab: Lab, cluster: RaftCluster, me: number, stopped: () => boolean): Promise<Value[]> {
  const seen: Value[] = [];
  while (!stopped()) {
    const command = randomCommand(lab.random);
    let index = -1;
    for (const i of cluster.all) {
      const started = cluster.start(i, command);
      if (started.isLeader) index = started.index;
    }
    if (index === -1) {
      await lab.sleep(79 + me * 17);
      continue;
    }
    for (const pause of [10, 20, 50, 100, 200]) {
      const committed = cluster.nCommitted(index);
      if (committed.count > 0) {
        if (committed.command === command) seen.push(command);
        break;
      }
      await lab.sleep(pause);
    }
  }
  return seen;
}

async function churn(lab: Lab, unreliable: boolean): Promise<void> {
  const servers = 5;
  const cluster = new RaftCluster(lab, { servers, unreliable });
  const anyServer = (): number => lab.random.int(0, servers - 1);
  let stop = false;
  const clients = [0, 1, 2].map((me) => lab.spawn(() => churnClient(lab, cluster, me, () => stop)));

  for (let round = 0; round < 20; round++) {
    if (chance(lab.random, 0.2)) cluster.disconnect(anyServer());
    if (chance(lab.random, 0.5)) {
      const i = anyServer();
      if (!cluster.isRunning(i)) cluster.start1(i);
      cluster.connect(i);
    }
    if (chance(lab.random, 0.2)) {
      const i = anyServer();
      if (cluster.isRunning(i)) cluster.crash1(i);
    }
    // Within an election timeout or so, so that the cluster has no quiet time.
    await lab.sleep((ELECTION_MS * 7) / 10);
  }

  await lab.sleep(ELECTION_MS);
  cluster.net.reliable(true);
  for (const i of cluster.all) {
    if (!cluster.isRunning(i)) cluster.start1(i);
    cluster.connect(i);
  }
  stop = true;
  const seen = (await Promise.all(clients)).flat();
  await lab.sleep(ELECTION_MS);
  const last = await cluster.one(randomCommand(lab.random), servers, true);
  const log = new Set<Value | null>();
  for (let index = 1; index <= last; index++) log.add(await cluster.wait(index, servers));
  const lost = seen.find((command) => !log.has(command));
  if (lost !== undefined) throw new LabError(`${lost} was committed, but is not in the log at the end`);
}

labTest("churn (2C)", (lab) => churn(lab, false));

labTest("unreliable churn (2C)", (lab) => churn(lab, true));
