import type { Value } from "./harness/commit-record.js";
import { ELECTION_MS, type Lab, LabError } from "./harness/lab.js";
import { RaftCluster } from "./harness/raft-cluster.js";
import { labTest } from "./harness/runner.js";
import { randomCommand, randomText } from "./harness/values.js";

/** The same leader and term must hold through such a test; where they did not by chance, it is tried again. */
const TRIES = 5;
const PAUSE_BEFORE_RETRY_MS = 3000;

function expectUncommitted(cluster: RaftCluster, index: number): void {
  const { count } = cluster.nCommitted(index);
  if (count > 0) throw new LabError(`${count} servers committed index ${index} without a majority`);
}

labTest("basic agreement (2B)", async (lab) => {
  const servers = 3;
  const cluster = new RaftCluster(lab, { servers });
  for (let index = 1; index <= 3; index++) {
    if (cluster.nCommitted(index).count > 0) throw new LabError(`index ${index} was committed before start()`);
    const got = await cluster.one(index * 100, servers, false);
    if (got !== index) throw new LabError(`got index ${got}, expected ${index}`);
  }
});

labTest("RPC byte count (2B)", async (lab) => {
  const servers = 3;
  const cluster = new RaftCluster(lab, { servers });
  await cluster.one(99, servers, false);
  const before = cluster.bytesTotal();
  let sent = 0;
  for (let index = 2; index < 12; index++) {
    const command = randomText(lab.random, 5000);
    const got = await cluster.one(command, servers, false);
    if (got !== index) throw new LabError(`got index ${got}, expected ${index}`);
    sent += command.length;
  }
  const used = cluster.bytesTotal() - before;
  // Each command goes to each follower about once: 2 x 50,000 bytes and our framing. The labs grant a third copy and
  // 50,000 bytes more. That bound is one on the commands themselves, whatever the encoding: it holds for ours as it is.
  const limit = servers * sent + 50_000;
  if (used > limit) throw new LabError(`too many RPC bytes: used ${used}, expected at most ${limit}`);
});

labTest("test progressive failure of followers (2B)", async (lab) => {
  const servers = 3;
  const cluster = new RaftCluster(lab, { servers });
  await cluster.one(101, servers, false);
  const leader1 = await cluster.checkOneLeader();
  cluster.disconnect((leader1 + 1) % servers);
  await cluster.one(102, servers - 1, false);
  await lab.sleep(ELECTION_MS);
  await cluster.one(103, servers - 1, false);
  const leader2 = await cluster.checkOneLeader();
  cluster.disconnect((leader2 + 1) % servers);
  cluster.disconnect((leader2 + 2) % servers);
  const { index, isLeader } = cluster.start(leader2, 104);
  if (!isLeader) throw new LabError("the leader rejected start()");
  if (index !== 4) throw new LabError(`got index ${index}, expected 4`);
  await lab.sleep(2 * ELECTION_MS);
  expectUncommitted(cluster, index);
});

labTest("test failure of leaders (2B)", async (lab) => {
  const servers = 3;
  const cluster = new RaftCluster(lab, { servers });
  await cluster.one(101, servers, false);
  cluster.disconnect(await cluster.checkOneLeader());
  await cluster.one(102, servers - 1, false);
  await lab.sleep(ELECTION_MS);
  await cluster.one(103, servers - 1, false);
  cluster.disconnect(await cluster.checkOneLeader());
  for (const i of cluster.all) cluster.start(i, 104);
  await lab.sleep(2 * ELECTION_MS);
  expectUncommitted(cluster, 4);
});

labTest("agreement after follower reconnects (2B)", async (lab) => {
  const servers = 3;
  const cluster = new RaftCluster(lab, { servers });
  await cluster.one(101, servers, false);
  const follower = ((await cluster.checkOneLeader()) + 1) % servers;
  cluster.disconnect(follower);
  await cluster.one(102, servers - 1, false);
  await cluster.one(103, servers - 1, false);
  await lab.sleep(ELECTION_MS);
  await cluster.one(104, servers - 1, false);
  await cluster.one(105, servers - 1, false);
  cluster.connect(follower);
  await cluster.one(106, servers, true);
  await lab.sleep(ELECTION_MS);
  await cluster.one(107, servers, true);
});

labTest("no agreement if too many followers disconnect (2B)", async (lab) => {
  const servers = 5;
  const cluster = new RaftCluster(lab, { servers });
  await cluster.one(10, servers, false);
  const leader = await cluster.checkOneLeader();
  const followers = [1, 2, 3].map((offset) => (leader + offset) % servers);
  for (const i of followers) cluster.disconnect(i);
  const first = cluster.start(leader, 20);
  if (!first.isLeader) throw new LabError("the leader rejected start()");
  if (first.index !== 2) throw new LabError(`got index ${first.index}, expected 2`);
  await lab.sleep(2 * ELECTION_MS);
  expectUncommitted(cluster, first.index);
  for (const i of followers) cluster.connect(i);
  // The three may have chosen a leader among themselves, which does not know index 2.
  const second = cluster.start(await cluster.checkOneLeader(), 30);
  if (!second.isLeader) throw new LabError("the new leader rejected start()");
  if (second.index < 2 || second.index > 3) throw new LabError(`got index ${second.index}, expected 2 or 3`);
  await cluster.one(1000, servers, true);
});

/** Five clients propose at the same moment; null where term or leader changed meanwhile. */
async function concurrentStarts(lab: Lab, cluster: RaftCluster): Promise<Value[] | null> {
  const leader = await cluster.checkOneLeader();
  const { term, isLeader } = cluster.start(leader, 1);
  if (!isLeader) return null;
  const clients = [0, 1, 2, 3, 4].map((i) =>
    lab.spawn(async () => {
      const started = cluster.start(leader, 100 + i);
      return started.isLeader && started.term === term ? started.index : null;
    }),
  );
  const indices = (await Promise.all(clients)).filter((index) => index !== null);
  if (cluster.all.some((i) => cluster.raft(i).getState().term !== term)) return null;
  const commands: Value[] = [];
  for (const index of indices) {
    const command = await cluster.wait(index, cluster.servers, term);
    if (command === null) return null;
    commands.push(command);
  }
  return commands;
}

labTest("concurrent Start()s (2B)", async (lab) => {
  const cluster = new RaftCluster(lab, { servers: 3 });
  for (let attempt = 0; attempt < TRIES; attempt++) {
    if (attempt > 0) await lab.sleep(PAUSE_BEFORE_RETRY_MS);
    const commands = await concurrentStarts(lab, cluster);
    if (!commands) continue;
    for (let value = 100; value < 105; value++) {
      if (!commands.includes(value)) throw new LabError(`${value} is missing in ${commands.join(", ")}`);
    }
    return;
  }
  throw new LabError("the term changed too often");
});

labTest("rejoin of partitioned leader (2B)", async (lab) => {
  const servers = 3;
  const cluster = new RaftCluster(lab, { servers });
  await cluster.one(101, servers, true);
  const leader1 = await cluster.checkOneLeader();
  cluster.disconnect(leader1);
  // The old leader takes entries that cannot commit.
  for (const command of [102, 103, 104]) cluster.start(leader1, command);
  await cluster.one(103, 2, true);
  const leader2 = await cluster.checkOneLeader();
  cluster.disconnect(leader2);
  cluster.connect(leader1);
  await cluster.one(104, 2, true);
  cluster.connect(leader2);
  await cluster.one(105, servers, true);
});

labTest("leader backs up quickly over incorrect follower logs (2B)", async (lab) => {
  const servers = 5;
  const cluster = new RaftCluster(lab, { servers });
  const proposeFifty = (leader: number): void => {
    for (let i = 0; i < 50; i++) cluster.start(leader, randomCommand(lab.random));
  };
  const agreeFifty = async (): Promise<void> => {
    for (let i = 0; i < 50; i++) await cluster.one(randomCommand(lab.random), 3, true);
  };
  await cluster.one(randomCommand(lab.random), servers, true);

  // The leader and one follower, alone, collect entries that cannot commit.
  const leader1 = await cluster.checkOneLeader();
  const pair = [leader1, (leader1 + 1) % servers];
  const trio = [2, 3, 4].map((offset) => (leader1 + offset) % servers);
  for (const i of trio) cluster.disconnect(i);
  proposeFifty(leader1);
  await lab.sleep(ELECTION_MS / 2);

  // The other three go on without them, then two of the three collect entries that cannot commit.
  for (const i of pair) cluster.disconnect(i);
  for (const i of trio) cluster.connect(i);
  await agreeFifty();
  const leader2 = await cluster.checkOneLeader();
  const other = leader2 === trio[0] ? (leader2 + 1) % servers : trio[0]!;
  cluster.disconnect(other);
  proposeFifty(leader2);
  await lab.sleep(ELECTION_MS / 2);

  // The third of the three must bring the first pair, with their long wrong logs, to its own.
  for (const i of cluster.all) cluster.disconnect(i);
  for (const i of [...pair, other]) cluster.connect(i);
  await agreeFifty();
  for (const i of cluster.all) cluster.connect(i);
  await cluster.one(randomCommand(lab.random), servers, true);
});

const COUNTED = 10;

/** RPCs that reached a handler of any server. */
function rpcs(cluster: RaftCluster): number {
  return cluster.all.reduce((total, i) => total + cluster.rpcCount(i), 0);
}

/** RPCs for twelve entries at once; null where term or leader changed meanwhile. */
async function rpcsOfAgreement(lab: Lab, cluster: RaftCluster): Promise<number | null> {
  const leader = await cluster.checkOneLeader();
  const before = rpcs(cluster);
  const { index: first, term, isLeader } = cluster.start(leader, 1);
  if (!isLeader) return null;
  const commands: number[] = [];
  for (let i = 1; i < COUNTED + 2; i++) {
    const command = randomCommand(lab.random);
    commands.push(command);
    const started = cluster.start(leader, command);
    if (!started.isLeader || started.term !== term) return null;
    if (started.index !== first + i) throw new LabError(`start() gave index ${started.index}, not ${first + i}`);
  }
  for (let i = 1; i < COUNTED + 1; i++) {
    const command = await cluster.wait(first + i, cluster.servers, term);
    if (command === null) return null;
    if (command !== commands[i - 1]) throw new LabError(`${command} at ${first + i}, expected ${commands[i - 1]}`);
  }
  if (cluster.all.some((i) => cluster.raft(i).getState().term !== term)) return null;
  return rpcs(cluster) - before;
}

labTest("RPC counts aren't too high (2B)", async (lab) => {
  const cluster = new RaftCluster(lab, { servers: 3 });
  await cluster.checkOneLeader();
  const elected = rpcs(cluster);
  if (elected > 30 || elected < 1) throw new LabError(`${elected} RPCs to elect the first leader, expected 1 to 30`);
  for (let attempt = 0; attempt < TRIES; attempt++) {
    if (attempt > 0) await lab.sleep(PAUSE_BEFORE_RETRY_MS);
    const used = await rpcsOfAgreement(lab, cluster);
    if (used === null) continue;
    const limit = (COUNTED + 1 + 3) * 3;
    if (used > limit) throw new LabError(`${used} RPCs for ${COUNTED + 2} entries, expected at most ${limit}`);
    const before = rpcs(cluster);
    await lab.sleep(ELECTION_MS);
    const idle = rpcs(cluster) - before;
    if (idle > 3 * 20) throw new LabError(`${idle} RPCs in a second of idleness, expected at most 60`);
    return;
  }
  throw new LabError("the term changed too often");
});
