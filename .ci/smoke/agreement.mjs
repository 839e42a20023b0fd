// Three Raft servers agree, and three KV servers serve a Clerk, in virtual time, with nothing but the installed package.
import assert from "node:assert/strict";

import { makeClerk, makeRaft, Network, Persister, Server, simulate, startKVServer } from "kvraft";

const ids = [0, 1, 2];

function connect(network, from) {
  return ids.map((to) => {
    const name = `${from}-${to}`;
    const end = network.makeEnd(name);
    network.connect(name, `server ${to}`);
    network.enable(name, true);
    return end;
  });
}

function serve(network, me, ...services) {
  const server = new Server();
  for (const service of services) server.addService(service);
  network.addServer(`server ${me}`, server);
}

const applied = await simulate({ seed: 1 }, async (runtime) => {
  const network = new Network(runtime);
  const rafts = ids.map((me) => makeRaft({ peers: connect(network, me), me, persister: new Persister(), runtime }));
  for (const me of ids) serve(network, me, rafts[me].service);
  let leader;
  while (!leader) {
    await runtime.clock.sleep(100);
    leader = rafts.find((raft) => raft.getState().isLeader);
  }
  const { index } = leader.start({ hello: "world" });
  return Promise.all(
    rafts.map(async (raft) => {
      for await (const message of raft.applyCh) if (message.index === index) return message.command;
    }),
  );
});
assert.deepEqual(
  applied,
  ids.map(() => ({ hello: "world" })),
);
console.log("three Raft servers applied", applied[0]);

const value = await simulate({ seed: 2 }, async (runtime) => {
  const network = new Network(runtime);
  network.reliable(false);
  for (const me of ids) {
    const servers = connect(network, me);
    const server = startKVServer({ servers, me, persister: new Persister(), maxRaftState: 1000, runtime });
    serve(network, me, server.raft.service, server.service);
  }
  const clerk = makeClerk(connect(network, "clerk"), { runtime });
  await clerk.put("x", "a");
  await clerk.append("x", "b");
  return clerk.get("x");
});
assert.equal(value, "ab");
console.log("the Clerk read", value);
