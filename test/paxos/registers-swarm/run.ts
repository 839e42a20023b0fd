import { makePaxosKV, Proposer, startAcceptor, type PaxosKV } from "../../../paxos/index.js";
import { Server } from "../../../labrpc/index.js";
import type { Storage } from "../../../replica/index.js";
import { forkRandom, type Random, type Runtime } from "../../../runtime/index.js";
import { openStorage } from "../../../server/storage/index.js";
import { SimDisk } from "../../../sim/disk/index.js";
import { simulate, type SimRuntime } from "../../../sim/index.js";
import { LinkNetwork, type LinkConditions, type NetMessage } from "../../../sim/net/index.js";
import { chance, pick } from "../../../sim/swarm/chance.js";
import { Oracle, Violation } from "./oracle.js";

/** What happened in some runs: a run in which nothing crashes proves nothing about crashes. */
export interface Counts {
  choices: number;
  crashes: number;
  calls: number;
  unknown: number;
  trims: number;
  twins: number;
}

export const noCounts = (): Counts => ({ choices: 0, crashes: 0, calls: 0, unknown: 0, trims: 0, twins: 0 });

const KEYS = ["a", "b"];
const VERSIONS = 3;

/**
 * One world, drawn from its seed: acceptors on disks that lose their power, callers that write and read a few registers
 * at once, some under one id, and a network that loses, doubles, delays and cuts. At the end all is healed, and each
 * register must be readable. Rejects with a Violation where a rule is broken.
 */
export function runRegisters(seed: number, counts = noCounts()): Promise<void> {
  return simulate({ seed, limitMs: 600_000 }, (runtime) => new RegisterWorld(runtime, counts).run());
}

class RegisterWorld {
  readonly #runtime: SimRuntime;
  readonly #random: Random;
  readonly #counts: Counts;
  readonly #size: number;
  readonly #network: LinkNetwork;
  readonly #oracle: Oracle;
  readonly #disks: SimDisk[];
  readonly #lives: number[];
  readonly #snapshotFrom: number;
  readonly #sharesId: boolean;
  #violation: Violation | null = null;
  #isOver = false;
  #values = 0;

  constructor(runtime: SimRuntime, counts: Counts) {
    this.#runtime = runtime;
    this.#counts = counts;
    this.#random = forkRandom(runtime.random, "plan");
    const random = this.#random;
    this.#size = chance(random, 0.8) ? 3 : 5;
    this.#oracle = new Oracle(this.#size, (violation) => {
      this.#violation ??= violation;
      throw violation;
    });
    const observer = {
      sent: (message: NetMessage): undefined => {
        this.#oracle.sent(message);
      },
    };
    this.#network = new LinkNetwork(runtime, { conditions: drawConditions(random), observer });
    const latencyMs = [0, pick(random, [0, 0, 1, 5, 20])] as const;
    this.#disks = Array.from({ length: this.#size }, () => new SimDisk(runtime, { latencyMs, blockBytes: 64 }));
    this.#lives = this.#disks.map(() => 0);
    this.#snapshotFrom = pick(random, [1, 100, 400, 1 << 20]);
    this.#sharesId = chance(random, 0.4);
    if (this.#sharesId) counts.twins++;
  }

  async run(): Promise<void> {
    await Promise.all(this.#disks.map((_, i) => this.#start(i)));
    const random = this.#random;
    const nemesis = this.#harm();
    const callers = Array.from({ length: random.int(2, 5) }, (_, i) => this.#caller(i));
    await Promise.all(callers);
    this.#isOver = true;
    await nemesis;
    this.#rethrow();
    await this.#heal();
    await this.#readAll();
    this.#rethrow();
    this.#counts.choices += this.#oracle.choices;
  }

  /** What the oracle threw inside an acceptor or a disk has ended there as an error of theirs. */
  #rethrow(): void {
    if (this.#violation !== null) throw this.#violation;
  }

  // ---- acceptors ------------------------------------------------------------------------------------------------------------

  async #start(i: number): Promise<void> {
    const life = this.#life(i);
    const disk = (this.#disks[i] as SimDisk).mount();
    const limits = { segmentBytes: 1024, recordBytes: 200 };
    const storage = await openStorage({ dir: "/data", disk, runtime: this.#runtime, ...limits });
    if (this.#life(i) !== life) return;
    this.#oracle.recovered(i, storage.load());
    const watched: Storage = {
      load: () => storage.load(),
      stateSize: () => storage.stateSize(),
      write: (write, done) =>
        storage.write(write, (error) => {
          if (error === null) this.#oracle.durable(i, write);
          done(error);
        }),
    };
    const { service } = startAcceptor({ storage: watched, snapshotFrom: this.#snapshotFrom });
    this.#network.host(`acceptor ${i}`).serve(new Server(service));
  }

  #life(i: number): number {
    return this.#lives[i] as number;
  }

  #crash(i: number, how: "losePower" | "killProcess" | null): void {
    this.#counts.crashes++;
    this.#lives[i] = this.#life(i) + 1;
    this.#network.host(`acceptor ${i}`).crash();
    if (how !== null) (this.#disks[i] as SimDisk)[how]();
  }

  /** Crashes and cuts, one after the other, often in the midst of a write; what is down comes back after a while. */
  async #harm(): Promise<void> {
    const random = forkRandom(this.#runtime.random, "nemesis");
    const { clock } = this.#runtime;
    const calm = pick(random, [20, 100, 400]);
    const crashes = chance(random, 0.8);
    const cuts = chance(random, 0.5);
    while (!this.#isOver) {
      await clock.sleep(random.next() * calm);
      const i = random.int(0, this.#size - 1);
      const how = chance(random, 0.7) ? "losePower" : "killProcess";
      if (crashes && chance(random, 0.5)) {
        if (chance(random, 0.5)) this.#crash(i, how);
        else if (!(await this.#crashInWrite(i, how, random))) continue;
        await clock.sleep(random.next() * 50);
        await this.#start(i);
      } else if (cuts) {
        const link = this.#network.link(...this.#drawLink(random, i));
        link.cut();
        clock.setTimeout(() => link.heal(), random.next() * 200);
      }
    }
  }

  #drawLink(random: Random, acceptor: number): [from: string, to: string] {
    const ends: [string, string] = [`caller ${random.int(0, 4)}`, `acceptor ${acceptor}`];
    return chance(random, 0.5) ? ends : [ends[1], ends[0]];
  }

  /** At one of its next disk operations; false where it does none for a while. */
  async #crashInWrite(i: number, how: "losePower" | "killProcess", random: Random): Promise<boolean> {
    const life = this.#life(i);
    (this.#disks[i] as SimDisk).endLifeAfter(random.int(1, 6), how, () => this.#crash(i, null));
    await this.#runtime.clock.sleep(100);
    if (this.#life(i) === life) this.#crash(i, how);
    return true;
  }

  async #heal(): Promise<void> {
    this.#network.healAll();
    this.#network.conditions = { ...this.#network.conditions, loss: 0, late: 0, slow: 0 };
    for (const [i] of this.#disks.entries()) {
      this.#crash(i, "killProcess");
      await this.#start(i);
    }
  }

  // ---- callers --------------------------------------------------------------------------------------------------------------

  #endsOf(caller: number) {
    const host = this.#network.host(`caller ${caller}`);
    return this.#disks.map((_, i) => host.end(`acceptor ${i}`));
  }

  async #caller(caller: number): Promise<void> {
    const random = forkRandom(this.#runtime.random, `caller ${caller}`);
    const runtime = { clock: this.#runtime.clock, random: forkRandom(random, "product") };
    const proposerId = this.#sharesId ? 7 : caller + 1;
    const kv = makePaxosKV(this.#endsOf(caller), { runtime, proposerId });
    const trims = chance(random, 0.3);
    for (let left = random.int(1, 8); left > 0 && this.#violation === null; left--) {
      await this.#runtime.clock.sleep(random.next() * pick(random, [1, 20, 200]));
      this.#counts.calls++;
      const call = new RegisterCall(this.#oracle, random, this.#counts, () => `v${++this.#values}`);
      if (chance(random, 0.3)) await call.proposer(this.#endsOf(caller), runtime, proposerId);
      else await call.store(kv, trims);
    }
  }

  /** With all healed, every register can be read, and a write finds what is there. */
  async #readAll(): Promise<void> {
    const kv = makePaxosKV(this.#endsOf(9), { runtime: this.#runtime });
    const limits = { timeoutMs: 60_000 };
    for (const key of KEYS) {
      for (let version = 0; version < VERSIONS; version++) {
        const start = this.#oracle.begin();
        try {
          const found = await kv.get(key, version, limits);
          if (found === null) this.#oracle.readNull(key, version, start);
          else this.#oracle.established(key, version, found.value, null);
        } catch (error) {
          if (codeOf(error) !== "TRIMMED") throw error;
        }
      }
    }
  }
}

/** One call of a caller, and what the oracle is told of it. */
class RegisterCall {
  readonly #oracle: Oracle;
  readonly #random: Random;
  readonly #counts: Counts;
  readonly #key: string;
  readonly #version: number;
  readonly #value: string;
  readonly #limits: { timeoutMs: number };

  constructor(oracle: Oracle, random: Random, counts: Counts, nextValue: () => string) {
    this.#oracle = oracle;
    this.#random = random;
    this.#counts = counts;
    this.#key = pick(random, KEYS);
    this.#version = random.int(0, VERSIONS - 1);
    this.#value = nextValue();
    this.#limits = { timeoutMs: pick(random, [20, 200, 3000]) };
  }

  async proposer(
    acceptors: ConstructorParameters<typeof Proposer>[0]["acceptors"],
    runtime: Runtime,
    proposerId: number,
  ) {
    const register = { key: this.#key, version: this.#version };
    const ballot = { n: this.#random.int(0, 2), proposerId };
    const proposer = new Proposer({ register, acceptors, runtime, ballot });
    if (chance(this.#random, 0.3)) await this.#read((limits) => proposer.runPaxos(undefined, limits));
    else await this.#write((limits) => proposer.runPaxos(this.#value, limits));
  }

  async store(kv: PaxosKV, trims: boolean): Promise<void> {
    const draw = this.#random.next();
    if (draw < 0.35) await this.#write((limits) => kv.set(this.#key, this.#version, this.#value, limits));
    else if (draw < 0.55) await this.#read((limits) => kv.get(this.#key, this.#version, limits));
    else if (draw < 0.7) await this.#put(kv);
    else if (draw < 0.85) await this.#latest(kv);
    else if (draw < 0.93 || !trims) await this.#versions(kv);
    else await this.#trim(kv);
  }

  async #write(write: (limits: object) => Promise<{ value: unknown; ours: boolean }>): Promise<void> {
    this.#oracle.proposes(this.#key, this.#version, this.#value);
    const outcome = await this.#unlessEnded(write(this.#limits), () =>
      this.#oracle.disowned(this.#key, this.#version, this.#value),
    );
    if (outcome === null) return;
    this.#oracle.established(this.#key, this.#version, outcome.value, outcome.ours ? this.#value : null);
    if (!outcome.ours) this.#oracle.disowned(this.#key, this.#version, this.#value);
  }

  async #read(read: (limits: object) => Promise<{ value: unknown } | null>): Promise<void> {
    const start = this.#oracle.begin();
    const found = await this.#unlessEnded(read(this.#limits).then((outcome) => ({ outcome })));
    if (found === null) return;
    if (found.outcome === null) this.#oracle.readNull(this.#key, this.#version, start);
    else this.#oracle.established(this.#key, this.#version, found.outcome.value, null);
  }

  async #put(kv: PaxosKV): Promise<void> {
    for (let version = 0; version < 20; version++) this.#oracle.proposes(this.#key, version, this.#value);
    const start = this.#oracle.begin();
    const version = await this.#unlessEnded(kv.put(this.#key, this.#value, this.#limits), () => {
      for (let other = 0; other < 20; other++) this.#oracle.disowned(this.#key, other, this.#value);
    });
    if (version === null) return;
    this.#oracle.established(this.#key, version, this.#value, this.#value);
    this.#oracle.put(this.#key, version, start);
    for (let other = 0; other < 20; other++) {
      if (other !== version) this.#oracle.disowned(this.#key, other, this.#value);
    }
  }

  async #latest(kv: PaxosKV): Promise<void> {
    const start = this.#oracle.begin();
    const found = await this.#unlessEnded(kv.latest(this.#key, this.#limits).then((latest) => ({ latest })));
    if (found === null) return;
    const { latest } = found;
    this.#oracle.latest(this.#key, latest?.version ?? -1, start);
    if (latest !== null) this.#oracle.established(this.#key, latest.version, latest.value, null);
  }

  async #versions(kv: PaxosKV): Promise<void> {
    const start = this.#oracle.begin();
    const versions = await this.#unlessEnded(kv.versions(this.#key, this.#limits));
    if (versions !== null) this.#oracle.listed(this.#key, versions, start);
  }

  async #trim(kv: PaxosKV): Promise<void> {
    this.#oracle.trims(this.#key);
    this.#counts.trims++;
    const begun = kv.trim(this.#key, this.#version, this.#limits).catch((error: unknown) => {
      if (codeOf(error) !== "INVALID_ARGUMENT") throw error;
    });
    await this.#unlessEnded(begun.then(() => true));
  }

  /** Null where a limit ended the call, or the version is gone; `onNo` where nothing has happened for sure. */
  async #unlessEnded<T>(call: Promise<T>, onNo?: () => void): Promise<T | null> {
    try {
      return await call;
    } catch (error) {
      if (!["TIMEOUT", "TRIMMED", "QUORUM_FAILED"].includes(codeOf(error))) throw error;
      this.#counts.unknown++;
      if (!(error as { maybeApplied: boolean }).maybeApplied) onNo?.();
      return null;
    }
  }
}

const codeOf = (error: unknown): string => String((error as { code?: string }).code);

function drawConditions(random: Random): Partial<LinkConditions> {
  return {
    delayMs: pick(random, [
      [0, 1],
      [1, 5],
      [0, 20],
    ] as const),
    loss: pick(random, [0, 0.02, 0.1, 0.3]),
    slow: pick(random, [0, 0.1, 0.4]),
    slowMs: [5, 60],
    late: pick(random, [0, 0.05]),
    lateMs: [100, 1500],
    duplicate: pick(random, [0, 0.05, 0.3]),
    duplicateMs: [0, 100],
    noticeMs: [20, 60],
  };
}
