import { CommandKind, OpKind, type Command, type OpResult, type Slot } from "../../kvraft/index.js";
import type { HistoryValue } from "../history.js";

/** An entry of the log in words; a client's request for it reads the same. */
export function describeCommand(command: Command): string {
  switch (command[0]) {
    case CommandKind.register:
      return "open a session";
    case CommandKind.end:
      return `end session ${command[1]}`;
    case CommandKind.request:
      return describeRequest(command[1], command[2], command[3]);
    case CommandKind.read:
      return describeSlots(command[1]);
    default:
      return "a command that this version does not know";
  }
}

/** Requests of reads alone have no session. */
export function describeRequest(session: number, firstSeq: number, slots: readonly Slot[]): string {
  const words = describeSlots(slots);
  return session === 0 ? words : `${words} · session ${session} no. ${firstSeq}`;
}

function describeSlots(slots: readonly Slot[]): string {
  return slots.map(describeSlot).join("; ");
}

function describeSlot(slot: Slot): string {
  if (slot === null) return "given up";
  switch (slot[0]) {
    case OpKind.read:
      return `read ${slot[1]}`;
    case OpKind.put:
      return `put ${slot[1]} ${quote(slot[2])}`;
    case OpKind.append:
      return `append ${slot[1]} ${quote(slot[2])}`;
    case OpKind.delete:
      return `delete ${slot[1]}`;
    case OpKind.putIf:
      return `put ${slot[1]} ${quote(slot[2])} if version ${slot[3]}`;
  }
}

export function describeResults(results: readonly OpResult[]): string {
  return results.map(describeResult).join("; ");
}

function describeResult(result: OpResult): string {
  if (result === null) return "absent";
  return typeof result === "number" ? `version ${result}` : `${quote(result[0])} version ${result[1]}`;
}

/** The argument or answer of an operation of a history; empty where there is none. */
export function describeValue(value: HistoryValue | undefined): string {
  if (value === undefined) return "";
  if (value === null) return "absent";
  if (typeof value === "boolean") return value ? "existed" : "did not exist";
  if (typeof value === "string") return quote(value);
  if ("ok" in value) return `${value.ok ? "ok" : "refused"}, version ${value.version}`;
  if ("version" in value) return `${quote(value.value ?? "")} version ${value.version}`;
  return `${value[0] === null ? "absent" : quote(value[0])} → ${value[1] === null ? "absent" : quote(value[1])}`;
}

/** Long values keep their end, where appends show. */
const MOST_SHOWN = 400;

function quote(text: string): string {
  return JSON.stringify(text.length <= MOST_SHOWN ? text : `…${text.slice(-MOST_SHOWN)}`);
}
