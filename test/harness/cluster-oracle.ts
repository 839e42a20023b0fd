import type { Message, PersistEffect, Snapshot } from "../../replica/core/index.js";

/** Checks what an engine promises, step by step; it throws where a promise is broken. */
export interface ClusterOracle<M extends Message> {
  /** The highest index that any server has ever committed. */
  readonly maxCommitted: number;
  started(n: number): void;
  /** After every step of server `n`. */
  stepped(n: number): void;
  /** Called with every write before it is carried out. */
  persisting(n: number, effect: PersistEffect): void;
  /** A message leaves server `n`; `asker` is whom a reply goes to. */
  sending(n: number, message: M, asker: number | null): void;
  /** Server `n` lets its service apply up to `index`. */
  committing(n: number, index: number): void;
  applying(n: number, index: number, term: number): void;
  compacting(snapshot: Snapshot): void;
  restoring(n: number, snapshot: Snapshot, appliedIndex: number): void;
}
