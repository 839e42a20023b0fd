import { createServer, connect } from "node:net";
import type { AddressInfo, Server as NetServer, Socket } from "node:net";

import { makeService, Server } from "../../labrpc/index.js";
import type { Handler } from "../../labrpc/index.js";
import { realRuntime } from "../../runtime/index.js";
import { connectTo, listen } from "../../server/transport/index.js";
import type { ConnectOptions, ListenOptions, Logger, TcpEnd, TransportServer } from "../../server/transport/index.js";
import { freePorts } from "../harness/nodes.js";

export const runtime = realRuntime();
export const CLUSTER = "test-cluster";

/** A log that can be asked what it holds. */
export class LogBook implements Logger {
  readonly lines: string[] = [];
  readonly debug = (details: object, message: string): void => this.#add("debug", details, message);
  readonly info = (details: object, message: string): void => this.#add("info", details, message);
  readonly warn = (details: object, message: string): void => this.#add("warn", details, message);
  readonly error = (details: object, message: string): void => this.#add("error", details, message);

  #add(level: string, details: object, message: string): void {
    const { err } = details as { err?: Error };
    this.lines.push(`${level}: ${message}${err === undefined ? "" : `: ${err.message}`}`);
  }
}

export function serverOf(handlers: Record<string, Handler>, name = "Test"): Server {
  const server = new Server();
  server.addService(makeService(name, handlers));
  return server;
}

const echo = (args: unknown): object => ({ args });

/** Everything that a test opens is closed when the test ends. */
export class World implements AsyncDisposable {
  readonly #open: AsyncDisposable[] = [];

  /** By default one group "g" with the method Test.Echo. */
  async listen(options: Partial<ListenOptions> = {}): Promise<TransportServer> {
    const groups = { g: serverOf({ Echo: echo }) };
    const server = await listen({ runtime, clusterId: CLUSTER, nodeId: "n1", groups, ...options });
    this.#open.push(server);
    return server;
  }

  connect(port: number, options: Partial<ConnectOptions> = {}): TcpEnd {
    const base = { runtime, host: "127.0.0.1", port, clusterId: CLUSTER, as: "client", group: "g" } as const;
    // Long: a busy machine must not turn a reply into null, where a test does not ask for it.
    const limits = { connectWaitMs: 2000, ...options.limits };
    const end = connectTo({ ...base, ...options, limits });
    this.#open.push(end);
    return end;
  }

  async proxy(port: number): Promise<Proxy> {
    const proxy = await Proxy.start(port);
    this.#open.push(proxy);
    return proxy;
  }

  /** A bare listener; what comes in is passed to `onSocket`. */
  async bare(onSocket: (socket: Socket) => void): Promise<number> {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on("error", () => {});
      onSocket(socket);
    });
    this.#open.push({
      [Symbol.asyncDispose]: () => {
        for (const socket of sockets) socket.destroy();
        return closed(server);
      },
    });
    return bound(server);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Callers first: a server's close waits for its callers.
    await Promise.all(this.#open.reverse().map((thing) => thing[Symbol.asyncDispose]()));
  }
}

function bound(server: NetServer): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
  });
}

function closed(server: NetServer): Promise<void> {
  return new Promise((resolve) => void server.close(() => resolve()));
}

/** A port on which nobody listens. */
export async function freePort(): Promise<number> {
  const [port] = await freePorts(1);
  return port as number;
}

/** Stands between caller and server; what the caller sends can be slowed down, and both directions can be stopped. */
export class Proxy implements AsyncDisposable {
  readonly #server: NetServer;
  readonly #sockets = new Set<Socket>();
  /** Of these, the ones to the server. */
  readonly #called = new Set<Socket>();
  port = 0;
  /** Bytes a millisecond from caller to server; Infinity as fast as it goes. */
  bytesPerMs = Infinity;
  #isStopped = false;

  constructor(target: number) {
    this.#server = createServer((caller) => {
      const called = connect(target, "127.0.0.1");
      this.#called.add(called);
      called.on("close", () => this.#called.delete(called));
      this.#pipe(caller, called, () => this.bytesPerMs);
      this.#pipe(called, caller, () => Infinity);
    });
  }

  static async start(target: number): Promise<Proxy> {
    const proxy = new Proxy(target);
    proxy.port = await bound(proxy.#server);
    return proxy;
  }

  #pipe(from: Socket, to: Socket, bytesPerMs: () => number): void {
    this.#sockets.add(from);
    if (this.#isStopped) from.pause();
    from.on("error", () => {});
    from.on("close", () => {
      this.#sockets.delete(from);
      to.destroy();
    });
    from.on("data", (chunk) => {
      const pauseMs = chunk.length / bytesPerMs();
      if (!to.write(chunk)) {
        from.pause();
        to.once("drain", () => this.#resume(from));
      } else if (pauseMs >= 1) {
        from.pause();
        setTimeout(() => this.#resume(from), pauseMs);
      }
    });
  }

  #resume(socket: Socket): void {
    if (!this.#isStopped && !socket.destroyed) socket.resume();
  }

  /** From now on nothing gets through, and nobody is told: a cable is pulled. */
  stop(): void {
    this.#isStopped = true;
    for (const socket of this.#sockets) socket.pause();
  }

  /** The caller goes on sending, but reads no more. */
  stopReplies(): void {
    for (const socket of this.#called) socket.pause();
  }

  go(): void {
    this.#isStopped = false;
    for (const socket of this.#sockets) socket.resume();
  }

  [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    return closed(this.#server);
  }
}

/** Waits until `condition` holds; fails after five seconds. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const end = performance.now() + 5000;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`not within five seconds: ${what}`);
    await new Promise((resolve) => void setTimeout(resolve, 2));
  }
}

export async function timed<T>(act: () => Promise<T>): Promise<{ value: T; ms: number }> {
  const started = performance.now();
  const value = await act();
  return { value, ms: performance.now() - started };
}
