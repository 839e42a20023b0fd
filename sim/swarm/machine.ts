import { forkRandom, type Random, type Runtime } from "../../runtime/index.js";
import { Server } from "../../labrpc/index.js";
import { startKVServer, type Command, type KVServer, type Results, type StateMachine } from "../../kvraft/index.js";
import type { ReplicaState, Snapshot, StorageWrite } from "../../replica/index.js";
import { openStorage, type DurableStorage } from "../../server/storage/index.js";
import { SimDisk, type Host, type LinkNetwork, type SimRuntime } from "../index.js";
import { MachineClock } from "./clock.js";
import { DiskTiming } from "./disk-timing.js";
import { engineOf, type Watch } from "./engine.js";
import { equalBytes, hashBytes } from "./hash.js";
import type { Hub } from "./hub.js";
import { serverName } from "./names.js";
import type { Plan } from "./types.js";

/** A whole-state hash is taken at every so many entries: often enough to compare servers, seldom enough to be cheap. */
const HASH_EVERY = 32;
const RESTART_MS = 100;

export interface MachineContext {
  readonly runtime: SimRuntime;
  readonly plan: Plan;
  readonly hub: Hub;
  readonly network: LinkNetwork;
  /** The code that ships has thrown what it must never throw. */
  readonly onError: (server: number, error: Error) => void;
}

/** One server: a machine with a clock and a disk, on which a process runs, or does not. */
export class Machine {
  readonly number: number;
  readonly host: Host;
  readonly disk: SimDisk;
  readonly timing: DiskTiming;
  readonly clock: MachineClock;
  /** Counts the processes. Nothing of an earlier one has any effect. */
  life = 0;
  isPaused = false;
  /** The process is running, or recovering. */
  isOn = false;
  /** It must not be started any more. */
  isRetired = false;
  kv: KVServer | null = null;
  storage: DurableStorage | null = null;
  #service: StateMachine<Command, Results> | null = null;
  readonly #context: MachineContext;
  readonly #random: Random;
  /** What waits for the process to wake: timers that came due, and the rest. */
  #due: (() => void)[] = [];
  #waiting: (() => void)[] = [];
  readonly #hold = (act: () => void): void => void this.#waiting.push(act);
  #pauses = 0;
  /** Snapshots that the log hands to the service next; an earlier one may be passed over for a later one. */
  #restoring: Snapshot[] = [];

  constructor(number: number, context: MachineContext) {
    const { runtime, plan, network } = context;
    this.number = number;
    this.#context = context;
    this.#random = forkRandom(runtime.random, `server ${number}`);
    this.clock = new MachineClock(runtime.clock, (act) => (this.isPaused ? void this.#due.push(act) : act()));
    this.host = network.host(serverName(number));
    const diskRandom = forkRandom(runtime.random, `disk ${number}`);
    this.timing = new DiskTiming(plan.disk, runtime.clock, forkRandom(diskRandom, "timing"));
    this.disk = new SimDisk(
      { clock: runtime.clock, random: diskRandom },
      {
        blockBytes: plan.disk.blockBytes,
        latency: (operation) => this.timing.next(operation),
        gate: (complete) => (this.isPaused ? this.#hold(complete) : complete()),
      },
    );
  }

  get isUp(): boolean {
    return this.kv !== null;
  }

  /** The whole state of the service. */
  stateBytes(): Uint8Array {
    return this.#service?.snapshot() ?? new Uint8Array(0);
  }

  start(): void {
    if (this.isOn || this.isRetired) return;
    this.isOn = true;
    void this.#start(++this.life);
  }

  async #start(life: number): Promise<void> {
    const { plan, hub } = this.#context;
    const runtime: Runtime = { clock: this.clock.beginLife(), random: forkRandom(this.#random, `life ${life}`) };
    try {
      const storage = await openStorage({
        dir: "/data",
        disk: this.disk.mount(),
        runtime,
        onHealth: ({ state }) => {
          if (this.life === life) hub.emit("diskHealth", { server: this.number, health: state });
        },
        ...plan.storage,
      });
      if (this.life !== life) return;
      this.storage = storage;
      const stored = storage.load();
      const tornBytes = storage.recovery.cut?.bytes ?? 0;
      hub.emit("started", { server: this.number, life, stored, tornBytes });
      if (this.life === life) this.#serve(life, runtime, storage);
    } catch (error) {
      this.#onFailure(life, error as Error);
    }
  }

  #serve(life: number, runtime: Runtime, storage: DurableStorage): void {
    const { plan } = this.#context;
    const kv = startKVServer({
      servers: Array.from({ length: plan.servers }, (_, i) => this.host.end(serverName(i))),
      me: this.number,
      persister: this.#watchStorage(life, storage),
      runtime,
      config: plan.raft,
      engine: (options) => engineOf(plan).makeLog(options, this.#watchLog(life)),
      watch: (machine) => this.#watchService(life, machine),
      onFailure: (error) => this.#onFailure(life, error),
      ...plan.kv,
    });
    this.kv = kv;
    this.host.serve(new Server(kv.service, kv.raft.service));
  }

  /** The process is gone in the midst of whatever it does; `power`: with all that the disk had not synced. */
  crash(power: boolean, why: string): void {
    if (!this.isOn) return;
    const { life } = this;
    this.life++;
    this.isOn = false;
    this.kv = null;
    this.storage = null;
    this.clock.endLife();
    this.host.crash();
    this.wake();
    if (power) this.disk.losePower();
    else this.disk.killProcess();
    this.#context.hub.emit("crashed", { server: this.number, life, power, why });
  }

  /** A failed or full disk ends the server, which its supervisor starts again. Anything else must not happen. */
  #onFailure(life: number, error: Error): void {
    if (this.life !== life) return;
    const { hub, runtime, onError } = this.#context;
    const codes = [error, error.cause].map((one) => (one as { code?: string } | undefined)?.code);
    if (!codes.includes("DISK_FAILED") && !codes.includes("DISK_FULL")) return onError(this.number, error);
    hub.emit("failed", { server: this.number, error });
    if (this.life !== life) return;
    this.crash(false, "disk");
    const ended = this.life;
    runtime.clock.setTimeout(() => {
      if (this.life === ended) this.start();
    }, RESTART_MS);
  }

  // ---- sleep --------------------------------------------------------------------------------------------------------------

  pause(): void {
    this.#pauses++;
    if (this.isPaused || !this.isOn) return;
    this.isPaused = true;
    this.host.gate = this.#hold;
    this.#context.hub.emit("paused", { server: this.number });
  }

  resume(): void {
    if (this.#pauses > 0) this.#pauses--;
    if (this.#pauses > 0 || !this.isPaused) return;
    const { hub, runtime } = this.#context;
    const due = this.#due;
    const waiting = this.#waiting;
    // Node looks at timers first, then at what has arrived; but where in that circle it slept is chance.
    const order = this.#random.next() < 0.5 ? [...due, ...waiting] : [...waiting, ...due];
    this.wake();
    hub.emit("resumed", { server: this.number });
    const { life } = this;
    for (const act of order) {
      runtime.clock.setTimeout(() => {
        if (this.life === life) act();
      }, 0);
    }
  }

  /** Forgets sleep, and what it held up. */
  wake(): void {
    this.isPaused = false;
    this.host.gate = null;
    this.#due = [];
    this.#waiting = [];
  }

  // ---- watching -----------------------------------------------------------------------------------------------------------

  #watchLog(life: number): Watch {
    const { hub, runtime } = this.#context;
    const { number: server } = this;
    const { clock } = runtime;
    return (steps, releases) => {
      const stepped = hub.listeners(steps);
      const released = hub.listeners(releases);
      return {
        stepped: (input, effects, state: ReplicaState) => {
          if (this.life !== life) return;
          const seq = hub.next();
          runtime.note(state.term * 4096 + state.commitIndex);
          if (stepped.length === 0) return;
          const event = { type: steps, seq, atMs: clock.now(), server, input, effects, state };
          for (const listener of stepped) listener(event as never);
        },
        released: (effect, state: ReplicaState) => {
          if (this.life !== life) return;
          if (effect.type === "restore") this.#restoring.push(effect.snapshot);
          const seq = hub.next();
          if (released.length === 0) return;
          const event = { type: releases, seq, atMs: clock.now(), server, effect, state };
          for (const listener of released) listener(event as never);
        },
      };
    };
  }

  #watchStorage(life: number, storage: DurableStorage) {
    const { hub } = this.#context;
    const { number: server } = this;
    return {
      load: () => storage.load(),
      readSnapshot: () => storage.readSnapshot(),
      stateSize: () => storage.stateSize(),
      write: (write: StorageWrite, done: (error: Error | null) => void): void => {
        if (this.life !== life) return;
        hub.emit("writing", { server, write });
        if (this.life !== life) return;
        storage.write(write, (error) => {
          if (this.life !== life) return;
          if (error === null) hub.emit("durable", { server, write });
          // Whoever heard of it may have ended this life: then nobody is told any more.
          if (this.life === life) done(error);
        });
      },
    };
  }

  #indexOf(snapshot: Uint8Array): number {
    const at = this.#restoring.findIndex(({ data }) => equalBytes(data, snapshot));
    return this.#restoring.splice(0, at + 1).at(-1)?.index ?? 0;
  }

  #watchService(life: number, machine: StateMachine<Command, Results>): StateMachine<Command, Results> {
    const { hub, plan, runtime } = this.#context;
    const { number: server } = this;
    this.#service = machine;
    this.#restoring = [];
    let index = this.storage === null ? 0 : engineOf(plan).snapshotIndex(this.storage.load());
    let starts = index > 0;
    return {
      apply: (command, context) => {
        const results = machine.apply(command, context);
        if (this.life !== life) return results;
        ({ index } = context);
        runtime.note(index);
        hub.emit("applied", { server, index, term: context.term, command, results });
        if (index % HASH_EVERY === 0) {
          hub.emit("stateHash", { server, index, hash: hashBytes(machine.snapshot()) });
        }
        return results;
      },
      snapshot: () => {
        const bytes = machine.snapshot();
        if (this.life === life) hub.emit("snapshotTaken", { server, index, bytes });
        return bytes;
      },
      restore: (bytes) => {
        machine.restore(bytes);
        if (this.life !== life) return;
        // The first one is what the storage held; of later ones the log says where they stand.
        if (!starts) index = this.#indexOf(bytes);
        starts = false;
        hub.emit("snapshotRestored", { server, index, bytes });
      },
    };
  }
}
