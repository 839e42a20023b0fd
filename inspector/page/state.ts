import { EventKind, type StepData, type StoreChange } from "../../sim/index.js";
import type { Run } from "./run.js";

export interface Stored {
  readonly value: string;
  readonly version: number;
}

/** One server after an event. */
export class ServerState {
  isUp = false;
  isPaused = false;
  /** Number in ROLES. */
  role = 0;
  term = 0;
  votedFor = -1;
  leader = -1;
  commit = 0;
  applied = 0;
  durable = 0;
  votes: readonly number[] = [];
  snapshotIndex = 0;
  snapshotTerm = 0;
  /** Numbers of entries, from snapshotIndex + 1 on. */
  log: number[] = [];
  /** By the number of the key's text. */
  store = new Map<number, Stored>();

  copy(): ServerState {
    const copy = Object.assign(new ServerState(), this);
    copy.log = this.log.slice();
    copy.store = new Map(this.store);
    return copy;
  }

  get lastIndex(): number {
    return this.snapshotIndex + this.log.length;
  }

  /** What crashed keeps only what is on its disk: its term, vote and log. */
  stop(): void {
    this.isUp = false;
    this.isPaused = false;
    this.role = 0;
    this.leader = -1;
    this.votes = [];
  }

  change(step: StepData): void {
    if (step.r !== undefined) this.role = step.r;
    if (step.t !== undefined) this.term = step.t;
    if (step.v !== undefined) this.votedFor = step.v;
    if (step.l !== undefined) this.leader = step.l;
    if (step.c !== undefined) this.commit = step.c;
    if (step.d !== undefined) this.durable = step.d;
    if (step.g !== undefined) this.votes = step.g;
    if (step.s !== undefined) this.#snapshot(step.s, step.st ?? 0, step.x === 1);
    if (step.f !== undefined) {
      this.log.length = Math.max(0, Math.min(this.log.length, step.f - this.snapshotIndex - 1));
      for (const entry of step.e ?? []) this.log.push(entry);
    }
  }

  #snapshot(index: number, term: number, discardsLog: boolean): void {
    this.log = discardsLog ? [] : this.log.slice(Math.max(0, index - this.snapshotIndex));
    this.snapshotIndex = index;
    this.snapshotTerm = term;
  }
}

/** A stretch of one server's life in which role, term and health are the same. */
export interface Span {
  readonly fromMs: number;
  toMs: number;
  readonly isUp: boolean;
  readonly isPaused: boolean;
  readonly role: number;
  readonly term: number;
}

/** Events between two kept states: what a jump replays at most. */
const STRIDE = 1000;

/** The state of all servers after any event: from the kept state before it, and the events since. */
export class States {
  /** By server, in order of time. */
  readonly spans: readonly Span[][];
  /** Highest index that any server has held. */
  readonly lastIndex: number;
  readonly #run: Run;
  readonly #kept: (readonly ServerState[])[] = [];
  #current: ServerState[];
  #at = -1;

  constructor(run: Run) {
    this.#run = run;
    const servers = Array.from({ length: run.record.servers }, () => new ServerState());
    this.spans = servers.map(() => []);
    let lastIndex = 0;
    for (let i = 0; i < run.length; i++) {
      if (i % STRIDE === 0) this.#kept.push(servers.map((server) => server.copy()));
      const changed = this.#play(servers, i);
      if (changed !== null) {
        const server = servers[changed] as ServerState;
        if (server.lastIndex > lastIndex) lastIndex = server.lastIndex;
        this.#span(changed, server, run.timeAt(i));
      }
    }
    for (const spans of this.spans) {
      const last = spans.at(-1);
      if (last) last.toMs = run.endMs;
    }
    this.lastIndex = lastIndex;
    this.#current = servers;
    this.#at = run.length - 1;
  }

  /** Valid until the next call. */
  at(event: number): readonly ServerState[] {
    if (event < this.#at || event - this.#at > STRIDE) {
      const block = Math.max(0, Math.floor(event / STRIDE));
      this.#current = (this.#kept[block] ?? []).map((server) => server.copy());
      this.#at = block * STRIDE - 1;
    }
    while (this.#at < event) this.#play(this.#current, ++this.#at);
    return this.#current;
  }

  /** Returns the server whose lane may look different now. */
  #play(servers: readonly ServerState[], event: number): number | null {
    const run = this.#run;
    const kind = run.kind[event] as number;
    if (kind < EventKind.start || kind > EventKind.restore) return null;
    const number = run.a[event] as number;
    const server = servers[number];
    if (!server) return null;
    switch (kind) {
      case EventKind.start:
        server.stop();
        server.isUp = true;
        server.store = new Map();
        server.applied = run.step(event).s ?? 0;
        server.change(run.step(event));
        return number;
      case EventKind.crash:
        server.stop();
        return number;
      case EventKind.pause:
      case EventKind.resume:
        server.isPaused = kind === EventKind.pause;
        return number;
      case EventKind.step:
        server.change(run.step(event));
        return number;
      case EventKind.apply:
        server.applied = run.b[event] as number;
        this.#apply(server, (run.data[event] as [number, number, ...StoreChange[]]).slice(2) as StoreChange[]);
        return null;
      case EventKind.restore:
        server.applied = run.b[event] as number;
        this.#restore(server, run.data[event] as number[]);
        return null;
      default:
        return null;
    }
  }

  #apply(server: ServerState, changes: readonly StoreChange[]): void {
    for (const [kind, key, text, version] of changes) {
      const value = this.#run.text(text);
      if (kind === 2) server.store.delete(key);
      else server.store.set(key, { value: kind === 1 ? (server.store.get(key)?.value ?? "") + value : value, version });
    }
  }

  #restore(server: ServerState, row: readonly number[]): void {
    server.store = new Map();
    for (let i = 0; i < row.length; i += 3) {
      server.store.set(row[i] as number, {
        value: this.#run.text(row[i + 1] as number),
        version: row[i + 2] as number,
      });
    }
  }

  #span(number: number, server: ServerState, ms: number): void {
    const spans = this.spans[number] as Span[];
    const last = spans.at(-1);
    const { isUp, isPaused, role, term } = server;
    if (last && last.isUp === isUp && last.isPaused === isPaused && last.role === role && last.term === term) return;
    if (last) last.toMs = ms;
    spans.push({ fromMs: ms, toMs: ms, isUp, isPaused, role, term });
  }
}
