// Imports every path that the installed package offers, and looks for the names that the documentation promises there.
import { readFileSync } from "node:fs";

const promised = {
  kvraft: ["realRuntime", "simulate", "Network", "makeRaft", "makePaxos", "startKVServer", "makeClerk"],
  "kvraft/labrpc": ["Network", "Server", "makeService", "RemoteError"],
  "kvraft/raft": ["makeRaft", "Persister", "committedIndex", "jointCommittedIndex", "voteResult", "jointVoteResult"],
  "kvraft/paxos": ["makePaxos", "makePaxosKV", "startAcceptor", "Acceptor", "Proposer", "compareBallots"],
  "kvraft/kvraft": ["startKVServer", "makeClerk"],
  "kvraft/server": ["startNode", "connect", "openStorage", "PaxosNode", "PaxosClient"],
  "kvraft/sim": ["simulate", "SimulationDeadlock", "checkLinearizable", "realRuntime"],
};

const manifest = JSON.parse(readFileSync("node_modules/kvraft/package.json", "utf8"));
for (const subpath of Object.keys(manifest.exports)) {
  if (subpath === "./package.json") continue;
  const path = `kvraft${subpath.slice(1)}`;
  const module = await import(path);
  const names = promised[path];
  if (names === undefined) throw new Error(`say in .ci/smoke/subpaths.mjs what ${path} promises`);
  const missing = names.filter((name) => !(name in module));
  if (missing.length > 0) throw new Error(`${path} lacks ${missing.join(", ")}`);
  console.log(`${path}: ${Object.keys(module).length} names`);
}
