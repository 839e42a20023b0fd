import { expect } from "vitest";

import { makeService, Network, RemoteError, Server } from "../../labrpc/index.js";
import type { ClientEnd, Handler } from "../../labrpc/index.js";
import type { Runtime } from "../../runtime/index.js";
import { simulate } from "../../sim/index.js";

/** One network, a server "server" with the service "Junk" of the given handlers, and ends to it. */
export class Lab {
  readonly runtime: Runtime;
  readonly network: Network;
  readonly server: Server;

  constructor(runtime: Runtime, handlers: Record<string, Handler>) {
    this.runtime = runtime;
    this.network = new Network(runtime);
    this.server = makeServer(handlers);
    this.network.addServer("server", this.server);
  }

  /** A new end to "server", by default enabled. */
  end(name = "end", enabled = true): ClientEnd {
    const end = this.network.makeEnd(name);
    this.network.connect(name, "server");
    this.network.enable(name, enabled);
    return end;
  }

  /** The outcome of a call and how long it took. */
  async timed(end: ClientEnd, method: string, args: unknown = {}): Promise<{ reply: unknown; ms: number }> {
    const start = this.runtime.clock.now();
    const reply = await end.call(method, args);
    return { reply, ms: this.runtime.clock.now() - start };
  }
}

export function makeServer(handlers: Record<string, Handler>): Server {
  const server = new Server();
  server.addService(makeService("Junk", handlers));
  return server;
}

export function inLab(
  handlers: Record<string, Handler> | ((runtime: Runtime) => Record<string, Handler>),
  main: (lab: Lab) => Promise<void>,
  seed = 1,
): Promise<void> {
  return simulate({ seed }, (runtime) =>
    main(new Lab(runtime, typeof handlers === "function" ? handlers(runtime) : handlers)),
  );
}

export async function remoteErrorOf(promise: Promise<unknown>): Promise<RemoteError> {
  const error: unknown = await promise.then(
    () => "no error",
    (failure: unknown) => failure,
  );
  expect(error).toBeInstanceOf(RemoteError);
  return error as RemoteError;
}

/** A handler that works for `ms` and remembers that it finished. */
export function slowHandler(ms: number, finished: string[] = []) {
  return (runtime: Runtime): Record<string, Handler> => ({
    work: async (name: string) => {
      await runtime.clock.sleep(ms);
      finished.push(name);
      return { name };
    },
  });
}

export const echo: Record<string, Handler> = { echo: (args: unknown) => ({ args }) };
