import { EventKind, MESSAGE_KINDS } from "../../sim/index.js";
import type { Message, Operation, Run } from "./run.js";
import { actorName, entriesOf, fieldOf, isRound } from "./words.js";

export interface ChainLink {
  readonly event: number;
  readonly stage: "call" | "append" | "replicate" | "confirm" | "commit" | "apply" | "reply";
  readonly text: string;
}

/** What one operation set off, from its call to its answer. */
export interface Chain {
  readonly links: readonly ChainLink[];
  readonly messages: ReadonlySet<Message>;
}

/** An operation without an answer is followed for so many events. */
const MOST_EVENTS = 20_000;

/** call, append, replicate, commit, apply, reply: found by the words of the request, which its log entry shares. */
export function chainOf(run: Run, operation: Operation): Chain {
  return new Tracer(run, operation).trace();
}

class Tracer {
  readonly #run: Run;
  readonly #operation: Operation;
  readonly #links: ChainLink[] = [];
  readonly #messages = new Set<Message>();
  /** Texts of the requests that carry the operation. */
  readonly #texts = new Set<string>();
  readonly #entries = new Set<number>();
  #index = 0;
  #committed = false;

  constructor(run: Run, operation: Operation) {
    this.#run = run;
    this.#operation = operation;
  }

  trace(): Chain {
    const { invoked, returned } = this.#operation;
    const last = Math.min(returned ?? invoked + MOST_EVENTS, this.#run.length - 1);
    this.#add(invoked, "call", `${actorName(this.#operation.client)} calls`);
    for (let event = invoked + 1; event <= last; event++) this.#look(event);
    if (returned !== null) this.#add(returned, "reply", `${actorName(this.#operation.client)} has its answer`);
    return { links: this.#links, messages: this.#messages };
  }

  #look(event: number): void {
    const run = this.#run;
    const message = run.messageOf(event);
    switch (run.kind[event] as number) {
      case EventKind.send:
        if (message) this.#sent(event, message);
        break;
      case EventKind.deliver:
      case EventKind.drop:
        if (message && this.#messages.has(message)) this.#ended(event, message);
        break;
      case EventKind.step:
        this.#step(event);
        break;
      case EventKind.apply:
        if (run.b[event] === this.#index && this.#index > 0) {
          this.#add(event, "apply", `${actorName(run.a[event] as number)} applies it`);
        }
        break;
    }
  }

  #sent(event: number, message: Message): void {
    const run = this.#run;
    const { client } = this.#operation;
    const request = message.request === null ? null : (run.messages[message.request] as Message);
    if (request !== null && this.#messages.has(request)) {
      this.#messages.add(message);
      if (message.to === client) this.#add(event, "reply", `${actorName(message.from)} answers`);
    } else if (message.from === client && MESSAGE_KINDS[message.kind] === "Request") {
      const text = run.text(fieldOf(message, "operations") as number);
      if (!this.#carries(text)) return;
      this.#texts.add(text);
      this.#messages.add(message);
      this.#add(event, "call", `request to ${actorName(message.to)}`);
    } else if (message.from >= 0 && entriesOf(message).some((entry) => this.#entries.has(entry))) {
      this.#messages.add(message);
      this.#add(event, "replicate", `${actorName(message.from)} sends it to ${actorName(message.to)}`);
    } else if (this.#isConfirmation(message)) {
      this.#messages.add(message);
      this.#add(event, "confirm", `${actorName(message.from)} asks ${actorName(message.to)} whether it still leads`);
    }
  }

  /** A read without an entry: the leader that has it makes sure of its place by a round of messages. */
  #isConfirmation(message: Message): boolean {
    if (this.#entries.size > 0 || message.from < 0) return false;
    if (!isRound(message) || !this.#isRead()) return false;
    let asked = false;
    for (const other of this.#messages) {
      if (other.from === message.from && other.to === message.to) return false;
      if (other.from === this.#operation.client && other.to === message.from) asked = this.#isOpen(other, message);
    }
    return asked;
  }

  /** Whether `request` has been received and not answered when `message` leaves. */
  #isOpen(request: Message, message: Message): boolean {
    const [received] = request.ends;
    if (received === undefined || received > message.sent || request.isLost) return false;
    return request.reply === null || (this.#run.messages[request.reply] as Message).sent > message.sent;
  }

  #isRead(): boolean {
    return this.#operation.f === "get" || this.#operation.f === "read";
  }

  #ended(event: number, message: Message): void {
    const isLost = this.#run.kind[event] === EventKind.drop;
    const stage = message.from === this.#operation.client ? "call" : message.to < 0 ? "reply" : "replicate";
    const what = message.request === null ? "the message" : "the answer";
    if (isLost) this.#add(event, stage, `${what} of ${actorName(message.from)} to ${actorName(message.to)} is lost`);
    else if (message.from === this.#operation.client)
      this.#add(event, "call", `${actorName(message.to)} has the request`);
  }

  #step(event: number): void {
    const run = this.#run;
    const who = actorName(run.a[event] as number);
    const { f, e = [], c } = run.step(event);
    const at = e.findIndex((entry) => this.#entries.has(entry) || this.#texts.has(run.entryText(entry)));
    if (f !== undefined && at >= 0) {
      const entry = e[at] as number;
      const isFirst = !this.#entries.has(entry);
      this.#entries.add(entry);
      this.#index = f + at;
      const place = `${this.#index}·t${run.entryTerm(entry)}`;
      this.#add(
        event,
        isFirst ? "append" : "replicate",
        `${who} ${isFirst ? "appends" : "stores"} it as entry ${place}`,
      );
    }
    if (c !== undefined && this.#index > 0 && c >= this.#index && !this.#committed) {
      this.#committed = true;
      this.#add(event, "commit", `${who} commits it`);
    }
  }

  /** Whether a request's words hold this operation: requests carry several. */
  #carries(text: string): boolean {
    const { f, key, argument } = this.#operation;
    const verb = { get: "read", read: "read", cas: "put", putif: "put" }[f] ?? f;
    const value = argument.startsWith('"') ? argument.slice(0, argument.lastIndexOf('"') + 1) : "";
    return text.includes(`${verb} ${key}${value === "" ? "" : ` ${value}`}`);
  }

  #add(event: number, stage: ChainLink["stage"], text: string): void {
    this.#links.push({ event, stage, text });
  }
}
