import { AbortError, forkRandom, TimeoutError, type Clock, type Random } from "../../runtime/index.js";
import { makeClerk, SessionExpiredError, type Clerk } from "../../kvraft/index.js";
import { HistoryRecorder, type Host, type HistoryToken, type HistoryValue } from "../index.js";
import { MachineClock } from "./clock.js";
import { clientName, serverName } from "./names.js";
import type { ClientPlan, Operation } from "./types.js";
import type { World } from "./world.js";

/** Ends the texts that clients write, so that the parts of a value can be told apart. */
export const MARK = ";";

/** What the clients of a run have seen: the history that decides in the end. */
export class Load {
  readonly world: World;
  readonly history: HistoryRecorder;
  readonly clients: readonly Client[];
  operations = 0;
  unanswered = 0;
  /** No client pauses any more before its next operation. */
  isHurried = false;
  #processes = 0;
  /** Operations that were invoked and have not ended, for reports. */
  readonly open = new Map<number, { readonly client: number; readonly operation: Operation }>();

  constructor(world: World) {
    this.world = world;
    this.history = new HistoryRecorder(world.clock);
    this.clients = world.plan.clients.map((plan, number) => new Client(this, number, plan));
  }

  /** Resolves when all clients have done what they had to do. */
  async run(): Promise<void> {
    await Promise.all(this.clients.map((client) => client.run()));
  }

  /** A client of its own that reads every key once. */
  async readAll(): Promise<void> {
    const keys = new Set(this.world.plan.clients.flatMap(({ operations }) => operations.map(({ key }) => key)));
    const operations = [...keys].map((key): Operation => ({ key, ...READ }));
    await new Client(this, this.clients.length, { operations }).run();
  }

  nextProcess(): number {
    return this.#processes++;
  }
}

const READ = { kind: "read", value: "", thinkMs: 0, timeoutMs: 0, byAbort: false, pipelined: true } as const;

interface Open {
  readonly id: number;
  readonly process: number;
  readonly token: HistoryToken;
  isEnded: boolean;
}

/** One client: goes through its operations, and writes down what it saw. */
class Client {
  readonly #load: Load;
  readonly #number: number;
  readonly #plan: ClientPlan;
  readonly #host: Host;
  readonly #random: Random;
  readonly #machineClock: MachineClock;
  #clock: Clock;
  #clerk: Clerk;
  #process: number;
  /** The newest version it has seen of each key. */
  readonly #versions = new Map<string, number>();
  #opens: Open[] = [];
  #pipelined: Promise<void>[] = [];

  constructor(load: Load, number: number, plan: ClientPlan) {
    const { world } = load;
    this.#load = load;
    this.#number = number;
    this.#plan = plan;
    this.#host = world.network.host(clientName(number));
    this.#random = forkRandom(world.runtime.random, `client ${number}`);
    this.#machineClock = new MachineClock(world.clock, (act) => act());
    this.#process = load.nextProcess();
    this.#clock = this.#machineClock.beginLife();
    this.#clerk = this.#newClerk();
  }

  #newClerk(): Clerk {
    const { servers } = this.#load.world.plan;
    const ends = Array.from({ length: servers }, (_, i) => this.#host.end(serverName(i)));
    return makeClerk(ends, { runtime: { clock: this.#clock, random: forkRandom(this.#random, "clerk") } });
  }

  async run(): Promise<void> {
    const load = this.#load;
    const { clock } = load.world;
    for (const operation of this.#plan.operations) {
      if (operation.thinkMs > 0 && !load.isHurried) await clock.sleep(operation.thinkMs);
      if (operation.kind === "renew") {
        this.#renew();
        continue;
      }
      const done = this.#operate(operation);
      if (operation.pipelined) this.#pipelined.push(done);
      else await done;
    }
    await Promise.all(this.#pipelined);
  }

  /** This client is gone; what it still had under way may happen or not. Another takes its place. */
  #renew(): void {
    this.#host.crash();
    this.#clock = this.#machineClock.beginLife();
    for (const open of this.#opens) if (!open.isEnded) this.#end(open, "info");
    this.#opens = [];
    this.#pipelined = [];
    this.#process = this.#load.nextProcess();
    this.#clerk = this.#newClerk();
  }

  async #operate(operation: Operation): Promise<void> {
    const load = this.#load;
    const { key, kind, value, pipelined } = operation;
    // A process of the history has one operation at a time.
    const process = pipelined ? load.nextProcess() : this.#process;
    const version = this.#versions.get(key) ?? 0;
    const input: HistoryValue | undefined =
      kind === "putIf" ? { value, version } : kind === "put" || kind === "append" ? value : undefined;
    const token = load.history.invoke(process, kind === "putIf" ? "putif" : (kind as "get"), key, input);
    const open: Open = { id: ++load.operations, process, token, isEnded: false };
    load.open.set(open.id, { client: this.#number, operation });
    this.#opens.push(open);
    load.world.hub.emit("invoked", { id: open.id, client: this.#number, process, operation });
    const clock = this.#clock;
    try {
      const result = await this.#call(operation, version, clock);
      if (!open.isEnded) this.#end(open, "ok", result);
    } catch (error) {
      if (!open.isEnded) this.#onError(open, error);
    }
  }

  async #call(operation: Operation, version: number, clock: Clock): Promise<HistoryValue | undefined> {
    const { kind, key, value, timeoutMs, byAbort } = operation;
    const clerk = this.#clerk;
    const options = timeoutMs === 0 ? undefined : byAbort ? { signal: abortAfter(clock, timeoutMs) } : { timeoutMs };
    switch (kind) {
      case "get":
        // No client writes an empty text: "" means that there is no such key.
        return (await clerk.get(key, options)) || null;
      case "read": {
        const found = await clerk.read(key, options);
        this.#versions.set(key, found?.version ?? 0);
        return found;
      }
      case "put":
        await clerk.put(key, value, options);
        return undefined;
      case "append":
        await clerk.append(key, value, options);
        return undefined;
      case "putIf": {
        const result = await clerk.putIf(key, value, version, options);
        this.#versions.set(key, result.version);
        return result;
      }
      case "delete":
        return clerk.delete(key, options);
      case "renew":
        return undefined;
    }
  }

  #onError(open: Open, error: unknown): void {
    const isLimit = error instanceof TimeoutError || error instanceof AbortError;
    if (isLimit || error instanceof SessionExpiredError) this.#end(open, error.maybeApplied ? "info" : "fail");
    else this.#load.world.failBy(`client ${this.#number}`, error);
  }

  #end(open: Open, type: "ok" | "info" | "fail", result?: HistoryValue): void {
    const load = this.#load;
    open.isEnded = true;
    load.open.delete(open.id);
    if (type === "ok") load.history.ok(open.token, result);
    else {
      load.unanswered++;
      load.history[type](open.token);
    }
    const end = load.history.events.at(-1)!;
    load.world.hub.emit("returned", { id: open.id, client: this.#number, process: open.process, end });
    const text =
      end.f === "get" ? end.value : end.f === "read" ? (end.value as { value?: unknown } | null)?.value : null;
    if (type === "ok" && typeof text === "string") this.#checkOnce(end.key, text);
  }

  /** Every write of the plan has a text of its own, so no value holds one twice. */
  #checkOnce(key: string, text: string): void {
    const parts = text.split(MARK);
    if (new Set(parts).size === parts.length) return;
    const twice = parts.find((part, i) => parts.indexOf(part) < i) as string;
    this.#load.world.fail("exactlyOnce", `client ${this.#number} reads ${key} = "${text}": "${twice}" is in it twice`);
  }
}

function abortAfter(clock: Clock, ms: number): AbortSignal {
  const controller = new AbortController();
  clock.setTimeout(() => controller.abort(), ms);
  return controller.signal;
}
