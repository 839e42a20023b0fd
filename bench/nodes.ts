import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { connect, type KvClient, type NodeConfig, type NodeStatus } from "../server/index.js";
import { freePorts, HOST } from "./ports.js";

const TMPFS = 0x01021994;
const START_MS = 60_000;
/** Of the figures in /proc: always 100 a second on Linux. */
const TICK_MS = 10;

/** A cluster of `kvraft serve` processes on this machine, under a new directory that goes with it. */
export class Nodes {
  readonly root: string;
  readonly addresses: readonly { readonly id: number; readonly host: string; readonly port: number }[];
  readonly #program: string;
  readonly #settings: Partial<NodeConfig>;
  readonly #children = new Map<number, ChildProcess>();

  private constructor(program: string, root: string, ports: readonly number[], settings: Partial<NodeConfig>) {
    this.#program = program;
    this.root = root;
    this.#settings = settings;
    this.addresses = ports.map((port, i) => ({ id: i + 1, host: HOST, port }));
    // Whatever ends this process, nobody and nothing is left behind.
    process.once("exit", this.#onExit);
  }

  /** Starts none yet. `program` runs the command line of kvraft that it is given. */
  static async prepare(
    program: string,
    folder: string,
    count: number,
    settings: Partial<NodeConfig> = {},
  ): Promise<Nodes> {
    mkdirSync(folder, { recursive: true });
    if (statfsSync(folder).type === TMPFS) {
      throw new Error(`${folder} is in memory, where a sync costs nothing; name a folder on a disk with --dir`);
    }
    const ports = await freePorts(count);
    return new Nodes(program, mkdtempSync(join(folder, "kvraft-bench-")), ports, settings);
  }

  readonly #onExit = (): void => {
    for (const child of this.#children.values()) child.kill("SIGKILL");
    rmSync(this.root, { recursive: true, force: true });
  };

  get ids(): number[] {
    return this.addresses.map(({ id }) => id);
  }

  /** Ends when the node serves. */
  async start(id: number): Promise<void> {
    const file = join(this.root, `node-${id}.json`);
    const config: NodeConfig = { ...this.#settings, myid: id, nodes: this.addresses, dataDir: ".", logLevel: "warn" };
    writeFileSync(file, JSON.stringify(config));
    const log = openSync(join(this.root, `node-${id}.log`), "a");
    const child = fork(this.#program, ["serve", "--config", file], { stdio: ["ignore", "ignore", log, "ipc"] });
    this.#children.set(id, child);
    const ended = once(child, "exit").then(() => {
      throw new Error(`node ${id} ended: ${readFileSync(join(this.root, `node-${id}.log`), "utf8")}`);
    });
    await Promise.race([once(child, "message"), ended]);
    ended.catch(() => {});
  }

  async startAll(): Promise<void> {
    await Promise.all(this.ids.map((id) => this.start(id)));
  }

  kill(id: number): Promise<unknown> {
    const child = this.#children.get(id) as ChildProcess;
    child.kill("SIGKILL");
    return once(child, "exit");
  }

  connect(): KvClient {
    return connect({ nodes: this.addresses });
  }

  /** Milliseconds of processor time of each node so far, by id; null where the system does not say. */
  cpuMs(): number[] | null {
    try {
      return this.ids.map((id) => {
        const stat = readFileSync(`/proc/${(this.#children.get(id) as ChildProcess).pid}/stat`, "utf8");
        const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
        return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
      });
    } catch {
      return null;
    }
  }

  /** Waits until `fits` holds of some node; returns its status. */
  async until(client: KvClient, fits: (status: NodeStatus) => boolean): Promise<NodeStatus> {
    for (const end = performance.now() + START_MS; performance.now() < end;) {
      for (const { status } of await client.status({ timeoutMs: 1000 }))
        if (status !== null && fits(status)) return status;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    throw new Error("the cluster did not get there in a minute");
  }

  /** Kills what runs and removes the data. */
  async remove(): Promise<void> {
    process.off("exit", this.#onExit);
    const running = [...this.#children].filter(
      ([, { exitCode, signalCode }]) => exitCode === null && signalCode === null,
    );
    await Promise.all(running.map(([id]) => this.kill(id)));
    rmSync(this.root, { recursive: true, force: true });
  }
}

export const isLeader = ({ groups }: NodeStatus): boolean => groups["kv"]?.role === "leader";
