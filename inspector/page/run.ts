import { checkRecord, EventKind, type RunRecord, type StepData } from "../../sim/index.js";
import { lowerBound } from "./lower-bound.js";

/** A message with what became of it. */
export interface Message {
  /** Its place among the messages. */
  readonly number: number;
  readonly sent: number;
  readonly from: number;
  readonly to: number;
  readonly kind: number;
  /** The request that it answers, by its place among the messages. */
  readonly request: number | null;
  readonly content: readonly unknown[];
  /** Events of its deliveries and losses; none where it was under way when the run ended. */
  readonly ends: number[];
  reply: number | null;
  copies: number;
  isLost: boolean;
}

export interface Operation {
  readonly number: number;
  readonly invoked: number;
  readonly client: number;
  readonly process: number;
  readonly f: string;
  readonly key: string;
  readonly argument: string;
  returned: number | null;
  /** "unknown": nobody knows whether it happened. */
  outcome: "ok" | "fail" | "unknown" | "open";
  answer: string;
}

export interface FaultSpan {
  readonly number: number;
  readonly kind: string;
  readonly text: string;
  readonly servers: readonly number[];
  readonly began: number;
  ended: number | null;
}

export type MarkKind = "election" | "commit" | "fault" | "violation";

/** Columns of a record as typed arrays, and what belongs together tied together. Events go by their place. */
export class Run {
  readonly record: RunRecord;
  readonly length: number;
  readonly kind: Uint8Array;
  /** Milliseconds. */
  readonly time: Float64Array;
  readonly seq: Float64Array;
  readonly a: Int32Array;
  readonly b: Int32Array;
  readonly data: readonly unknown[];
  readonly messages: Message[] = [];
  readonly operations: Operation[] = [];
  readonly faults: FaultSpan[] = [];
  readonly marks: Readonly<Record<MarkKind, number[]>> = { election: [], commit: [], fault: [], violation: [] };
  /** By event: the message or operation that it belongs to, or -1. */
  readonly #messageOf: Int32Array;
  readonly #operationOf: Int32Array;

  constructor(record: unknown) {
    checkRecord(record);
    this.record = record;
    const { kind, time, seq, a, b, data } = record.events;
    const length = kind.length;
    this.length = length;
    this.kind = Uint8Array.from(kind);
    this.a = Int32Array.from(a);
    this.b = Int32Array.from(b);
    this.data = data;
    this.time = new Float64Array(length);
    this.seq = new Float64Array(length);
    this.#messageOf = new Int32Array(length).fill(-1);
    this.#operationOf = new Int32Array(length).fill(-1);
    for (let i = 0, us = 0, number = 0; i < length; i++) {
      us += time[i] as number;
      number += seq[i] as number;
      this.time[i] = us / 1000;
      this.seq[i] = number;
    }
    this.#tie();
  }

  get endMs(): number {
    return this.length === 0 ? 0 : (this.time[this.length - 1] as number);
  }

  timeAt(event: number): number {
    return this.time[event] as number;
  }

  text(id: number): string {
    return this.record.texts[id] ?? "";
  }

  entryTerm(entry: number): number {
    return this.record.entries[entry * 2] as number;
  }

  entryText(entry: number): string {
    return this.text(this.record.entries[entry * 2 + 1] as number);
  }

  messageOf(event: number): Message | null {
    return this.messages[this.#messageOf[event] ?? -1] ?? null;
  }

  operationOf(event: number): Operation | null {
    return this.operations[this.#operationOf[event] ?? -1] ?? null;
  }

  step(event: number): StepData {
    return this.data[event] as StepData;
  }

  /** The last event not after `ms`; the first one where all are later. */
  eventAt(ms: number): number {
    let low = 0;
    let high = this.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((this.time[middle] as number) <= ms) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** The first event whose number in its world is at least `seq`. */
  eventOfSeq(seq: number): number {
    return Math.max(0, Math.min(lowerBound(this.seq, seq), this.length - 1));
  }

  /** When a message was received or lost; the end of the run where it still travels. */
  endOf(message: Message): number {
    const end = message.ends[0];
    return end === undefined ? this.endMs : this.timeAt(end);
  }

  /** The events that belong together, once, in order. */
  #tie(): void {
    const openFaults = new Map<number, FaultSpan>();
    let committed = 0;
    for (let i = 0; i < this.length; i++) {
      switch (this.kind[i] as number) {
        case EventKind.send:
          this.#send(i);
          break;
        case EventKind.deliver:
        case EventKind.drop:
        case EventKind.duplicate:
          this.#end(i);
          break;
        case EventKind.invoke:
          this.#invoke(i);
          break;
        case EventKind.return:
          this.#return(i);
          break;
        case EventKind.step: {
          const { r, c } = this.step(i);
          if (r === 3) this.marks.election.push(i);
          if (c !== undefined && c > committed) {
            committed = c;
            this.marks.commit.push(i);
          }
          break;
        }
        case EventKind.crash:
          this.marks.fault.push(i);
          break;
        case EventKind.faultBegin:
          this.#fault(i, openFaults);
          break;
        case EventKind.faultEnd: {
          const fault = openFaults.get(this.a[i] as number);
          if (fault) fault.ended = i;
          openFaults.delete(this.a[i] as number);
          break;
        }
        case EventKind.violation:
          this.marks.violation.push(i);
          break;
      }
    }
    const illegal = this.record.illegal;
    const operation = illegal && this.operationOf(illegal.operation);
    if (operation) this.marks.violation.push(operation.returned ?? operation.invoked);
    this.marks.violation.sort((x, y) => x - y);
  }

  #send(event: number): void {
    const [kind, replyTo, ...content] = this.data[event] as [number, number, ...unknown[]];
    const number = this.messages.length;
    const request = replyTo < 0 ? null : (this.#messageOf[replyTo] as number);
    if (request !== null && this.messages[request]) this.messages[request].reply = number;
    this.#messageOf[event] = number;
    const [from, to] = [this.a[event] as number, this.b[event] as number];
    this.messages.push({
      ...{ number, sent: event, from, to, kind, request, content, ends: [], reply: null, copies: 0, isLost: false },
    });
  }

  #end(event: number): void {
    const number = this.#messageOf[this.a[event] as number] as number;
    const message = this.messages[number];
    if (!message) return;
    this.#messageOf[event] = number;
    if (this.kind[event] === EventKind.duplicate) message.copies++;
    else message.ends.push(event);
    if (this.kind[event] === EventKind.drop) message.isLost = message.ends.length === 1;
  }

  #invoke(event: number): void {
    const [f, key, argument] = (this.data[event] as number[]).map((id) => this.text(id)) as [string, string, string];
    const number = this.operations.length;
    this.#operationOf[event] = number;
    const [client, process] = [this.a[event] as number, this.b[event] as number];
    this.operations.push({
      ...{ number, invoked: event, client, process, f, key, argument, returned: null, outcome: "open", answer: "" },
    });
  }

  #return(event: number): void {
    const number = this.#operationOf[this.a[event] as number] as number;
    const operation = this.operations[number];
    if (!operation) return;
    this.#operationOf[event] = number;
    operation.returned = event;
    operation.outcome = (["ok", "fail", "unknown"] as const)[this.b[event] as number] ?? "unknown";
    operation.answer = this.text(this.data[event] as number);
  }

  #fault(event: number, open: Map<number, FaultSpan>): void {
    const [kind, text, ...servers] = this.data[event] as number[];
    const number = this.a[event] as number;
    const words = { kind: this.text(kind as number), text: this.text(text as number) };
    const fault: FaultSpan = { number, ...words, servers, began: event, ended: null };
    this.faults.push(fault);
    this.marks.fault.push(event);
    open.set(number, fault);
  }
}
