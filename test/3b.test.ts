import { checkSizes } from "./harness/kv-checks.js";
import { KVCluster } from "./harness/kv-cluster.js";
import { genericTest, speedTest } from "./harness/kv-generic.js";
import { ELECTION_MS, LabError } from "./harness/lab.js";
import { labTest } from "./harness/runner.js";

const maxRaftState = 1000;

labTest("InstallSnapshot RPC (3B)", async (lab) => {
  const cluster = new KVCluster(lab, { servers: 3, maxRaftState });
  const clerk = cluster.makeClerk();
  await clerk.put("a", "A");
  await clerk.check("a", "A");

  // Server 2 misses so much that the others have dropped the log that it would need.
  cluster.partition([0, 1], [2]);
  const first = cluster.makeClerk([0, 1]);
  for (let i = 0; i < 50; i++) await first.put(String(i), String(i));
  await lab.sleep(ELECTION_MS);
  await first.put("b", "B");
  checkSizes(cluster, maxRaftState);
  if (cluster.snapshotSize() === 0) throw new LabError("no snapshot was taken, so server 2 would not need one");

  // Now it is needed for a majority, so it must take their snapshot.
  cluster.partition([0, 2], [1]);
  const second = cluster.makeClerk([0, 2]);
  await second.put("c", "C");
  await second.put("d", "D");
  await second.check("a", "A");
  await second.check("b", "B");
  await second.check("1", "1");
  await second.check("49", "49");

  cluster.connectAll();
  await clerk.put("e", "E");
  await clerk.check("c", "C");
  await clerk.check("e", "E");
  await clerk.check("1", "1");
});

labTest("snapshot size is reasonable (3B)", async (lab) => {
  // One small key. The labs' 500 bytes are no matter of the encoding: a server that kept every reply ever given, and not
  // one for each client, would pass them with its 400 writes, at two bytes each and more.
  const maxSnapshotSize = 500;
  const cluster = new KVCluster(lab, { servers: 3, maxRaftState });
  const clerk = cluster.makeClerk();
  for (let i = 0; i < 200; i++) {
    for (const value of ["0", "1"]) {
      await clerk.put("x", value);
      await clerk.check("x", value);
    }
  }
  checkSizes(cluster, maxRaftState);
  const size = cluster.snapshotSize();
  if (size > maxSnapshotSize) throw new LabError(`a snapshot takes ${size} bytes, expected at most ${maxSnapshotSize}`);
});

speedTest("3B", maxRaftState);

// The labs' one client comes to about 400 operations a second in this test.
genericTest({ part: "3B", clients: 1, servers: 5, crash: true, maxRaftState, thinkMs: 5 });

genericTest({ part: "3B", clients: 20, servers: 5, crash: true, maxRaftState });

genericTest({ part: "3B", clients: 5, servers: 5, unreliable: true, maxRaftState });

genericTest({ part: "3B", clients: 5, servers: 5, unreliable: true, crash: true, maxRaftState });

genericTest({ part: "3B", clients: 5, servers: 5, unreliable: true, crash: true, partitions: true, maxRaftState });

genericTest({
  part: "3B",
  clients: 15,
  servers: 7,
  unreliable: true,
  crash: true,
  partitions: true,
  maxRaftState,
  randomKeys: true,
});
