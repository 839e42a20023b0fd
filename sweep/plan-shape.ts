import { InvalidArgumentError } from "../runtime/index.js";
import { resolveReplicaConfig } from "../replica/index.js";
import {
  ENGINES,
  type Action,
  type CorePlan,
  type Fault,
  type FaultKind,
  type Intervention,
  type Operation,
  type Plan,
} from "../sim/swarm/index.js";

/** What is wrong with a value, whose place in the plan is `at`; null where nothing is. */
type Check = (value: unknown, at: string, servers: number) => string | null;

/** A check for each field: the compiler sees to it that none is forgotten. */
type Fields<T> = { readonly [K in keyof T]-?: Check };

/** What fields a value must have, by what one of its fields says. */
type Kinds<T, By extends keyof T> = {
  readonly [K in T[By] & string]: Fields<Omit<Extract<T, { readonly [B in By]: K }>, By>>;
};

type Value = Readonly<Record<string, unknown>>;

/** Eleven days: a run of more than that would not come to its end. */
const MOST_MS = 1e9;
/** As many as a Paxos group has at most. */
const MOST_SERVERS = 31;

// ---- the parts of the table -----------------------------------------------------------------------------------------------

const isObject = (value: unknown): value is Value =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function number(least: number, most: number, isWhole = false): Check {
  return (value, at) => {
    if (typeof value !== "number") return `${at} is no number`;
    if (value >= least && value <= most && (!isWhole || Number.isSafeInteger(value))) return null;
    return `${at} must be a ${isWhole ? "whole " : ""}number from ${least} to ${most}, not ${value}`;
  };
}

const whole = (least: number, most: number = Number.MAX_SAFE_INTEGER): Check => number(least, most, true);

const oneOf = (words: readonly unknown[]): Check => {
  return (value, at) =>
    words.includes(value) ? null : `${at} must be one of ${words.join(", ")}, not ${JSON.stringify(value)}`;
};

function list(check: Check): Check {
  return (value, at, servers) => {
    if (!Array.isArray(value)) return `${at} is no list`;
    return first(value.entries(), ([i, item]) => check(item, `${at}[${i}]`, servers));
  };
}

/** `begun`: fields that were looked at already. */
function object(fields: Readonly<Record<string, Check>>, begun: readonly string[] = []): Check {
  return (value, at, servers) => {
    if (value === undefined || value === null) return `${at} is missing`;
    if (!isObject(value)) return `${at} is no object`;
    const inside = at === "" ? "" : `${at}.`;
    const problem = first(Object.entries(fields), ([name, check]) => check(value[name], inside + name, servers));
    if (problem !== null) return problem;
    // A name that is misspelled would have no effect.
    const unknown = Object.keys(value).find((name) => !Object.hasOwn(fields, name) && !begun.includes(name));
    return unknown === undefined ? null : `${inside}${unknown} is not known there`;
  };
}

/** An object whose field `by` says which fields it has besides. */
function kinds(by: string, table: Readonly<Record<string, Readonly<Record<string, Check>>>>, all: object = {}): Check {
  const isKind = oneOf(Object.keys(table));
  return (value, at, servers) => {
    if (!isObject(value)) return `${at} is no object`;
    const kind = value[by] as string;
    return isKind(kind, `${at}.${by}`, servers) ?? object({ ...all, ...table[kind] }, [by])(value, at, servers);
  };
}

function first<T>(values: Iterable<T>, check: (value: T) => string | null): string | null {
  for (const value of values) {
    const problem = check(value);
    if (problem !== null) return problem;
  }
  return null;
}

const ms = number(0, MOST_MS);
const rate = number(0, 1);
const flag: Check = (value, at) => (typeof value === "boolean" ? null : `${at} is neither true nor false`);
const text: Check = (value, at) => (typeof value === "string" ? null : `${at} is no text`);
const server: Check = (value, at, servers) => whole(0, servers - 1)(value, at, servers);
const serverOrAny: Check = (value, at, servers) => (value === null ? null : server(value, at, servers));
const links = list((value, at, servers) => {
  if (!Array.isArray(value) || value.length !== 2) return `${at} is no pair of servers`;
  return list(server)(value, at, servers);
});
const range: Check = (value, at, servers) => {
  if (!Array.isArray(value) || value.length !== 2) return `${at} is no pair of numbers`;
  const problem = list(ms)(value, at, servers);
  return problem ?? (value[0] <= value[1] ? null : `${at} must begin with the lower number, not ${value[0]}`);
};

// ---- the table ------------------------------------------------------------------------------------------------------------

const operation: Fields<Operation> = {
  kind: oneOf(["get", "read", "put", "append", "putIf", "delete", "renew"] satisfies Operation["kind"][]),
  key: text,
  value: text,
  thinkMs: ms,
  timeoutMs: ms,
  byAbort: flag,
  pipelined: flag,
};

const hooks = ["voteGranted", "leaderElected", "beforeReply", "appendReached", "snapshot", "write"];

/** Beside `kind` and the times, which all have. */
const faults: { readonly [K in FaultKind]: Fields<Omit<Extract<Fault, { kind: K }>, "kind" | "atMs" | "forMs">> } = {
  loss: { rate },
  delay: { rate, ms: range },
  late: { rate, ms: range },
  duplicate: { rate, ms: range },
  partition: { groups: list(list(server)), clients: list(whole(-1)) },
  cut: { links },
  isolateLeader: { way: oneOf(["both", "out", "in"]), clients: list(whole(0)) },
  // Without a pause between them, links that are cut and healed in turn would leave no time for anything else.
  flap: { links, periodMs: number(1, MOST_MS) },
  crash: { servers: list(server), power: flag },
  crashLeader: { power: flag },
  pause: { server },
  pauseLeader: {},
  clockRate: { server, rate: number(0.01, 100) },
  clockJump: { server, byMs: number(-MOST_MS, MOST_MS) },
  diskSlow: { server, factor: number(0, 1e6) },
  diskHung: { server },
  diskFull: { server },
  syncFails: { server, rate },
  writeFails: { server, rate },
  shortWrites: { server, rate },
  hook: { hook: oneOf(hooks), nth: whole(1), server: serverOrAny, count: whole(0), power: flag },
  transfer: { server },
  snapshot: { server },
};

const actions: Kinds<Action, "type"> = {
  drop: {},
  delay: { byMs: ms },
  duplicate: { byMs: ms },
  crash: { server, power: flag, forMs: ms },
  cut: { links, forMs: ms },
};

const coreFields: Fields<CorePlan> = {
  servers: list(server),
  others: list(object({ server, fate: oneOf(["dead", "cut", "deaf", "mute"]) })),
};

/** Progress is promised to a majority, and a server cannot be healed for good and have another fate. */
const core: Check = (value, at, servers) => {
  const problem = object(coreFields)(value, at, servers);
  if (problem !== null) return problem;
  const plan = value as CorePlan;
  if (plan.servers.length <= servers / 2) return `${at}.servers is no majority of ${servers}`;
  const named = [...plan.servers, ...plan.others.map((other) => other.server)];
  const twice = named.find((one, i) => named.indexOf(one) < i);
  return twice === undefined ? null : `${at} names server ${twice} twice`;
};

/** The engine knows best under which settings it works. */
const raft: Check = (value, at) => {
  if (value === undefined || value === null) return `${at} is missing`;
  if (!isObject(value)) return `${at} is no object`;
  try {
    resolveReplicaConfig(value);
    return null;
  } catch (error) {
    if (error instanceof InvalidArgumentError) return `${at}: ${error.message}`;
    throw error;
  }
};

const engine: Check = (value) => {
  const isKnown = value === undefined || (typeof value === "string" && Object.hasOwn(ENGINES, value));
  return isKnown ? null : `it names no engine, but ${JSON.stringify(value)}`;
};

const fields: Fields<Plan> = {
  seed: whole(0),
  engine,
  servers: whole(1, MOST_SERVERS),
  chaosMs: ms,
  raft,
  kv: object({
    maxRaftState: whole(-1),
    maxSessions: whole(1),
    readMode: oneOf(["barrier", "log"]),
  } satisfies Fields<Plan["kv"]>),
  // As the storage itself has it.
  storage: object({
    segmentBytes: whole(1024, 2 ** 30),
    recordBytes: whole(1, 2 ** 26),
    diskFullRetryMs: whole(1, 60_000),
  } satisfies Fields<Plan["storage"]>),
  disk: object({
    writeMs: range,
    syncMs: range,
    slowRate: rate,
    slowMs: range,
    blockBytes: whole(1),
  } satisfies Fields<Plan["disk"]>),
  network: object({
    ...{ delayMs: range, loss: rate, slow: rate, slowMs: range, late: rate, lateMs: range },
    ...{ duplicate: rate, duplicateMs: range, noticeMs: range },
  } satisfies Fields<Plan["network"]>),
  core,
  limits: object({ livenessMs: ms, eventsPerSecond: number(1, 1e9) } satisfies Fields<Plan["limits"]>),
  clients: list(object({ operations: list(object(operation)) })),
  faults: list(kinds("kind", faults, { atMs: ms, forMs: ms })),
  interventions: list(object({ seq: whole(0), action: kinds("type", actions) } satisfies Fields<Intervention>)),
};

/** Why a value is no plan that could be run; null where it is one. */
export function problemOfPlan(value: unknown): string | null {
  if (!isObject(value)) return "it is not an object";
  // Not a number: refused as such before anything is compared with it.
  return object(fields)(value, "", value["servers"] as number);
}
