import { ELECTION_MS, LabError } from "./harness/lab.js";
import { RaftCluster } from "./harness/raft-cluster.js";
import { labTest } from "./harness/runner.js";

labTest("initial election (2A)", async (lab) => {
  const cluster = new RaftCluster(lab, { servers: 3 });
  await cluster.checkOneLeader();
  // Followers may still be learning of the election.
  await lab.sleep(50);
  const term = cluster.checkTerms();
  if (term < 1) throw new LabError(`the term is ${term}, but should be at least 1`);
  // Without a failure, leader and term stay.
  await lab.sleep(2 * ELECTION_MS);
  if (cluster.checkTerms() !== term) lab.remark("warning: the term changed even though there were no failures");
  await cluster.checkOneLeader();
});

labTest("election after network failure (2A)", async (lab) => {
  const servers = 3;
  const cluster = new RaftCluster(lab, { servers });
  const leader1 = await cluster.checkOneLeader();
  cluster.disconnect(leader1);
  await cluster.checkOneLeader();
  // The old leader comes back and must not disturb the new one.
  cluster.connect(leader1);
  const leader2 = await cluster.checkOneLeader();
  // Without a quorum nobody may be elected.
  cluster.disconnect(leader2);
  cluster.disconnect((leader2 + 1) % servers);
  await lab.sleep(2 * ELECTION_MS);
  cluster.checkNoLeader();
  cluster.connect((leader2 + 1) % servers);
  await cluster.checkOneLeader();
  cluster.connect(leader2);
  await cluster.checkOneLeader();
});

labTest("multiple elections (2A)", async (lab) => {
  const servers = 7;
  const cluster = new RaftCluster(lab, { servers });
  await cluster.checkOneLeader();
  for (let round = 1; round < 10; round++) {
    // Three at most, so the other four still make a quorum; the old leader may be among either.
    const cut = [1, 2, 3].map(() => lab.random.int(0, servers - 1));
    for (const i of cut) cluster.disconnect(i);
    await cluster.checkOneLeader();
    for (const i of cut) cluster.connect(i);
  }
  await cluster.checkOneLeader();
});
