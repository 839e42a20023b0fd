// What a user of the package writes must pass the type checker with the declarations that it ships.
import { realRuntime, type Clock, type Random, type Runtime } from "kvraft";
import { makeClerk, startKVServer, type Clerk, type KVServer } from "kvraft/kvraft";
import { makeService, Network, Server, type ClientEnd } from "kvraft/labrpc";
import { makePaxos, makePaxosKV, startAcceptor, type PaxosKV } from "kvraft/paxos";
import { committedIndex, makeRaft, Persister, voteResult, type ApplyMsg, type Raft } from "kvraft/raft";
import { checkLinearizable, simulate, SimulationDeadlock, type HistoryEvent } from "kvraft/sim";

const runtime: Runtime = realRuntime(1);
export const clock: Clock = runtime.clock;
export const random: Random = runtime.random;
export const network: Network = new Network(runtime);
export const end: ClientEnd = network.makeEnd("a");
export const server: Server = new Server();
server.addService(makeService("Echo", { say: (args: string) => ({ args }) }));
export const raft: Raft = makeRaft({
  peers: [end],
  me: 0,
  persister: new Persister(),
  runtime,
  config: { preVote: true },
});
export const clerk: Clerk = makeClerk([end], { runtime });
export const read: Promise<{ value: string; version: number } | null> = clerk.read("x", { timeoutMs: 5 });
export const kv: KVServer = startKVServer({
  servers: [end],
  me: 0,
  persister: new Persister(),
  maxRaftState: -1,
  runtime,
});
export const onPaxos: KVServer = startKVServer({
  servers: [end],
  me: 0,
  persister: new Persister(),
  maxRaftState: -1,
  runtime,
  engine: makePaxos,
});
server.addService(startAcceptor({ storage: new Persister() }).service);
export const registers: PaxosKV = makePaxosKV([end], { runtime });
export const established: Promise<{ value: unknown; ours: boolean }> = registers.set("foo", 0, 5, { timeoutMs: 5 });
export const commit: number = committedIndex([0, 1, 2], new Map([[0, 1]]));
export const vote: "won" | "lost" | "pending" = voteResult(new Set([0]), new Map());
export const result: Promise<number> = simulate({ seed: 1 }, async ({ clock: virtual }) => virtual.now());
export const isDeadlock = (error: unknown): boolean => error instanceof SimulationDeadlock;
const history: HistoryEvent[] = [{ process: 1, type: "invoke", f: "put", key: "x", value: "1", time: 0 }];
export const verdict: "linearizable" | "not-linearizable" | "unknown" = checkLinearizable(history).verdict;
export async function consume(applyCh: AsyncIterable<ApplyMsg>): Promise<void> {
  for await (const message of applyCh) {
    const bytes: unknown = message.type === "snapshot" ? message.snapshot.length : message.command;
    void bytes;
  }
}
