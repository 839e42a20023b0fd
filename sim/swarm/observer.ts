import type { PaxosEffect, PaxosInput, PaxosState } from "../../paxos/index.js";
import type { RaftEffect, RaftInput, RaftState, StorageWrite, StoredState } from "../../raft/index.js";
import type { Command, Results } from "../../kvraft/index.js";
import type { HistoryEvent, NetMessage, NetLoss } from "../index.js";
import type { Fault, Operation, Violation } from "./types.js";

/**
 * What can be seen of a run. Objects are live: who keeps something of a `RaftState` or a message copies it. Nothing in
 * here may be changed. Servers go by their number; an end of a link is "s0", "s1" ... for a server, "c0", "c1" ... for a
 * client.
 */
export interface WorldEvents {
  /** A message leaves its sender; `message.id` is the `seq` of this event. */
  sent: { readonly message: NetMessage };
  /** A message, or a copy of it, reaches its receiver. A receiver that sleeps gets it when it wakes. */
  delivered: { readonly message: NetMessage };
  dropped: { readonly message: NetMessage; readonly why: NetLoss };
  /** The network makes a second copy. */
  duplicated: { readonly message: NetMessage };

  /** The process runs: it has recovered what `stored` holds. */
  started: { readonly server: number; readonly life: number; readonly stored: StoredState; readonly tornBytes: number };
  /** The process is gone, with all it had in memory. `power`: the machine lost its power. */
  crashed: { readonly server: number; readonly life: number; readonly power: boolean; readonly why: string };
  paused: { readonly server: number };
  resumed: { readonly server: number };
  clockChanged: { readonly server: number; readonly rate: number; readonly jumpMs: number };
  /** The server ended itself, as it does when its disk fails; a supervisor starts it again. */
  failed: { readonly server: number; readonly error: Error };
  diskHealth: { readonly server: number; readonly health: "ok" | "full" | "failed" };

  /** The core has dealt with an input. The effects are not carried out yet. */
  stepped: {
    readonly server: number;
    readonly input: RaftInput;
    readonly effects: readonly RaftEffect[];
    readonly state: RaftState;
  };
  /** A message or restore effect takes place now: what it waited for is durable, says the driver. */
  released: { readonly server: number; readonly effect: RaftEffect; readonly state: RaftState };
  /** The same two where Paxos is the engine. */
  paxosStepped: {
    readonly server: number;
    readonly input: PaxosInput;
    readonly effects: readonly PaxosEffect[];
    readonly state: PaxosState;
  };
  paxosReleased: { readonly server: number; readonly effect: PaxosEffect; readonly state: PaxosState };
  /** A write is handed to the storage. */
  writing: { readonly server: number; readonly write: StorageWrite };
  /** The storage says that the write is durable. */
  durable: { readonly server: number; readonly write: StorageWrite };

  /** The service has carried out an entry. */
  applied: {
    readonly server: number;
    readonly index: number;
    readonly term: number;
    readonly command: Command;
    readonly results: Results;
  };
  snapshotTaken: { readonly server: number; readonly index: number; readonly bytes: Uint8Array };
  snapshotRestored: { readonly server: number; readonly index: number; readonly bytes: Uint8Array };
  /** A hash of the whole state of the service after entry `index`; now and then. */
  stateHash: { readonly server: number; readonly index: number; readonly hash: number };

  /** `id` numbers all operations of the run; `process` is the history's. */
  invoked: { readonly id: number; readonly client: number; readonly process: number; readonly operation: Operation };
  returned: { readonly id: number; readonly client: number; readonly process: number; readonly end: HistoryEvent };

  /** `number`: its place in `plan.faults`; -1 for an intervention. `servers`: whom it struck, where that was open. */
  faultBegan: { readonly number: number; readonly fault: Fault; readonly servers: readonly number[] };
  faultEnded: { readonly number: number; readonly fault: Fault };
  phase: { readonly phase: "chaos" | "liveness" | "reading" | "settling" | "over" };
  violation: { readonly violation: Violation };
}

export type WorldEventType = keyof WorldEvents;

/** `seq` counts the events of a run from 1, the same whether anybody watches or not. */
export type WorldEventOf<T extends WorldEventType> = WorldEvents[T] & {
  readonly type: T;
  readonly seq: number;
  readonly atMs: number;
};

export type WorldEvent = { [T in WorldEventType]: WorldEventOf<T> }[WorldEventType];

/** Watches a run: a function for each type of event that it cares for, or `any` for all of them. It changes nothing. */
export type WorldObserver = { readonly [T in WorldEventType]?: (event: WorldEventOf<T>) => void } & {
  readonly any?: (event: WorldEvent) => void;
};
