import type { Message, PersistEffect, ReplicaEffect, RequestMessage } from "../../replica/core/index.js";
import type { RaftCore, Reply, Request } from "../../raft/core/index.js";
import type { Persister } from "../../replica/persister.js";
import type { Packet } from "./core-packets.js";

export type Gated<Q extends RequestMessage = Request, A extends Message = Reply> = Extract<
  ReplicaEffect<Q, A>,
  { after: number }
>;

/** One server of an `EngineCluster`. */
export interface CoreNode<C = RaftCore, Q extends RequestMessage = Request, A extends Message = Reply> {
  core: C | null;
  /** Counts the starts of this server. */
  life: number;
  disk: Persister;
  isDiskHeld: boolean;
  writes: PersistEffect[];
  gated: Gated<Q, A>[];
  readonly open: Map<number, Packet<Q | A>>;
  appliedIndex: number;
}

/** What somebody who looks over the shoulder of an `EngineCluster` sees, one thing after the other. */
export type Sight<Q extends RequestMessage = Request, A extends Message = Reply> =
  | { readonly type: "arrives"; readonly packet: Packet<Q | A> }
  /** An effect as the core puts it out; what it waits for, it waits for from here on. */
  | { readonly type: "effect"; readonly effect: ReplicaEffect<Q, A> }
  | { readonly type: "durable"; readonly write: PersistEffect }
  /** What waited for a write is carried out. */
  | { readonly type: "released"; readonly effect: Gated<Q, A> };
