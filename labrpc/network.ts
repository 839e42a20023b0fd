import { forkRandom, InvalidArgumentError } from "../runtime/index.js";
import type { Runtime } from "../runtime/index.js";
import { End } from "./call.js";
import type { Call, NetworkState, Slot } from "./call.js";
import type { Server } from "./server.js";
import type { ClientEnd } from "./types.js";

/**
 * The lossy network of the labs. An end is a one-directional channel of one caller to one server, dead until it is
 * connected and enabled; a link is cut one way by disabling the ends of one direction.
 *
 * What a call meets is decided when it is made; a mode changed later does not touch it:
 * - reliable: no delay. Not reliable: 0-26 ms, a tenth of the requests dropped, then a tenth of the replies; the caller
 *   of a dropped one gets null at once.
 * - end disabled or not connected, or no server: null after 0-99 ms, with longDelays 0-6999 ms.
 * - end disabled, or server deleted or replaced, while the handler works: null within 100 ms, or when the handler
 *   returns, although it did its work.
 * - longReordering: two thirds of the replies take 200-2199 ms more, and then arrive whatever has happened meanwhile.
 *
 * Arguments and replies travel as bytes, so that the two sides never share an object. An error that comes out at the
 * server (RemoteError) travels and gets lost as a reply does.
 */
export class Network {
  readonly #state: NetworkState;
  readonly #ends = new Map<string, End>();
  readonly #slots = new Map<string, Slot>();

  /** Reliable at first. Takes time and chance from `runtime`, its chance from a stream of its own. */
  constructor(runtime: Runtime) {
    this.#state = {
      clock: runtime.clock,
      random: forkRandom(runtime.random, "network"),
      running: new Set(),
      closed: false,
      reliable: true,
      longDelays: false,
      longReordering: false,
      totalCount: 0,
      totalBytes: 0,
    };
    runtime.describeWaiting?.(() => [...this.#state.running].map((call) => call.describe()));
  }

  /**
   * Makes an end, which reaches nobody before `connect` and `enable`. With `serverName` it is connected and enabled.
   * @throws InvalidArgumentError when there is an end of that name.
   */
  makeEnd(name: string, serverName?: string): ClientEnd {
    if (this.#ends.has(name))
      throw new InvalidArgumentError(`there is an end "${name}" already; ends need names of their own`);
    const end = new End(name, this.#state);
    this.#ends.set(name, end);
    if (serverName !== undefined) {
      end.slot = this.#slot(serverName);
      end.enabled = true;
    }
    return end;
  }

  /** Calls through the end meet nobody from now on. @throws InvalidArgumentError when there is none of that name. */
  deleteEnd(name: string): void {
    const end = this.#end(name);
    this.#ends.delete(name);
    this.#disable(end);
  }

  /** Points an end at the server of a name, which may be added later. @throws InvalidArgumentError for an unknown end. */
  connect(endName: string, serverName: string): void {
    this.#end(endName).slot = this.#slot(serverName);
  }

  /** Lets an end through, or cuts it. @throws InvalidArgumentError for an unknown end. */
  enable(endName: string, on: boolean): void {
    const end = this.#end(endName);
    if (on) end.enabled = true;
    else this.#disable(end);
  }

  /** Calls to `name` reach this server from now on; it takes the place of another of that name. */
  addServer(name: string, server: Server): void {
    const slot = this.#slot(name);
    slot.lastServer = server;
    this.#put(slot, server);
  }

  /** Calls to `name` meet nobody until a server of that name is added; it need not exist. */
  deleteServer(name: string): void {
    const slot = this.#slots.get(name);
    if (slot) this.#put(slot, null);
  }

  reliable(on: boolean): void {
    this.#state.reliable = on;
  }

  longDelays(on: boolean): void {
    this.#state.longDelays = on;
  }

  longReordering(on: boolean): void {
    this.#state.longReordering = on;
  }

  isReliable(): boolean {
    return this.#state.reliable;
  }

  isLongDelays(): boolean {
    return this.#state.longDelays;
  }

  /**
   * How many requests reached a handler of the server that was last added under `name`.
   * @throws InvalidArgumentError when none was ever added.
   */
  getCount(name: string): number {
    const server = this.#slots.get(name)?.lastServer;
    if (!server)
      throw new InvalidArgumentError(`no server "${name}" was ever added; known are ${this.#knownServers()}`);
    return server.getCount();
  }

  /** How many calls were made, those to nowhere and those dropped included. */
  getTotalCount(): number {
    return this.#state.totalCount;
  }

  /** Encoded bytes of all arguments sent and all replies delivered. */
  getTotalBytes(): number {
    return this.#state.totalBytes;
  }

  /** Closes the network: later calls get null at once and count nowhere. */
  cleanup(): void {
    this.#state.closed = true;
  }

  #end(name: string): End {
    const end = this.#ends.get(name);
    if (!end) throw new InvalidArgumentError(`there is no end "${name}"; make it with makeEnd first`);
    return end;
  }

  #slot(name: string): Slot {
    let slot = this.#slots.get(name);
    if (!slot) {
      slot = { name, server: null, lastServer: null };
      this.#slots.set(name, slot);
    }
    return slot;
  }

  #put(slot: Slot, server: Server | null): void {
    slot.server = server;
    this.#checkSoon((call) => call.slot === slot);
  }

  #disable(end: End): void {
    end.enabled = false;
    this.#checkSoon((call) => call.end === end);
  }

  #checkSoon(isConcerned: (call: Call) => boolean): void {
    for (const call of this.#state.running) if (isConcerned(call)) call.checkSoon();
  }

  #knownServers(): string {
    return (
      [...this.#slots.values()]
        .filter((slot) => slot.lastServer)
        .map((slot) => `"${slot.name}"`)
        .join(", ") || "none"
    );
  }
}
