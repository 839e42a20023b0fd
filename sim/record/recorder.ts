import type { HistoryFunction, HistoryValue } from "../history.js";
import type { Command } from "../../kvraft/index.js";
import type { Entry, RaftEffect, RaftInput, RaftState, StoredState } from "../../raft/index.js";
import {
  EventKind,
  RECORD_FORMAT,
  RECORD_VERSION,
  ROLES,
  type IllegalOperation,
  type RecordedOutcome,
  type RunRecord,
  type StepData,
} from "./format.js";
import { Interner } from "./interner.js";
import { StoreReplica } from "./store-replica.js";
import { messageContent, messageKind } from "./wire.js";
import { describeCommand, describeValue } from "./words.js";

export interface RecorderOptions {
  readonly title: string;
  readonly servers: number;
  readonly clients: number;
  readonly seed?: number;
  /** The command that replays the run. */
  readonly replay?: string;
  /** With it the inspector can run the run again, changed. */
  readonly plan?: unknown;
}

/** How a record ends. */
export interface RecordEnding {
  readonly outcome: RecordedOutcome;
  readonly illegal?: IllegalOperation | null;
  readonly hash?: string;
}

/** What a server knows; a recorder writes down what has changed since it last looked. */
export interface ServerFigures {
  readonly role: (typeof ROLES)[number];
  readonly term: number;
  readonly votedFor: number | null;
  readonly leader: number | null;
  readonly commitIndex: number;
  readonly durableIndex: number;
  /** Who has granted this candidate their vote. */
  readonly votes: readonly number[];
}

/** A change to the log of a server, as Raft hands it to its storage. */
export interface LogChange {
  readonly snapshot: { readonly index: number; readonly term: number } | null;
  readonly discardLog: boolean;
  /** Not 0: what was from there on is replaced by `entries`. */
  readonly firstIndex: number;
  readonly entries: readonly Entry[];
}

type Last = { -readonly [K in keyof ServerFigures]: ServerFigures[K] };

/** Number of an actor that is a client. */
export function clientActor(client: number): number {
  return -1 - client;
}

/**
 * Writes down a run, event by event, as a RunRecord. Say `at` before what happens at a new moment. Servers go by their
 * number from 0, messages and operations by what `send` and `invoke` return. It watches, and changes nothing.
 */
export class RunRecorder {
  readonly #options: RecorderOptions;
  readonly #interner = new Interner();
  readonly #stores: readonly StoreReplica[];
  readonly #last: Last[];
  readonly #kind: number[] = [];
  readonly #time: number[] = [];
  readonly #seq: number[] = [];
  readonly #a: number[] = [];
  readonly #b: number[] = [];
  readonly #data: unknown[] = [];
  #nowUs = 0;
  #writtenUs = 0;
  #nextSeq = 1;
  #writtenSeq = 0;

  constructor(options: RecorderOptions) {
    this.#options = options;
    this.#stores = Array.from({ length: options.servers }, () => new StoreReplica(this.#interner));
    this.#last = Array.from({ length: options.servers }, blank);
  }

  /** Events that were written down. */
  get length(): number {
    return this.#kind.length;
  }

  /**
   * What follows happens at this time. `seq`: the number that the world itself gives to the next event; without it they
   * are counted.
   */
  at(timeMs: number, seq?: number): void {
    this.#nowUs = Math.max(this.#nowUs, Math.round(timeMs * 1000));
    if (seq !== undefined) this.#nextSeq = seq;
  }

  // ---- messages -------------------------------------------------------------------------------------------------------

  /** A call of `method` leaves `from`; with `replyTo` the answer to that message does. Returns the message's number. */
  send(from: number, to: number, method: string, payload: unknown, replyTo = -1): number {
    const kind = messageKind(method, replyTo >= 0);
    return this.#add(EventKind.send, from, to, [kind, replyTo, ...messageContent(kind, payload, this.#interner)]);
  }

  /** The actor from whom a message came. */
  senderOf(message: number): number {
    return this.#a[message] as number;
  }

  deliver(message: number): void {
    this.#add(EventKind.deliver, message);
  }

  drop(message: number, why: string): void {
    this.#add(EventKind.drop, message, 0, this.#interner.text(why));
  }

  duplicate(message: number): void {
    this.#add(EventKind.duplicate, message);
  }

  // ---- servers --------------------------------------------------------------------------------------------------------

  /** The process runs, with what was stored and nothing else. */
  start(server: number, stored: StoredState): void {
    const { hardState, snapshot, entries } = stored;
    const store = this.#stores[server] as StoreReplica;
    store.clear();
    const base = snapshot?.index ?? 0;
    const durableIndex = base + entries.length;
    const figures: ServerFigures = { ...blank(), ...hardState, commitIndex: base, durableIndex };
    this.#last[server] = { ...figures };
    this.#add(EventKind.start, server, 0, {
      ...{ r: 0, t: figures.term, v: figures.votedFor ?? -1, l: -1, c: base, g: [], d: durableIndex },
      ...{
        s: base,
        st: snapshot?.term ?? 0,
        x: 1,
        f: base + 1,
        e: entries.map((entry) => this.#interner.entry(entry)),
      },
    } satisfies StepData);
    if (snapshot) this.restore(server, base, snapshot.data);
  }

  crash(server: number, why: string): void {
    this.#add(EventKind.crash, server, 0, this.#interner.text(why));
  }

  pause(server: number): void {
    this.#add(EventKind.pause, server);
  }

  resume(server: number): void {
    this.#add(EventKind.resume, server);
  }

  /** Something a person wants to read; of the whole world where `server` is null. */
  note(server: number | null, text: string): void {
    this.#add(EventKind.note, server ?? -1, 0, this.#interner.text(text));
  }

  /** The core of a server has dealt with an input; see RaftObserver. */
  stepped(server: number, input: RaftInput, effects: readonly RaftEffect[], state: RaftState): void {
    const votes = [...state.votes].filter(([, granted]) => granted).map(([id]) => id);
    const { role, term, votedFor, leader, commitIndex, durableIndex } = state;
    const writes = effects.filter((effect) => effect.type === "persist");
    this.step(server, { role, term, votedFor, leader, commitIndex, durableIndex, votes }, writes, input.type);
  }

  /** Writes down what has changed at a server since the last time; nothing where nothing has. */
  step(server: number, figures: ServerFigures, changes: readonly LogChange[] = [], cause = ""): void {
    const data: StepData = {};
    let changed = this.#compare(server, figures, data);
    for (const [i, change] of changes.entries()) {
      const part = i === 0 ? data : {};
      changed = this.#logChange(change, part) || changed;
      // Two changes to the log in one step: an event each, so that each event holds at most one.
      if (i > 0) this.#addStep(server, part, cause);
      else if (changes.length > 1) this.#addStep(server, data, cause);
    }
    if (changed && changes.length <= 1) this.#addStep(server, data, cause);
  }

  apply(server: number, index: number, term: number, command: Command): void {
    const changes = (this.#stores[server] as StoreReplica).apply(command, index, term);
    this.#add(EventKind.apply, server, index, [term, this.#interner.text(describeCommand(command)), ...changes]);
  }

  snapshot(server: number, index: number): void {
    this.#add(EventKind.snapshot, server, index);
  }

  restore(server: number, index: number, bytes: Uint8Array): void {
    this.#add(EventKind.restore, server, index, (this.#stores[server] as StoreReplica).restore(bytes));
  }

  // ---- clients --------------------------------------------------------------------------------------------------------

  invoke(client: number, process: number, f: HistoryFunction, key: string, value?: HistoryValue): number {
    const words = [f, key, describeValue(value)].map((word) => this.#interner.text(word));
    return this.#add(EventKind.invoke, client, process, words);
  }

  /** How it ended; "info" where nobody knows whether it happened. */
  return(operation: number, type: "ok" | "fail" | "info", value?: HistoryValue): void {
    const text = type === "ok" ? describeValue(value) : "";
    this.#add(EventKind.return, operation, ["ok", "fail", "info"].indexOf(type), this.#interner.text(text));
  }

  // ---- the world ------------------------------------------------------------------------------------------------------

  faultBegins(number: number, kind: string, text: string, servers: readonly number[] = []): void {
    this.#add(EventKind.faultBegin, number, 0, [this.#interner.text(kind), this.#interner.text(text), ...servers]);
  }

  faultEnds(number: number, text: string): void {
    this.#add(EventKind.faultEnd, number, 0, this.#interner.text(text));
  }

  phase(text: string): void {
    this.#add(EventKind.phase, 0, 0, this.#interner.text(text));
  }

  violation(rule: string, text: string): void {
    this.#add(EventKind.violation, 0, 0, [this.#interner.text(rule), this.#interner.text(text)]);
  }

  /** The record of all that was written down so far. */
  finish(ending: RecordEnding): RunRecord {
    const { title, servers, clients, seed = null, replay = null, plan = null } = this.#options;
    const { texts, entries } = this.#interner;
    return {
      ...{ format: RECORD_FORMAT, version: RECORD_VERSION, title, servers, clients, seed, replay, plan },
      ...{ hash: ending.hash ?? null, outcome: ending.outcome, illegal: ending.illegal ?? null, texts, entries },
      events: { kind: this.#kind, time: this.#time, seq: this.#seq, a: this.#a, b: this.#b, data: this.#data },
    };
  }

  #compare(server: number, figures: ServerFigures, data: StepData): boolean {
    const last = this.#last[server] as Last;
    const before = { ...last };
    if (figures.role !== last.role) data.r = ROLES.indexOf(figures.role);
    if (figures.term !== last.term) data.t = figures.term;
    if (figures.votedFor !== last.votedFor) data.v = figures.votedFor ?? -1;
    if (figures.leader !== last.leader) data.l = figures.leader ?? -1;
    if (figures.commitIndex !== last.commitIndex) data.c = figures.commitIndex;
    if (figures.durableIndex !== last.durableIndex) data.d = figures.durableIndex;
    if (figures.votes.length !== before.votes.length || figures.votes.some((vote, i) => vote !== before.votes[i])) {
      data.g = figures.votes.slice();
    }
    const { role, term, votedFor, leader, commitIndex, durableIndex } = figures;
    const votes = data.g ?? last.votes;
    this.#last[server] = { role, term, votedFor, leader, commitIndex, durableIndex, votes };
    return Object.keys(data).length > 0;
  }

  #logChange(change: LogChange, data: StepData): boolean {
    if (change.snapshot) {
      data.s = change.snapshot.index;
      data.st = change.snapshot.term;
      if (change.discardLog) data.x = 1;
    }
    if (change.firstIndex > 0) {
      data.f = change.firstIndex;
      data.e = change.entries.map((entry) => this.#interner.entry(entry));
    }
    return change.snapshot !== null || change.firstIndex > 0;
  }

  #addStep(server: number, data: StepData, cause: string): void {
    if (cause !== "") data.w = cause;
    if (Object.keys(data).length > 0) this.#add(EventKind.step, server, 0, data);
  }

  #add(kind: EventKind, a = 0, b = 0, data: unknown = null): number {
    this.#time.push(this.#nowUs - this.#writtenUs);
    this.#writtenUs = this.#nowUs;
    this.#seq.push(this.#nextSeq - this.#writtenSeq);
    this.#writtenSeq = this.#nextSeq;
    this.#nextSeq++;
    this.#a.push(a);
    this.#b.push(b);
    this.#data.push(data);
    return this.#kind.push(kind) - 1;
  }
}

function blank(): Last {
  const nothing = { role: "follower", term: 0, votedFor: null, leader: null, commitIndex: 0, durableIndex: 0 } as const;
  return { ...nothing, votes: [] };
}
