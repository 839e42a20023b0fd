import { join } from "node:path";

import { KvraftError } from "../runtime/index.js";
import type { Disk, Runtime, TimerHandle } from "../runtime/index.js";
import { makeService, Server } from "../labrpc/index.js";
import type { Service } from "../labrpc/index.js";
import { Persister } from "../raft/index.js";
import type { Raft, RaftConfig, StorageWrite } from "../raft/index.js";
import { OpKind, startKVServer, startRsm } from "../kvraft/index.js";
import type { KVServer, Rsm, SnapshotStorage, StateMachine } from "../kvraft/index.js";
import type { Gate } from "./admission.js";
import type { Engine } from "./engines.js";
import { ForwardingRsm, makeSubmitService } from "./forward.js";
import { LocalEnd } from "./local-end.js";
import { GroupWatch, TimedDisk } from "./observer.js";
import type { GroupObserver } from "./observer.js";
import type { GroupStatus } from "./status.js";
import { openStorage } from "./storage/index.js";
import type { DurableStorage, RecoveryReport } from "./storage/index.js";
import type { Logger, TcpEnd } from "./transport/index.js";

/**
 * The disk did not finish what it was doing while a node was closed. What was acknowledged is safe; the directory stays
 * locked until the disk answers or the process ends. Code `CLOSE_TIMEOUT`.
 */
export class CloseTimeoutError extends KvraftError {
  constructor(directory: string, timeoutMs: number) {
    super(
      "CLOSE_TIMEOUT",
      `the disk below ${directory} has not finished within ${timeoutMs} ms; check it, and end this process`,
    );
  }
}

/** So much may wait for a leader's disk; then another one must lead. Twice what may wait to be committed. */
const MAX_UNDURABLE_BYTES = 128 << 20;

/** How often to look whether anybody is left to take over leadership. */
const HEIRS_POLL_MS = 20;

/** A state machine of the user's. */
// eslint-disable-next-line typescript/no-explicit-any -- each group has its own types, which only its user knows
export type AnyStateMachine = StateMachine<any, any>;

/** Makes what clients may call of a group, on top of its state machine. */
// eslint-disable-next-line typescript/no-explicit-any -- as above
export type GroupService = (rsm: Rsm<any, any>) => Service;

export interface GroupOptions {
  readonly name: string;
  /** Ids of all nodes, in the order of their numbers in Raft. */
  readonly ids: readonly number[];
  readonly me: number;
  /** An end to each of the others; null for this one. */
  readonly ends: readonly (TcpEnd | null)[];
  readonly runtime: Runtime;
  readonly engine: Engine;
  readonly config: Partial<RaftConfig> & { readonly electionTimeoutMaxMs: number };
  readonly maxRaftState: number;
  readonly maxPendingBytes: number;
  readonly maxCommandBytes: number;
  /** Null: keep everything in memory. */
  readonly dir: string | null;
  readonly disk: Disk;
  /** Absent: the key/value store. */
  readonly stateMachine: AnyStateMachine | undefined;
  /** Of a group with the user's own state machine. */
  readonly service?: GroupService | undefined;
  readonly observer: GroupObserver | undefined;
  /** Between this node's Raft and the others. */
  readonly gate: Gate;
  readonly logger: Logger;
  readonly listener: GroupListener;
}

export interface GroupListener {
  onElection(group: string, term: number): void;
  onLeader(group: string, leader: number | null, term: number): void;
  onSnapshot(group: string, index: number, bytes: number, isInstalled: boolean): void;
  onFailure(group: string, error: Error): void;
}

/** One replicated log in this node: storage, Raft, state machine, and what it offers to the network. */
export class Group {
  readonly name: string;
  readonly raft: Raft;
  /** Null in a group with the user's own state machine. */
  readonly kv: KVServer | null;
  /** Null in a key/value group. */
  readonly rsm: Rsm<unknown, unknown> | null;
  /** What peers may call, and what clients may. */
  readonly servers = { peer: new Server(), client: new Server() };
  /** To this node's own part of the group. */
  readonly localEnd: LocalEnd;
  failure: Error | null = null;
  readonly #options: GroupOptions;
  readonly #durable: DurableStorage | null;
  readonly #memory: Persister | null;
  #leader: number | null = null;
  #term = 0;
  /** The last term in which this node stood for election. */
  #electionTerm = 0;
  #isGivingWay = false;
  /** Handed to the storage and not durable yet. */
  #undurableBytes = 0;
  #diskTimer: TimerHandle | undefined;

  /** Opens the group's storage and starts it. @throws what openStorage throws; StateMachineError */
  static async open(options: GroupOptions): Promise<Group> {
    if (options.dir === null) return new Group(options, null);
    const { runtime, observer, logger, name } = options;
    let group: Group | undefined;
    const durable = await openStorage({
      dir: options.dir,
      runtime,
      disk: observer === undefined ? options.disk : new TimedDisk(options.disk, runtime.clock, observer),
      onHealth: (health) => {
        if (health.state === "ok") logger.info({ group: name }, "the disk has space again");
        else logger.error({ group: name, err: health.error }, `the disk is ${health.state}`);
        // It can acknowledge nothing, and another server could.
        if (health.state === "full") group?.giveWay();
      },
    });
    const recovered = describeRecovery(durable.recovery);
    if (recovered !== null) logger.warn({ group: name, dir: options.dir }, recovered);
    try {
      group = new Group(options, durable);
      return group;
    } catch (error) {
      await durable.close();
      throw error;
    }
  }

  private constructor(options: GroupOptions, durable: DurableStorage | null) {
    const { name, ids, ends, gate, me, runtime, config, maxRaftState, stateMachine, observer } = options;
    this.name = name;
    this.#options = options;
    this.#durable = durable;
    this.#memory = durable === null ? new Persister() : null;
    this.localEnd = new LocalEnd(this.servers.peer, options.maxCommandBytes);
    const watch = observer && new GroupWatch(runtime.clock, observer, options.engine);
    const storage = this.#withEvents(durable ?? (this.#memory as Persister));
    const common = {
      servers: ends.map((end, i) => (end === null ? this.localEnd : gate.end(end, ids[i] as number))),
      me,
      persister: watch?.storage(storage) ?? storage,
      maxRaftState,
      maxPendingBytes: options.maxPendingBytes,
      runtime,
      engine: options.engine.make,
      config: { ...config, noopOnElection: true },
      onFailure: (error: Error) => this.#onFailure(error),
    };
    if (stateMachine === undefined) {
      this.kv = startKVServer({ ...common, ...(watch && { watch: (machine) => watch.machine(machine) }) });
      this.rsm = null;
      this.raft = this.kv.raft;
      this.#serve(observer === undefined ? this.kv.service : this.#timed(this.kv.service, observer));
    } else {
      const started = startRsm({ ...common, stateMachine: watch?.machine(stateMachine) ?? stateMachine });
      this.kv = null;
      this.rsm = new ForwardingRsm(started.rsm, options, runtime.clock);
      this.raft = started.raft;
      this.servers.peer.addService(makeSubmitService(started.rsm));
      if (options.service !== undefined) this.#serve(options.service(this.rsm));
    }
    this.servers.peer.addService(gate.service(this.raft.service));
    this.raft.onStateChange(() => this.#onStateChange());
    if (durable !== null) this.#watchDisk(durable);
  }

  get isLeader(): boolean {
    return this.raft.getState().isLeader;
  }

  /** The id of the leader that this node knows of. */
  get leader(): number | null {
    return this.#idOf(this.raft.leaderHint());
  }

  snapshot(): void {
    (this.kv ?? (this.rsm as Rsm<unknown, unknown>)).snapshot();
  }

  /** Hands leadership over, or just gives it up where nobody can take it. Does nothing where this node does not lead. */
  giveWay(): void {
    if (!this.isLeader || this.#isGivingWay) return;
    this.#isGivingWay = true;
    this.raft
      .transferLeadership(undefined, { timeoutMs: this.#options.config.electionTimeoutMaxMs })
      .catch(() => this.raft.stepDown())
      .finally(() => {
        this.#isGivingWay = false;
      });
  }

  status(): GroupStatus {
    const raft = this.raft.status();
    const store = this.kv?.status();
    return {
      kind: this.kv === null ? "custom" : "kv",
      failure: this.failure?.message ?? null,
      role: raft.role,
      isSettled: raft.isSettled,
      term: raft.term,
      leader: raft.killed ? null : this.#idOf(raft.leader),
      votedFor: this.#idOf(raft.votedFor),
      commitIndex: raft.commitIndex,
      appliedIndex: raft.appliedIndex,
      durableIndex: raft.durableIndex,
      firstIndex: raft.lastIncludedIndex + 1,
      lastIndex: raft.lastIndex,
      lastTerm: raft.lastTerm,
      logBytes: this.raft.stateSize(),
      snapshotIndex: raft.lastIncludedIndex,
      snapshotBytes: this.#durable?.stats().snapshotBytes ?? this.#memory?.snapshotSize() ?? 0,
      followers: raft.followers.map((row) => ({ ...row, id: this.#idOf(row.id) as number })),
      disk: this.#durable && this.#diskStatus(this.#durable),
      store: store === undefined ? null : { keys: store.keys, revision: store.revision, sessions: store.sessions },
    };
  }

  #diskStatus(durable: DurableStorage): GroupStatus["disk"] {
    // Where the storage has the snapshot is between it and the engine: not all keep the log itself there.
    const { snapshotIndex: _, ...stats } = durable.stats();
    return { ...stats, dir: this.#options.dir as string, recovered: describeRecovery(durable.recovery) };
  }

  /** Takes part in nothing any more; `error` says why. */
  fail(error: Error): void {
    if (this.failure !== null) return;
    this.raft.kill();
    this.#onFailure(error);
  }

  /**
   * Hands leadership over before the end, so that the others need no election. `hasHeirs`: somebody could take it.
   * Nothing comes of it within `timeoutMs`: then there is an election.
   */
  async handOver(timeoutMs: number, hasHeirs: () => boolean): Promise<void> {
    if (!this.isLeader || timeoutMs <= 0 || !hasHeirs()) return;
    const { clock } = this.#options.runtime;
    const alone = new AbortController();
    let timer: TimerHandle;
    const look = (): void => {
      if (hasHeirs()) timer = clock.setTimeout(look, HEIRS_POLL_MS);
      else alone.abort();
    };
    timer = clock.setTimeout(look, HEIRS_POLL_MS);
    try {
      await this.raft.transferLeadership(undefined, { timeoutMs, signal: alone.signal });
    } catch (error) {
      this.#options.logger.warn({ group: this.name, err: error }, "nobody took over leadership");
    } finally {
      clock.clearTimeout(timer);
    }
  }

  /** Stops at once; what was acknowledged is kept. Ends when the storage is closed. @throws CloseTimeoutError */
  async close(diskTimeoutMs: number): Promise<void> {
    const { clock } = this.#options.runtime;
    if (this.#diskTimer !== undefined) clock.clearTimeout(this.#diskTimer);
    this.#diskTimer = undefined;
    this.raft.kill();
    if (this.#durable === null) return;
    let timer: TimerHandle | undefined;
    const late = new Promise<never>((_, reject) => {
      const error = new CloseTimeoutError(this.#options.dir as string, diskTimeoutMs);
      timer = clock.setTimeout(() => reject(error), diskTimeoutMs);
    });
    try {
      await Promise.race([this.#durable.close(), late]);
    } finally {
      clock.clearTimeout(timer as TimerHandle);
    }
  }

  #idOf(server: number | null): number | null {
    return server === null ? null : (this.#options.ids[server] as number);
  }

  #serve(service: Service): void {
    this.servers.peer.addService(service);
    this.servers.client.addService(service);
  }

  #onStateChange(): void {
    const { role, term } = this.raft.status();
    const leader = this.leader;
    if ((role === "candidate" || role === "leader") && term > this.#electionTerm) {
      this.#electionTerm = term;
      this.#options.listener.onElection(this.name, term);
    }
    if (leader === this.#leader && (term === this.#term || leader === null)) return;
    this.#leader = leader;
    this.#term = term;
    this.#options.listener.onLeader(this.name, leader, term);
  }

  #onFailure(error: Error): void {
    this.failure = error;
    this.#options.listener.onFailure(this.name, error);
  }

  #withEvents(inner: SnapshotStorage): SnapshotStorage {
    const { listener } = this.#options;
    return {
      load: () => inner.load(),
      stateSize: () => inner.stateSize(),
      readSnapshot: () => inner.readSnapshot(),
      write: (write: StorageWrite, done) => {
        const bytes = bytesOf(write);
        this.#undurableBytes += bytes;
        inner.write(write, (error) => {
          this.#undurableBytes -= bytes;
          done(error);
        });
        // Not from the midst of Raft.
        if (this.#undurableBytes > MAX_UNDURABLE_BYTES) queueMicrotask(() => this.#onBacklog());
        if (write.snapshot === null) return;
        const { discardLog, isForeign = false, snapshot } = write;
        // Where the log ends now; the storage may have the snapshot in another place.
        const { lastIncludedIndex } = this.raft.status();
        listener.onSnapshot(this.name, lastIncludedIndex, snapshot.data.length, discardLog || isForeign);
      },
    };
  }

  /** With the others' disks entries commit without ours; what waits for ours would grow without end. */
  #onBacklog(): void {
    if (this.#undurableBytes <= MAX_UNDURABLE_BYTES || !this.isLeader || this.#isGivingWay) return;
    this.#options.logger.error({ group: this.name, bytes: this.#undurableBytes }, "the disk does not keep up");
    this.giveWay();
  }

  #timed(service: Service, observer: GroupObserver): Service {
    const { clock } = this.#options.runtime;
    const handlers = Object.fromEntries(service.handlers);
    const request = handlers["Request"] as (args: unknown) => Promise<unknown>;
    handlers["Request"] = async (args: unknown) => {
      const begun = clock.now();
      const reply = await request(args);
      observer.answered(isRead(args) ? "read" : "write", clock.now() - begun);
      return reply;
    };
    return makeService(service.name, handlers);
  }

  /** A leader whose disk hangs holds everybody up, and nobody deposes it: its heartbeats go on. So it must go by itself. */
  #watchDisk(durable: DurableStorage): void {
    const { runtime, config, logger } = this.#options;
    this.#diskTimer = runtime.clock.setTimeout(() => {
      const { oldestWaitMs } = durable.stats();
      if (oldestWaitMs > config.electionTimeoutMaxMs && this.isLeader) {
        logger.error({ group: this.name, oldestWaitMs }, "the disk hangs; giving leadership away");
        this.giveWay();
      }
      this.#watchDisk(durable);
    }, config.electionTimeoutMaxMs / 2);
  }
}

function bytesOf({ entries }: StorageWrite): number {
  let bytes = 0;
  for (const { data } of entries) bytes += data.length;
  return bytes;
}

/** The arguments were checked by the handler before this is asked. */
function isRead(args: unknown): boolean {
  const [, , slots] = args as [number, number, readonly (readonly unknown[] | null)[]];
  return slots.every((slot) => slot !== null && slot[0] === OpKind.read);
}

function describeRecovery({ cut, finishedSnapshot }: RecoveryReport): string | null {
  const parts: string[] = [];
  if (cut !== null) parts.push(`cut ${cut.bytes} bytes of an interrupted write off ${cut.file} (${cut.reason})`);
  if (finishedSnapshot) parts.push("finished the installation of a snapshot that a crash had interrupted");
  return parts.length === 0 ? null : parts.join("; ");
}

export function groupDirectory(dataDir: string, id: number, group: string): string {
  return join(dataDir, `node-${id}`, group);
}
