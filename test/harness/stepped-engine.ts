import type {
  CommittedEntries,
  Message,
  PersistEffect,
  ReplicaConfig,
  ReplicaState,
  RequestMessage,
  Snapshot,
} from "../../replica/core/index.js";
import type { CoreOptions } from "../../replica/engine.js";
import type { CoreNode } from "./core-node.js";

/** Checks what an engine promises, step by step; it throws where a promise is broken. */
export interface ClusterOracle<M extends Message> {
  /** The highest index that any server has ever committed. */
  readonly maxCommitted: number;
  started(n: number): void;
  /** After every step of server `n`. */
  stepped(n: number): void;
  /** Called with every write before it is carried out. */
  persisting(n: number, effect: PersistEffect): void;
  /** Called with every write once it is on the disk. */
  durable?(n: number, write: PersistEffect): void;
  /** A message leaves server `n`; `asker` is whom a reply goes to. */
  sending(n: number, message: M, asker: number | null): void;
  /** Server `n` lets its service apply up to `index`. */
  committing(n: number, index: number): void;
  applying(n: number, index: number, term: number): void;
  compacting(snapshot: Snapshot): void;
  restoring(n: number, snapshot: Snapshot, appliedIndex: number): void;
}

/** What the cluster needs of a core, besides what a driver does. */
export interface SteppedState extends ReplicaState {
  readonly electionDeadline: number;
  readonly log: CommittedEntries & { readonly lastIndex: number };
}

/** What differs from engine to engine. */
export interface SteppedEngine<Q extends RequestMessage, A extends Message, C> {
  readonly config: ReplicaConfig;
  makeCore(options: CoreOptions): C;
  makeOracle(nodes: readonly CoreNode<C, Q, A>[]): ClusterOracle<Q | A>;
  senderOf(message: Q): number;
}
