import { makeClerk, startKVServer, type Clerk, type KVServer } from "../../kvraft/index.js";
import { type ClientEnd, Network, Server } from "../../labrpc/index.js";
import { Persister } from "../../raft/index.js";
import { forkRandom, type Random } from "../../runtime/index.js";
import { HistoryRecorder } from "../../sim/index.js";
import { type Lab, LabError, type Meter } from "./lab.js";
import { assertLinearizable } from "./linearizable.js";
import { Mesh, serverName } from "./mesh.js";

export interface KVClusterOptions {
  servers: number;
  /** Requests and replies get lost. Default: a reliable network. */
  unreliable?: boolean;
  /** Bytes of Raft state at which a server takes a snapshot; -1, the default: never. */
  maxRaftState?: number;
}

/** A clerk whose operations are counted and written into the history of the run. */
export class LabClerk {
  /** The clerk itself, for operations that are to be neither. */
  readonly clerk: Clerk;
  /** The names of its ends, by server. */
  readonly ends: readonly string[];
  readonly #history: HistoryRecorder;
  readonly #process: number;
  readonly #count: () => void;

  constructor(clerk: Clerk, ends: readonly string[], history: HistoryRecorder, process: number, count: () => void) {
    this.clerk = clerk;
    this.ends = ends;
    this.#history = history;
    this.#process = process;
    this.#count = count;
  }

  async get(key: string): Promise<string> {
    this.#count();
    const token = this.#history.invoke(this.#process, "get", key);
    const value = await this.clerk.get(key);
    this.#history.ok(token, value);
    return value;
  }

  async put(key: string, value: string): Promise<void> {
    this.#count();
    const token = this.#history.invoke(this.#process, "put", key, value);
    await this.clerk.put(key, value);
    this.#history.ok(token);
  }

  async append(key: string, value: string): Promise<void> {
    this.#count();
    const token = this.#history.invoke(this.#process, "append", key, value);
    await this.clerk.append(key, value);
    this.#history.ok(token);
  }

  /** Reads `key`, which must hold `expected`. */
  async check(key: string, expected: string): Promise<void> {
    const value = await this.get(key);
    if (value !== expected) throw new LabError(`get(${key}) returned "${value}", expected "${expected}"`);
  }
}

/**
 * The labs' cluster of KV servers with its clerks. All servers run and reach each other at first. Partitions cut servers
 * from servers only: a clerk reaches both sides unless it was made for some servers only. Calls to servers that are down
 * or cut off fail within 0.1 s. Everything that the clerks do is checked for linearizability when the world has ended.
 */
export class KVCluster implements Meter {
  readonly servers: number;
  readonly net: Network;
  readonly #lab: Lab;
  readonly #maxRaftState: number;
  readonly #mesh: Mesh;
  readonly #random: Random;
  readonly #history: HistoryRecorder;
  readonly #running: (KVServer | null)[];
  readonly #saved: Persister[];
  #operations = 0;
  #clerks = 0;

  constructor(lab: Lab, options: KVClusterOptions) {
    this.servers = options.servers;
    this.#lab = lab;
    this.#maxRaftState = options.maxRaftState ?? -1;
    this.net = new Network(lab.runtime);
    this.#mesh = new Mesh(this.net, this.servers);
    this.#random = forkRandom(lab.runtime.random, "clerk ends");
    this.#history = new HistoryRecorder(lab.clock);
    this.#running = this.all.map(() => null);
    this.#saved = this.all.map(() => new Persister());
    for (const i of this.all) this.startServer(i);
    this.connectAll();
    this.net.reliable(!options.unreliable);
    lab.addMeter(this);
    lab.afterwards.push(() => assertLinearizable(this.#history.events));
  }

  get all(): number[] {
    return Array.from({ length: this.servers }, (_, i) => i);
  }

  // ---- servers and links

  /** Starts server i from what it left on disk. Does not connect it. */
  startServer(i: number): void {
    const servers = this.#mesh.freshEnds(i);
    const persister = this.#saved[i]!.copy();
    this.#saved[i] = persister;
    const kv = startKVServer({
      servers,
      me: i,
      persister,
      maxRaftState: this.#maxRaftState,
      runtime: this.#lab.runtime,
      engine: this.#lab.engine.make,
      onFailure: (error) => this.#lab.fail(error),
    });
    this.#running[i] = kv;
    const server = new Server();
    server.addService(kv.service);
    server.addService(kv.raft.service);
    this.net.addServer(serverName(i), server);
  }

  shutdownServer(i: number): void {
    for (const j of this.all) this.#mesh.link(i, j, false);
    // In this order: once calls to the server fail, no clerk can be told of what only the abandoned persister would hold.
    this.net.deleteServer(serverName(i));
    this.#saved[i] = this.#saved[i]!.copy();
    this.#running[i]?.kill();
    this.#running[i] = null;
  }

  connectAll(): void {
    for (const i of this.all) for (const j of this.all) this.#mesh.link(i, j, true);
  }

  /** Servers reach those on their own side only. Each server is on one of the two. */
  partition(one: readonly number[], other: readonly number[]): void {
    for (const i of this.all) {
      for (const j of this.all) this.#mesh.link(i, j, one.includes(i) ? one.includes(j) : other.includes(j));
    }
  }

  /** A majority without the leader, and a minority whose last member it is. */
  makePartition(): { majority: number[]; minority: number[] } {
    const leader = this.all.find((i) => this.#running[i]?.raft.getState().isLeader);
    if (leader === undefined) throw new LabError("there is no leader to put into the minority");
    const rest = this.all.filter((i) => i !== leader);
    const size = Math.floor(this.servers / 2) + 1;
    return { majority: rest.slice(0, size), minority: [...rest.slice(size), leader] };
  }

  // ---- clerks

  /** A clerk with ends of its own to every server, in random order, of which those to `reachable` work. */
  makeClerk(reachable: readonly number[] = this.all): LabClerk {
    const number = this.#clerks++;
    const names = this.all.map((i) => `clerk${number}->${i}`);
    const ends = names.map((name, i): ClientEnd => {
      const end = this.net.makeEnd(name);
      this.net.connect(name, serverName(i));
      this.net.enable(name, reachable.includes(i));
      return end;
    });
    // Shuffled, so that no clerk can take a position for the number of a server.
    for (let i = ends.length - 1; i > 0; i--) {
      const j = this.#random.int(0, i);
      [ends[i], ends[j]] = [ends[j]!, ends[i]!];
    }
    const clerk = makeClerk(ends, { runtime: this.#lab.runtime });
    return new LabClerk(clerk, names, this.#history, number, () => this.#operations++);
  }

  /** Lets a clerk reach every server. */
  connectClerk(clerk: LabClerk): void {
    for (const name of clerk.ends) this.net.enable(name, true);
  }

  /** A client that ends: nothing it still sends arrives. */
  deleteClerk(clerk: LabClerk): void {
    for (const name of clerk.ends) this.net.deleteEnd(name);
  }

  /** Runs `count` clients with a clerk each, until all have ended. */
  async withClients<T>(count: number, client: (number: number, clerk: LabClerk) => Promise<T>): Promise<T[]> {
    return Promise.all(
      Array.from({ length: count }, (_, number) =>
        this.#lab.spawn(async () => {
          const clerk = this.makeClerk();
          const result = await client(number, clerk);
          this.deleteClerk(clerk);
          return result;
        }),
      ),
    );
  }

  // ---- figures

  rpcTotal(): number {
    return this.net.getTotalCount();
  }

  bytesTotal(): number {
    return this.net.getTotalBytes();
  }

  operations(): number {
    return this.#operations;
  }

  /** The largest persisted Raft state, in bytes, without the snapshot. */
  logSize(): number {
    return Math.max(...this.#saved.map((persister) => persister.raftStateSize()));
  }

  /** The largest snapshot, in bytes. */
  snapshotSize(): number {
    return Math.max(...this.#saved.map((persister) => persister.snapshotSize()));
  }

  shutdown(): Promise<void> {
    for (const kv of this.#running) kv?.kill();
    this.net.cleanup();
    return Promise.resolve();
  }
}
