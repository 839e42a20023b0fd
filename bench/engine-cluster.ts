import { makeClerk, startKVServer, type Clerk, type KVServer, type MakeLog } from "../kvraft/index.js";
import { Server } from "../labrpc/index.js";
import { Persister, type Storage, type StorageWrite } from "../replica/index.js";
import { LinkNetwork, type LinkConditions, type NetMessage, type SimRuntime } from "../sim/index.js";

const DISK_MS = 1;

/** A disk that takes a millisecond for each write, and works on several at once. */
class SlowStorage implements Storage {
  readonly persister: Persister;
  readonly #runtime: SimRuntime;
  readonly #isAlive: () => boolean;

  constructor(persister: Persister, runtime: SimRuntime, isAlive: () => boolean) {
    this.persister = persister;
    this.#runtime = runtime;
    this.#isAlive = isAlive;
  }

  load(): ReturnType<Storage["load"]> {
    return this.persister.load();
  }

  stateSize(): number {
    return this.persister.stateSize();
  }

  readSnapshot(): Uint8Array | null {
    return this.persister.readSnapshot();
  }

  write(write: StorageWrite, done: (error: Error | null) => void): void {
    this.#runtime.clock.setTimeout(() => {
      if (this.#isAlive()) this.persister.write(write, done);
    }, DISK_MS);
  }
}

export interface Traffic {
  messages: number;
  bytes: number;
}

/** Key/value servers on an engine, a millisecond or two apart, each with a disk that takes one. */
export class EngineCluster {
  readonly network: LinkNetwork;
  readonly runtime: SimRuntime;
  readonly size: number;
  /** Between servers, requests and replies. */
  readonly traffic: Traffic = { messages: 0, bytes: 0 };
  readonly servers: (KVServer | null)[] = [];
  readonly #engine: MakeLog;
  readonly #maxRaftState: number;
  readonly #storages: SlowStorage[] = [];
  #clerks = 0;

  constructor(runtime: SimRuntime, engine: MakeLog, size: number, maxRaftState = -1) {
    this.runtime = runtime;
    this.size = size;
    this.#engine = engine;
    this.#maxRaftState = maxRaftState;
    this.network = new LinkNetwork(runtime, { observer: { sent: (message) => this.#count(message) } });
    for (let i = 0; i < size; i++) this.start(i);
  }

  #count({ bytes, from, to }: NetMessage): undefined {
    if (!from.startsWith("s") || !to.startsWith("s")) return;
    this.traffic.messages++;
    this.traffic.bytes += bytes.length;
  }

  /** What `work` costs in messages between servers, beyond what goes on anyway. */
  async costOf(work: () => Promise<unknown>): Promise<Traffic & { readonly ms: number }> {
    const { bytes, messages } = this.traffic;
    const begun = this.runtime.clock.now();
    await work();
    const ms = this.runtime.clock.now() - begun;
    return { messages: this.traffic.messages - messages, bytes: this.traffic.bytes - bytes, ms };
  }

  set conditions(conditions: Partial<LinkConditions>) {
    this.network.conditions = { ...this.network.conditions, ...conditions };
  }

  start(i: number): void {
    const host = this.network.host(`s${i}`);
    const { life } = host;
    const persister = this.#storages[i]?.persister.copy() ?? new Persister();
    const storage = new SlowStorage(persister, this.runtime, () => host.life === life);
    this.#storages[i] = storage;
    const kv = startKVServer({
      servers: Array.from({ length: this.size }, (_, to) => host.end(to === i ? "itself" : `s${to}`)),
      me: i,
      persister: storage,
      maxRaftState: this.#maxRaftState,
      runtime: this.runtime,
      engine: this.#engine,
    });
    this.servers[i] = kv;
    host.serve(new Server(kv.service, kv.raft.service));
  }

  kill(i: number): void {
    this.network.host(`s${i}`).crash();
    this.servers[i]?.kill();
    this.servers[i] = null;
  }

  cutOff(i: number): void {
    for (let other = 0; other < this.size; other++) {
      if (other === i) continue;
      this.network.link(`s${i}`, `s${other}`).cut();
      this.network.link(`s${other}`, `s${i}`).cut();
    }
  }

  clerk(): Clerk {
    const host = this.network.host(`client ${this.#clerks++}`);
    const ends = Array.from({ length: this.size }, (_, i) => host.end(`s${i}`));
    return makeClerk(ends, { runtime: this.runtime });
  }

  async leader(): Promise<number> {
    for (;;) {
      const leader = this.servers.findIndex((kv) => kv?.raft.getState().isLeader);
      if (leader >= 0) return leader;
      await this.runtime.clock.sleep(1);
    }
  }

  appliedBy(i: number): number {
    return this.servers[i]?.raft.status().appliedIndex ?? 0;
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await this.runtime.clock.sleep(1);
  }
}
