import { InvalidArgumentError } from "../../runtime/index.js";
import { RemoteError, Server } from "../../labrpc/index.js";
import type { Handler } from "../../labrpc/index.js";
import type { Role } from "./handshake.js";
import { checkName } from "./settings.js";
import { clip } from "./text.js";

/** What one group offers: the same to everybody, or less to clients, who have no business with Raft's own service. */
export type GroupServers = Server | { readonly peer: Server; readonly client: Server };

const MAX_QUOTED_LENGTH = 100;

/** Finds handlers by "group/Service.Method". */
export class Router {
  readonly groups: readonly string[];
  readonly #servers: Readonly<Record<Role, ReadonlyMap<string, Server>>>;
  /** What was found before; bounded by the handlers there are. */
  readonly #found: Readonly<Record<Role, Map<string, { server: Server; method: string }>>> = {
    peer: new Map(),
    client: new Map(),
  };

  constructor(groups: Readonly<Record<string, GroupServers>>) {
    this.groups = Object.keys(groups);
    if (this.groups.length === 0) throw new InvalidArgumentError("groups must name at least one labrpc Server");
    const servers = { peer: new Map<string, Server>(), client: new Map<string, Server>() };
    for (const [name, group] of Object.entries(groups)) {
      checkName("a group's name", name);
      servers.peer.set(name, group instanceof Server ? group : group.peer);
      servers.client.set(name, group instanceof Server ? group : group.client);
    }
    this.#servers = servers;
  }

  /** Counts the request with its server, and returns the handler; or says why there is none. */
  find(route: string, role: Role): Handler | RemoteError {
    const known = this.#found[role].get(route);
    if (known !== undefined) return known.server.accept(known.method);
    const slash = route.indexOf("/");
    const group = route.slice(0, Math.max(slash, 0));
    const server = this.#servers[role].get(group);
    if (server === undefined) {
      const list = this.groups.map((name) => `"${name}"`).join(", ");
      return new RemoteError(
        "UNKNOWN_SERVICE",
        `no group "${clip(group, MAX_QUOTED_LENGTH)}" on this node; known are ${list}`,
      );
    }
    const method = route.slice(slash + 1);
    const handler = server.accept(method);
    if (!(handler instanceof RemoteError)) this.#found[role].set(route, { server, method });
    return handler;
  }
}
