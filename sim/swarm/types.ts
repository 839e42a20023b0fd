import type { RaftConfig } from "../../raft/index.js";
import type { ReadMode } from "../../kvraft/index.js";
import type { LinkConditions } from "../index.js";

/** What replicates the log. */
export const ENGINE_NAMES = ["raft", "paxos"] as const;
export type EngineName = (typeof ENGINE_NAMES)[number];

/** Two ends of a range, both included. */
export type Range = readonly [min: number, max: number];

/**
 * All that a run does. A run is a function of this value alone, and it goes through JSON unchanged: so it can be kept,
 * made smaller by leaving out faults and operations, and changed by hand. Chance that is left (delays, torn writes) comes
 * from streams of their own for each link, disk, server and client, so what is left out does not reshuffle the rest.
 * Times in milliseconds of simulated time, sizes in bytes. Servers are numbered from 0.
 */
export interface Plan {
  readonly seed: number;
  /** Default "raft". */
  readonly engine?: EngineName;
  readonly servers: number;
  /** Settings of the engine, whichever it is. */
  readonly raft: Readonly<Partial<RaftConfig>>;
  readonly kv: KvPlan;
  readonly storage: StoragePlan;
  readonly disk: DiskPlan;
  readonly network: LinkConditions;
  readonly clients: readonly ClientPlan[];
  /** In any order; times count from the start of the run. After `chaosMs` they all end. */
  readonly faults: readonly Fault[];
  readonly chaosMs: number;
  readonly core: CorePlan;
  readonly limits: Limits;
  /** Changes at exact events of this very run, as the inspector makes them. Usually none. */
  readonly interventions: readonly Intervention[];
}

export interface KvPlan {
  /** -1: never snapshot. */
  readonly maxRaftState: number;
  readonly maxSessions: number;
  readonly readMode: ReadMode;
}

export interface StoragePlan {
  readonly segmentBytes: number;
  readonly recordBytes: number;
  readonly diskFullRetryMs: number;
}

export interface DiskPlan {
  readonly writeMs: Range;
  readonly syncMs: Range;
  /** So many of all syncs take `slowMs` instead. */
  readonly slowRate: number;
  readonly slowMs: Range;
  readonly blockBytes: number;
}

export interface Limits {
  /** All operations must have ended so long after the core was healed. */
  readonly livenessMs: number;
  /** More events in a simulated second than this are a storm. */
  readonly eventsPerSecond: number;
}

// ---- load -----------------------------------------------------------------------------------------------------------------

/** What one client does, one operation after the other. */
export interface ClientPlan {
  readonly operations: readonly Operation[];
}

export type OperationKind = "get" | "read" | "put" | "append" | "putIf" | "delete" | "renew";

export interface Operation {
  /** renew: forget this Clerk, with all it may still be doing, and go on with a new one (a client that came back). */
  readonly kind: OperationKind;
  readonly key: string;
  /** For put, append and putIf; unique in the plan. putIf takes the version this client has seen last. */
  readonly value: string;
  /** Pause before the operation. */
  readonly thinkMs: number;
  /** The client gives up after so long. 0: never. */
  readonly timeoutMs: number;
  /** Gives up by an AbortSignal rather than `timeoutMs` of the call. */
  readonly byAbort: boolean;
  /** Goes on to the next operation without waiting for this one. */
  readonly pipelined: boolean;
}

// ---- faults ---------------------------------------------------------------------------------------------------------------

/** One direction between two servers. */
export type Link = readonly [from: number, to: number];

/** Where a crash hook strikes. */
export type HookName =
  /** The reply that grants a vote, or promises a ballot, has just left. */
  | "voteGranted"
  /** A server has just become leader. */
  | "leaderElected"
  /** A write has just become durable; the replies that waited for it have not left. */
  | "beforeReply"
  /** New entries have reached exactly `count` followers (acceptors); copies under way to others are lost. */
  | "appendReached"
  /** A snapshot was handed to the storage; `count` disk operations later. */
  | "snapshot"
  /** A segment or group is on its way to the disk; `count` disk operations later. */
  | "write";

interface Timed {
  readonly atMs: number;
  readonly forMs: number;
}

export type Fault =
  /** Conditions of all links get worse by these. */
  | (Timed & { readonly kind: "loss"; readonly rate: number })
  | (Timed & { readonly kind: "delay"; readonly rate: number; readonly ms: Range })
  /** So late that other terms have come: seconds. */
  | (Timed & { readonly kind: "late"; readonly rate: number; readonly ms: Range })
  | (Timed & { readonly kind: "duplicate"; readonly rate: number; readonly ms: Range })
  /**
   * Servers of different groups do not hear each other. `clients`: the group that each client is with, by its number, so
   * that it reaches no other; -1, or no number, for one that reaches all servers.
   */
  | (Timed & {
      readonly kind: "partition";
      readonly groups: readonly (readonly number[])[];
      readonly clients: readonly number[];
    })
  /** Single directions are cut: partial and one-way partitions. */
  | (Timed & { readonly kind: "cut"; readonly links: readonly Link[] })
  /**
   * The present leader is cut off from the other servers: both directions, what it sends, or what it hears. `clients`:
   * these do not reach it either.
   */
  | (Timed & {
      readonly kind: "isolateLeader";
      readonly way: "both" | "out" | "in";
      readonly clients: readonly number[];
    })
  /** The directions are cut and healed in turn. */
  | (Timed & { readonly kind: "flap"; readonly links: readonly Link[]; readonly periodMs: number })
  /** These servers go at `atMs` and start again after `forMs`. `power`: all that was not synced is in danger. */
  | (Timed & { readonly kind: "crash"; readonly servers: readonly number[]; readonly power: boolean })
  | (Timed & { readonly kind: "crashLeader"; readonly power: boolean })
  /** The process sleeps: its timers, messages and disk completions wait for it. */
  | (Timed & { readonly kind: "pause"; readonly server: number })
  | (Timed & { readonly kind: "pauseLeader" })
  | (Timed & { readonly kind: "clockRate"; readonly server: number; readonly rate: number })
  /** Back: time stands still for this server until it has caught up. */
  | (Timed & { readonly kind: "clockJump"; readonly server: number; readonly byMs: number })
  | (Timed & { readonly kind: "diskSlow"; readonly server: number; readonly factor: number })
  | (Timed & { readonly kind: "diskHung"; readonly server: number })
  | (Timed & { readonly kind: "diskFull"; readonly server: number })
  | (Timed & { readonly kind: "syncFails"; readonly server: number; readonly rate: number })
  | (Timed & { readonly kind: "writeFails"; readonly server: number; readonly rate: number })
  | (Timed & { readonly kind: "shortWrites"; readonly server: number; readonly rate: number })
  /**
   * From `atMs` on, at the `nth` time that the place is reached (by `server`, or by any where it is null), the server
   * crashes; it starts again after `forMs`.
   */
  | (Timed & {
      readonly kind: "hook";
      readonly hook: HookName;
      readonly nth: number;
      readonly server: number | null;
      readonly count: number;
      readonly power: boolean;
    })
  /** An operator's doing: hands leadership to `server`, takes a snapshot there. */
  | (Timed & { readonly kind: "transfer"; readonly server: number })
  | (Timed & { readonly kind: "snapshot"; readonly server: number });

export type FaultKind = Fault["kind"];

/** What becomes of a server that is not in the core. */
export type Fate = "dead" | "cut" | "deaf" | "mute";

/** After the chaos: this majority is healed for good; each of the others gets its fate. */
export interface CorePlan {
  readonly servers: readonly number[];
  readonly others: readonly { readonly server: number; readonly fate: Fate }[];
}

/** What to do to a message, by the `seq` of its `sent` event; or to the world, once it has come to that `seq`. */
export interface Intervention {
  readonly seq: number;
  readonly action: Action;
}

export type Action =
  | { readonly type: "drop" }
  | { readonly type: "delay"; readonly byMs: number }
  | { readonly type: "duplicate"; readonly byMs: number }
  | { readonly type: "crash"; readonly server: number; readonly power: boolean; readonly forMs: number }
  | { readonly type: "cut"; readonly links: readonly Link[]; readonly forMs: number };

// ---- what came of it --------------------------------------------------------------------------------------------------

export interface Violation {
  /** Short and stable: names the broken rule. See `RULES`. */
  readonly rule: string;
  /** Who, where, and what was found instead. */
  readonly message: string;
  readonly atMs: number;
  readonly seq: number;
}

export interface Outcome {
  readonly seed: number;
  readonly ok: boolean;
  /** The first one; the run ends there. */
  readonly violation: Violation | null;
  /** Equal for equal plans and code, whoever watches. */
  readonly hash: string;
  /** Observable events: the last `seq`. */
  readonly events: number;
  /** Timers that fired: what the world itself counts. */
  readonly steps: number;
  readonly simulatedMs: number;
  /** Operations that were invoked, and how many of them ended without an answer. */
  readonly operations: number;
  readonly unanswered: number;
  /** How often each fault class struck (`fault.<kind>`) and each rare state was reached. */
  readonly coverage: Readonly<Record<string, number>>;
}
