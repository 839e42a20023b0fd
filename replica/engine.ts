import type { Random, Runtime } from "../runtime/index.js";
import type { ClientEnd } from "../labrpc/index.js";
import type { Message, ReplicaConfig, ReplicaCore, ReplicaState, RequestMessage, StoredState } from "./core/index.js";
import type { ReplicaObserver } from "./observer.js";
import type { Storage } from "./storage.js";
import type { ReplicaStatus } from "./types.js";

export interface CoreOptions {
  readonly me: number;
  readonly voters: readonly number[];
  readonly config: Readonly<ReplicaConfig>;
  readonly random: Random;
  readonly stored: StoredState;
  /** Milliseconds; every later `now` must not be smaller. */
  readonly now: number;
}

/** What makes a consensus algorithm of the driver: the core that decides, and how its messages travel. */
export interface Engine<Q extends RequestMessage, A extends Message, S extends ReplicaState> {
  /** Of the RPC service; also how errors call its servers. */
  readonly name: string;
  /** The methods of the service, each with the message that it carries. */
  readonly methods: Readonly<Record<string, Q["type"]>>;
  makeCore(options: CoreOptions): ReplicaCore<Q, A, S>;
  senderOf(message: Q): number;
  encodeRequest(message: Q): unknown;
  /** @throws BadMessageError for what no server of this engine sends. */
  decodeRequest(type: Q["type"], args: unknown): Q;
  encodeReply(message: A): unknown;
  /** @throws BadMessageError */
  decodeReply(type: Q["type"], reply: unknown): A;
  /** Plain data, which later changes do not touch. */
  describe(state: S, appliedIndex: number, killed: boolean): ReplicaStatus;
}

export interface LogOptions {
  /** peers[i] reaches server i; peers[me] is never called. */
  readonly peers: readonly ClientEnd[];
  readonly me: number;
  /** The storage of this server: the labs' `Persister`, or a durable one. */
  readonly persister: Storage;
  readonly runtime: Runtime;
  readonly config?: Partial<ReplicaConfig>;
  /** Called once if this server stops by itself: its storage failed (the cause), or an invariant does not hold. */
  readonly onFailure?: (error: Error) => void;
}

export interface ReplicaOptions<
  Q extends RequestMessage,
  A extends Message,
  S extends ReplicaState,
> extends LogOptions {
  /** Watches this server from inside. */
  readonly observer?: ReplicaObserver<Q, A, S>;
}
