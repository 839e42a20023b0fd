import { makeClerk, startKVServer, type Clerk, type KVServer } from "../../kvraft/index.js";
import { Network, Server } from "../../labrpc/index.js";
import type { Disk } from "../../runtime/index.js";
import { openStorage, type DurableStorage } from "../../server/storage/index.js";
import { SimDisk } from "../../sim/disk/index.js";
import type { SimRuntime } from "../../sim/index.js";
import { Mesh, serverName } from "../harness/mesh.js";

interface Machine {
  readonly disk: SimDisk;
  kv: KVServer | null;
  storage: DurableStorage | null;
  /** Counts the ends, so that nothing of an ended life comes up later. */
  life: number;
}

/** KV servers on machines with disks of their own: what is not durable on them is gone with the power. */
export class DiskCluster {
  readonly machines: readonly Machine[];
  readonly #runtime: SimRuntime;
  readonly #network: Network;
  readonly #mesh: Mesh;
  readonly #wrap: (disk: Disk) => Disk;
  readonly #fail: (error: Error) => void;
  #clerks = 0;

  constructor(runtime: SimRuntime, size: number, fail: (error: Error) => void, wrap: (disk: Disk) => Disk) {
    this.#runtime = runtime;
    this.#network = new Network(runtime);
    this.#mesh = new Mesh(this.#network, size);
    this.#wrap = wrap;
    this.#fail = fail;
    this.machines = Array.from({ length: size }, () => ({
      disk: new SimDisk(runtime, { latencyMs: [0.1, 3], blockBytes: 128 }),
      kv: null,
      storage: null,
      life: 0,
    }));
  }

  get #all(): number[] {
    return [...this.machines.keys()];
  }

  async start(i: number): Promise<void> {
    const machine = this.#machine(i);
    const life = machine.life;
    const onFailure = (error: Error): void => {
      if (machine.life === life) this.#onFailure(i, error);
    };
    try {
      const storage = await openStorage({
        dir: "/data",
        disk: this.#wrap(machine.disk.mount()),
        runtime: this.#runtime,
        segmentBytes: 4096,
        recordBytes: 200,
        diskFullRetryMs: 50,
      });
      if (machine.life !== life) return;
      machine.storage = storage;
      const servers = this.#mesh.freshEnds(i);
      const kv = startKVServer({
        servers,
        me: i,
        persister: storage,
        maxRaftState: 2000,
        runtime: this.#runtime,
        onFailure,
      });
      machine.kv = kv;
      const server = new Server();
      server.addService(kv.service);
      server.addService(kv.raft.service);
      this.#network.addServer(serverName(i), server);
      for (const j of this.#all) this.#mesh.link(i, j, true);
    } catch (error) {
      onFailure(error as Error);
    }
  }

  /** A disk that fails or is full ends the server; it is started again by a supervisor. Anything else ends the test. */
  #onFailure(i: number, error: Error): void {
    // Raft wraps what the storage says; opening it throws that itself.
    const codes = [error, error.cause].map((one) => (one as { code?: string } | undefined)?.code);
    if (!codes.includes("DISK_FAILED") && !codes.includes("DISK_FULL")) return this.#fail(error);
    this.end(i, "killProcess");
    const { life } = this.#machine(i);
    this.#runtime.clock.setTimeout(() => {
      if (this.#machine(i).life === life) void this.start(i);
    }, 100);
  }

  /** Nobody hears the server any more, then its disk stops, and what is left of it is cleared away. */
  end(i: number, how: "losePower" | "killProcess"): void {
    const machine = this.#machine(i);
    machine.life++;
    for (const j of this.#all) this.#mesh.link(i, j, false);
    this.#network.deleteServer(serverName(i));
    machine.disk[how]();
    machine.kv?.kill();
    machine.kv = null;
    machine.storage = null;
  }

  clerk(): Clerk {
    const number = this.#clerks++;
    const ends = this.#all.map((i) => {
      const name = `clerk ${number} to ${i}`;
      const end = this.#network.makeEnd(name);
      this.#network.connect(name, serverName(i));
      this.#network.enable(name, true);
      return end;
    });
    return makeClerk(ends, { runtime: this.#runtime });
  }

  #machine(i: number): Machine {
    return this.machines[i] as Machine;
  }
}
