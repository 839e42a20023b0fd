import { encode, InvalidArgumentError, refusal, TimeoutError, watchLimits } from "../../runtime/index.js";
import type { CallOptions, Runtime } from "../../runtime/index.js";
import { RemoteError } from "../../labrpc/index.js";
import type { ClientEnd } from "../../labrpc/index.js";
import type { DialTarget } from "./dial.js";
import { DisconnectedError, RefusedError } from "./errors.js";
import { FIRST_ENGINE } from "./handshake.js";
import type { Secret, Welcome } from "./handshake.js";
import { Call, Lane } from "./lane.js";
import type { LaneStatus } from "./lane.js";
import { resolveLimits } from "./limits.js";
import type { TransportLimits } from "./limits.js";
import { silentLogger } from "./logger.js";
import type { Logger } from "./logger.js";
import { checkName, checkPort, checkSecret, checkTls } from "./settings.js";
import type { TransportTls } from "./settings.js";
import { clip, hostAndPort } from "./text.js";

export interface ConnectOptions {
  runtime: Runtime;
  host: string;
  port: number;
  clusterId: string;
  /** A node of the cluster, by its id, or one of its clients. */
  as: { readonly nodeId: string } | "client";
  /** The node that should be there. Another one is refused: a wrong address must not mix up two nodes. */
  expectNodeId?: string;
  /** The consensus algorithm of a node: it is no peer of one with another. Default "raft". */
  engine?: string;
  /** Which group of services to call. */
  group: string;
  tls?: TransportTls;
  /** The cluster's, or the one for this role. */
  secret?: Secret;
  limits?: Partial<TransportLimits>;
  logger?: Logger;
  /** Default true. False writes each frame by itself: a system call a message. */
  coalesce?: boolean;
}

export interface EndState {
  /** "waiting": the last attempt failed; the next one follows after a pause of at most `backoffMaxMs`. */
  readonly status: Exclude<LaneStatus, "idle">;
  /** Why there is no connection: RefusedError where somebody must change something. Null while there is one. */
  readonly error: Error | null;
  /** The node that answered last, its groups, and where it wants to be called. */
  readonly node: { readonly nodeId: string; readonly groups: readonly string[]; readonly advertised: string } | null;
  /** Calls without reply. */
  readonly inFlight: number;
  readonly queuedBytes: number;
}

/**
 * A ClientEnd over TCP. A call answers null where the contract says so: no connection (at once, or after `connectWaitMs`
 * while one is being made), connection lost, limits reached here or there, no reply within `patienceMs`.
 */
export interface TcpEnd extends ClientEnd {
  /** Another group of the same node, over the same connections. */
  forGroup(group: string): TcpEnd;
  /**
   * Waits for the connection; calls need not. @throws RefusedError (REFUSED) as soon as one of the two refuses, TimeoutError
   * (TIMEOUT) with the last failure in its message, AbortError (ABORTED), DisconnectedError (DISCONNECTED) after close().
   */
  ready(options?: CallOptions): Promise<void>;
  state(): EndState;
  /** Calls through this end answer null from now on. The connections go with the last end that shares them. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** One method as this end calls it. */
interface Route {
  readonly bytes: Uint8Array;
  /** How many of its requests are on the bulk lane; while there are any, the others follow them there. */
  bulk: number;
  readonly onBulkSettled: () => void;
}

interface Waiter {
  resolve(): void;
  reject(error: Error): void;
}

/**
 * The way to one peer: two connections. Large requests (snapshot chunks, long appends) take the second one, made when it
 * is first needed, so that heartbeats and votes never stand behind them in a queue, ours or the system's. Chunks
 * on a shared connection would not do: what the system has buffered, some megabytes on a slow link, cannot be overtaken.
 *
 * Requests of one method of one group keep their order: while a large one is on its way, small ones follow it. An
 * append that overtakes the one before it would be refused, and sent again; and to Raft every append is a heartbeat.
 */
class Link {
  readonly target: DialTarget;
  readonly ends = new Set<GroupEnd>();
  readonly #fast: Lane;
  readonly #bulk: Lane;
  readonly #waiters = new Set<Waiter>();
  error: Error | null = null;
  node: EndState["node"] = null;

  constructor(target: DialTarget, logger: Logger) {
    this.target = target;
    this.#bulk = new Lane(target, false, { onReady: () => {}, onLost: () => {} }, logger);
    this.#fast = new Lane(target, true, this, logger);
  }

  send(route: Route, payload: Uint8Array, resolve: (reply: unknown) => void, reject: (error: Error) => void): void {
    if (route.bulk === 0 && payload.length <= this.target.limits.bulkBytes) {
      this.#fast.send(new Call(route.bytes, payload, resolve, reject, null));
    } else {
      route.bulk++;
      this.#bulk.send(new Call(route.bytes, payload, resolve, reject, route.onBulkSettled));
    }
  }

  onReady(welcome: Welcome, nodeId: string): void {
    this.error = null;
    this.node = { nodeId, groups: welcome.groups, advertised: welcome.advertised };
    for (const waiter of this.#waiters) waiter.resolve();
  }

  onLost(error: Error): void {
    this.error = error;
    if (error instanceof RefusedError && error.reason !== "busy") {
      for (const waiter of this.#waiters) waiter.reject(error);
    }
  }

  get status(): LaneStatus {
    return this.#fast.status;
  }

  get inFlight(): number {
    return this.#fast.inFlight + this.#bulk.inFlight;
  }

  get queuedBytes(): number {
    return this.#fast.queuedBytes + this.#bulk.queuedBytes;
  }

  get name(): string {
    return hostAndPort(this.target.host, this.target.port);
  }

  ready(options: CallOptions): Promise<void> {
    const refused = refusal("ready", options);
    if (refused !== undefined) return Promise.reject(refused);
    if (this.status === "ready") return Promise.resolve();
    return new Promise<void>((resolve, reject) => {
      const settle = (): void => {
        this.#waiters.delete(waiter);
        release?.();
      };
      const waiter: Waiter = {
        resolve: () => {
          settle();
          resolve();
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      };
      const release = watchLimits(this.target.runtime.clock, "ready", options, (limit) => {
        const error = limit(false);
        waiter.reject(error instanceof TimeoutError ? this.#noConnection(options) : error);
      });
      this.#waiters.add(waiter);
    });
  }

  #noConnection({ timeoutMs }: CallOptions): TimeoutError {
    const why = this.error === null ? "it does not answer" : this.error.message;
    return new TimeoutError(`no connection to ${this.name} within ${timeoutMs} ms: ${why}`, false);
  }

  leave(end: GroupEnd): void {
    if (!this.ends.delete(end) || this.ends.size > 0) return;
    this.#fast.close();
    this.#bulk.close();
    const error = new DisconnectedError("this end was closed");
    for (const waiter of this.#waiters) waiter.reject(error);
  }
}

const MAX_ROUTE_BYTES = 65_535;
/** So many methods an end remembers; programs have some ten. */
const MAX_ROUTES = 1000;

class GroupEnd implements TcpEnd {
  readonly #link: Link;
  readonly #group: string;
  readonly #routes = new Map<string, Route>();
  #isClosed = false;

  constructor(link: Link, group: string) {
    checkName("group", group);
    this.#link = link;
    this.#group = group;
    link.ends.add(this);
  }

  call<Reply = unknown>(method: string, args: unknown): Promise<Reply | null> {
    let route: Route;
    let payload: Uint8Array;
    try {
      route = this.#routes.get(method) ?? this.#addRoute(method);
      payload = encode(args, "args");
    } catch (error) {
      return Promise.reject(error);
    }
    if (this.#isClosed) return Promise.resolve(null);
    return new Promise<unknown>((resolve, reject) => {
      this.#link.send(route, payload, resolve, reject);
    }) as Promise<Reply | null>;
  }

  #addRoute(method: string): Route {
    const dot = typeof method === "string" ? method.lastIndexOf(".") : -1;
    const name = Buffer.from(`${this.#group}/${method}`);
    if (dot < 1 || dot === method.length - 1 || name.length > MAX_ROUTE_BYTES) {
      const found = typeof method === "string" ? `"${clip(method, 100)}"` : typeof method;
      throw new RemoteError("BAD_METHOD", `a call names "Service.Method", not ${found}`);
    }
    const bytes = Buffer.allocUnsafeSlow(2 + name.length);
    bytes.writeUInt16BE(name.length, 0);
    bytes.set(name, 2);
    const route: Route = { bytes, bulk: 0, onBulkSettled: () => void route.bulk-- };
    if (this.#routes.size === MAX_ROUTES) this.#routes.clear();
    this.#routes.set(method, route);
    return route;
  }

  forGroup(group: string): TcpEnd {
    if (this.#isClosed) throw new DisconnectedError("this end was closed; take the group from one that is open");
    return new GroupEnd(this.#link, group);
  }

  ready(options: CallOptions = {}): Promise<void> {
    if (this.#isClosed) return Promise.reject(new DisconnectedError("this end was closed"));
    return this.#link.ready(options);
  }

  state(): EndState {
    const { status, error, node, inFlight, queuedBytes } = this.#link;
    return { status: this.#isClosed || status === "idle" ? "closed" : status, error, node, inFlight, queuedBytes };
  }

  close(): Promise<void> {
    this.#isClosed = true;
    this.#link.leave(this);
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/**
 * The way to one node, as a ClientEnd. It connects at once, and again whenever the connection is lost, with growing
 * pauses; nothing of this disturbs the caller: see `state()`, `ready()` and the logger.
 * @throws InvalidArgumentError for wrong options.
 */
export function connectTo(options: ConnectOptions): TcpEnd {
  const { runtime, host, port, clusterId, as, expectNodeId, group, tls, secret } = options;
  checkName("clusterId", clusterId);
  checkName("group", group);
  if (as !== "client") checkName("as.nodeId", as.nodeId);
  if (expectNodeId !== undefined) checkName("expectNodeId", expectNodeId);
  if (typeof host !== "string" || host === "") throw new InvalidArgumentError("host must be a name or an address");
  checkPort(port, 1);
  checkTls(tls);
  checkSecret(secret);
  const target: DialTarget = {
    runtime,
    host,
    port,
    clusterId,
    role: as === "client" ? "client" : "peer",
    nodeId: as === "client" ? "" : as.nodeId,
    expectNodeId: expectNodeId ?? "",
    engine: options.engine ?? FIRST_ENGINE,
    tls,
    secret,
    limits: resolveLimits(options.limits),
    coalesce: options.coalesce ?? true,
  };
  return new GroupEnd(new Link(target, options.logger ?? silentLogger), group);
}
