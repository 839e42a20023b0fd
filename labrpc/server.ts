import { InvalidArgumentError } from "../runtime/index.js";
import { RemoteError } from "./errors.js";
import type { Handler, Service } from "./types.js";

/**
 * Makes a service from handlers by name. A handler gets its own copy of the arguments and returns an object (or a
 * promise of one), which the caller gets as its own copy.
 * @throws InvalidArgumentError for an empty name, a name with a dot, and a handler that is not a function.
 */
export function makeService(name: string, handlers: Record<string, Handler>): Service {
  checkName("a service", name);
  for (const [method, handler] of Object.entries(handlers)) {
    checkName(`a method of service "${name}"`, method);
    if (typeof handler !== "function") {
      throw new InvalidArgumentError(`the handler "${name}.${method}" must be a function, not a ${typeof handler}`);
    }
  }
  return { name, handlers: new Map(Object.entries(handlers)) };
}

function checkName(what: string, name: string): void {
  if (typeof name !== "string" || name === "" || name.includes(".")) {
    throw new InvalidArgumentError(
      `the name of ${what} must be a string that is not empty and has no dot, not "${name}"`,
    );
  }
}

/** What listens under one name in a network: a set of services. */
export class Server {
  readonly #services = new Map<string, Service>();
  /** By "Service.Method", so that a call costs one look-up. */
  readonly #handlers = new Map<string, Handler>();
  #count = 0;

  /** @throws InvalidArgumentError when two services have the same name. */
  constructor(...services: readonly Service[]) {
    for (const service of services) this.addService(service);
  }

  /** @throws InvalidArgumentError when it has a service of that name. */
  addService(service: Service): void {
    if (this.#services.has(service.name)) {
      throw new InvalidArgumentError(`this server has a service "${service.name}" already`);
    }
    this.#services.set(service.name, service);
    for (const [method, handler] of service.handlers) this.#handlers.set(`${service.name}.${method}`, handler);
  }

  /** How many requests reached a handler. */
  getCount(): number {
    return this.#count;
  }

  /** Counts a request for "Service.Method" and returns its handler; or says, uncounted, why there is none. */
  accept(method: string): Handler | RemoteError {
    const handler = this.#handlers.get(method);
    if (handler === undefined) return this.#unknown(method);
    this.#count++;
    return handler;
  }

  #unknown(name: string): RemoteError {
    const dot = name.lastIndexOf(".");
    const serviceName = name.slice(0, dot);
    const service = this.#services.get(serviceName);
    if (!service) {
      const candidates = [...this.#services.keys()];
      const message = `no service "${serviceName}" for the call "${name}"; known are ${list(candidates)}`;
      return new RemoteError("UNKNOWN_SERVICE", message, { candidates });
    }
    const candidates = [...service.handlers.keys()];
    const message = `service "${serviceName}" has no method "${name.slice(dot + 1)}"; it has ${list(candidates)}`;
    return new RemoteError("UNKNOWN_METHOD", message, { candidates });
  }
}

function list(names: readonly string[]): string {
  return names.map((name) => `"${name}"`).join(", ") || "none";
}
