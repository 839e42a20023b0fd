import { setTimeout as sleep } from "node:timers/promises";

import { type CallOptions, forkRandom, type Random, TimeoutError } from "../../runtime/index.js";
import {
  checkLinearizable,
  HistoryRecorder,
  toJsonLines,
  type HistoryToken,
  type HistoryValue,
} from "../../sim/index.js";
import type { KvClient } from "../../server/index.js";
import { until } from "./waiting.js";

/** No operation should need that long, whatever happens to the servers; an end to everything all the same. */
const PATIENCE_MS = 30_000;
/** A part of the operations is given so little time that some end with their outcome unknown. */
const HASTY_PART = 0.2;
const HASTY_MS = 150;
const MAX_PAUSE_MS = 8;
const KEYS = ["x", "y"];

const logOf = (who: number): string => `log ${who}`;
const SHARED_LOG = "log of all";

/** What one client has appended, by what became of it. */
interface Markers {
  readonly acknowledged: string[];
  readonly unknown: Set<string>;
}

/**
 * Clients of a cluster in other processes that do all kinds of operations on a few keys, at a moderate pace, and write
 * down what they asked and heard. Each also appends markers, which are all different, to a key of its own and to one that
 * all share.
 */
export class RecordedLoad {
  readonly history = new HistoryRecorder({ now: () => performance.now() });
  acknowledged = 0;
  unknown = 0;
  underWay = 0;
  /** The longest time in which nobody's operation succeeded. */
  longestGapMs = 0;
  /** Rejects when an operation fails in a way that it must not. */
  readonly failed: Promise<never>;
  readonly #connect: () => KvClient;
  /** How long those that succeeded took. */
  readonly #durations: number[] = [];
  readonly #random: Random;
  readonly #randoms: Random[] = [];
  readonly #markers: Markers[] = [];
  readonly #clients: Promise<void>[] = [];
  #onBegin: () => void = () => {};
  #fail: (error: Error) => void = () => {};
  #isOver = false;
  #lastAcknowledgedAt = performance.now();
  #processes = 0;

  constructor(connect: () => KvClient, random: Random) {
    this.#connect = connect;
    this.#random = random;
    this.failed = new Promise((_, reject) => {
      this.#fail = reject;
    });
    // It is raced with what the test does; what comes after that does not matter.
    this.failed.catch(() => {});
  }

  start(clients: number): void {
    for (let who = 0; who < clients; who++) {
      this.#randoms.push(forkRandom(this.#random, `client ${who}`));
      this.#clients.push(this.#run(who).catch((error: unknown) => this.#fail(error as Error)));
    }
  }

  /** Resolves once `count` more operations have succeeded: the cluster works. */
  async progress(count = 20, limitMs = PATIENCE_MS): Promise<void> {
    const goal = this.acknowledged + count;
    await until(limitMs, `${count} more acknowledged operations`, () => this.acknowledged >= goal);
  }

  /** A quarter of the operations that succeeded took less. However busy the machine is, some are quick. */
  get quickestQuarterMs(): number {
    return this.#durations.sort((a, b) => a - b)[this.#durations.length >> 2] ?? Infinity;
  }

  /** Resolves when the next operation begins: it is on its way then. */
  begin(): Promise<void> {
    return new Promise((resolve) => {
      this.#onBegin = resolve;
    });
  }

  /** Resolves once all clients have ended. */
  async stop(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#clients);
  }

  // ---- operations, also for who wants to ask something in between ---------------------------------------------------------

  /** A number for `get` and `put` of one more client. */
  newProcess(): number {
    return this.#processes++;
  }

  async get(client: KvClient, process: number, key: string, timeoutMs = PATIENCE_MS): Promise<string | null> {
    let value: string | null = null;
    await this.#recorded(this.history.invoke(process, "get", key), async () => {
      value = (await client.clerk.read(key, { timeoutMs }))?.value ?? null;
      return { value };
    });
    return value;
  }

  put(client: KvClient, process: number, key: string, value: string, timeoutMs = PATIENCE_MS): Promise<boolean> {
    return this.#recorded(this.history.invoke(process, "put", key, value), async () => {
      await client.clerk.put(key, value, { timeoutMs });
      return {};
    });
  }

  #append(client: KvClient, process: number, key: string, value: string, timeoutMs: number): Promise<boolean> {
    return this.#recorded(this.history.invoke(process, "append", key, value), async () => {
      await client.clerk.append(key, value, { timeoutMs });
      return {};
    });
  }

  /** By value, of a read and a putIf of what was read: it swaps in the putIf, or finds another value in the read. */
  #cas(
    client: KvClient,
    process: number,
    key: string,
    expected: string,
    value: string,
    timeoutMs: number,
  ): Promise<boolean> {
    const options: CallOptions = { timeoutMs };
    return this.#recorded(this.history.invoke(process, "cas", key, [expected, value]), async () => {
      for (;;) {
        const found = await client.clerk.read(key, options);
        if (found?.value !== expected) return { isNo: true };
        if ((await client.clerk.putIf(key, value, found.version, options)).ok) return {};
      }
    });
  }

  /** Whether it succeeded, or is unknown. */
  async #recorded(
    token: HistoryToken,
    act: () => Promise<{ readonly value?: HistoryValue; readonly isNo?: true }>,
  ): Promise<boolean> {
    this.underWay++;
    const begun = performance.now();
    this.#onBegin();
    try {
      const { value, isNo } = await act();
      if (isNo) this.history.fail(token);
      else this.history.ok(token, value);
      const now = performance.now();
      this.longestGapMs = Math.max(this.longestGapMs, now - this.#lastAcknowledgedAt);
      this.#lastAcknowledgedAt = now;
      this.#durations.push(now - begun);
      this.acknowledged++;
      return true;
    } catch (error) {
      if (!(error instanceof TimeoutError)) throw error;
      // A write of which it is known that it was not sent is one that did not happen; a cas may have been both.
      if (error.maybeApplied || token.f === "get" || token.f === "cas") this.history.info(token);
      else this.history.fail(token);
      this.unknown++;
      return false;
    } finally {
      this.underWay--;
    }
  }

  // ---- clients ------------------------------------------------------------------------------------------------------------

  async #run(who: number): Promise<void> {
    await using client = this.#connect();
    const process = this.newProcess();
    const markers: Markers = { acknowledged: [], unknown: new Set() };
    this.#markers[who] = markers;
    const random = this.#randoms[who] as Random;
    /** Likely to be what the key holds. */
    const seen = new Map<string, string>();
    for (let count = 0; !this.#isOver; count++) {
      const timeoutMs = random.next() < HASTY_PART ? random.int(5, HASTY_MS) : PATIENCE_MS;
      const key = KEYS[random.int(0, KEYS.length - 1)] as string;
      const value = `${who}.${count}`;
      const kind = random.next();
      if (kind < 0.4) {
        const found = await this.get(client, process, key, timeoutMs);
        if (found !== null) seen.set(key, found);
      } else if (kind < 0.6) {
        await this.put(client, process, key, value, timeoutMs);
      } else if (kind < 0.65) {
        await this.#append(client, process, key, `+${value}`, timeoutMs);
      } else if (kind < 0.8) {
        await this.#cas(client, process, key, seen.get(key) ?? "", value, timeoutMs);
      } else {
        const marker = `[${value}]`;
        const log = kind < 0.9 ? logOf(who) : SHARED_LOG;
        if (await this.#append(client, process, log, marker, timeoutMs)) markers.acknowledged.push(marker);
        else markers.unknown.add(marker);
      }
      await sleep(random.int(0, MAX_PAUSE_MS));
    }
  }

  // ---- what must be true in the end ---------------------------------------------------------------------------------------

  /** Reads everything, once all clients have ended, and checks it all. @throws Error that says what is wrong */
  async check(): Promise<void> {
    await using client = this.#connect();
    const process = this.newProcess();
    const shared = markersIn(await this.get(client, process, SHARED_LOG));
    for (const key of KEYS) await this.get(client, process, key);
    for (const [who, { acknowledged, unknown }] of this.#markers.entries()) {
      const own = markersIn(await this.get(client, process, logOf(who)));
      const theirs = shared.filter((marker) => marker.startsWith(`[${who}.`));
      checkMarkers(own, theirs, acknowledged, unknown);
    }
    const { verdict, explanation, operations } = checkLinearizable(this.history.events);
    if (verdict !== "linearizable")
      throw new Error(`the history of ${operations} operations is ${verdict}: ${explanation}`);
  }

  asText(): string {
    return toJsonLines(this.history.events);
  }

  summary(): string {
    const operations = this.acknowledged + this.unknown;
    return `${operations} operations, ${this.unknown} unknown outcomes, longest gap ${Math.round(this.longestGapMs)} ms`;
  }
}

const markersIn = (value: string | null): string[] => value?.match(/\[\d+\.\d+\]/g) ?? [];
const numberOf = (marker: string): number => Number(/\.(\d+)\]/.exec(marker)?.[1]);

/** One client's markers, in its own log and in the shared one: each acknowledged one once, an unknown one at most once. */
function checkMarkers(
  own: readonly string[],
  shared: readonly string[],
  acknowledged: readonly string[],
  unknown: ReadonlySet<string>,
): void {
  const found = new Set([...own, ...shared]);
  const lost = acknowledged.filter((marker) => !found.has(marker));
  if (lost.length > 0) throw new Error(`acknowledged appends are lost: ${lost.join(" ")}`);
  if (found.size < own.length + shared.length)
    throw new Error(`appended more than once: ${twice([...own, ...shared])}`);
  const known = new Set(acknowledged);
  const strange = [...found].filter((marker) => !known.has(marker) && !unknown.has(marker));
  if (strange.length > 0) throw new Error(`found, though it was never appended: ${strange.join(" ")}`);
  for (const log of [own, shared]) {
    // One whose outcome was unknown may have come late.
    const numbers = log.filter((marker) => known.has(marker)).map(numberOf);
    if (numbers.some((number, i) => i > 0 && number < (numbers[i - 1] as number))) {
      throw new Error(`a client's appends are in another order than it made them: ${log.join("")}`);
    }
  }
}

function twice(markers: readonly string[]): string {
  return markers.filter((marker, i) => markers.indexOf(marker) !== i).join(" ");
}
