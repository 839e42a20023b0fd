import { KvraftError } from "../../runtime/index.js";

/** A run cannot be read. Code `BAD_RECORD`. */
export class RecordError extends KvraftError {
  constructor(message: string) {
    super("BAD_RECORD", message);
  }
}

export const RECORD_FORMAT = "kvraft-run";
export const RECORD_VERSION = 1;

/** What happened. The numbers are part of the format. */
export const EventKind = {
  send: 0,
  deliver: 1,
  drop: 2,
  duplicate: 3,
  start: 4,
  crash: 5,
  pause: 6,
  resume: 7,
  note: 8,
  step: 9,
  apply: 10,
  snapshot: 11,
  restore: 12,
  invoke: 13,
  return: 14,
  faultBegin: 15,
  faultEnd: 16,
  phase: 17,
  violation: 18,
} as const;
export type EventKind = (typeof EventKind)[keyof typeof EventKind];

/** Kinds of messages, in the order of their numbers in a record. Replies follow their requests. */
export const MESSAGE_KINDS = [
  "RequestVote",
  "RequestVote reply",
  "AppendEntries",
  "AppendEntries reply",
  "InstallSnapshot",
  "InstallSnapshot reply",
  "TimeoutNow",
  "TimeoutNow reply",
  "Request",
  "Request reply",
  "Register",
  "Register reply",
  "EndSession",
  "EndSession reply",
  "other",
  "other reply",
  "Prepare",
  "Prepare reply",
  "Accept",
  "Accept reply",
  "Learn",
  "Learn reply",
  "TakeOver",
  "TakeOver reply",
] as const;

/**
 * Names of the parts of a message's content, by kind of message, as they travel. A part named "entries" is a list of
 * numbers of entries of the record; one named "votes" has three numbers a vote: instance, ballot, entry; one named
 * "operations" or "results" is the number of a text.
 */
export const MESSAGE_FIELDS: Readonly<Record<(typeof MESSAGE_KINDS)[number], readonly string[]>> = {
  RequestVote: ["term", "candidate", "seq", "lastLogIndex", "lastLogTerm", "preVote", "transfer"],
  "RequestVote reply": ["term", "requestTerm", "preVote", "granted"],
  AppendEntries: [
    ...["term", "leader", "seq", "prevLogIndex", "prevLogTerm", "leaderCommit", "readContext", "entries"],
  ],
  "AppendEntries reply": ["term", "seq", "readContext", "index", "hintIndex", "hintTerm"],
  InstallSnapshot: ["term", "leader", "seq", "lastIncludedIndex", "lastIncludedTerm", "offset", "bytes", "done"],
  "InstallSnapshot reply": ["term", "seq", "lastIncludedIndex", "offset", "done"],
  TimeoutNow: ["term", "leader", "seq"],
  "TimeoutNow reply": ["term"],
  Request: ["session", "firstSeq", "operations"],
  "Request reply": ["status", "server", "results"],
  Register: [],
  "Register reply": ["status", "server", "results"],
  EndSession: ["session"],
  "EndSession reply": ["status", "server", "results"],
  other: ["content"],
  "other reply": ["content"],
  Prepare: ["ballot", "proposer", "seq", "from", "probe", "handover"],
  "Prepare reply": ["ballot", "requestBallot", "probe", "granted", "commitIndex", "next", "votes"],
  Accept: ["ballot", "proposer", "seq", "first", "commitIndex", "readContext", "entries"],
  "Accept reply": ["ballot", "seq", "readContext", "first", "count", "commitIndex"],
  Learn: ["server", "seq", "from", "snapshotIndex", "offset"],
  "Learn reply": [
    ...["seq", "commitIndex", "votes", "lastIncludedIndex", "lastIncludedTerm", "lastIncludedBallot"],
    ...["offset", "bytes", "done"],
  ],
  TakeOver: ["ballot", "proposer", "seq"],
  "TakeOver reply": ["ballot"],
};

export const ROLES = ["follower", "precandidate", "candidate", "leader"] as const;

/** Changes of what a server knows; what is not named stays as it was. Keys are short because there are many. */
export interface StepData {
  /** Number of the role in ROLES. */
  r?: number;
  /** Term. */
  t?: number;
  /** Voted for; -1 is nobody. */
  v?: number;
  /** Leader it believes in; -1 is nobody. */
  l?: number;
  /** Commit index. */
  c?: number;
  /** Who has granted it their vote, as a candidate. */
  g?: readonly number[];
  /** Index from which on its log was replaced by `e`. */
  f?: number;
  /** Numbers of entries. */
  e?: readonly number[];
  /** Index at which its snapshot ends now; entries up to there are gone. */
  s?: number;
  /** Term of the entry at `s`. */
  st?: number;
  /** The snapshot at `s` replaces the whole log. */
  x?: 1;
  /** Highest index that is durable. */
  d?: number;
  /** What set the step off. */
  w?: string;
}

/** A write to the store: kind (0 set, 1 append, 2 delete), text of the key, text of the value, version. */
export type StoreChange = readonly [kind: 0 | 1 | 2, key: number, text: number, version: number];

/**
 * Parts of an event beside its kind, time and seq. `a` and `b` are numbers, 0 where not named. An actor is the number
 * of a server, or -1 - c for client c. A message or operation is the place of its send or invoke among the events.
 *
 * | kind               | a        | b         | data                                                       |
 * |--------------------|----------|-----------|------------------------------------------------------------|
 * | send               | from     | to        | [kind of message, what it replies to or -1, ...content]    |
 * | deliver, duplicate | message  |           |                                                            |
 * | drop               | message  |           | text of the reason                                         |
 * | start, step        | server   |           | StepData                                                   |
 * | crash, note        | server   |           | text; a note may be of no server: -1                       |
 * | pause, resume      | server   |           |                                                            |
 * | apply              | server   | index     | [term, text of the command, ...StoreChange[]]              |
 * | snapshot           | server   | index     |                                                            |
 * | restore            | server   | index     | [text of key, text of value, version, ...]                 |
 * | invoke             | client   | process   | [text of function, text of key, text of the argument]      |
 * | return             | operation| 0 ok, 1 fail, 2 unknown | text of the answer                           |
 * | faultBegin         | number   |           | [text of kind, text, ...servers]                           |
 * | faultEnd           | number   |           | text                                                       |
 * | phase              |          |           | text                                                       |
 * | violation          |          |           | [text of rule, text]                                       |
 */
export interface EventColumns {
  readonly kind: readonly number[];
  /** Microseconds since the event before. */
  readonly time: readonly number[];
  /** The world's own number of the event, minus that of the event before. */
  readonly seq: readonly number[];
  readonly a: readonly number[];
  readonly b: readonly number[];
  readonly data: readonly unknown[];
}

export interface RecordedOutcome {
  readonly ok: boolean;
  /** One sentence. */
  readonly text: string;
}

/** The operation that fits nowhere in the order of the others, and those that contradict it. */
export interface IllegalOperation {
  readonly operation: number;
  readonly others: readonly number[];
  /** The checker's explanation, in lines. */
  readonly text: string;
}

/** A whole run as plain JSON. Written by `RunRecorder`, read by the inspector. */
export interface RunRecord {
  readonly format: typeof RECORD_FORMAT;
  readonly version: typeof RECORD_VERSION;
  readonly title: string;
  readonly servers: number;
  readonly clients: number;
  readonly seed: number | null;
  /** The command that replays the run. */
  readonly replay: string | null;
  /** What `runPlan` needs to repeat it; null for a run that cannot be forked. */
  readonly plan: unknown;
  /** Hash of everything that happened, as the simulation counts it. */
  readonly hash: string | null;
  readonly outcome: RecordedOutcome;
  readonly illegal: IllegalOperation | null;
  readonly texts: readonly string[];
  /** Two numbers an entry: its term, and the text of its command. */
  readonly entries: readonly number[];
  readonly events: EventColumns;
}

/** @throws RecordError unless `value` is a record of this version whose columns are of one length. */
export function checkRecord(value: unknown): asserts value is RunRecord {
  const record = value as Partial<RunRecord> | null;
  if (typeof record !== "object" || record === null || record.format !== RECORD_FORMAT) {
    throw new RecordError(`this is no recorded run: it does not say "format": "${RECORD_FORMAT}"`);
  }
  if (record.version !== RECORD_VERSION) {
    throw new RecordError(
      `this run was recorded in version ${String(record.version)} of the format, and this program reads version ` +
        `${RECORD_VERSION}; record it again, or use the program that wrote it`,
    );
  }
  const columns = record.events as Record<string, readonly unknown[]> | undefined;
  const names = ["kind", "time", "seq", "a", "b", "data"];
  const lengths = names.map((name) => columns?.[name]?.length);
  const damaged = names.find((_, i) => lengths[i] === undefined || lengths[i] !== lengths[0]);
  if (damaged !== undefined) throw new RecordError(`the record is damaged: column "${damaged}" is missing or short`);
}
