import type { MakeLog } from "../../kvraft/index.js";
import { Network, Server } from "../../labrpc/index.js";
import { makeRaft, Persister, type ApplyMsg, type Raft, type RaftConfig, type Storage } from "../../raft/index.js";
import type { StorageWrite, StoredState } from "../../raft/index.js";
import type { Runtime } from "../../runtime/index.js";
import { simulate, type SimRuntime } from "../../sim/index.js";

export interface DriverClusterOptions {
  readonly config?: Partial<RaftConfig>;
  /** Default: Raft. */
  readonly engine?: MakeLog;
  /** What server `i` writes to; default: its persister. */
  readonly storage?: (i: number, persister: Persister) => Storage;
}

/** One server of the cluster, and the service on top of it: a list of what came out of applyCh. */
export class DriverNode {
  readonly raft: Raft;
  readonly applied: ApplyMsg[] = [];
  /** What onFailure was called with. */
  readonly failures: Error[];
  /** Called with each message; what it returns is awaited before the next one is asked for. */
  onMessage: (message: ApplyMsg) => unknown = () => undefined;
  /** Resolves when applyCh has ended. */
  readonly ended: Promise<void>;

  constructor(raft: Raft, failures: Error[]) {
    this.raft = raft;
    this.failures = failures;
    this.ended = this.#consume();
  }

  get commands(): unknown[] {
    return this.applied.flatMap((message) => (message.type === "command" ? [message.command] : []));
  }

  async #consume(): Promise<void> {
    for await (const message of this.raft.applyCh) {
      this.applied.push(message);
      await this.onMessage(message);
    }
  }
}

/** Raft servers on a simulated network, all connected at first. */
export class DriverCluster {
  readonly network: Network;
  readonly persisters: Persister[];
  readonly nodes: DriverNode[] = [];
  readonly runtime: Runtime;
  readonly #options: DriverClusterOptions;
  /** End names of the running servers, by server and peer. */
  readonly #ends: string[][] = [];
  #lives = 0;

  constructor(runtime: Runtime, size: number, options: DriverClusterOptions = {}) {
    this.runtime = runtime;
    this.#options = options;
    this.network = new Network(runtime);
    this.persisters = Array.from({ length: size }, () => new Persister());
    for (let i = 0; i < size; i++) this.start(i);
  }

  get rafts(): Raft[] {
    return this.nodes.map((node) => node.raft);
  }

  /** Starts server `i` from what it left behind; its ends are new ones. */
  start(i: number): DriverNode {
    const life = ++this.#lives;
    const names = this.persisters.map((_, to) => `${i}>${to}#${life}`);
    const peers = names.map((name, to) => {
      const end = this.network.makeEnd(name);
      this.network.connect(name, `${to}`);
      this.network.enable(name, true);
      return end;
    });
    this.#ends[i] = names;
    const persister = (this.persisters[i] = this.persisters[i]!.copy());
    const { config = {}, engine = makeRaft, storage } = this.#options;
    const failures: Error[] = [];
    const raft = engine({
      peers,
      me: i,
      persister: storage?.(i, persister) ?? persister,
      runtime: this.runtime,
      config,
      onFailure: (error) => void failures.push(error),
    });
    const server = new Server();
    server.addService(raft.service);
    this.network.addServer(`${i}`, server);
    return (this.nodes[i] = new DriverNode(raft, failures));
  }

  /** As a crash: nothing more arrives, is sent or is written. */
  kill(i: number): void {
    this.network.deleteServer(`${i}`);
    this.nodes[i]!.raft.kill();
  }

  /** Cuts server `i` off from the others, or connects it again. */
  connect(i: number, on: boolean): void {
    for (const [from, names] of this.#ends.entries()) {
      for (const [to, name] of names.entries()) if ((from === i) !== (to === i)) this.network.enable(name, on);
    }
  }

  /** Waits until a server leads and all of `among` know it. */
  async leader(among: readonly number[] = this.nodes.map((_, i) => i)): Promise<number> {
    for (let waited = 0; waited < 10_000; waited += 20) {
      const leader = among.find((i) => this.rafts[i]!.getState().isLeader);
      if (leader !== undefined && among.every((i) => this.rafts[i]!.leaderHint() === leader)) return leader;
      await this.runtime.clock.sleep(20);
    }
    throw new Error("no leader within 10 s");
  }

  /** Waits until `condition` holds. */
  async until(condition: () => boolean): Promise<void> {
    for (let waited = 0; waited < 30_000; waited += 5) {
      if (condition()) return;
      await this.runtime.clock.sleep(5);
    }
    throw new Error("waited 30 s in vain");
  }
}

/** A test about three servers, of which `leader` leads; none of them may fail. */
export function story(
  tell: (cluster: DriverCluster, leader: number, runtime: SimRuntime) => Promise<void>,
  config: Partial<RaftConfig> = {},
  size = 3,
): () => Promise<void> {
  return () =>
    simulate({ seed: 7, limitMs: 300_000 }, async (runtime) => {
      const cluster = new DriverCluster(runtime, size, { config });
      await tell(cluster, await cluster.leader(), runtime);
      for (const { failures } of cluster.nodes) if (failures.length > 0) throw failures[0];
    });
}

/** Storage that completes its writes when the test says so. */
export class HeldStorage implements Storage {
  readonly persister: Persister;
  isHeld = false;
  /** Instead of completing, writes fail with this. */
  failure: Error | null = null;
  #waiting: { write: StorageWrite; done: (error: Error | null) => void }[] = [];

  constructor(persister: Persister) {
    this.persister = persister;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  load(): StoredState {
    return this.persister.load();
  }

  stateSize(): number {
    return this.persister.stateSize();
  }

  write(write: StorageWrite, done: (error: Error | null) => void): void {
    if (this.failure) return done(this.failure);
    if (this.isHeld || this.#waiting.length > 0) this.#waiting.push({ write, done });
    else this.persister.write(write, done);
  }

  release(count = Infinity): void {
    if (count === Infinity) this.isHeld = false;
    for (const { write, done } of this.#waiting.splice(0, count)) {
      if (this.failure) done(this.failure);
      else this.persister.write(write, done);
    }
  }
}
