import { forkRandom, type Clock, type Random } from "../../runtime/index.js";
import type { ClientEnd, Server } from "../../labrpc/index.js";
import type { Fate, LinkConditions } from "./conditions.js";
import type { NetObserver } from "./message.js";

/** What hosts and calls need of their network. */
export interface Fabric {
  readonly clock: Clock;
  readonly random: Random;
  readonly observer: NetObserver;
  readonly conditions: LinkConditions;
  host(name: string): Host;
  call(link: Link, life: number, method: string, args: unknown): Promise<unknown>;
  draw(link: Link): Fate;
  nextId(): number;
  note(value: number): void;
}

/** A call that a host is busy with. */
export interface Handled {
  readonly from: Host;
  /** The reply, which would have taken this link, will never come. */
  lose(link: Link): void;
  describe(): string;
}

/** One direction between two hosts. */
export class Link {
  readonly from: Host;
  readonly to: Host;
  /** Its own; null: those of the network. */
  conditions: LinkConditions | null = null;
  readonly random: Random;
  #cuts = 0;

  constructor(from: Host, to: Host, random: Random) {
    this.from = from;
    this.to = to;
    this.random = random;
  }

  get isCut(): boolean {
    return this.#cuts > 0;
  }

  /** Nothing that is sent from now on gets through, until each cut was healed. */
  cut(): void {
    this.#cuts++;
  }

  heal(): void {
    if (this.#cuts > 0) this.#cuts--;
  }

  /** Takes back all cuts. */
  healAll(): void {
    this.#cuts = 0;
  }
}

/** A machine with a name in the network. It lives many lives: what belonged to one has no effect in the next. */
export class Host {
  readonly name: string;
  readonly network: Fabric;
  /** Not null: the host sleeps. What reaches it is handed over, to be called when it wakes. */
  gate: ((arrive: () => void) => void) | null = null;
  server: Server | null = null;
  life = 0;
  /** Requests of lives up to this one that are still under way do not arrive. */
  recalledLife = -1;
  /** Calls that a handler of this life is still busy with. */
  readonly handling = new Set<Handled>();
  readonly #links = new Map<string, Link>();

  constructor(name: string, network: Fabric) {
    this.name = name;
    this.network = network;
  }

  /** Requests reach `server` from now on. */
  serve(server: Server): void {
    this.server = server;
  }

  /**
   * The life ends: nobody serves here, what was being worked on is lost (its callers are told so in time), and the
   * calls made in this life never end.
   */
  crash(): void {
    this.life++;
    this.server = null;
    const lost = [...this.handling];
    this.handling.clear();
    for (const call of lost) call.lose(this.linkTo(call.from));
  }

  /** All requests that it has sent in this life and that are still under way are lost. */
  recall(): void {
    this.recalledLife = this.life;
  }

  /** A channel to the host `to`, for the present life. */
  end(to: string): ClientEnd {
    const { network, life } = this;
    const link = this.linkTo(network.host(to));
    return { call: (method, args) => network.call(link, life, method, args) as Promise<never> };
  }

  linkTo(to: Host): Link {
    let link = this.#links.get(to.name);
    if (link === undefined) {
      link = new Link(this, to, forkRandom(this.network.random, `net ${this.name}->${to.name}`));
      this.#links.set(to.name, link);
    }
    return link;
  }
}
