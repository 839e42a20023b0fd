import {
  encode,
  forkRandom,
  InvalidArgumentError,
  type Clock,
  type Random,
  type Runtime,
} from "../../runtime/index.js";
import { RemoteError } from "../../labrpc/index.js";
import { fateOf, quietConditions, type Fate, type LinkConditions } from "./conditions.js";
import { Call } from "./call.js";
import { Host, type Fabric, type Link } from "./host.js";
import type { NetObserver } from "./message.js";

/**
 * A network of links. A call is two messages, request and reply; each meets its own fate on its own link, decided when
 * it is sent: lost, late, overtaken, doubled. Links are cut one way, too. What is on its way when a link is cut or its
 * sender dies still arrives.
 *
 * Messages travel as bytes, so that the two sides never share an object. Whoever calls hears null when its request or
 * the reply got lost, or when the host that worked on it died, some time after (`noticeMs`), and never an answer after
 * that. Chance comes from a stream of its own for each link, three draws a message: what happens on one link does not
 * change the luck of another.
 */
export class LinkNetwork implements Fabric {
  /** Of all links that have none of their own. */
  conditions: LinkConditions;
  readonly clock: Clock;
  readonly random: Random;
  readonly observer: NetObserver;
  readonly #hosts = new Map<string, Host>();
  readonly #runtime: Runtime;
  #count = 0;

  constructor(runtime: Runtime, options: { conditions?: Partial<LinkConditions>; observer?: NetObserver } = {}) {
    this.conditions = { ...quietConditions, ...options.conditions };
    this.clock = runtime.clock;
    this.random = forkRandom(runtime.random, "network");
    this.observer = options.observer ?? {};
    this.#runtime = runtime;
    runtime.describeWaiting?.(() => this.#describeWaiting());
  }

  /** The host of that name; made where there is none. */
  host(name: string): Host {
    let host = this.#hosts.get(name);
    if (host === undefined) this.#hosts.set(name, (host = new Host(name, this)));
    return host;
  }

  link(from: string, to: string): Link {
    if (from === to) throw new InvalidArgumentError(`there is no link from ${from} to itself`);
    return this.host(from).linkTo(this.host(to));
  }

  /** Every link that was asked for or used so far works again. */
  healAll(): void {
    for (const from of this.#hosts.values()) for (const to of this.#hosts.values()) from.linkTo(to).healAll();
  }

  nextId(): number {
    return this.observer.nextId?.() ?? ++this.#count;
  }

  /** Folds a number into the hash of the run. */
  note(value: number): void {
    this.#runtime.note?.(value);
  }

  call(link: Link, life: number, method: string, args: unknown): Promise<unknown> {
    let bytes: Uint8Array;
    try {
      bytes = encode(args, "args");
      checkMethod(method);
    } catch (error) {
      return Promise.reject(error);
    }
    return new Promise((resolve, reject) => {
      // A caller that is dead says nothing, and hears nothing.
      if (link.from.life === life) new Call(link, life, method, bytes, resolve, reject).send();
    });
  }

  /** The fate of the next message on `link`. */
  draw(link: Link): Fate {
    const { random } = link;
    return fateOf(link.conditions ?? this.conditions, random.next(), random.next(), random.next());
  }

  #describeWaiting(): string[] {
    return [...this.#hosts.values()].flatMap((host) => [...host.handling].map((call) => call.describe()));
  }
}

function checkMethod(method: string): void {
  const dot = typeof method === "string" ? method.lastIndexOf(".") : -1;
  if (dot < 1 || dot === method.length - 1) {
    throw new RemoteError("BAD_METHOD", `a call names "Service.Method", not "${method}"`);
  }
}
