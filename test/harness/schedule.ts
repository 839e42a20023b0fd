import type { Message, ReplicaConfig, ReplicaCore, RequestMessage } from "../../replica/core/index.js";
import { SeededRandom } from "../../runtime/index.js";
import { bytes } from "./core-messages.js";
import type { Packet } from "./core-packets.js";
import type { EngineCluster } from "./engine-cluster.js";
import type { SteppedState } from "./stepped-engine.js";

// FUZZ_SEED=n replays one schedule, FUZZ_SEEDS=n runs so many.
const only = process.env["FUZZ_SEED"];
const FIRST = Number(only ?? 1);
const STEPS = 500;

type MakeCluster<Q extends RequestMessage, A extends Message, C extends ReplicaCore<Q, A, SteppedState>> = (
  size: number,
  options: { readonly seed: number; readonly config: Partial<ReplicaConfig> },
) => EngineCluster<Q, A, C>;

/** What a run went through, to see that the schedules reach what they are there for. */
export interface Tally {
  commits: number;
  terms: number;
  reads: number;
  restores: number;
  crashes: number;
}

function randomConfig(random: SeededRandom): Partial<ReplicaConfig> {
  const flag = (): boolean => random.int(0, 1) === 1;
  return {
    preVote: random.int(0, 3) > 0,
    checkQuorum: random.int(0, 3) > 0,
    noopOnElection: flag(),
    leaseReads: random.int(0, 3) === 0,
    maxInflightMessages: random.int(1, 6),
    maxInflightBytes: random.int(1, 200),
    maxAppendBytes: random.int(1, 120),
    snapshotChunkBytes: random.int(1, 40),
  };
}

/**
 * What happens how often. Drawn anew for each schedule, and one half of the faults is left out of it: a cluster that
 * suffers everything at once gets nowhere, and then finds nothing.
 */
function randomWeights(random: SeededRandom): [Action, number][] {
  const maybe = (most: number): number => (random.int(0, 1) === 0 ? 0 : random.int(1, most));
  return [
    ["deliver", 500],
    ["overtake", maybe(60)],
    ["repeat", maybe(60)],
    ["stale", maybe(30)],
    ["drop", maybe(60)],
    ["lose", maybe(60)],
    ["time", random.int(60, 150)],
    ["jump", random.int(5, 30)],
    ["propose", random.int(20, 100)],
    ["read", maybe(40)],
    ["compact", maybe(40)],
    ["holdDisk", maybe(15)],
    ["releaseDisk", 40],
    ["crash", maybe(10)],
    ["restart", 15],
    ["transfer", maybe(6)],
    ["stepDown", maybe(4)],
    ["cut", maybe(6)],
    ["heal", 8],
  ];
}

type Action =
  | "deliver"
  | "overtake"
  | "repeat"
  | "stale"
  | "drop"
  | "lose"
  | "time"
  | "jump"
  | "propose"
  | "read"
  | "compact"
  | "holdDisk"
  | "releaseDisk"
  | "crash"
  | "restart"
  | "transfer"
  | "stepDown"
  | "cut"
  | "heal";

/** One schedule: nothing but chance decides what happens next. The oracle of the cluster watches every step. */
export class Schedule<Q extends RequestMessage, A extends Message, C extends ReplicaCore<Q, A, SteppedState>> {
  readonly cluster: EngineCluster<Q, A, C>;
  readonly tally: Tally = { commits: 0, terms: 0, reads: 0, restores: 0, crashes: 0 };
  readonly #random: SeededRandom;
  readonly #size: number;
  readonly #actions: Action[];
  #proposals = 0;
  /** Packets that the network keeps, to deliver them again much later. */
  #stale: Packet<Q | A>[] = [];

  constructor(seed: number, make: MakeCluster<Q, A, C>) {
    this.#random = new SeededRandom(seed);
    this.#size = [1, 2, 3, 3, 3, 5, 5, 4][this.#random.int(0, 7)]!;
    this.cluster = make(this.#size, { seed, config: randomConfig(this.#random) });
    this.#actions = randomWeights(this.#random).flatMap(([action, weight]) => new Array<Action>(weight).fill(action));
  }

  run(): void {
    if (this.#random.int(0, 3) > 0) this.cluster.run(2000);
    for (let step = 0; step < STEPS; step++) this.#act(this.#pick(this.#actions));
  }

  #pick<T>(items: readonly T[]): T {
    return items[this.#random.int(0, items.length - 1)]!;
  }

  #act(action: Action): void {
    const { cluster } = this;
    const n = this.#random.int(0, this.#size - 1);
    switch (action) {
      case "time":
        return this.#passTime();
      case "propose":
        return this.#propose();
      case "read":
        for (const server of cluster.all) if (cluster.isUp(server)) cluster.read(server);
        return;
      case "restart":
        return cluster.isUp(n) ? undefined : cluster.restart(n);
      case "heal":
        return cluster.heal();
      case "cut":
        for (const other of cluster.all) {
          if (this.#random.int(0, 2) > 0) cluster.cut(n, other);
          if (this.#random.int(0, 2) > 0) cluster.cut(other, n);
        }
        return;
      case "jump":
      case "compact":
      case "holdDisk":
      case "releaseDisk":
      case "crash":
      case "transfer":
      case "stepDown":
        return cluster.isUp(n) ? this.#server(action, n) : undefined;
      default:
        return this.#network(action);
    }
  }

  #server(
    action: "jump" | "compact" | "holdDisk" | "releaseDisk" | "crash" | "transfer" | "stepDown",
    n: number,
  ): void {
    const { cluster } = this;
    const target = this.#random.int(0, this.#size - 1);
    switch (action) {
      case "jump":
        return cluster.tick(n);
      case "compact":
        return void cluster.compact(n, bytes("#".repeat(this.#random.int(0, 100))));
      case "holdDisk":
        return cluster.holdDisk(n);
      case "releaseDisk":
        return cluster.releaseDisk(n, this.#random.int(0, 2) === 0 ? 1 : Infinity);
      case "crash":
        this.tally.crashes++;
        return cluster.crash(n, this.#random.int(0, cluster.heldWrites(n).length));
      case "transfer":
        return cluster.act(n, (core) => void core.transfer(cluster.now, target === n ? undefined : target));
      case "stepDown":
        return cluster.stepDown(n);
    }
  }

  #network(action: "deliver" | "overtake" | "repeat" | "stale" | "drop" | "lose"): void {
    const { cluster } = this;
    if (action === "stale") {
      if (this.#stale.length > 0) cluster.arrive(this.#pick(this.#stale));
      return;
    }
    const count = cluster.mail.length;
    if (count === 0) return;
    const at = action === "overtake" ? this.#random.int(0, count - 1) : this.#random.int(0, Math.min(count - 1, 2));
    const packet = cluster.mail[at]!;
    if (this.#random.int(0, 9) === 0) this.#stale.push(packet);
    if (action !== "repeat") cluster.mail.splice(at, 1);
    if (action === "lose") cluster.tellLoss(packet);
    else if (action !== "drop") cluster.arrive(packet);
  }

  /** Time goes on a little, now and then a lot; who is due is mostly woken. */
  #passTime(): void {
    const { cluster } = this;
    cluster.now += this.#random.int(0, this.#random.int(0, 19) === 0 ? 500 : 30);
    for (const n of cluster.all) {
      if (cluster.isUp(n) && cluster.core(n).deadline() <= cluster.now && this.#random.int(0, 4) > 0) cluster.tick(n);
    }
  }

  #propose(): void {
    const leaders = this.cluster.all.filter((n) => this.cluster.isUp(n) && this.cluster.core(n).state.isLeader());
    for (const n of leaders) {
      const commands = Array.from({ length: this.#random.int(1, 3) }, () => `${++this.#proposals}`);
      this.cluster.propose(n, ...commands);
    }
  }

  /** All faults end: now a leader must appear, and everybody must come to agree. */
  settle(): void {
    const { cluster } = this;
    cluster.heal();
    for (const n of cluster.all) {
      if (!cluster.isUp(n)) cluster.restart(n);
      cluster.releaseDisk(n);
    }
    cluster.run(8000);
    const leader = cluster.leader();
    if (leader === null) throw new Error("no leader after 8 s without faults");
    cluster.sent.length = 0;
    if (cluster.propose(leader, "last") === 0) throw new Error(`leader ${leader} takes no proposal`);
    const read = cluster.read(leader);
    cluster.run(1500);
    const end = cluster.core(leader).state.log.lastIndex;
    for (const n of cluster.all) {
      const { commitIndex } = cluster.core(n).state;
      if (commitIndex !== end || cluster.appliedIndex(n) !== end) {
        throw new Error(`server ${n} stays at commit ${commitIndex}, applied ${cluster.appliedIndex(n)}, of ${end}`);
      }
    }
    if (typeof cluster.reads.get(read) !== "number") throw new Error("a read without faults is not answered");
    const perSecond = cluster.sent.length / 1.5 / Math.max(1, 2 * (this.#size - 1));
    if (perSecond > 20) throw new Error(`a storm: ${perSecond} messages a second on each link of an idle group`);
    this.#count();
  }

  #count(): void {
    const { cluster, tally } = this;
    tally.commits = cluster.oracle.maxCommitted;
    tally.terms = Math.max(...cluster.all.map((n) => cluster.core(n).state.term));
    tally.reads = [...cluster.reads.values()].filter((result) => typeof result === "number").length;
    tally.restores = cluster.restores;
  }
}

/** Runs so many schedules, unless the environment asks for others. What they reached; null for a single one. */
export function runSchedules<Q extends RequestMessage, A extends Message, C extends ReplicaCore<Q, A, SteppedState>>(
  usual: number,
  make: MakeCluster<Q, A, C>,
): { readonly total: Tally; readonly seeds: number } | null {
  const seeds = only === undefined ? Number(process.env["FUZZ_SEEDS"] ?? usual) : 1;
  const total: Tally = { commits: 0, terms: 0, reads: 0, restores: 0, crashes: 0 };
  for (let seed = FIRST; seed < FIRST + seeds; seed++) {
    try {
      const schedule = new Schedule(seed, make);
      schedule.run();
      schedule.settle();
      for (const name of Object.keys(total) as (keyof Tally)[]) total[name] += schedule.tally[name];
    } catch (error) {
      (error as Error).message += ` (replay with FUZZ_SEED=${seed})`;
      throw error;
    }
  }
  return only === undefined ? { total, seeds } : null;
}
