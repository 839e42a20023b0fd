import type { CallOptions } from "../runtime/index.js";
import type { ApplyMsg } from "../replica/index.js";

/**
 * What the layers above need of consensus, and nothing more: a Raft server is one, and another engine can be.
 * The guarantees are those of the methods of the same name of `Raft`.
 */
export interface ReplicatedLog {
  /** Appends to the log where this server leads; index -1 and isLeader false elsewhere, and after kill(). */
  start(command: unknown): { index: number; term: number; isLeader: boolean };
  getState(): { term: number; isLeader: boolean };
  /** Committed commands in order of index, and snapshots that replace everything up to theirs. Ends after kill(). */
  readonly applyCh: AsyncIterable<ApplyMsg>;
  snapshot(index: number, snapshot: Uint8Array): void;
  /** Resolves once a read made now is linearizable. @throws NotLeaderError, TimeoutError, AbortError */
  readBarrier(options?: CallOptions): Promise<void>;
  /** The server that leads, as far as this one knows. */
  leaderHint(): number | null;
  /** Calls `listener` after the term or leadership changed, and at kill(). Returns the unsubscribe. */
  onStateChange(listener: () => void): () => void;
  /** Bytes of the persisted log, without the snapshot. */
  stateSize(): number;
  kill(): void;
}
