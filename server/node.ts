import { EventEmitter } from "node:events";

import { InvalidArgumentError, KvraftError, realRuntime } from "../runtime/index.js";
import type { CallOptions, Disk, Runtime } from "../runtime/index.js";
import { Server } from "../labrpc/index.js";
import { ClosedError, makeClerk } from "../kvraft/index.js";
import type { Clerk, Rsm } from "../kvraft/index.js";
import { makeNodeService, makePeerService, NODE_SERVICE, PEER_SERVICE } from "./admin.js";
import type { AdminReply, MeetReply, NodeActions } from "./admin.js";
import { Gate, introduce, seekAdmission } from "./admission.js";
import type { AdmissionOptions } from "./admission.js";
import { ConfigError, name as checkName } from "./checks.js";
import { checkGroupName, NODE_GROUP, resolveNode } from "./config.js";
import type { ResolvedNode } from "./config.js";
import { engines } from "./engines.js";
import { Group, groupDirectory } from "./group.js";
import type { GroupListener } from "./group.js";
import { serveHttp } from "./http.js";
import type { HttpServer } from "./http.js";
import { Identity } from "./identity.js";
import { untilClosed } from "./local-end.js";
import { NodeMetrics } from "./metrics.js";
import type { CloseOptions, NodeEvents, NodeOptions } from "./node-options.js";
import { addressText, Peers } from "./peers.js";
import type { NodeStatus } from "./status.js";
import { nodeDisk } from "./storage/index.js";
import { listen, resolveLimits, silentLogger } from "./transport/index.js";
import type { Logger, TransportLimits, TransportServer } from "./transport/index.js";

const DRAIN_PART = 0.3;
const CLERK_CLOSE_MS = 500;
const DISK_CLOSE_MS = 5000;

/** One node of a cluster, in this process. Close it, or the process does not end. */
export class KvNode extends EventEmitter<NodeEvents> implements AsyncDisposable {
  readonly id: number;
  readonly #config: ResolvedNode;
  readonly #options: Pick<NodeOptions, "stateMachines" | "services" | "maxRaftStates">;
  readonly #runtime: Runtime;
  readonly #logger: Logger;
  readonly #limits: Partial<TransportLimits> | undefined;
  readonly #disk: Disk;
  readonly #startedAt: number;
  readonly #groups = new Map<string, Group>();
  #peers: Peers | undefined;
  readonly #clerks = new Map<string, Clerk>();
  readonly #metrics: NodeMetrics | undefined;
  readonly #identity: Identity;
  readonly #gate: Gate;
  /** Aborted by close(), the second one when it has waited for the clerks. */
  readonly #ending = new AbortController();
  readonly #clerksClosed = new AbortController();
  #transport: TransportServer | undefined;
  #http: HttpServer | undefined;
  #closing: Promise<void> | undefined;

  /** Use `startNode`. */
  constructor(config: ResolvedNode, options: NodeOptions) {
    super();
    this.id = config.myid;
    this.#config = config;
    this.#options = options;
    this.#runtime = options.runtime ?? realRuntime();
    this.#logger = options.logger ?? silentLogger;
    this.#limits = options.limits;
    this.#disk = options.disk ?? nodeDisk;
    this.#startedAt = this.#runtime.clock.now();
    this.#identity = new Identity(config);
    this.#gate = new Gate(this.#identity);
    if (options.measure ?? config.http !== undefined) this.#metrics = new NodeMetrics(() => this.status());
  }

  /** Where it listens. */
  get address(): { readonly host: string; readonly port: number } {
    return this.#started().address;
  }

  /** Where its HTTP server listens; null where it has none. */
  get httpAddress(): { readonly host: string; readonly port: number } | null {
    return this.#http?.address ?? null;
  }

  /** A client of the first key/value group. It asks this node first, and the others where that does not lead. */
  get clerk(): Clerk {
    const [first] = this.#config.groups;
    if (first === undefined) throw new InvalidArgumentError("this node has no key/value group; name one in groups");
    return this.clerkOf(first);
  }

  /** A client of a key/value group; the same one each time. Closed with the node: calls without answer fail (STOPPED). */
  clerkOf(group: string): Clerk {
    const known = this.#clerks.get(group);
    if (known !== undefined) return known;
    const { kv, localEnd } = this.#group(group);
    if (this.#closing !== undefined) throw new ClosedError();
    if (kv === null) throw new InvalidArgumentError(`group "${group}" is no key/value group; use rsm("${group}")`);
    const others = (this.#peers as Peers).endsOf(group).filter((end) => end !== null);
    const owner = { name: "the node", closed: this.#clerksClosed.signal };
    const ends = [localEnd, ...others].map((end) => untilClosed(end, owner));
    const clerk = makeClerk(ends, { runtime: this.#runtime });
    this.#clerks.set(group, clerk);
    return clerk;
  }

  /**
   * A group with the user's state machine, as `stateMachines` named it. Commands and results are of the types that its
   * methods take and give: plain data, for they travel. submit() works on any node: where this one does not lead, the
   * command goes to the leader, once. NotLeaderError (`leader` is a node's id): nothing was proposed, no leader is known or
   * reachable now; try again. read() throws it wherever this node does not lead: go to `leaderOf`, or submit a question.
   */
  rsm<C, R>(group: string): Rsm<C, R> {
    const { rsm } = this.#group(group);
    if (rsm === null) throw new InvalidArgumentError(`group "${group}" is a key/value group; use clerkOf("${group}")`);
    return rsm as Rsm<C, R>;
  }

  /** The id of the node that leads a group, as far as this one knows. */
  leaderOf(group: string): number | null {
    return this.#group(group).leader;
  }

  status(): NodeStatus {
    const { clusterId, enableDataPersistence, me, nodes } = this.#config;
    const transport = this.#started();
    const peers = (this.#peers as Peers).status();
    const connections = transport.connections();
    const queued = [...peers, ...connections].reduce((sum, { queuedBytes }) => sum + queuedBytes, 0);
    return {
      id: (nodes[me] as { id: number }).id,
      clusterId,
      address: addressText(transport.address),
      advertised: addressText(transport.advertised),
      http: this.#http === undefined ? null : addressText(this.#http.address),
      pid: process.pid,
      uptimeMs: Math.round(this.#runtime.clock.now() - this.#startedAt),
      persistent: enableDataPersistence,
      engine: this.#config.engine,
      isAdmitted: this.#identity.isAdmitted,
      isClosing: this.#closing !== undefined,
      groups: Object.fromEntries([...this.#groups].map(([group, each]) => [group, each.status()])),
      peers,
      clients: connections.filter(({ role }) => role === "client").length,
      queuedBytes: queued,
    };
  }

  /** For Prometheus. Latencies are measured where there is an `httpPort`, or `measure` is set. */
  metrics(): Promise<string> {
    return (this.#metrics ?? new NodeMetrics(() => this.status())).text();
  }

  /**
   * Hands leadership of a group to the node `target`, by default to the one whose log is the longest.
   * @throws NotLeaderError where this node does not lead; TransferError where the other did not take over in time.
   */
  async transferLeadership(group: string, target?: number, options?: CallOptions): Promise<void> {
    const { raft } = this.#group(group);
    const ids = this.#config.nodes.map(({ id }) => id);
    if (target !== undefined && !ids.includes(target)) {
      throw new InvalidArgumentError(`there is no node ${target}; known are ${ids.join(", ")}`);
    }
    await raft.transferLeadership(target === undefined ? undefined : ids.indexOf(target), options);
  }

  /** Puts a group's state into a snapshot on this node now, and drops the log before it. */
  snapshot(group: string): void {
    this.#group(group).snapshot();
  }

  /**
   * Hands leadership over, answers what is open, and stops: in that order, and all in all within `timeoutMs` (default:
   * `closeTimeout`) and the time that the disk takes, of which no more than `diskTimeoutMs` (default 5000) is waited for.
   * What was acknowledged is on the disk. Every call waits for the same end.
   * @throws CloseTimeoutError (CLOSE_TIMEOUT) where the disk hangs. All else is closed then.
   */
  close({ timeoutMs = this.#config.closeTimeout, diskTimeoutMs = DISK_CLOSE_MS }: CloseOptions = {}): Promise<void> {
    this.#closing ??= this.#close(timeoutMs, diskTimeoutMs);
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @internal Called once by `startNode`. */
  async start(): Promise<this> {
    const { stateMachines = {} } = this.#options;
    const config = this.#config;
    try {
      if (!config.enableDataPersistence) this.#warnOfLoss();
      this.#peers = new Peers(config, this.#runtime, this.#logger, this.#limits);
      const names = [...config.groups, ...Object.keys(stateMachines)];
      // All of them are waited for, also where one fails: what has opened must be closed again.
      const opened = await Promise.allSettled(names.map((group) => this.#open(group)));
      for (const each of opened) if (each.status === "fulfilled") this.#groups.set(each.value.name, each.value);
      throwFirst(opened);
      this.#transport = await this.#listen();
      if (config.http !== undefined) {
        const metrics = this.#metrics ?? new NodeMetrics(() => this.status());
        const status = (): NodeStatus => this.status();
        this.#http = await serveHttp({ ...config.http, status, metrics });
      }
    } catch (error) {
      await this.#stop(0);
      throw error;
    }
    if (config.enableDataPersistence && config.nodes.length > 1) void this.#join();
    const address = addressText(this.address);
    this.#logger.info({ node: this.id, address, groups: [...this.#groups.keys()] }, "the node has started");
    return this;
  }

  // ---- the start ----------------------------------------------------------------------------------------------------------

  #warnOfLoss(): void {
    this.#logger.warn(
      { node: this.id },
      "enableDataPersistence is off: this node keeps everything in memory. When it ends, however it ends, it forgets its " +
        "data, and also for whom it voted; a cluster in which such nodes come back can lose acknowledged writes",
    );
  }

  #open(group: string): Promise<Group> {
    const { stateMachines = {}, services = {}, maxRaftStates = {} } = this.#options;
    const { nodes, me, myid, timeout, learningInterval, engine, maxRaftState, maxPendingBytes } = this.#config;
    const { dataDir, enableDataPersistence } = this.#config;
    return Group.open({
      name: group,
      ids: nodes.map(({ id }) => id),
      me,
      ends: (this.#peers as Peers).endsOf(group),
      runtime: this.#runtime,
      engine: engines[engine],
      config: { heartbeatMs: learningInterval, electionTimeoutMinMs: timeout, electionTimeoutMaxMs: 2 * timeout },
      maxRaftState: maxRaftStates[group] ?? maxRaftState,
      maxPendingBytes,
      maxCommandBytes: resolveLimits(this.#limits).maxClientFrameBytes,
      dir: enableDataPersistence ? groupDirectory(dataDir, myid, group) : null,
      disk: this.#disk,
      stateMachine: stateMachines[group],
      service: services[group],
      observer: this.#metrics?.observerOf(group),
      gate: this.#gate,
      logger: this.#logger,
      listener: this.#listener,
    });
  }

  /** In the background: who starts a cluster node by node must not wait for the next one. */
  async #join(): Promise<void> {
    const { myid, replaceLostData: replace } = this.#config;
    const peers = this.#peers as Peers;
    const options: AdmissionOptions = {
      identity: this.#identity,
      myid,
      replace,
      peers: peers.ids.map((id) => ({
        id,
        meet: (isReplacing) => peers.ask(id, `${PEER_SERVICE}.Meet`, [myid, this.#identity.incarnation, isReplacing]),
        isConnected: () => peers.isConnected(id),
      })),
      statusOf: async (id) => {
        const reply = await peers.ask<AdminReply>(id, `${NODE_SERVICE}.Status`, []);
        return reply?.ok ? reply.status : null;
      },
      transfer: (id, group, target) => peers.ask(id, `${NODE_SERVICE}.Transfer`, [group, target]),
      clock: this.#runtime.clock,
      logger: this.#logger,
      signal: this.#ending.signal,
    };
    try {
      if (!this.#identity.isAdmitted) await seekAdmission(options);
      // Also to those who were away: they must remember this node, and may know it with other data (S34).
      if (this.#identity.isAdmitted) await introduce(options);
    } catch (error) {
      for (const group of this.#groups.values()) group.fail(error as Error);
    }
  }

  #listen(): Promise<TransportServer> {
    const { bind, nodes, me, clusterId, myid, secret, tls, allowUnauthenticated } = this.#config;
    const node = { peer: new Server(), client: new Server() };
    const actions: NodeActions = {
      status: () => this.status(),
      leaderOf: (group) => this.leaderOf(group),
      transfer: (group, target) => this.transferLeadership(group, target ?? undefined),
      snapshot: (group) => this.snapshot(group),
      meet: (id, incarnation, replace) => this.#meet(id, incarnation, replace),
    };
    for (const server of [node.peer, node.client]) server.addService(makeNodeService(actions));
    node.peer.addService(makePeerService(actions));
    const groups = [...this.#groups].map(([group, { servers }]) => [group, servers] as const);
    const { host, port } = nodes[me] as { host: string; port: number };
    return listen({
      runtime: this.#runtime,
      ...bind,
      advertise: port === 0 ? { host } : { host, port },
      clusterId,
      nodeId: String(myid),
      engine: this.#config.engine,
      groups: { [NODE_GROUP]: node, ...Object.fromEntries(groups) },
      allowUnauthenticated,
      logger: this.#logger,
      ...(tls && { tls }),
      ...(secret !== undefined && { secret }),
      ...(this.#limits && { limits: this.#limits }),
    });
  }

  #meet(id: number, incarnation: string, replace: boolean): MeetReply {
    const { nodes, myid } = this.#config;
    if (id === myid || !nodes.some((node) => node.id === id)) {
      throw new InvalidArgumentError(`node ${id} is none of the others of node ${myid}`);
    }
    const known = this.#identity.meet(id, incarnation, replace);
    if (known.incarnation !== incarnation) {
      this.#logger.error({ id }, `node ${id} has come with other data than before: it must not vote`);
    }
    return { incarnation: this.#identity.incarnation, known, isRefused: this.#identity.witness !== null };
  }

  readonly #listener: GroupListener = {
    onElection: (group, term) => {
      this.#metrics?.electionStarted(group);
      this.#logger.info({ group, term }, "this node stands for election");
    },
    onLeader: (group, leader, term) => {
      if (leader !== null) this.#metrics?.leaderChanged(group);
      this.#logger.info({ group, leader, term }, leader === null ? "no leader is known" : `node ${leader} leads`);
      this.#tell(() => this.emit("leader", { group, leader, term }));
    },
    onSnapshot: (group, index, bytes, isInstalled) => {
      this.#metrics?.snapshotStored(group, isInstalled);
      this.#logger.info({ group, index, bytes }, isInstalled ? "a snapshot came from the leader" : "took a snapshot");
      this.#tell(() => this.emit("snapshot", { group, index, bytes, isInstalled }));
    },
    onFailure: (group, error) => {
      this.#logger.error({ group, err: error }, "a group has stopped");
      this.#tell(() => this.emit("error", error, group));
    },
  };

  /** A listener that throws must not throw into the midst of Raft. */
  #tell(emit: () => void): void {
    setImmediate(emit);
  }

  #group(name: string): Group {
    const group = this.#groups.get(name);
    if (group !== undefined) return group;
    const known = [...this.#groups.keys()].map((each) => `"${each}"`).join(", ");
    throw new InvalidArgumentError(`there is no group "${name}"; known are ${known}`);
  }

  #started(): TransportServer {
    if (this.#transport === undefined) throw new KvraftError("NOT_STARTED", "the node has not started");
    return this.#transport;
  }

  // ---- the end ------------------------------------------------------------------------------------------------------------

  async #close(timeoutMs: number, diskTimeoutMs: number): Promise<void> {
    this.#logger.info({ node: this.id }, "the node is closing");
    this.#ending.abort();
    const { clock } = this.#runtime;
    const end = clock.now() + timeoutMs;
    await Promise.all(
      [...this.#clerks.values()].map((clerk) => closeQuietly(clerk, Math.min(timeoutMs, CLERK_CLOSE_MS))),
    );
    this.#clerksClosed.abort();
    const left = (): number => Math.max(0, end - clock.now());
    const handOverMs = Math.min(left() * (1 - DRAIN_PART), 2 * this.#config.timeout);
    const hasHeirs = (): boolean => this.#hasHeirs();
    await Promise.all([...this.#groups.values()].map((group) => group.handOver(handOverMs, hasHeirs)));
    await this.#stop(left(), diskTimeoutMs);
    this.#logger.info({ node: this.id }, "the node has closed");
  }

  /** Whether somebody else could lead: not where the whole cluster is being stopped. */
  #hasHeirs(): boolean {
    const connected = (this.#peers as Peers).status().filter(({ connection }) => connection === "ready").length;
    return connected > 0 && 1 + connected > this.#config.nodes.length / 2;
  }

  async #stop(drainMs: number, diskTimeoutMs = DISK_CLOSE_MS): Promise<void> {
    // Replies of requests that wait for other nodes still go out; then those that can have none are cut.
    await this.#transport?.close({ timeoutMs: drainMs });
    await this.#http?.close();
    const results = await Promise.allSettled([...this.#groups.values()].map((group) => group.close(diskTimeoutMs)));
    await this.#peers?.close();
    throwFirst(results);
  }
}

function throwFirst(results: readonly PromiseSettledResult<unknown>[]): void {
  for (const result of results) if (result.status === "rejected") throw result.reason as Error;
}

async function closeQuietly(clerk: Clerk, timeoutMs: number): Promise<void> {
  try {
    await clerk.close({ timeoutMs });
  } catch (error) {
    // A session that was not ended makes room for others in time.
    if (!(error instanceof KvraftError)) throw error;
  }
}

/**
 * Starts one node of a cluster in this process: opens its data, connects to the other nodes, listens. It does not wait
 * for the others: calls do.
 * @throws ConfigError (CONFIG) naming the field; UnsafeBindError (UNSAFE_BIND); ListenError (LISTEN_FAILED);
 * DirectoryLockedError (DIRECTORY_LOCKED); WrongDirectoryError (WRONG_DIRECTORY); CorruptLogError (CORRUPT_LOG),
 * FormatTooNewError (FORMAT_TOO_NEW), DiskFullError (DISK_FULL), DiskFailedError (DISK_FAILED).
 */
export async function startNode(options: NodeOptions): Promise<KvNode> {
  return makeNode(options).start();
}

/** A node that has not started yet: who listens to it from here on misses nothing. @throws ConfigError */
export function makeNode(options: NodeOptions): KvNode {
  const { stateMachines = {}, services: _s, maxRaftStates: _x, ...others } = options;
  const { measure: _m, logger: _l, runtime: _r, disk: _d, limits: _t, ...settings } = others;
  const config = resolveNode(settings);
  for (const group of Object.keys(stateMachines)) {
    checkName(group, `stateMachines: group`);
    checkGroupName(group, `stateMachines.${group}`, config.groups);
  }
  if (config.groups.length === 0 && Object.keys(stateMachines).length === 0) {
    throw new ConfigError("groups", "groups must name at least one group, or stateMachines give one");
  }
  return new KvNode(config, options);
}
