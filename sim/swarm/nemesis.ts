import type { Link as NetLink, LinkConditions } from "../index.js";
import { HookWatch } from "./hooks.js";
import type { Machine } from "./machine.js";
import type { Fault, Link, Range } from "./types.js";
import type { World } from "./world.js";

type Of<K extends Fault["kind"]> = Extract<Fault, { kind: K }>;
type Weather = Of<"loss" | "delay" | "late" | "duplicate">;
type DiskFault = Of<"diskSlow" | "diskHung" | "diskFull" | "syncFails" | "writeFails" | "shortWrites">;

/** What takes a fault back, and whom it struck. */
interface Strike {
  readonly servers: readonly number[];
  readonly end: () => void;
}

const nothing = (): void => {};

/** Brings the faults of the plan over the world, each at its time, and takes them back. */
export class Nemesis {
  readonly #world: World;
  readonly #weather: Weather[] = [];
  readonly #hooks: HookWatch;
  readonly #active = new Map<number, { readonly fault: Fault; readonly end: () => void }>();
  #isOver = false;

  constructor(world: World) {
    this.#world = world;
    this.#hooks = new HookWatch(world, (number, fault, machine) => this.#onHook(number, fault, machine));
  }

  start(): void {
    const { faults, chaosMs } = this.#world.plan;
    for (const [number, fault] of faults.entries()) {
      if (fault.atMs < chaosMs) this.#world.clock.setTimeout(() => this.#begin(number, fault), fault.atMs);
    }
  }

  /** Every fault ends now, and none begins any more. */
  stop(): void {
    this.#isOver = true;
    this.#hooks.stop();
    for (const number of [...this.#active.keys()]) this.#end(number);
    this.#weather.length = 0;
  }

  #begin(number: number, fault: Fault): void {
    if (this.#isOver) return;
    if (fault.kind === "hook") return this.#hooks.add(number, fault);
    this.#strike(number, fault, this.#apply(fault));
  }

  #strike(number: number, fault: Fault, { servers, end }: Strike): void {
    this.#active.set(number, { fault, end });
    this.#world.hub.emit("faultBegan", { number, fault, servers });
    this.#world.clock.setTimeout(() => this.#end(number), fault.forMs);
  }

  #end(number: number): void {
    const active = this.#active.get(number);
    if (active === undefined) return;
    this.#active.delete(number);
    active.end();
    this.#world.hub.emit("faultEnded", { number, fault: active.fault });
  }

  #onHook(number: number, fault: Of<"hook">, machine: Machine): void {
    if (this.#isOver || this.#active.has(number)) return;
    this.#strike(number, fault, this.#crash([machine], fault.power, fault.hook));
  }

  #apply(fault: Exclude<Fault, Of<"hook">>): Strike {
    switch (fault.kind) {
      case "loss":
      case "delay":
      case "late":
      case "duplicate":
        return this.#worsen(fault);
      case "partition":
        return this.#cut(linksBetween(fault.groups), [], this.#sides(fault));
      case "cut":
        return this.#cut(fault.links, [], []);
      case "isolateLeader":
        return this.#isolateLeader(fault);
      case "flap":
        return this.#flap(fault);
      case "crash":
        return this.#crash(
          fault.servers.map((server) => this.#world.machine(server)),
          fault.power,
          "fault",
        );
      case "crashLeader":
        return this.#crash(this.#leaders(), fault.power, "fault");
      case "pause":
        return this.#pause([this.#world.machine(fault.server)]);
      case "pauseLeader":
        return this.#pause(this.#leaders());
      case "clockRate":
        return this.#clock(fault.server, fault.rate, 0);
      case "clockJump":
        return this.#clock(fault.server, 1, fault.byMs);
      case "transfer":
      case "snapshot":
        return this.#operate(fault);
      default:
        return this.#disk(fault);
    }
  }

  // ---- network ------------------------------------------------------------------------------------------------------------

  #worsen(fault: Weather): Strike {
    this.#weather.push(fault);
    this.#setConditions();
    const end = (): void => {
      const at = this.#weather.indexOf(fault);
      if (at >= 0) this.#weather.splice(at, 1);
      this.#setConditions();
    };
    return { servers: [], end };
  }

  #setConditions(): void {
    let conditions: LinkConditions = this.#world.plan.network;
    for (const fault of this.#weather) conditions = worse(conditions, fault);
    this.#world.network.conditions = conditions;
  }

  #cut(links: readonly Link[], servers: readonly number[], clientLinks: readonly NetLink[]): Strike {
    this.#world.cut(links);
    for (const link of clientLinks) link.cut();
    const end = (): void => {
      this.#world.heal(links);
      for (const link of clientLinks) link.heal();
    };
    return { servers, end };
  }

  /** Between clients and the servers of other groups than theirs. */
  #sides({ groups, clients }: Of<"partition">): NetLink[] {
    const links: NetLink[] = [];
    for (const [client, side] of clients.slice(0, this.#world.plan.clients.length).entries()) {
      if (side < 0) continue;
      for (const [i, group] of groups.entries()) {
        if (i !== side) links.push(...group.flatMap((server) => this.#world.clientLinks(client, server)));
      }
    }
    return links;
  }

  #isolateLeader({ way, clients }: Of<"isolateLeader">): Strike {
    const { number } = this.#leaders()[0] ?? {};
    if (number === undefined) return { servers: [], end: nothing };
    const links: Link[] = [];
    for (let i = 0; i < this.#world.plan.servers; i++) {
      if (i !== number && way !== "in") links.push([number, i]);
      if (i !== number && way !== "out") links.push([i, number]);
    }
    const away = clients.filter((client) => client < this.#world.plan.clients.length);
    return this.#cut(
      links,
      [number],
      away.flatMap((client) => this.#world.clientLinks(client, number)),
    );
  }

  #flap({ links, periodMs }: Of<"flap">): Strike {
    const { clock } = this.#world;
    let isCut = false;
    const turn = (): void => {
      if (isCut) this.#world.heal(links);
      else this.#world.cut(links);
      isCut = !isCut;
      timer = clock.setTimeout(turn, periodMs);
    };
    let timer = clock.setTimeout(turn, 0);
    const end = (): void => {
      clock.clearTimeout(timer);
      if (isCut) this.#world.heal(links);
    };
    return { servers: [], end };
  }

  // ---- processes ----------------------------------------------------------------------------------------------------------

  #leaders(): Machine[] {
    const leader = this.#world.leader();
    return leader === null ? [] : [leader];
  }

  #crash(machines: readonly Machine[], power: boolean, why: string): Strike {
    const struck = machines.filter((machine) => machine.isOn);
    const lives = struck.map((machine) => {
      machine.crash(power, why);
      return machine.life;
    });
    const end = (): void => {
      for (const [i, machine] of struck.entries()) if (machine.life === lives[i]) machine.start();
    };
    return { servers: struck.map(({ number }) => number), end };
  }

  #pause(machines: readonly Machine[]): Strike {
    for (const machine of machines) machine.pause();
    const end = (): void => {
      for (const machine of machines) machine.resume();
    };
    return { servers: machines.map(({ number }) => number), end };
  }

  #clock(server: number, rate: number, jumpMs: number): Strike {
    const { clock } = this.#world.machine(server);
    clock.change(rate === 1 ? clock.rate : rate, jumpMs);
    this.#world.hub.emit("clockChanged", { server, rate: clock.rate, jumpMs });
    const end = (): void => {
      if (rate === 1) return;
      clock.change(1, 0);
      this.#world.hub.emit("clockChanged", { server, rate: 1, jumpMs: 0 });
    };
    return { servers: [server], end };
  }

  #operate({ kind, server }: Of<"transfer" | "snapshot">): Strike {
    if (kind === "snapshot") this.#world.machine(server).kv?.snapshot();
    else {
      const leader = this.#world.leader();
      // Whether it succeeds is the cluster's affair.
      if (leader !== null) leader.kv?.raft.transferLeadership(server).then(nothing, nothing);
    }
    return { servers: [server], end: nothing };
  }

  // ---- disks --------------------------------------------------------------------------------------------------------------

  #disk(fault: DiskFault): Strike {
    const { disk, timing } = this.#world.machine(fault.server);
    const { faults } = disk;
    const done = (end: () => void): Strike => ({ servers: [fault.server], end });
    switch (fault.kind) {
      case "diskSlow":
        timing.factor = fault.factor;
        return done(() => void (timing.factor = 1));
      case "diskHung":
        timing.hungUntil = this.#world.clock.now() + fault.forMs;
        return done(() => void (timing.hungUntil = 0));
      case "diskFull":
        faults.capacityBytes = 0;
        return done(() => void (faults.capacityBytes = Infinity));
      case "syncFails":
        faults.syncErrorRate = fault.rate;
        return done(() => void (faults.syncErrorRate = 0));
      case "writeFails":
        faults.writeErrorRate = fault.rate;
        return done(() => void (faults.writeErrorRate = 0));
      case "shortWrites":
        faults.shortWriteRate = fault.rate;
        return done(() => void (faults.shortWriteRate = 0));
    }
  }
}

function linksBetween(groups: readonly (readonly number[])[]): Link[] {
  const links: Link[] = [];
  for (const from of groups) {
    for (const to of groups) if (from !== to) for (const a of from) for (const b of to) links.push([a, b]);
  }
  return links;
}

function worse(conditions: LinkConditions, fault: Weather): LinkConditions {
  const sum = (a: number): number => Math.min(0.9, a + fault.rate);
  const wider = (a: Range, b: Range): Range => [Math.min(a[0] || b[0], b[0]), Math.max(a[1], b[1])];
  switch (fault.kind) {
    case "loss":
      return { ...conditions, loss: sum(conditions.loss) };
    case "delay":
      return { ...conditions, slow: sum(conditions.slow), slowMs: wider(conditions.slowMs, fault.ms) };
    case "late":
      return { ...conditions, late: sum(conditions.late), lateMs: wider(conditions.lateMs, fault.ms) };
    case "duplicate":
      return {
        ...conditions,
        duplicate: sum(conditions.duplicate),
        duplicateMs: wider(conditions.duplicateMs, fault.ms),
      };
  }
}
