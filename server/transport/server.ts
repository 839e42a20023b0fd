import { createServer as createNetServer } from "node:net";
import type { AddressInfo, Server as NetServer, Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import type { TLSSocket } from "node:tls";

import type { CallOptions, Clock, Runtime } from "../../runtime/index.js";
import { DisconnectedError, ListenError, RefusedError } from "./errors.js";
import { FIRST_ENGINE } from "./handshake.js";
import type { Hello, Role, Secret } from "./handshake.js";
import { resolveLimits } from "./limits.js";
import type { TransportLimits } from "./limits.js";
import { silentLogger } from "./logger.js";
import type { Logger } from "./logger.js";
import { Router } from "./router.js";
import type { GroupServers } from "./router.js";
import { Session } from "./session.js";
import type { SessionHost } from "./session.js";
import { checkBind, checkName, checkPort, checkSecret, checkTls, serverTls } from "./settings.js";
import type { TransportTls } from "./settings.js";
import { hostAndPort } from "./text.js";

export interface ListenOptions {
  runtime: Runtime;
  /** What to bind to. Default 127.0.0.1. Anything that other machines can reach needs `tls` or `secret`. */
  host?: string;
  /** Default 0: the system chooses one. */
  port?: number;
  /** Under which address others reach this node, where that is not what it binds to. */
  advertise?: { host: string; port?: number };
  /** Callers of another cluster are refused. */
  clusterId: string;
  nodeId: string;
  /** Peers of another consensus algorithm are refused; clients need not know it. Default "raft". */
  engine?: string;
  /** What is served, by the name of the group. A name without a group is an error reply to the caller. */
  groups: Readonly<Record<string, GroupServers>>;
  tls?: TransportTls;
  /** Shared by all nodes and clients, or one for peers and one for clients. At least 16 bytes. */
  secret?: Secret;
  /** Accept everyone who can reach an address that is not loopback. */
  allowUnauthenticated?: boolean;
  limits?: Partial<TransportLimits>;
  logger?: Logger;
  /** Default true. False writes each frame by itself: a system call a message. */
  coalesce?: boolean;
}

export interface ConnectionInfo {
  readonly role: Role;
  /** "" for a client. */
  readonly nodeId: string;
  readonly remoteAddress: string;
  readonly ageMs: number;
  /** Requests that are being worked on. */
  readonly running: number;
  readonly queuedBytes: number;
}

/** A node's open door: serves its groups to peers and clients. */
export interface TransportServer {
  /** Where it listens. */
  readonly address: { readonly host: string; readonly port: number };
  /** Where others should call it. */
  readonly advertised: { readonly host: string; readonly port: number };
  /** Those that have finished their handshake. A peer that sends bulk data has two. */
  connections(): ConnectionInfo[];
  /**
   * Takes no more connections and requests, waits for the replies of those in progress until `timeoutMs` (default 1000)
   * or `signal`, then cuts what is left. Never fails; every call waits for the same end.
   */
  close(options?: CallOptions): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

const DEFAULT_HOST = "127.0.0.1";
const CLOSE_TIMEOUT_MS = 1000;
const CLOSING = new DisconnectedError("this node is closing");

class TcpServer implements TransportServer, SessionHost {
  readonly clock: Clock;
  readonly clusterId: string;
  readonly nodeId: string;
  readonly engine: string;
  readonly secret: Secret | undefined;
  readonly limits: TransportLimits;
  readonly coalesce: boolean;
  readonly router: Router;
  isClosing = false;
  address = { host: "", port: 0 };
  readonly #options: ListenOptions;
  readonly #logger: Logger;
  readonly #listener: NetServer;
  /** Every connection from its first moment, those in a TLS handshake included. */
  readonly #sockets = new Set<Socket>();
  readonly #sessions = new Set<Session>();
  #closed: Promise<void> | undefined;
  #onIdle: (() => void) | undefined;

  constructor(options: ListenOptions) {
    checkName("clusterId", options.clusterId);
    checkName("nodeId", options.nodeId);
    checkTls(options.tls);
    checkSecret(options.secret);
    checkPort(options.port ?? 0, 0);
    this.#options = options;
    this.clock = options.runtime.clock;
    this.clusterId = options.clusterId;
    this.nodeId = options.nodeId;
    this.engine = options.engine ?? FIRST_ENGINE;
    this.secret = options.secret;
    this.limits = resolveLimits(options.limits);
    this.coalesce = options.coalesce ?? true;
    this.router = new Router(options.groups);
    this.#logger = options.logger ?? silentLogger;
    this.#listener = this.#makeListener();
  }

  get advertised(): { host: string; port: number } {
    const { advertise } = this.#options;
    if (advertise === undefined) return this.address;
    return { host: advertise.host, port: advertise.port ?? this.address.port };
  }

  connections(): ConnectionInfo[] {
    const nowMs = this.clock.now();
    const infos: ConnectionInfo[] = [];
    for (const session of this.#sessions) {
      if (session.role === null) continue;
      const { role, running, queuedBytes, remoteAddress } = session;
      const nodeId = session.hello?.nodeId ?? "";
      infos.push({ role, nodeId, remoteAddress, ageMs: nowMs - session.sinceMs, running, queuedBytes });
    }
    return infos;
  }

  listen(): Promise<void> {
    const { host = DEFAULT_HOST, port = 0 } = this.#options;
    return new Promise((resolve, reject) => {
      const onError = (cause: Error): void => reject(new ListenError(host, port, cause));
      this.#listener.once("error", onError);
      this.#listener.listen({ host, port }, () => {
        this.#listener.off("error", onError);
        // For instance too many open files: this connection is lost, the next one may succeed.
        this.#listener.on("error", (error) => this.#logger.error({ err: error }, "accepting a connection failed"));
        const bound = this.#listener.address() as AddressInfo;
        this.address = { host: bound.address, port: bound.port };
        resolve();
      });
    });
  }

  close(options: CallOptions = {}): Promise<void> {
    const { signal, timeoutMs = CLOSE_TIMEOUT_MS } = options;
    this.#closed ??= this.#close(timeoutMs);
    if (signal?.aborted) this.#cut();
    else signal?.addEventListener("abort", () => this.#cut(), { once: true });
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(timeoutMs: number): Promise<void> {
    this.isClosing = true;
    const listenerClosed = new Promise<void>((resolve) => this.#listener.close(() => resolve()));
    const timer = this.clock.setTimeout(() => this.#cut(), timeoutMs);
    if (this.#isWorking()) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    }
    for (const session of this.#sessions) session.finish(CLOSING);
    await listenerClosed;
    this.clock.clearTimeout(timer);
  }

  #isWorking(): boolean {
    for (const session of this.#sessions) if (session.running > 0) return true;
    return false;
  }

  #cut(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#onIdle?.();
  }

  // ---- connections --------------------------------------------------------------------------------------------------------

  #makeListener(): NetServer {
    const { tls } = this.#options;
    const { handshakeMs, maxConnections } = this.limits;
    const listener = tls
      ? createTlsServer({ ...serverTls(tls, handshakeMs), noDelay: true }, (socket) => this.#onConnection(socket))
      : createNetServer({ noDelay: true }, (socket) => this.#onConnection(socket));
    // With TLS this comes before the TLS handshake, and what comes above after it.
    listener.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
    listener.on("tlsClientError", (error: Error, socket: TLSSocket) => {
      // Set where the certificate was the reason; Node then hangs up without telling the caller.
      const reason = socket.authorizationError ?? null;
      this.#logger.warn({ err: error, reason, remoteAddress: addressOf(socket) }, "a TLS handshake failed");
      socket.destroy();
    });
    listener.on("drop", (info) => this.#logger.warn({ ...info, maxConnections }, "too many connections: dropped one"));
    listener.maxConnections = maxConnections;
    return listener;
  }

  #onConnection(socket: Socket): void {
    if (this.isClosing) {
      socket.destroy();
      return;
    }
    this.#sessions.add(new Session(this, socket, addressOf(socket)));
  }

  admit(session: Session): RefusedError | null {
    const { maxClientConnections } = this.limits;
    if (this.isClosing) return new RefusedError("busy", "this node is closing");
    const { role, nodeId } = session.hello as Hello;
    if (role === "client") {
      let clients = 0;
      for (const other of this.#sessions) if (other.role === "client") clients++;
      if (clients >= maxClientConnections) {
        return new RefusedError("busy", `this node serves ${maxClientConnections} clients already; try another node`);
      }
    }
    this.#logger.debug({ role, nodeId, remoteAddress: session.remoteAddress }, "a connection was accepted");
    return null;
  }

  onAnswered(): void {
    if (this.isClosing && !this.#isWorking()) this.#onIdle?.();
  }

  onClose(session: Session, error: Error): void {
    this.#sessions.delete(session);
    this.onAnswered();
    const { remoteAddress } = session;
    const details = { err: error, role: session.hello?.role, nodeId: session.hello?.nodeId, remoteAddress };
    if (error instanceof RefusedError) this.#logger.warn(details, "a connection was refused");
    else if (error instanceof DisconnectedError) this.#logger.debug(details, "a connection ended");
    else this.#logger.warn(details, "a connection was closed for an error");
  }
}

function addressOf(socket: Socket): string {
  return hostAndPort(socket.remoteAddress ?? "?", socket.remotePort ?? 0);
}

/**
 * Listens, and serves groups of labrpc services to whoever proves to belong to the cluster.
 * @throws InvalidArgumentError for wrong options; UnsafeBindError (UNSAFE_BIND) for an address that others can reach
 * without tls, secret or `allowUnauthenticated`; ListenError (LISTEN_FAILED) where the address cannot be had.
 */
export async function listen(options: ListenOptions): Promise<TransportServer> {
  const isAuthenticated = options.tls !== undefined || options.secret !== undefined;
  checkBind(options.host ?? DEFAULT_HOST, isAuthenticated, options.allowUnauthenticated === true);
  const server = new TcpServer(options);
  await server.listen();
  return server;
}
