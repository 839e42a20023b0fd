import type { ClientEnd, Network } from "../../labrpc/index.js";

/** The name under which server `i` is registered on the network. */
export function serverName(i: number): string {
  return `server${i}`;
}

/**
 * The ends between the servers of a cluster: n x n, one for each ordered pair, itself included. Each start of a server
 * makes fresh ones, so that an earlier incarnation which still runs can neither send nor be heard.
 */
export class Mesh {
  readonly #net: Network;
  readonly #servers: number;
  readonly #names: (string[] | undefined)[];
  #incarnations = 0;

  constructor(net: Network, servers: number) {
    this.#net = net;
    this.#servers = servers;
    this.#names = Array.from({ length: servers }, () => undefined);
  }

  /** New ends, all of them disabled, from server `from` to every server. */
  freshEnds(from: number): ClientEnd[] {
    const incarnation = ++this.#incarnations;
    const names: string[] = [];
    const ends: ClientEnd[] = [];
    for (let to = 0; to < this.#servers; to++) {
      const name = `${from}->${to} #${incarnation}`;
      ends.push(this.#net.makeEnd(name));
      this.#net.connect(name, serverName(to));
      names.push(name);
    }
    this.#names[from] = names;
    return ends;
  }

  /** Opens or cuts the two directions between `a` and `b`. */
  link(a: number, b: number, on: boolean): void {
    this.#enable(a, b, on);
    this.#enable(b, a, on);
  }

  #enable(from: number, to: number, on: boolean): void {
    const name = this.#names[from]?.[to];
    if (name !== undefined) this.#net.enable(name, on);
  }
}
