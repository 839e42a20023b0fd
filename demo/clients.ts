import { makeClerk, type Clerk } from "../kvraft/index.js";
import { AbortError, forkRandom, TimeoutError, type Clock, type Random, type Runtime } from "../runtime/index.js";
import type { HistoryFunction, HistoryRecorder, HistoryValue } from "../sim/index.js";
import type { Chronicle } from "./chronicle.js";
import type { Cluster } from "./cluster.js";

const KEYS = ["apple", "brick", "cloud", "delta"];
const MAX_THINK_MS = 100;
/** A client that waits longer gives up; whether its operation happened is then unknown, which the history says. */
const TIMEOUT_MS = 3000;

/** Clients that work until they are told to finish, each with one operation at a time, all of it on the record. */
export class Clients {
  readonly #runtime: Runtime;
  readonly #chronicle: Chronicle;
  readonly #recorder: HistoryRecorder;
  readonly #running: Promise<boolean>[];
  /** Rejects where a client met with anything but an answer or its time limit: a bug. */
  readonly failure: Promise<never>;
  #finishing = false;

  constructor(runtime: Runtime, cluster: Cluster, count: number, chronicle: Chronicle, recorder: HistoryRecorder) {
    this.#runtime = runtime;
    this.#chronicle = chronicle;
    this.#recorder = recorder;
    this.#running = Array.from({ length: count }, (_, id) => {
      const clerk = makeClerk(cluster.clientEnds(id), { runtime });
      return this.#work(id, clerk, forkRandom(runtime.random, `client ${id}`));
    });
    this.failure = new Promise((_, reject) => void Promise.all(this.#running).catch(reject));
  }

  /** Each client carries out one more operation. Resolves to how many of these were not answered in time. */
  async finish(): Promise<number> {
    this.#finishing = true;
    const answered = await Promise.all(this.#running);
    return answered.filter((wasAnswered) => !wasAnswered).length;
  }

  async #work(id: number, clerk: Clerk, random: Random): Promise<boolean> {
    for (let n = 1; ; n++) {
      await this.#runtime.clock.sleep(random.next() * MAX_THINK_MS);
      const isLast = this.#finishing;
      const wasAnswered = await this.#operate(id, clerk, random, `${id}.${n} `);
      if (isLast) return wasAnswered;
    }
  }

  async #operate(id: number, clerk: Clerk, random: Random, text: string): Promise<boolean> {
    const key = KEYS[random.int(0, KEYS.length - 1)] as string;
    const record = new Attempt(this.#runtime.clock, this.#chronicle, this.#recorder, id, key);
    const options = { timeoutMs: TIMEOUT_MS };
    const kind = random.int(1, 100);
    if (kind <= 40) {
      return record.run("get", undefined, async () => (await clerk.get(key, options)) || null);
    }
    if (kind <= 70) return record.run("append", text, () => clerk.append(key, text, options));
    if (kind <= 80) return record.run("put", text, () => clerk.put(key, text, options));
    if (kind <= 85) return record.run("delete", undefined, () => clerk.delete(key, options));
    let version = 0;
    const wasRead = await record.run("read", undefined, async () => {
      const found = await clerk.read(key, options);
      version = found?.version ?? 0;
      return found;
    });
    if (!wasRead) return false;
    return record.run("putif", { value: text, version }, () => clerk.putIf(key, text, version, options));
  }
}

/** Carries out operations of one client on one key, and writes down what came of them. */
class Attempt {
  readonly #clock: Clock;
  readonly #chronicle: Chronicle;
  readonly #recorder: HistoryRecorder;
  readonly #client: number;
  readonly #key: string;

  constructor(clock: Clock, chronicle: Chronicle, recorder: HistoryRecorder, client: number, key: string) {
    this.#clock = clock;
    this.#chronicle = chronicle;
    this.#recorder = recorder;
    this.#client = client;
    this.#key = key;
  }

  /** Resolves to whether there was an answer. */
  async run(
    f: HistoryFunction,
    argument: HistoryValue | undefined,
    call: () => Promise<HistoryValue | void>,
  ): Promise<boolean> {
    const begunAtMs = this.#clock.now();
    this.#chronicle.operationBegins();
    const token = this.#recorder.invoke(this.#client, f, this.#key, argument);
    try {
      this.#recorder.ok(token, (await call()) as HistoryValue | undefined);
      this.#chronicle.operationDone(f, begunAtMs);
      return true;
    } catch (error) {
      if (!(error instanceof TimeoutError || error instanceof AbortError)) throw error;
      if (error.maybeApplied) this.#recorder.info(token);
      else this.#recorder.fail(token);
      this.#chronicle.operationGivenUp(error.maybeApplied);
      return false;
    }
  }
}
