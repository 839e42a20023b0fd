import { EventKind, MESSAGE_FIELDS, MESSAGE_KINDS, ROLES, type StepData } from "../../sim/index.js";
import type { Message, Operation, Run } from "./run.js";

export function actorName(actor: number): string {
  return actor >= 0 ? `S${actor}` : `c${-1 - actor}`;
}

/** "12.345" seconds. */
export function seconds(ms: number, digits = 3): string {
  return (ms / 1000).toFixed(digits);
}

export function roleName(role: number): string {
  const name = ROLES[role] ?? "";
  return name === "precandidate" ? "pre-candidate" : name;
}

/** How messages are told apart by colour. */
export type MessageClass = "vote" | "append" | "heartbeat" | "snapshot" | "client";
export const MESSAGE_CLASSES: readonly MessageClass[] = ["vote", "append", "heartbeat", "snapshot", "client"];

export function classOf(run: Run, message: Message): MessageClass {
  const name = MESSAGE_KINDS[message.kind] ?? "other";
  if (/^(RequestVote|TimeoutNow|Prepare|TakeOver)/.test(name)) return "vote";
  if (name.startsWith("InstallSnapshot")) return "snapshot";
  // What was chosen travels by itself, or as a part of a snapshot.
  if (name.startsWith("Learn")) return fieldOf(message, "bytes") === undefined ? "append" : "snapshot";
  if (!isReplication(name)) return "client";
  const request = message.request === null ? message : (run.messages[message.request] as Message);
  return entriesOf(request).length > 0 ? "append" : "heartbeat";
}

function isReplication(name: string): boolean {
  return name.startsWith("AppendEntries") || name.startsWith("Accept");
}

/** Whether it is a leader's message to one of the others, whose answers show that they still follow it. */
export function isRound(message: Message): boolean {
  return message.request === null && isReplication(MESSAGE_KINDS[message.kind] ?? "other");
}

/** Numbers of the entries that an AppendEntries or an Accept carries. */
export function entriesOf(message: Message): readonly number[] {
  const at = fieldsOf(message).indexOf("entries");
  return at < 0 ? [] : ((message.content[at] as readonly number[] | undefined) ?? []);
}

export function fieldOf(message: Message, name: string): unknown {
  const at = fieldsOf(message).indexOf(name);
  return at < 0 ? undefined : message.content[at];
}

function fieldsOf(message: Message): readonly string[] {
  return MESSAGE_FIELDS[MESSAGE_KINDS[message.kind] ?? "other"];
}

export function isReply(message: Message): boolean {
  return message.request !== null;
}

export function messageName(run: Run, message: Message): string {
  const name = MESSAGE_KINDS[message.kind] ?? "message";
  if (classOf(run, message) === "heartbeat") return name.replace(/AppendEntries|Accept/, "heartbeat");
  const request = run.messages[message.request ?? message.number] as Message;
  if (fieldOf(request, "preVote") === true) return name.replace("RequestVote", "pre-vote");
  if (fieldOf(request, "probe") === true) return name.replace("Prepare", "probe");
  return name;
}

/** A message in a few words, for lists and tooltips. */
export function messageGist(run: Run, message: Message): string {
  const name = messageName(run, message);
  const field = (key: string): string => String(fieldOf(message, key));
  const text = (key: string): string => run.text(fieldOf(message, key) as number);
  switch (MESSAGE_KINDS[message.kind]) {
    case "RequestVote":
      return `${name} term ${field("term")}, log ends ${field("lastLogIndex")}·t${field("lastLogTerm")}`;
    case "RequestVote reply":
      return `${name}: ${field("granted") === "true" ? "granted" : "refused"}, term ${field("term")}`;
    case "AppendEntries": {
      const what = rangeText(firstOf(message), entriesOf(message).length);
      return `${name}${what} term ${field("term")}, commit ${field("leaderCommit")}`;
    }
    case "AppendEntries reply": {
      const success = fieldOf(message, "hintIndex") === undefined;
      return success ? `${name}: matches to ${field("index")}` : `${name}: no match at ${field("index")}`;
    }
    case "InstallSnapshot":
      return `${name} to ${field("lastIncludedIndex")}, ${field("bytes")} bytes`;
    case "Prepare":
      return `${name} ballot ${field("ballot")}, from instance ${field("from")}`;
    case "Prepare reply": {
      if (fieldOf(message, "granted") !== true) return `${name}: refused, ballot ${field("ballot")}`;
      const count = votesOf(message).length;
      const votes = count === 0 ? "" : `, with ${count} vote${count === 1 ? "" : "s"}`;
      const more = fieldOf(message, "next") === 0 ? "" : " and more";
      return `${name}: granted${votes}${more}, ballot ${field("ballot")}`;
    }
    case "Accept": {
      const what = rangeText(firstOf(message), entriesOf(message).length);
      return `${name}${what} ballot ${field("ballot")}, commit ${field("commitIndex")}`;
    }
    case "Accept reply": {
      const request = run.messages[message.request ?? message.number] as Message;
      if (fieldOf(message, "ballot") !== fieldOf(request, "ballot")) {
        return `${name}: refused, ballot ${field("ballot")}`;
      }
      const what = rangeText(firstOf(message), Number(field("count")));
      return what === "" ? `${name}: ballot ${field("ballot")}` : `${name}: votes for${what}`;
    }
    case "Learn":
      return `${name} from ${field("from")}`;
    case "Learn reply": {
      if (fieldOf(message, "bytes") !== undefined) {
        return `${name}: snapshot to ${field("lastIncludedIndex")}, ${field("bytes")} bytes`;
      }
      const votes = votesOf(message);
      return `${name}:${rangeText(votes[0]?.instance ?? 0, votes.length) || " nothing"}, commit ${field("commitIndex")}`;
    }
    case "Request":
      return text("operations");
    case "Request reply":
    case "Register reply":
    case "EndSession reply":
      return replyGist(name, Number(field("status")), text("results"));
    default:
      return name;
  }
}

/** The index of the first entry that a message carries or answers for. */
function firstOf(message: Message): number {
  const first = fieldOf(message, "first");
  return first === undefined ? Number(fieldOf(message, "prevLogIndex")) + 1 : Number(first);
}

/** " 7–9", with its space; empty where there are none. */
function rangeText(first: number, count: number): string {
  if (count === 0) return "";
  return count === 1 ? ` ${first}` : ` ${first}–${first + count - 1}`;
}

interface CarriedVote {
  readonly instance: number;
  readonly ballot: number;
  /** Its number. */
  readonly entry: number;
}

function votesOf(message: Message): readonly CarriedVote[] {
  const flat = (fieldOf(message, "votes") as readonly number[] | undefined) ?? [];
  const votes: CarriedVote[] = [];
  for (let i = 0; i + 2 < flat.length; i += 3) {
    votes.push({ instance: flat[i] as number, ballot: flat[i + 1] as number, entry: flat[i + 2] as number });
  }
  return votes;
}

function replyGist(name: string, status: number, results: string): string {
  if (status === 0) return `${name}: ${results || "done"}`;
  const words = ["", "not the leader", "session expired", "try again"][status] ?? "unknown";
  return `${name}: ${words}${results === "" ? "" : `, ${results}`}`;
}

/** Name and value of each part of a message. */
export function messageParts(run: Run, message: Message): readonly (readonly [name: string, value: string])[] {
  return fieldsOf(message).flatMap((name, i) => {
    const value = message.content[i];
    if (value === undefined) return [];
    if (name === "entries") {
      const first = firstOf(message);
      const lines = (value as readonly number[]).map((entry, j) => {
        return `${first + j}·t${run.entryTerm(entry)} ${run.entryText(entry)}`;
      });
      return [[name, lines.join("\n") || "none"] as const];
    }
    if (name === "votes") {
      const lines = votesOf(message).map(({ ballot, entry, instance }) => {
        return `${instance}·t${run.entryTerm(entry)} in ballot ${ballot} ${run.entryText(entry)}`;
      });
      return [[name, lines.join("\n") || "none"] as const];
    }
    const isText = name === "operations" || name === "results" || name === "content";
    return [[name, isText ? run.text(value as number) : String(value)] as const];
  });
}

export function fateOf(run: Run, message: Message): string {
  if (message.ends.length === 0) return "still under way when the run ended";
  const words = message.ends.map((event) => {
    const at = `at ${seconds(run.timeAt(event))} s`;
    const after = run.timeAt(event) - run.timeAt(message.sent);
    if (run.kind[event] === EventKind.deliver) return `delivered ${at}, after ${after.toFixed(1)} ms`;
    return `lost ${at}: ${run.text(run.data[event] as number)}`;
  });
  return words.join("; ");
}

export function operationGist(operation: Operation): string {
  const { f, key, argument, outcome, answer } = operation;
  const call = `${f} ${key}${argument === "" ? "" : ` ${argument}`}`;
  if (outcome === "ok") return answer === "" ? call : `${call} → ${answer}`;
  return `${call} → ${outcome === "open" ? "no answer" : outcome === "fail" ? "did not happen" : "unknown"}`;
}

/** An event in one line. */
export function eventText(run: Run, event: number): string {
  const who = actorName(run.a[event] as number);
  const data = run.data[event];
  const message = run.messageOf(event);
  const operation = run.operationOf(event);
  const path = message ? `${actorName(message.from)} → ${actorName(message.to)}` : "";
  switch (run.kind[event]) {
    case EventKind.send:
      return `${path}  ${message ? messageGist(run, message) : ""}`;
    case EventKind.deliver:
      return `${path}  received: ${message ? messageGist(run, message) : ""}`;
    case EventKind.drop:
      return `${path}  lost (${run.text(data as number)}): ${message ? messageGist(run, message) : ""}`;
    case EventKind.duplicate:
      return `${path}  duplicated: ${message ? messageGist(run, message) : ""}`;
    case EventKind.start:
      return `${who}  starts, term ${run.step(event).t ?? 0}, log to ${logEnd(run.step(event))}`;
    case EventKind.crash:
      return `${who}  crashes: ${run.text(data as number)}`;
    case EventKind.pause:
      return `${who}  is paused`;
    case EventKind.resume:
      return `${who}  wakes`;
    case EventKind.note:
      return `${(run.a[event] as number) < 0 ? "" : `${who}  `}${run.text(data as number)}`;
    case EventKind.step:
      return `${who}  ${stepText(run.step(event), run)}`;
    case EventKind.apply:
      return `${who}  applies ${run.b[event]}: ${run.text((data as number[])[1] as number)}`;
    case EventKind.snapshot:
      return `${who}  snapshot up to ${run.b[event]}`;
    case EventKind.restore:
      return `${who}  restores its store from the snapshot up to ${run.b[event]}`;
    case EventKind.invoke:
      return `${who}  calls ${operation ? operationGist({ ...operation, outcome: "ok", answer: "" }) : ""}`;
    case EventKind.return:
      return `${operation ? actorName(operation.client) : ""}  returns ${operation ? operationGist(operation) : ""}`;
    case EventKind.faultBegin:
      return `fault: ${run.text((data as number[])[1] as number)}`;
    case EventKind.faultEnd:
      return `fault over: ${run.text(data as number)}`;
    case EventKind.phase:
      return `— ${run.text(data as number)} —`;
    case EventKind.violation:
      return `VIOLATION ${(data as number[]).map((id) => run.text(id)).join(": ")}`;
    default:
      return "";
  }
}

function logEnd(step: StepData): number {
  return (step.s ?? 0) + (step.e?.length ?? 0);
}

function stepText(step: StepData, run: Run): string {
  const words: string[] = [];
  const { r, t, v, l, c, g, f, e = [], s, d } = step;
  if (r !== undefined) words.push(r === 3 ? "becomes LEADER" : `becomes ${roleName(r)}`);
  if (t !== undefined) words.push(`term ${t}`);
  if (v !== undefined && v >= 0) words.push(`votes for S${v}`);
  if (g !== undefined && g.length > 0) words.push(`has votes of ${g.map((id) => `S${id}`).join(" ")}`);
  if (l !== undefined) words.push(l < 0 ? "knows no leader" : `follows S${l}`);
  if (s !== undefined) words.push(`log begins after ${s}`);
  if (f !== undefined) words.push(appendText(run, f, e));
  if (c !== undefined) words.push(`commit ${c}`);
  if (d !== undefined) words.push(`durable to ${d}`);
  return words.join(", ");
}

function appendText(run: Run, first: number, entries: readonly number[]): string {
  if (entries.length === 0) return `cuts its log from ${first}`;
  const [entry] = entries as [number];
  if (entries.length === 1) return `stores ${first}·t${run.entryTerm(entry)} ${run.entryText(entry)}`;
  return `stores ${first}–${first + entries.length - 1}`;
}
