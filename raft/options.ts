import type { ClientEnd } from "../labrpc/index.js";
import type { Runtime } from "../runtime/index.js";
import type { RaftConfig } from "./core/index.js";
import type { RaftObserver } from "./observer.js";
import type { Storage } from "./storage.js";

export interface RaftOptions {
  /** peers[i] reaches server i; peers[me] is never called. */
  readonly peers: readonly ClientEnd[];
  readonly me: number;
  /** The storage of this server: the labs' `Persister`, or a durable one. */
  readonly persister: Storage;
  readonly runtime: Runtime;
  readonly config?: Partial<RaftConfig>;
  /** Called once if this server stops by itself: its storage failed (the cause), or an invariant does not hold. */
  readonly onFailure?: (error: Error) => void;
  /** Watches this server from inside. */
  readonly observer?: RaftObserver;
}
