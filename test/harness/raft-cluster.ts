import { Network, Server } from "../../labrpc/index.js";
import { Persister, type ApplyMsg, type Raft } from "../../raft/index.js";
import { CommitRecord, encodeSnapshot, type Value } from "./commit-record.js";
import { type Lab, LabError, type Meter } from "./lab.js";
import { Mesh, serverName } from "./mesh.js";

/** In snapshot mode each server takes a snapshot at indices 9, 19, 29 ... */
export const SNAPSHOT_INTERVAL = 10;

export interface RaftClusterOptions {
  servers: number;
  /** Requests and replies get lost. Default: a reliable network. */
  unreliable?: boolean;
  /** Take snapshots while applying, and start from the persisted one. Default: no snapshots at all. */
  snapshots?: boolean;
}

interface Running {
  readonly raft: Raft;
  /** Settles when the instance's applyCh has ended. */
  readonly applier: Promise<void>;
}

const NOT_LEADING = { index: -1, term: 0, isLeader: false } as const;

/**
 * The labs' cluster of bare Raft servers, or of another engine, each under a test service that checks every message applied. All servers run
 * and are connected at first; calls to servers that are down or cut off take up to 7 s, so that a server which waits
 * for its peers one after the other stalls.
 */
export class RaftCluster implements Meter {
  readonly servers: number;
  readonly net: Network;
  readonly #lab: Lab;
  readonly #snapshots: boolean;
  readonly #mesh: Mesh;
  readonly #record: CommitRecord;
  readonly #running: (Running | null)[];
  /** What is on disk: of a running server, the persister that it writes to. */
  readonly #saved: Persister[];
  readonly #connected: boolean[];
  readonly #appliers: Promise<void>[] = [];

  constructor(lab: Lab, options: RaftClusterOptions) {
    this.servers = options.servers;
    this.#lab = lab;
    this.#snapshots = options.snapshots ?? false;
    this.net = new Network(lab.runtime);
    this.net.reliable(!options.unreliable);
    this.net.longDelays(true);
    this.#mesh = new Mesh(this.net, this.servers);
    this.#record = new CommitRecord(this.servers, lab.engine);
    this.#running = this.all.map(() => null);
    this.#saved = this.all.map(() => new Persister());
    this.#connected = this.all.map(() => false);
    for (const i of this.all) this.start1(i);
    for (const i of this.all) this.connect(i);
    lab.addMeter(this);
  }

  /** The numbers of the servers. */
  get all(): number[] {
    return Array.from({ length: this.servers }, (_, i) => i);
  }

  // ---- servers and links

  /** (Re)starts server i from what it left on disk. Does not connect it. */
  start1(i: number): void {
    this.crash1(i);
    const ends = this.#mesh.freshEnds(i);
    const persister = this.#saved[i]!.copy();
    this.#saved[i] = persister;
    // The service loads its snapshot before Raft exists: what Raft then delivers must continue right after it.
    this.#check(this.#record.begin(i, this.#snapshots ? persister.readSnapshot() : null));
    const onFailure = (error: Error): void => this.#lab.fail(error);
    const raft = this.#lab.engine.make({ peers: ends, me: i, persister, runtime: this.#lab.runtime, onFailure });
    const applier = this.#lab.spawn(() => this.#apply(i, raft));
    this.#appliers.push(applier);
    this.#running[i] = { raft, applier };
    const server = new Server();
    server.addService(raft.service);
    this.net.addServer(serverName(i), server);
  }

  /** Kills server i; its disk stays. */
  crash1(i: number): void {
    this.disconnect(i);
    // In this order: once calls to the server fail, nobody can be promised what only the abandoned persister would hold.
    this.net.deleteServer(serverName(i));
    this.#saved[i] = this.#saved[i]!.copy();
    const running = this.#running[i];
    this.#running[i] = null;
    running?.raft.kill();
  }

  isRunning(i: number): boolean {
    return this.#running[i] !== null;
  }

  /** The Raft of a running server. */
  raft(i: number): Raft {
    const running = this.#running[i];
    if (!running) throw new LabError(`server ${i} is down`);
    return running.raft;
  }

  /** Links server i with every server that is connected. */
  connect(i: number): void {
    this.#connected[i] = true;
    for (const j of this.all) if (this.#connected[j]) this.#mesh.link(i, j, true);
  }

  disconnect(i: number): void {
    this.#connected[i] = false;
    for (const j of this.all) this.#mesh.link(i, j, false);
  }

  isConnected(i: number): boolean {
    return this.#connected[i]!;
  }

  // ---- the test service

  async #apply(i: number, raft: Raft): Promise<void> {
    for await (const msg of raft.applyCh) {
      if (this.#running[i]?.raft === raft) this.#check(this.#applied(i, raft, msg));
      // One message may be on its way while its server is killed; it still must not contradict anybody.
      else if (msg.type === "command") this.#check(this.#record.agrees(i, msg));
    }
  }

  #applied(i: number, raft: Raft, msg: ApplyMsg): string | null {
    if (msg.type === "snapshot") {
      return this.#snapshots ? this.#record.snapshot(i, msg) : `server ${i}: nobody ever took a snapshot`;
    }
    const wrong = this.#record.command(i, msg);
    if (!wrong && this.#snapshots && (msg.index + 1) % SNAPSHOT_INTERVAL === 0) {
      raft.snapshot(msg.index, encodeSnapshot(msg.index, this.#record.prefix(msg.index)));
    }
    return wrong;
  }

  /** A wrong apply ends the run: going on would hide the corruption that follows. */
  #check(wrong: string | null): void {
    if (wrong) this.#lab.fail(new LabError(`apply error: ${wrong}`));
  }

  // ---- what the tests ask

  /** The number of the leader: there must be one within about five seconds, and one only in its term. */
  async checkOneLeader(): Promise<number> {
    for (let round = 0; round < 10; round++) {
      await this.#lab.sleep(450 + this.#lab.random.int(0, 99));
      const leaders = new Map<number, number>();
      for (const i of this.all) {
        if (!this.#connected[i]) continue;
        const { term, isLeader } = this.raft(i).getState();
        if (!isLeader) continue;
        if (leaders.has(term)) throw new LabError(`term ${term} has two leaders: ${leaders.get(term)} and ${i}`);
        leaders.set(term, i);
      }
      if (leaders.size > 0) return leaders.get(Math.max(...leaders.keys()))!;
    }
    throw new LabError("expected one leader, got none in 5 s");
  }

  /** The term on which all connected servers agree. */
  checkTerms(): number {
    const terms = new Set(this.all.filter((i) => this.#connected[i]).map((i) => this.raft(i).getState().term));
    if (terms.size !== 1) throw new LabError(`servers disagree on the term: ${[...terms].join(", ")}`);
    return [...terms][0]!;
  }

  /** No connected server takes itself for the leader. */
  checkNoLeader(): void {
    const leader = this.all.find((i) => this.#connected[i] && this.raft(i).getState().isLeader);
    if (leader !== undefined) throw new LabError(`expected no leader, but server ${leader} claims to be one`);
  }

  /** How many servers have ever applied `index`, and the command there. */
  nCommitted(index: number): { count: number; command: Value | undefined } {
    return { count: this.#record.count(index), command: this.#record.at(index) };
  }

  /** Proposes to server i; one that is down accepts nothing. */
  start(i: number, command: Value): { index: number; term: number; isLeader: boolean } {
    return this.#running[i]?.raft.start(command) ?? NOT_LEADING;
  }

  /**
   * Waits until at least `count` servers have applied `index`, about 25 s at most, and returns the command there; null
   * where a server has left `startTerm` meanwhile.
   */
  async wait(index: number, count: number, startTerm: number | null = null): Promise<Value | null> {
    let pause = 10;
    for (let poll = 0; poll < 30; poll++) {
      if (this.#record.count(index) >= count) break;
      await this.#lab.sleep(pause);
      if (pause < 1000) pause *= 2;
      if (startTerm === null) continue;
      for (const running of this.#running) if (running && running.raft.getState().term > startTerm) return null;
    }
    const committed = this.nCommitted(index);
    if (committed.count < count || committed.command === undefined) {
      throw new LabError(`only ${committed.count} servers decided index ${index}; wanted ${count}`);
    }
    return committed.command;
  }

  /**
   * Reaches agreement on `command` among at least `expected` servers within 10 s and returns its index. With `retry` it
   * is proposed again where a proposal leads nowhere, so it may be committed more than once.
   */
  async one(command: Value, expected: number, retry: boolean): Promise<number> {
    const { clock } = this.#lab;
    const deadline = clock.now() + 10_000;
    let next = 0;
    while (clock.now() < deadline) {
      let index = -1;
      for (let tried = 0; tried < this.servers && index === -1; tried++) {
        next = (next + 1) % this.servers;
        if (!this.#connected[next]) continue;
        const started = this.start(next, command);
        if (started.isLeader) index = started.index;
      }
      if (index === -1) {
        await this.#lab.sleep(50);
        continue;
      }
      const until = clock.now() + 2000;
      while (clock.now() < until) {
        const committed = this.nCommitted(index);
        if (committed.count >= expected && committed.command === command) return index;
        await this.#lab.sleep(20);
      }
      if (!retry) break;
    }
    throw new LabError(`one(${String(command).slice(0, 20)}) failed to reach agreement of ${expected} servers`);
  }

  // ---- figures

  /** Requests that reached a handler of the present incarnation of server i. */
  rpcCount(i: number): number {
    return this.net.getCount(serverName(i));
  }

  rpcTotal(): number {
    return this.net.getTotalCount();
  }

  bytesTotal(): number {
    return this.net.getTotalBytes();
  }

  operations(): number {
    return this.#record.maxIndex;
  }

  /** The largest persisted Raft state, in bytes, without the snapshot. */
  logSize(): number {
    return Math.max(...this.#saved.map((persister) => persister.raftStateSize()));
  }

  async shutdown(): Promise<void> {
    for (const running of this.#running) running?.raft.kill();
    this.net.cleanup();
    await Promise.all(this.#appliers);
  }
}
