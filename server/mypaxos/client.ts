import { EncodeError, InvalidArgumentError, realRuntime, refusal } from "../../runtime/index.js";
import type { CallOptions, Runtime } from "../../runtime/index.js";
import type { ClientEnd } from "../../labrpc/index.js";
import { ConfigError } from "../checks.js";
import { resolveCluster } from "../config.js";
import type { ClusterConfig, NodeAddress, ResolvedCluster } from "../config.js";
import { connectTo, RefusedError, resolveLimits, silentLogger } from "../transport/index.js";
import type { Logger, TcpEnd, TransportLimits } from "../transport/index.js";
import { ClientClosedError, NoAddressError } from "./errors.js";
import { checkGroupId, groupName } from "./groups.js";
import { GroupSender, sizeOf } from "./sender.js";
import { Status } from "./service.js";
import type { GroupReply, Member } from "./service.js";

export interface PaxosClientOptions extends Partial<ClusterConfig> {
  /** Items that a group's buffer holds before it is sent. Default 8. */
  readonly sendBufferSize?: number;
  /** An item waits no longer than this for others to go with it, in milliseconds. 0 to 60000, default 5. */
  readonly flushIntervalMs?: number;
  readonly logger?: Logger;
  readonly runtime?: Runtime;
  readonly limits?: Partial<TransportLimits>;
}

export const DEFAULT_SEND_BUFFER_SIZE = 8;
export const DEFAULT_FLUSH_INTERVAL_MS = 5;
const MAX_FLUSH_INTERVAL_MS = 60_000;
const DEFAULT_CLOSE_MS = 10_000;
/** What is flushed at different times is put together up to so much. */
const MAX_BATCH_BYTES = 64 << 10;
/** Of what a request takes beside its items. */
const REQUEST_BYTES = 256;

/** One node: the ends to its groups share one connection. */
interface Place {
  readonly end: TcpEnd;
  readonly groups: Map<number, PlaceEnd>;
}

/** A connection that is being made is waited for so long, before another node is asked. */
const CONNECT_MS = 500;

/** To one group on one node. It knows when nothing was sent, and says so instead of giving no answer. */
class PlaceEnd implements ClientEnd {
  readonly tcp: TcpEnd;

  constructor(tcp: TcpEnd) {
    this.tcp = tcp;
  }

  async call<Reply = unknown>(method: string, args: unknown): Promise<Reply | null> {
    if (this.tcp.state().status === "connecting") await this.tcp.ready({ timeoutMs: CONNECT_MS }).catch(() => {});
    const { status, error } = this.tcp.state();
    if (status === "ready") return this.tcp.call<Reply>(method, args);
    const later: GroupReply<never> = [Status.later, error?.message ?? "there is no connection"];
    return later as Reply;
  }
}

/**
 * Sends items to groups. Each group has a send buffer of its own, which is sent when it is full (`setSendBufferSize`), when
 * its oldest item has waited for `flushIntervalMs`, when it holds 64 KiB, and by `flush` and `close`.
 *
 * The promise of an item gets the answer of the group's callback, from the node that led. Items of one client in one group
 * are applied in the order in which they were submitted, each once, however often they must be sent: through lost answers,
 * new leaders and nodes that come back. A call waits until it has its answer, unless its options limit it.
 *
 * Every call throws InvalidArgumentError (INVALID_ARGUMENT), EncodeError (ENCODE) for what is too large, NoAddressError
 * (NO_ADDRESS) and ClientClosedError (CLOSED) before it sends anything. Later: UnknownGroupError (UNKNOWN_GROUP);
 * GroupStoppedError (GROUP_STOPPED); RefusedError (REFUSED) where all nodes refuse this client; TimeoutError (TIMEOUT), AbortError (ABORTED) and ClientClosedError, of which
 * `maybeApplied` says whether the items may be applied all the same; SessionExpiredError (SESSION_EXPIRED) where the nodes
 * have forgotten this client while the fate of its items was open; ForwardedError with the code of the node that refused.
 */
export class PaxosClient implements AsyncDisposable {
  readonly #runtime: Runtime;
  readonly #logger: Logger;
  readonly #limits: Partial<TransportLimits> | undefined;
  readonly #maxBytes: number;
  readonly #cluster: Pick<ResolvedCluster, "clusterId" | "secret" | "tls">;
  readonly #flushIntervalMs: number;
  #bufferSize = DEFAULT_SEND_BUFFER_SIZE;
  /** By "host:port", the one to ask first at the front. */
  #places = new Map<string, Place>();
  readonly #senders = new Map<number, GroupSender>();
  #closing: Promise<void> | undefined;

  /**
   * Connects to `nodes` in the background; without them call `setRemoteAddress` before anything is submitted. One node is
   * enough: it forwards to the leader, and tells where the others are, should it end.
   * @throws ConfigError naming the field.
   */
  constructor(options: PaxosClientOptions = {}) {
    const { sendBufferSize = DEFAULT_SEND_BUFFER_SIZE, flushIntervalMs = DEFAULT_FLUSH_INTERVAL_MS } = options;
    const { sendBufferSize: _s, flushIntervalMs: _f, logger, runtime, limits, ...settings } = options;
    if (!(typeof flushIntervalMs === "number" && flushIntervalMs >= 0 && flushIntervalMs <= MAX_FLUSH_INTERVAL_MS)) {
      throw new ConfigError(
        "flushIntervalMs",
        `flushIntervalMs must be from 0 to 60000 ms, not ${String(flushIntervalMs)}`,
      );
    }
    this.#runtime = runtime ?? realRuntime();
    this.#logger = logger ?? silentLogger;
    this.#limits = limits;
    this.#maxBytes = resolveLimits(limits).maxClientFrameBytes - REQUEST_BYTES;
    this.#flushIntervalMs = flushIntervalMs;
    this.setSendBufferSize(sendBufferSize);
    const { nodes, ...cluster } = resolveCluster({ ...settings, nodes: settings.nodes ?? [ANY_NODE] });
    this.#cluster = cluster;
    if (settings.nodes !== undefined) for (const node of nodes) this.#addPlace(node.host, node.port, node.id);
  }

  /** How many items each group's buffer holds before it is sent: 1 sends each by itself. Default 8. */
  setSendBufferSize(size: number): void {
    if (!(Number.isSafeInteger(size) && size > 0)) {
      throw new InvalidArgumentError(
        `the size of the send buffer must be a whole number from 1 on, not ${String(size)}`,
      );
    }
    this.#bufferSize = size;
    for (const sender of this.#senders.values()) sender.bufferSize = size;
  }

  /** The node to ask first from now on. It must be one of the same cluster as those that this client knows already. */
  setRemoteAddress(host: string, port: number): void {
    if (this.#closing !== undefined) throw closedBefore();
    this.#addPlace(host, port, undefined);
    const key = keyOf(host, port);
    this.#places = new Map([[key, this.#places.get(key) as Place], ...this.#places]);
    for (const sender of this.#senders.values()) sender.reset();
  }

  /**
   * Puts an item into the buffer of a group. Bytes are copied; a string stands for its UTF-8. Resolves to the answer of the
   * callback: undefined where it gave none.
   */
  async submit(item: Uint8Array | string, group: number, options: CallOptions = {}): Promise<unknown> {
    const [answer] = await this.#add([item], group, "submit", false, options);
    return answer;
  }

  /**
   * Sends items as one batch, behind everything that was submitted before: they stand next to each other in one entry of
   * the log, and no item of anybody else comes between. All are applied, or none. Resolves to their answers.
   */
  submitAll(items: readonly (Uint8Array | string)[], group: number, options: CallOptions = {}): Promise<unknown[]> {
    return this.#add(items, group, "submitAll", true, options);
  }

  /**
   * Sends what is in the buffer of a group now; without `group`, in all of them. Resolves once everything that was
   * submitted there has its outcome, which the promises of the items tell.
   */
  async flush(group?: number): Promise<void> {
    if (group !== undefined) checkGroupId(group);
    const senders = [...this.#senders].filter(([id]) => group === undefined || id === group);
    for (const [, sender] of senders) sender.flush();
    await Promise.all(senders.map(([, sender]) => sender.idle()));
  }

  /**
   * Refuses further items, sends what is in the buffers, waits for the answers for `timeoutMs` (default 10 s), and closes
   * the connections. What has no answer then fails (CLOSED). Every call waits for the same end.
   */
  close(options: CallOptions = {}): Promise<void> {
    this.#closing ??= this.#close(options);
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #add(
    items: readonly (Uint8Array | string)[],
    group: number,
    what: string,
    isWhole: boolean,
    options: CallOptions,
  ): Promise<unknown[]> {
    checkGroupId(group);
    if (!Array.isArray(items)) throw new InvalidArgumentError(`${what} takes a list of items, not ${typeof items}`);
    const copies = (items as readonly unknown[]).map(bytesOf);
    if (this.#closing !== undefined) throw closedBefore();
    const refused = refusal(what, options);
    if (refused) throw refused;
    const bytes = sizeOf(copies);
    if (bytes > this.#maxBytes) {
      throw new EncodeError(
        `${what}: a batch of ${bytes} bytes, and ${this.#maxBytes} are allowed; submit less at a time`,
      );
    }
    if (this.#places.size === 0) throw new NoAddressError();
    return copies.length === 0 ? [] : this.#senderOf(group).add(copies, what, isWhole, options);
  }

  #senderOf(group: number): GroupSender {
    const known = this.#senders.get(group);
    if (known !== undefined) return known;
    const sender = new GroupSender({
      group,
      runtime: this.#runtime,
      ends: () => [...this.#places.values()].map((place) => endOf(place, group)),
      bufferSize: this.#bufferSize,
      maxBatchBytes: Math.min(MAX_BATCH_BYTES, this.#maxBytes),
      flushIntervalMs: this.#flushIntervalMs,
      onMembers: (members) => this.#learn(members),
      refusal: () => this.#refusal(),
    });
    this.#senders.set(group, sender);
    return sender;
  }

  /** Why all nodes refuse this client; null where one does not. Trying again would not help. */
  #refusal(): Error | null {
    const errors = [...this.#places.values()].map(({ end }) => end.state().error);
    const isRefusal = (error: Error | null): boolean => error instanceof RefusedError && error.reason !== "busy";
    return errors.every(isRefusal) ? (errors[0] as Error) : null;
  }

  #learn(members: readonly Member[]): void {
    for (const [id, host, port] of members) if (port !== 0) this.#addPlace(host, port, id);
  }

  #addPlace(host: string, port: number, id: number | undefined): void {
    const key = keyOf(host, port);
    if (this.#places.has(key)) return;
    const { clusterId, secret, tls } = this.#cluster;
    const end = connectTo({
      ...{ runtime: this.#runtime, host, port, clusterId, as: "client", logger: this.#logger },
      group: groupName(0),
      ...(id !== undefined && { expectNodeId: String(id) }),
      ...(tls && { tls }),
      ...(secret !== undefined && { secret }),
      ...(this.#limits && { limits: this.#limits }),
    });
    this.#places.set(key, { end, groups: new Map() });
  }

  async #close(options: CallOptions): Promise<void> {
    const senders = [...this.#senders.values()];
    for (const sender of senders) sender.flush();
    const idle = Promise.all(senders.map((sender) => sender.idle()));
    const { clock } = this.#runtime;
    const { signal, timeoutMs = DEFAULT_CLOSE_MS } = options;
    let hasGivenUp = false;
    const giveUp = (): void => {
      hasGivenUp = true;
      for (const sender of senders) sender.abort(closedDuring);
    };
    const timer = clock.setTimeout(giveUp, timeoutMs);
    signal?.addEventListener("abort", giveUp, { once: true });
    if (signal?.aborted) giveUp();
    await idle;
    clock.clearTimeout(timer);
    signal?.removeEventListener("abort", giveUp);
    if (!hasGivenUp) await Promise.all(senders.map((sender) => sender.endSession()));
    const ends = [...this.#places.values()].flatMap(({ end, groups }) => [
      ...Array.from(groups.values(), ({ tcp }) => tcp),
      end,
    ]);
    await Promise.all(ends.map((each) => each.close()));
  }
}

/** For the checks of a cluster's settings, where no node is known yet. */
const ANY_NODE: NodeAddress = { id: 1, host: "127.0.0.1", port: 1 };

const keyOf = (host: string, port: number): string => `${host}:${port}`;

function endOf(place: Place, group: number): PlaceEnd {
  let end = place.groups.get(group);
  if (end === undefined) place.groups.set(group, (end = new PlaceEnd(place.end.forGroup(groupName(group)))));
  return end;
}

function bytesOf(item: unknown): Uint8Array {
  if (typeof item === "string") return Uint8Array.from(Buffer.from(item));
  if (item instanceof Uint8Array) return Uint8Array.from(item);
  throw new InvalidArgumentError(
    `an item must be a Uint8Array or a string, not ${item === null ? "null" : typeof item}`,
  );
}

function closedBefore(): ClientClosedError {
  return new ClientClosedError("this client is closed; make another one", false);
}

function closedDuring(maybeApplied: boolean): ClientClosedError {
  return new ClientClosedError("this client was closed before the call had its answer", maybeApplied);
}
