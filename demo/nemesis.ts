import { forkRandom, type Random, type Runtime } from "../runtime/index.js";
import type { Chronicle } from "./chronicle.js";
import type { Cluster } from "./cluster.js";
import type { FaultKind } from "./faults.js";

/** Time to see how it is without faults. */
const FIRST_CALM_MS = 1500;
const CALM_MS = [900, 1800] as const;
/** A fault that would be over sooner is left out. */
const LEAST_FAULT_MS = 1000;
const FAULT_MS = [2000, 4000] as const;

/** A fault that is on: what to call it, and how to end it. */
interface Injection {
  readonly text: string;
  /** Whom it strikes; empty where it strikes all. */
  readonly servers: readonly number[];
  /** Returns what to say about it. */
  readonly end: () => string;
}

/**
 * Injects faults drawn from the seed: broken servers and links one at a time, bad weather on the network beside them.
 * Of each group every kind comes up once before one comes up again.
 */
export class Nemesis {
  readonly #runtime: Runtime;
  readonly #cluster: Cluster;
  readonly #chronicle: Chronicle;
  readonly #random: Random;

  constructor(runtime: Runtime, cluster: Cluster, chronicle: Chronicle) {
    this.#runtime = runtime;
    this.#cluster = cluster;
    this.#chronicle = chronicle;
    this.#random = forkRandom(runtime.random, "nemesis");
  }

  /** Goes on until `untilMs`; then everything is healed again. */
  async run(kinds: readonly FaultKind[], untilMs: number): Promise<void> {
    await this.#sleep(FIRST_CALM_MS, untilMs);
    const linksExist = this.#cluster.size > 1;
    const damage = kinds.filter(
      (kind) => kind === "crash" || (linksExist && (kind === "partition" || kind === "oneway")),
    );
    const weather = kinds.filter((kind) => kind === "loss" || kind === "reorder");
    await Promise.all([this.#repeat(damage, "damage", untilMs), this.#repeat(weather, "weather", untilMs)]);
  }

  async #repeat(kinds: readonly FaultKind[], name: string, untilMs: number): Promise<void> {
    if (kinds.length === 0) return;
    const random = forkRandom(this.#random, name);
    for (;;) {
      for (const kind of shuffled(kinds, random)) {
        await this.#sleep(random.int(...CALM_MS), untilMs);
        if (this.#runtime.clock.now() + LEAST_FAULT_MS > untilMs) return;
        const injection = this.#inject(kind, random);
        const fault = this.#chronicle.faultBegins(kind, injection.text, this.#cluster.hasMajority(), injection.servers);
        await this.#sleep(random.int(...FAULT_MS), untilMs);
        const text = injection.end();
        this.#chronicle.faultEnds(fault, text, this.#cluster.hasMajority());
      }
    }
  }

  #sleep(ms: number, untilMs: number): Promise<void> {
    const { clock } = this.#runtime;
    return clock.sleep(Math.min(ms, untilMs - clock.now()));
  }

  #inject(kind: FaultKind, random: Random): Injection {
    const { network } = this.#cluster;
    switch (kind) {
      case "partition":
        return this.#partition(random);
      case "oneway":
        return this.#cutOneWay(random);
      case "crash":
        return this.#crash(random);
      case "loss":
        network.reliable(false);
        return {
          text: "message loss and delay",
          servers: [],
          end: () => (network.reliable(true), "no more message loss"),
        };
      case "reorder":
        network.longReordering(true);
        return {
          text: "long reordering of replies",
          servers: [],
          end: () => (network.longReordering(false), "no more reordering"),
        };
    }
  }

  #partition(random: Random): Injection {
    const sides = this.#drawSides(random);
    const sideOf = new Map(sides.flatMap((side, i) => side.map((id) => [id, i] as const)));
    this.#cluster.setLinks((from, to) => sideOf.get(from) === sideOf.get(to));
    const words = sides
      .map((side) =>
        names(
          side.toSorted((a, b) => a - b),
          " ",
        ),
      )
      .join(" | ");
    const servers = sides[0] ?? [];
    return { text: `partition ${words}`, servers, end: () => this.#healLinks("the partition heals") };
  }

  /** The leader among a minority, any two sides, or three sides without a majority. */
  #drawSides(random: Random): number[][] {
    const { size } = this.#cluster;
    const leader = this.#cluster.leader();
    const ids = shuffled(this.#cluster.ids(), random);
    const style = random.next();
    if (style < 0.15 && size > 2) return [0, 1, 2].map((side) => ids.filter((_, i) => i % 3 === side));
    if (style < 0.7 && size > 2 && leader !== null) {
      const others = ids.filter((id) => id !== leader);
      const cut = random.int(0, Math.floor((size - 1) / 2) - 1);
      return [[leader, ...others.slice(0, cut)], others.slice(cut)];
    }
    const cut = random.int(1, size - 1);
    return [ids.slice(0, cut), ids.slice(cut)];
  }

  #cutOneWay(random: Random): Injection {
    const id = this.#drawVictim(random);
    if (random.next() < 0.5) {
      this.#cluster.setLinks((from) => from !== id);
      return {
        text: `one-way cut: S${id} is not heard`,
        servers: [id],
        end: () => this.#healLinks(`S${id} is heard again`),
      };
    }
    this.#cluster.setLinks((_, to) => to !== id);
    return {
      text: `one-way cut: S${id} hears nothing`,
      servers: [id],
      end: () => this.#healLinks(`S${id} hears again`),
    };
  }

  #crash(random: Random): Injection {
    const { size } = this.#cluster;
    const leader = this.#cluster.leader();
    const first = this.#drawVictim(random);
    const others = shuffled(this.#cluster.ids(), random).filter((id) => id !== first);
    const style = random.next();
    const extra = style < 0.1 ? size - 1 : style < 0.4 && size > 4 ? 1 : 0;
    const victims = [first, ...others.slice(0, extra)];
    for (const id of victims) this.#cluster.crash(id);
    const words = victims.map((id) => (id === leader ? `leader S${id}` : `S${id}`)).join(", ");
    return {
      text: size > 1 && victims.length === size ? "crash of all servers" : `crash of ${words}`,
      servers: victims,
      end: () => {
        for (const id of victims) this.#cluster.start(id);
        return `restart of ${names(victims, ", ")}`;
      },
    };
  }

  #drawVictim(random: Random): number {
    const leader = this.#cluster.leader();
    const other = random.int(0, this.#cluster.size - 1);
    return random.next() < 0.75 && leader !== null ? leader : other;
  }

  #healLinks(text: string): string {
    this.#cluster.setLinks(() => true);
    return text;
  }
}

function names(ids: readonly number[], separator: string): string {
  return ids.map((id) => `S${id}`).join(separator);
}

function shuffled<T>(items: readonly T[], random: Random): T[] {
  const rest = items.slice();
  const result: T[] = [];
  while (rest.length > 0) result.push(...rest.splice(random.int(0, rest.length - 1), 1));
  return result;
}
