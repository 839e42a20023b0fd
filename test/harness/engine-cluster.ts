import type {
  Message,
  PersistEffect,
  ReplicaConfig,
  ReplicaCore,
  ReplicaEffect,
  RequestMessage,
} from "../../replica/core/index.js";
import { Persister } from "../../replica/persister.js";
import { SeededRandom, type Random } from "../../runtime/index.js";
import { bytes, text } from "./core-messages.js";
import type { CoreNode, Gated, Sight } from "./core-node.js";
import { fits, isRequest, type Match, type Packet } from "./core-packets.js";
import type { ClusterOracle, SteppedEngine, SteppedState } from "./stepped-engine.js";

export interface EngineClusterOptions<Q extends RequestMessage, A extends Message> {
  readonly seed?: number;
  readonly watch?: (n: number, sight: Sight<Q, A>) => void;
}

const MOST_DELIVERIES = 100_000;
/** The life of an asker that the test made up. */
const NOBODY = -1;

/**
 * Servers without a driver, run by the test: messages wait until the test delivers, drops, repeats or reorders them,
 * writes complete at once or when the test says so, and time passes when the test says so. After every step an oracle
 * checks what the engine promises, and what is durable.
 */
export class EngineCluster<Q extends RequestMessage, A extends Message, C extends ReplicaCore<Q, A, SteppedState>> {
  readonly config: ReplicaConfig;
  readonly oracle: ClusterOracle<Q | A>;
  now = 0;
  /** On their way, in order of sending. */
  mail: Packet<Q | A>[] = [];
  /** Everything that was ever sent; clear it with `sent.length = 0` to count from there. */
  readonly sent: Packet<Q | A>[] = [];
  /** By number of the read: the index at which it was confirmed, or why it has none yet. */
  readonly reads = new Map<number, number | "waiting" | "lost">();
  readonly transfers: boolean[] = [];
  /** How many snapshots services have been given. */
  restores = 0;
  /** `state` effects, by server. */
  readonly stateChanges: number[];
  readonly #engine: SteppedEngine<Q, A, C>;
  readonly #nodes: readonly CoreNode<C, Q, A>[];
  readonly #watch: (n: number, sight: Sight<Q, A>) => void;
  readonly #random: Random;
  readonly #cut = new Set<string>();
  readonly #readFloors = new Map<number, number>();
  #requests = 0;

  /** All servers are down; `restart` them. */
  constructor(size: number, engine: SteppedEngine<Q, A, C>, options: EngineClusterOptions<Q, A>) {
    this.config = engine.config;
    this.#engine = engine;
    this.#random = new SeededRandom(options.seed ?? 1);
    this.#watch = options.watch ?? (() => {});
    this.#nodes = Array.from({ length: size }, () => ({
      core: null,
      life: 0,
      disk: new Persister(),
      isDiskHeld: false,
      writes: [],
      gated: [],
      open: new Map(),
      appliedIndex: 0,
    }));
    this.stateChanges = this.all.map(() => 0);
    this.oracle = engine.makeOracle(this.#nodes);
  }

  get all(): number[] {
    return this.#nodes.map((_, n) => n);
  }

  core(n: number): C {
    const { core } = this.#nodes[n]!;
    if (core === null) throw new Error(`server ${n} is down`);
    return core;
  }

  isUp(n: number): boolean {
    return this.#nodes[n]!.core !== null;
  }

  disk(n: number): Persister {
    return this.#nodes[n]!.disk;
  }

  /** The server that leads the highest term, if any. */
  leader(): number | null {
    let leader: number | null = null;
    for (const n of this.all) {
      if (!this.isUp(n) || !this.core(n).state.isLeader()) continue;
      if (leader === null || this.core(n).state.term > this.core(leader).state.term) leader = n;
    }
    return leader;
  }

  /** The commands that server `n` has committed, behind its snapshot; a no-op is "". */
  committed(n: number): string[] {
    const { log, commitIndex } = this.core(n).state;
    return range(log.lastIncludedIndex + 1, commitIndex).map((index) => text(log.entryAt(index).data));
  }

  commitIndex(n: number): number {
    return this.core(n).state.commitIndex;
  }

  appliedIndex(n: number): number {
    return this.#nodes[n]!.appliedIndex;
  }

  // ---- messages

  count(match: Match<Q | A> = {}): number {
    return this.sent.filter((packet) => fits(packet, match)).length;
  }

  /** Takes packets off the network, for the test to deliver later, in another order, or more than once. */
  take(match: Match<Q | A> = {}): Packet<Q | A>[] {
    const taken = this.mail.filter((packet) => fits(packet, match));
    this.mail = this.mail.filter((packet) => !fits(packet, match));
    return taken;
  }

  /** What is on its way now arrives; not what is sent in answer. */
  deliver(match: Match<Q | A> = {}): Packet<Q | A>[] {
    const packets = this.take(match);
    for (const packet of packets) this.arrive(packet);
    return packets;
  }

  /** Delivers until no such packet is left. */
  deliverAll(match: Match<Q | A> = {}): void {
    for (let delivered = 0; ;) {
      const packets = this.deliver(match);
      if (packets.length === 0) return;
      delivered += packets.length;
      if (delivered > MOST_DELIVERIES) throw new Error(`a storm of messages: ${delivered} and no end`);
    }
  }

  /** Lost; nobody is told. */
  drop(match: Match<Q | A> = {}): Packet<Q | A>[] {
    return this.take(match);
  }

  /** Lost, and the server that asked is told so. */
  lose(match: Match<Q | A> = {}): Packet<Q | A>[] {
    const packets = this.take(match);
    for (const packet of packets) this.tellLoss(packet);
    return packets;
  }

  tellLoss(packet: Packet<Q | A>): void {
    const isReply = packet.message.type.endsWith("Reply");
    const [asker, asked] = isReply ? [packet.to, packet.from] : [packet.from, packet.to];
    const node = this.#nodes[asker]!;
    if (node.core === null || node.life !== packet.askerLife) return;
    this.act(asker, (core) => core.step(this.now, { type: "unanswered", to: asked, seq: packet.seq }));
  }

  /** One packet reaches its server, if that is up, not cut off, and still the one that asked. */
  arrive(packet: Packet<Q | A>): void {
    const { from, to, message } = packet;
    const node = this.#nodes[to]!;
    if (node.core === null || this.#cut.has(`${from}>${to}`)) return;
    if (isRequest(message) || node.life === packet.askerLife) this.#watch(to, { type: "arrives", packet });
    if (isRequest(message)) {
      const request = ++this.#requests;
      node.open.set(request, packet);
      this.act(to, (core) => core.step(this.now, { type: "request", request, message }));
    } else if (node.life === packet.askerLife) {
      this.act(to, (core) => core.step(this.now, { type: "reply", from, message }));
    }
  }

  /** Server `n` gets a request that the test made up: its answer, or null where that waits for the disk. */
  ask(n: number, message: Q): A | null {
    const from = this.#engine.senderOf(message);
    const isAnswer = { from: n, where: ({ askerLife }: Packet<Q | A>) => askerLife === NOBODY };
    this.drop(isAnswer);
    this.arrive({ from, to: n, message, seq: message.seq, askerLife: NOBODY });
    const [answer] = this.take(isAnswer);
    return (answer?.message as A | undefined) ?? null;
  }

  /** Server `n` gets an answer that the test made up. */
  answer(n: number, from: number, message: A): void {
    this.act(n, (core) => core.step(this.now, { type: "reply", from, message }));
  }

  /** Nothing that `from` sends reaches `to`. */
  cut(from: number, to: number): void {
    this.#cut.add(`${from}>${to}`);
  }

  isolate(n: number): void {
    for (const other of this.all) {
      this.cut(n, other);
      this.cut(other, n);
    }
  }

  heal(): void {
    this.#cut.clear();
  }

  // ---- time

  /** Time goes on to when server `n` wants to be woken, and it is. */
  tick(n: number): void {
    this.now = Math.max(this.now, this.core(n).deadline());
    this.act(n, (core) => core.step(this.now, { type: "tick" }));
  }

  /** Everybody's timers run and all messages arrive at once for `ms`. */
  run(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      this.deliverAll();
      const up = this.all.filter((n) => this.isUp(n));
      const next = Math.min(...up.map((n) => this.core(n).deadline()));
      if (next > end) break;
      this.now = Math.max(this.now, next);
      for (const n of up) if (this.core(n).deadline() <= this.now) this.tick(n);
    }
    this.now = end;
  }

  /** Repeats `step` until `condition` holds. */
  until(condition: () => boolean, step: () => void): void {
    for (let i = 0; i < 1000 && !condition(); i++) step();
    if (!condition()) throw new Error("waited in vain");
  }

  // ---- servers

  /** Makes `n` leader: waits until nobody is protected any more, and carries all its messages to and from `voters`. */
  elect(n: number, voters: readonly number[] = this.all): void {
    const between: Match<Q | A> = { with: n, where: ({ from, to }) => voters.includes(from === n ? to : from) };
    for (let attempt = 0; attempt < 5 && !this.core(n).state.isLeader(); attempt++) {
      this.now = Math.max(this.now + this.config.electionTimeoutMaxMs, this.core(n).state.electionDeadline);
      this.tick(n);
      this.deliverAll(between);
    }
    if (!this.core(n).state.isLeader()) throw new Error(`server ${n} does not win`);
  }

  stepDown(n: number): void {
    this.act(n, (core) => core.stepDown(this.now));
  }

  /** Appends commands at leader `n` and sends them; returns the index of the first. */
  propose(n: number, ...commands: string[]): number {
    let index = 0;
    this.act(n, (core) => {
      index = core.propose(this.now, commands.map(bytes));
      core.flush(this.now);
    });
    return index;
  }

  /** Asks server `n` for a read barrier; the result is in `reads` under the number, 0 where it refuses. */
  read(n: number): number {
    const read = this.#readFloors.size + 1;
    this.#readFloors.set(read, this.oracle.maxCommitted);
    this.reads.set(read, "waiting");
    let taken = false;
    this.act(n, (core) => {
      taken = core.read(this.now, read);
      core.flush(this.now);
    });
    if (!taken) this.reads.set(read, "lost");
    return taken ? read : 0;
  }

  /** The service of server `n` takes a snapshot of what it has applied. */
  compact(n: number, data: Uint8Array = bytes(`state at ${this.appliedIndex(n)}`)): boolean {
    const index = this.appliedIndex(n);
    let isNews = false;
    this.act(n, (core) => (isNews = core.compact(this.now, index, data)));
    if (isNews) this.oracle.compacting({ index, term: 0, data });
    return isNews;
  }

  /** The server is gone; of its open writes the first `kept` got onto the disk, and nobody was told. */
  crash(n: number, kept = 0): void {
    const node = this.#nodes[n]!;
    for (const write of node.writes.slice(0, kept)) this.#store(n, write);
    node.core = null;
    node.writes = [];
    node.gated = [];
    node.open.clear();
  }

  restart(n: number): void {
    const node = this.#nodes[n]!;
    if (node.core !== null) this.crash(n);
    node.life++;
    node.disk = node.disk.copy();
    node.isDiskHeld = false;
    const stored = node.disk.load();
    const random = this.#random.fork!(`server ${n}`);
    node.core = this.#engine.makeCore({ me: n, voters: this.all, config: this.config, random, stored, now: this.now });
    node.appliedIndex = node.core.state.log.lastIncludedIndex;
    this.oracle.started(n);
    this.#apply(n);
    this.act(n, () => {});
  }

  holdDisk(n: number): void {
    this.#nodes[n]!.isDiskHeld = true;
  }

  /** Does a write that begins now wait? */
  isDiskBusy(n: number): boolean {
    return this.#nodes[n]!.isDiskHeld || this.#nodes[n]!.writes.length > 0;
  }

  /** The first `count` held writes become durable, one after the other; all of them also end the hold. */
  releaseDisk(n: number, count = Infinity): void {
    const node = this.#nodes[n]!;
    if (count === Infinity) node.isDiskHeld = false;
    for (let i = 0; i < count && node.writes.length > 0; i++) {
      const write = node.writes.shift()!;
      this.#complete(n, write);
      this.act(n, () => {});
    }
  }

  heldWrites(n: number): readonly PersistEffect[] {
    return this.#nodes[n]!.writes;
  }

  /** Does something with a core, and carries out what it asks for. */
  act(n: number, what: (core: C) => void): void {
    const core = this.core(n);
    what(core);
    while (core.effects.length > 0) for (const effect of core.takeEffects()) this.#perform(n, effect);
    this.oracle.stepped(n);
  }

  #perform(n: number, effect: ReplicaEffect<Q, A>): void {
    const node = this.#nodes[n]!;
    this.#watch(n, { type: "effect", effect });
    switch (effect.type) {
      case "persist":
        this.oracle.persisting(n, effect);
        if (this.isDiskBusy(n)) node.writes.push(effect);
        else this.#complete(n, effect);
        break;
      case "send":
      case "reply":
      case "restore":
        if (effect.after > this.core(n).state.durableWrite) node.gated.push(effect);
        else this.#release(n, effect);
        break;
      case "commit":
        this.oracle.committing(n, effect.index);
        this.#apply(n);
        break;
      case "readReady":
        for (const read of effect.reads) this.#readReady(n, read, effect.index);
        break;
      case "readLost":
        for (const read of effect.reads) this.#endRead(read, "lost");
        break;
      case "state":
        this.stateChanges[n]!++;
        break;
      case "transfer":
        this.transfers.push(effect.ok);
        break;
    }
  }

  #complete(n: number, write: PersistEffect): void {
    const node = this.#nodes[n]!;
    const core = this.core(n);
    this.#store(n, write);
    this.#watch(n, { type: "durable", write });
    core.step(this.now, { type: "persisted", write: write.write });
    const isFree = (effect: Gated<Q, A>): boolean => effect.after <= core.state.durableWrite;
    const free = node.gated.filter(isFree);
    node.gated = node.gated.filter((effect) => !isFree(effect));
    for (const effect of free) {
      this.#watch(n, { type: "released", effect });
      this.#release(n, effect);
    }
  }

  #store(n: number, write: PersistEffect): void {
    this.#nodes[n]!.disk.write(write, () => {});
    this.oracle.durable?.(n, write);
  }

  #release(n: number, effect: Gated<Q, A>): void {
    const node = this.#nodes[n]!;
    if (effect.type === "restore") {
      this.oracle.restoring(n, effect.snapshot, node.appliedIndex);
      node.appliedIndex = effect.snapshot.index;
      this.restores++;
      this.#apply(n);
    } else if (effect.type === "send") {
      const { to, message } = effect;
      this.#post({ from: n, to, message, seq: message.seq, askerLife: node.life });
    } else {
      const asked = node.open.get(effect.request);
      if (asked === undefined) throw new Error(`request ${effect.request} is answered twice`);
      node.open.delete(effect.request);
      this.#post({ ...asked, from: n, to: asked.from, message: effect.message });
    }
  }

  #post(packet: Packet<Q | A>): void {
    const { from, to, message } = packet;
    this.oracle.sending(from, message, isRequest(message) ? null : to);
    this.sent.push(packet);
    this.mail.push(packet);
  }

  #apply(n: number): void {
    const node = this.#nodes[n]!;
    const { log, commitIndex } = this.core(n).state;
    // Where the log begins later, a snapshot is about to be restored.
    while (node.appliedIndex < commitIndex && node.appliedIndex >= log.lastIncludedIndex) {
      const index = ++node.appliedIndex;
      this.oracle.applying(n, index, log.entryAt(index).term);
    }
  }

  #readReady(n: number, read: number, index: number): void {
    const floor = this.#readFloors.get(read)!;
    if (index < floor)
      throw new Error(`server ${n} answers read ${read} at ${index}, but ${floor} was committed before`);
    this.#endRead(read, index);
  }

  #endRead(read: number, result: number | "lost"): void {
    if (this.reads.get(read) !== "waiting") throw new Error(`read ${read} ends twice`);
    this.reads.set(read, result);
  }
}

function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i);
}
