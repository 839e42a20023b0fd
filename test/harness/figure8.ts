import { type Lab, LabError } from "./lab.js";
import { RaftCluster } from "./raft-cluster.js";

/** The entry of term 2 in the figure, the one of S5 in term 3, and those of the later leaders. */
const OLD = 2;
const RIVAL = 3;
const NEW = 4;

/** Servers by their part in figure 8 of the paper; which number plays which part, the elections decide. */
interface Cast {
  readonly cluster: RaftCluster;
  /** Leads in (a) and in (c); S1 and S2 may have changed places in between, for they hold the same log. */
  readonly s1: number;
  readonly s2: number;
  readonly s3: number;
  readonly s4: number;
  readonly s5: number;
}

/**
 * Figure 8 step by step. The random tests of that name hardly ever reach its last step, so that a leader which commits
 * entries of earlier terms by counting their copies passes them; here it fails.
 */
export async function figure8(lab: Lab): Promise<void> {
  await figure8d(await upToC(lab));
  await figure8e(await upToC(lab));
}

function only(cluster: RaftCluster, members: readonly number[]): void {
  for (const i of cluster.all) cluster.disconnect(i);
  for (const i of members) cluster.connect(i);
}

function propose(cluster: RaftCluster, i: number, command: number, expectedIndex: number): void {
  const { index, isLeader } = cluster.start(i, command);
  if (!isLeader || index !== expectedIndex) {
    throw new LabError(`figure 8: server ${i} gave ${command} index ${index}, expected ${expectedIndex}`);
  }
}

async function untilStored(lab: Lab, cluster: RaftCluster, i: number, index: number): Promise<void> {
  for (let poll = 0; poll < 100; poll++) {
    if (cluster.raft(i).status().lastIndex >= index) return;
    await lab.sleep(20);
  }
  throw new LabError(`figure 8: index ${index} never reached server ${i}`);
}

function expectLog(cluster: RaftCluster, index: number, expected: number): void {
  const { count, command } = cluster.nCommitted(index);
  if (count < 3 || command !== expected) {
    throw new LabError(`figure 8: ${command} is committed at ${index} on ${count} servers, expected ${expected} on 3`);
  }
}

async function upToC(lab: Lab): Promise<Cast> {
  const cluster = new RaftCluster(lab, { servers: 5 });
  await cluster.one(1, 5, true);

  // (a) S1 leads and gets its entry to S2 only.
  const a = await cluster.checkOneLeader();
  const b = (a + 1) % 5;
  only(cluster, [a, b]);
  propose(cluster, a, OLD, 2);
  await untilStored(lab, cluster, b, 2);

  // (b) S1 crashes. S5 is elected by S3 and S4, and accepts another entry at index 2, which gets to nobody.
  only(
    cluster,
    cluster.all.filter((i) => i !== a && i !== b),
  );
  cluster.crash1(a);
  const s5 = await cluster.checkOneLeader();
  cluster.disconnect(s5);
  propose(cluster, s5, RIVAL, 2);
  const [s3, s4] = cluster.all.filter((i) => i !== a && i !== b && i !== s5) as [number, number];

  // (c) S5 crashes, S1 restarts. It, or S2 with the same log, is elected and brings the old entry to S3: a majority has
  // it. But it is of an earlier term, so it must not commit (§5.4.2), however many heartbeats pass.
  cluster.crash1(s5);
  cluster.start1(a);
  only(cluster, [a, b, s3]);
  const s1 = await cluster.checkOneLeader();
  if (s1 === s3) throw new LabError("figure 8: the server with the shorter log was elected");
  await untilStored(lab, cluster, s3, 2);
  await lab.sleep(300);
  const { count } = cluster.nCommitted(2);
  if (count > 0)
    throw new LabError(`figure 8: an entry of an earlier term was committed by counting, on ${count} servers`);
  return { cluster, s1, s2: s1 === a ? b : a, s3, s4, s5 };
}

/** (d) S1 crashes again. S5 is elected, its entry has the later term, and overwrites the old one everywhere. */
async function figure8d({ cluster, s1, s2, s3, s4, s5 }: Cast): Promise<void> {
  cluster.crash1(s1);
  cluster.start1(s5);
  only(cluster, [s3, s4, s5]);
  const leader = await cluster.checkOneLeader();
  if (leader !== s5) throw new LabError(`figure 8 (d): server ${leader} was elected, whose log is out of date`);
  propose(cluster, s5, NEW, 3);
  await cluster.wait(3, 3);
  expectLog(cluster, 2, RIVAL);
  cluster.start1(s1);
  cluster.connect(s1);
  cluster.connect(s2);
  await cluster.one(NEW + 1, 5, true);
}

/** (e) But once S1 has an entry of its own term on a majority, both are committed, and S5 cannot win. */
async function figure8e({ cluster, s1, s2, s3, s4, s5 }: Cast): Promise<void> {
  propose(cluster, s1, NEW, 3);
  await cluster.wait(3, 3);
  expectLog(cluster, 2, OLD);
  cluster.crash1(s1);
  cluster.start1(s5);
  only(cluster, [s3, s4, s5]);
  const leader = await cluster.checkOneLeader();
  if (leader !== s3) throw new LabError(`figure 8 (e): server ${leader} was elected, whose log is out of date`);
  cluster.start1(s1);
  cluster.connect(s1);
  cluster.connect(s2);
  await cluster.one(NEW + 1, 5, true);
  expectLog(cluster, 2, OLD);
}
