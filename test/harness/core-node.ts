import type { Effect, PersistEffect, RaftCore } from "../../raft/core/index.js";
import { Persister } from "../../replica/persister.js";
import type { Packet } from "./core-packets.js";

export type Gated = Extract<Effect, { after: number }>;

/** One server of a `CoreCluster`. */
export class CoreNode {
  core: RaftCore | null = null;
  /** Counts the starts of this server. */
  life = 0;
  disk = new Persister();
  isDiskHeld = false;
  writes: PersistEffect[] = [];
  gated: Gated[] = [];
  open = new Map<number, Packet>();
  appliedIndex = 0;
}

/** What somebody who looks over the shoulder of a `CoreCluster` sees, one thing after the other. */
export type Sight =
  | { readonly type: "arrives"; readonly packet: Packet }
  /** An effect as the core puts it out; what it waits for, it waits for from here on. */
  | { readonly type: "effect"; readonly effect: Effect }
  | { readonly type: "durable"; readonly write: PersistEffect }
  /** What waited for a write is carried out. */
  | { readonly type: "released"; readonly effect: Gated };
