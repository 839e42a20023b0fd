import { KvraftError, realRuntime, TimeoutError } from "../runtime/index.js";
import type { Runtime } from "../runtime/index.js";
import { makeClerk } from "../kvraft/index.js";
import type { Clerk } from "../kvraft/index.js";
import { NODE_SERVICE } from "./admin.js";
import type { AdminReply } from "./admin.js";
import { ConfigError } from "./checks.js";
import { DEFAULT_GROUP, NODE_GROUP, resolveCluster } from "./config.js";
import type { ClusterConfig, NodeAddress } from "./config.js";
import { untilClosed } from "./local-end.js";
import type { NodeStatus } from "./status.js";
import { connectTo, RefusedError, silentLogger } from "./transport/index.js";
import type { Logger, TcpEnd, TransportLimits } from "./transport/index.js";

export interface ClientOptions extends ClusterConfig {
  /** The key/value group to talk to. Default "kv". */
  readonly group?: string;
  readonly logger?: Logger;
  readonly runtime?: Runtime;
  readonly limits?: Partial<TransportLimits>;
}

/** What one node answered, or why it did not. */
export type NodeAnswer =
  | { readonly id: number; readonly address: string; readonly status: NodeStatus; readonly error: null }
  | { readonly id: number; readonly address: string; readonly status: null; readonly error: string };

/** A node refused what was asked of it; `code` is that node's. */
export class RequestRefusedError extends KvraftError {}

/** No node of the cluster could be reached, or none leads. Code `UNAVAILABLE`. */
export class UnavailableError extends KvraftError {
  constructor(message: string) {
    super("UNAVAILABLE", message);
  }
}

const DEFAULT_TIMEOUT_MS = 5000;
const RETRY_MS = 50;
/** Who answers connects at once; who is down is not waited for. */
const CONNECT_MS = 1000;

/** A program's, or a person's, connections to a cluster. Close it, or the process does not end. */
export class KvClient implements AsyncDisposable {
  readonly clerk: Clerk;
  /** Further ones, closed with this. */
  readonly #clerks: Clerk[] = [];
  readonly #nodes: readonly NodeAddress[];
  readonly #group: string;
  readonly #runtime: Runtime;
  /** To what each node offers as a whole, in the order of #nodes. */
  readonly #ends: readonly TcpEnd[];
  readonly #groupEnds: readonly TcpEnd[];
  readonly #closed = new AbortController();

  /** Use `connect`. */
  constructor(options: ClientOptions) {
    const { group = DEFAULT_GROUP, logger = silentLogger, runtime = realRuntime(), limits, ...settings } = options;
    const { nodes, clusterId, secret, tls } = resolveCluster(settings);
    this.#nodes = nodes;
    this.#group = group;
    this.#runtime = runtime;
    this.#ends = nodes.map(({ id, host, port }) =>
      connectTo({
        runtime,
        host,
        port,
        clusterId,
        as: "client",
        expectNodeId: String(id),
        group: NODE_GROUP,
        logger,
        ...(tls && { tls }),
        ...(secret !== undefined && { secret }),
        ...(limits && { limits }),
      }),
    );
    this.#groupEnds = this.#ends.map((end) => end.forGroup(group));
    this.clerk = this.#newClerk();
  }

  /**
   * Waits until there is a connection to one of the nodes; calls need not.
   * @throws RefusedError where all of them refuse; UnavailableError, which says why.
   */
  async ready({ timeoutMs = DEFAULT_TIMEOUT_MS }: { timeoutMs?: number } = {}): Promise<void> {
    try {
      await Promise.any(this.#ends.map((end) => end.ready({ timeoutMs })));
    } catch (error) {
      const { errors } = error as AggregateError;
      if (errors.every((each) => each instanceof RefusedError)) throw errors[0];
      throw new UnavailableError(`no node can be reached. ${this.whyNot()}`);
    }
  }

  /** Another client of the store, with a session of its own, over the same connections. */
  makeClerk(): Clerk {
    const clerk = this.#newClerk();
    this.#clerks.push(clerk);
    return clerk;
  }

  #newClerk(): Clerk {
    const owner = { name: "the client", closed: this.#closed.signal };
    return makeClerk(
      this.#groupEnds.map((end) => untilClosed(end, owner)),
      { runtime: this.#runtime },
    );
  }

  /** How each node is, in the order of their ids; those that do not answer in time are told so. */
  status({ timeoutMs = DEFAULT_TIMEOUT_MS }: { timeoutMs?: number } = {}): Promise<NodeAnswer[]> {
    return Promise.all(
      this.#nodes.map(async ({ id, host, port }, i): Promise<NodeAnswer> => {
        const address = `${host}:${port}`;
        try {
          const reply = await this.#ask(this.#ends[i] as TcpEnd, "Status", [], timeoutMs);
          return { id, address, status: statusOf(reply), error: null };
        } catch (error) {
          return { id, address, status: null, error: (error as Error).message };
        }
      }),
    );
  }

  /**
   * Hands leadership of the group to the node `target`, by default to the one whose log is the longest. Returns the id
   * of the new leader.
   * @throws RequestRefusedError with the leader's code; UnavailableError; TimeoutError
   */
  async transferLeadership(
    target?: number,
    { timeoutMs = DEFAULT_TIMEOUT_MS }: { timeoutMs?: number } = {},
  ): Promise<number> {
    const { clock } = this.#runtime;
    const deadline = clock.now() + timeoutMs;
    const before = await this.#leader(deadline, null);
    if (target === before) return before;
    const reply = await this.#ask(
      this.#endOf(before),
      "Transfer",
      [this.#group, target ?? null],
      deadline - clock.now(),
    );
    statusOf(reply);
    return this.#leader(deadline, before);
  }

  /** Has a node take a snapshot of the group now. @throws RequestRefusedError, UnavailableError */
  async snapshot(node: number, { timeoutMs = DEFAULT_TIMEOUT_MS }: { timeoutMs?: number } = {}): Promise<NodeStatus> {
    return statusOf(await this.#ask(this.#endOf(node), "Snapshot", [this.#group], timeoutMs));
  }

  /** The ids of all nodes. */
  get nodes(): readonly number[] {
    return this.#nodes.map(({ id }) => id);
  }

  /** Why there is no connection to some nodes, in words; "" where there are all. */
  whyNot(): string {
    const reasons: string[] = [];
    for (const [i, end] of this.#ends.entries()) {
      const { error } = end.state();
      const { id, host, port } = this.#nodes[i] as NodeAddress;
      if (error !== null) reasons.push(`node ${id} (${host}:${port}): ${error.message}`);
    }
    return reasons.join("; ");
  }

  /** Ends this client's sessions and closes its connections. Calls that have no answer after a second fail (STOPPED). */
  async close(): Promise<void> {
    await Promise.all([this.clerk, ...this.#clerks].map((clerk) => clerk[Symbol.asyncDispose]()));
    this.#closed.abort();
    await Promise.all([...this.#groupEnds, ...this.#ends].map((end) => end.close()));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Waits until a node says that it leads, and is another one than `not`. */
  async #leader(deadline: number, not: number | null): Promise<number> {
    const { clock } = this.#runtime;
    for (;;) {
      const left = deadline - clock.now();
      if (left <= 0)
        throw new UnavailableError(`no ${not === null ? "" : "new "}leader was found in time. ${this.whyNot()}`);
      const answers = await this.status({ timeoutMs: Math.min(left, DEFAULT_TIMEOUT_MS / 5) });
      for (const { id, status } of answers) {
        const group = status?.groups[this.#group];
        if (status !== null && group === undefined) this.#unknownGroup(id, status);
        if (group?.role === "leader" && id !== not) return id;
      }
      await clock.sleep(RETRY_MS);
    }
  }

  #unknownGroup(id: number, status: NodeStatus): never {
    const known = Object.keys(status.groups).join(", ");
    throw new ConfigError("group", `node ${id} has no group "${this.#group}"; it has ${known}`);
  }

  #endOf(node: number): TcpEnd {
    const i = this.#nodes.findIndex(({ id }) => id === node);
    if (i < 0) throw new ConfigError("node", `there is no node ${node}; known are ${this.nodes.join(", ")}`);
    return this.#ends[i] as TcpEnd;
  }

  async #ask(end: TcpEnd, method: string, args: unknown, timeoutMs: number): Promise<AdminReply> {
    const { clock } = this.#runtime;
    await end.ready({ timeoutMs: Math.min(timeoutMs, CONNECT_MS) });
    let timer: object | undefined;
    const expired = new Promise<never>((_, reject) => {
      const error = new TimeoutError(`no answer within ${timeoutMs} ms`, method !== "Status");
      timer = clock.setTimeout(() => reject(error), timeoutMs);
    });
    try {
      const reply = await Promise.race([end.call<AdminReply>(`${NODE_SERVICE}.${method}`, args), expired]);
      if (reply === null) throw new UnavailableError(end.state().error?.message ?? "the node gave no answer");
      return reply;
    } finally {
      clock.clearTimeout(timer as object);
    }
  }
}

function statusOf(reply: AdminReply): NodeStatus {
  if (reply.ok) return reply.status;
  throw new RequestRefusedError(reply.code, reply.message);
}

/**
 * A client of a cluster in other processes. It connects to all nodes in the background and does not wait for them.
 * @throws ConfigError naming the field.
 */
export function connect(options: ClientOptions): KvClient {
  return new KvClient(options);
}
