import { makeClerk, type Clerk } from "../../kvraft/index.js";
import { Network, type ClientEnd } from "../../labrpc/index.js";
import { Gate } from "../../server/admission.js";
import { resolveNode } from "../../server/config.js";
import { engines } from "../../server/engines.js";
import { Group, type GroupOptions } from "../../server/group.js";
import { Identity } from "../../server/identity.js";
import { silentLogger } from "../../server/transport/logger.js";
import { simulate, type SimRuntime } from "../../sim/index.js";
import { HandDisk } from "./hand-disk.js";
import { eventually } from "./service-cluster.js";

const CONFIG = { heartbeatMs: 100, electionTimeoutMinMs: 500, electionTimeoutMaxMs: 1000 };
const IDS = [0, 1, 2];
/** No node keeps an identity here, so all trust each other. Drawn before there is a simulation, for it is random. */
const GATE = new Gate(
  new Identity(
    resolveNode({
      nodes: IDS.map((id) => ({ id, host: "127.0.0.1", port: 1 + id })),
      myid: 0,
      enableDataPersistence: false,
    }),
  ),
);

/** Of its ends a key/value group needs the calls only. */
type PeerEnd = NonNullable<GroupOptions["ends"][number]>;

/** What a node runs for one group, three times, in virtual time: storage, Raft, store, and the watch over the disk. */
export class GroupCluster {
  readonly disks = IDS.map(() => new HandDisk());
  readonly groups: Group[] = [];
  /** Why groups stopped by themselves. */
  readonly failures: Error[] = [];
  readonly runtime: SimRuntime;
  readonly #network: Network;
  /** By name: who starts again calls through the same ones. */
  readonly #ends = new Map<string, ClientEnd>();

  constructor(runtime: SimRuntime) {
    this.runtime = runtime;
    this.#network = new Network(runtime);
  }

  async start(me: number, gate = GATE): Promise<void> {
    const ends = IDS.map((to) => (to === me ? null : (this.#end(`${me} to ${to}`, to) as PeerEnd)));
    const nothing = (): void => {};
    const group = await Group.open({
      name: "kv",
      ids: IDS,
      me,
      ends,
      runtime: this.runtime,
      engine: engines.raft,
      config: CONFIG,
      maxRaftState: -1,
      maxPendingBytes: 1 << 20,
      maxCommandBytes: 1 << 16,
      dir: "/data",
      disk: this.disks[me]!.mount(),
      stateMachine: undefined,
      observer: undefined,
      gate,
      logger: silentLogger,
      listener: {
        onElection: nothing,
        onLeader: nothing,
        onSnapshot: nothing,
        onFailure: (_, error) => void this.failures.push(error),
      },
    });
    this.groups[me] = group;
    this.#network.addServer(`server ${me}`, group.servers.peer);
  }

  async stop(n: number): Promise<void> {
    this.#network.deleteServer(`server ${n}`);
    await this.groups[n]!.close(0);
  }

  clerk(): Clerk {
    return makeClerk(
      IDS.map((to) => this.#end(`client to ${to}`, to)),
      { runtime: this.runtime },
    );
  }

  /** Server `n` is neither heard nor hears any more; it goes on running. */
  cutOff(n: number): void {
    this.#network.deleteServer(`server ${n}`);
    for (const to of IDS) if (to !== n) this.#network.enable(`${n} to ${to}`, false);
  }

  /** So much time of the cluster goes by. */
  pass(ms: number): Promise<void> {
    return this.runtime.clock.sleep(ms);
  }

  /** The server among `candidates` that leads, once all of them know it. */
  async leader(candidates: readonly number[] = IDS): Promise<number> {
    const leading = (): number | undefined => candidates.find((n) => this.groups[n]!.isLeader);
    await eventually(this.runtime, () => {
      const leader = leading();
      return leader !== undefined && candidates.every((n) => this.groups[n]!.leader === leader);
    });
    return leading()!;
  }

  #end(name: string, to: number): ClientEnd {
    const known = this.#ends.get(name);
    if (known !== undefined) return known;
    const end = this.#network.makeEnd(name);
    this.#ends.set(name, end);
    this.#network.connect(name, `server ${to}`);
    this.#network.enable(name, true);
    return end;
  }
}

/** A story about three servers, of which `leader` leads and has taken a first write. */
export function groupStory(
  tell: (cluster: GroupCluster, leader: number, clerk: Clerk) => Promise<void>,
): () => Promise<void> {
  return () =>
    simulate({ seed: 1, limitMs: 120_000 }, async (runtime) => {
      const cluster = new GroupCluster(runtime);
      for (const n of IDS) await cluster.start(n);
      const clerk = cluster.clerk();
      await clerk.put("k", "a");
      await tell(cluster, await cluster.leader(), clerk);
    });
}
