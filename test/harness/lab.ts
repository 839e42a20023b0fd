import { forkRandom, type Clock, type Random, type Runtime } from "../../runtime/index.js";
import { RAFT, titleFor, type LabEngine } from "./engines.js";

/** A check of a lab test did not hold. */
export class LabError extends Error {
  override name = "LabError";
}

/** What a cluster reports for the line of a passed test, and how it is taken down. */
export interface Meter {
  readonly servers: number;
  /** Calls so far, also those to nowhere. */
  rpcTotal(): number;
  bytesTotal(): number;
  /** Agreements of a cluster of bare logs, client operations of a KV cluster. */
  operations(): number;
  /** Kills every server and waits until each has let go of its applyCh. */
  shutdown(): Promise<void>;
}

/** The labs' figures of one passed test (or of one printed stage of it). */
export interface Figures {
  readonly title: string;
  readonly seconds: number;
  readonly servers: number;
  readonly rpcs: number;
  readonly bytes: number;
  readonly operations: number;
}

/** A generous time for an election to settle (the labs' RaftElectionTimeout); no server is set to it. */
export const ELECTION_MS = 1000;

/** The labs' limit of one test, read in the time of the run: virtual seconds in a simulation. */
export const LIMIT_MS = 120_000;

interface Totals {
  at: number;
  rpcs: number;
  bytes: number;
  operations: number;
}

/** One run of one test: its world, its figures, and the one place where anything that goes wrong ends it. */
export class Lab {
  readonly runtime: Runtime;
  /** Under the services of its clusters. */
  readonly engine: LabEngine;
  readonly clock: Clock;
  /** The test's own chance; clusters and clerks fork theirs from the runtime. */
  readonly random: Random;
  /** Rejects with the first thing that went wrong anywhere in the run. */
  readonly failure: Promise<never>;
  /** Lines that a test wants printed under its heading. */
  readonly remarks: string[] = [];
  /** Checks for which the world must have ended: they may take real time. */
  readonly afterwards: (() => void)[] = [];
  readonly figures: Figures[] = [];
  readonly #meters: Meter[] = [];
  #fail: (error: unknown) => void = () => {};
  #over = false;
  #title: string;
  #since: Totals = { at: 0, rpcs: 0, bytes: 0, operations: 0 };

  constructor(runtime: Runtime, title: string, engine: LabEngine = RAFT) {
    this.runtime = runtime;
    this.engine = engine;
    this.clock = runtime.clock;
    this.random = forkRandom(runtime.random, "test");
    this.#title = titleFor(this.engine, title);
    this.failure = new Promise((_, reject) => (this.#fail = reject));
    this.failure.catch(() => {}); // the run awaits it; a failure during the last steps has nobody left to tell
    this.#since = this.#totals();
  }

  /** Ends the run: an error in a background task must not wait for the test to look (the labs end the process). */
  fail(error: unknown): void {
    this.#over = true;
    this.#fail(error);
  }

  /** Starts a task beside the test; if it throws, the run ends. */
  spawn<T>(task: () => Promise<T>): Promise<T> {
    const running = task();
    running.catch((error: unknown) => this.fail(error));
    return running;
  }

  /** Waits on the run's clock. Once the run is over it throws, so that tasks left behind come to an end. */
  async sleep(ms: number): Promise<void> {
    await this.clock.sleep(ms);
    if (this.#over) throw new LabError("the test is over");
  }

  remark(line: string): void {
    this.remarks.push(line);
  }

  addMeter(meter: Meter): void {
    this.#meters.push(meter);
  }

  /** The labs print some tests as several: closes the figures of the stage before and begins another. */
  beginStage(title: string): void {
    this.#title = titleFor(this.engine, title);
    this.#since = this.#totals();
  }

  endStage(): void {
    const now = this.#totals();
    const before = this.#since;
    this.figures.push({
      title: this.#title,
      seconds: (now.at - before.at) / 1000,
      servers: Math.max(0, ...this.#meters.map((meter) => meter.servers)),
      rpcs: now.rpcs - before.rpcs,
      bytes: now.bytes - before.bytes,
      operations: now.operations - before.operations,
    });
    this.#since = now;
  }

  async finish(): Promise<void> {
    this.#over = true;
    for (const meter of this.#meters) await meter.shutdown();
  }

  #totals(): Totals {
    const totals = { at: this.clock.now(), rpcs: 0, bytes: 0, operations: 0 };
    for (const meter of this.#meters) {
      totals.rpcs += meter.rpcTotal();
      totals.bytes += meter.bytesTotal();
      totals.operations += meter.operations();
    }
    return totals;
  }
}
