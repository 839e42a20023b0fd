import { AbortError, KvraftError, TimeoutError } from "../runtime/index.js";
import type { CallOptions, Clock } from "../runtime/index.js";
import { makeService, RemoteError } from "../labrpc/index.js";
import type { Service } from "../labrpc/index.js";
import { NotLeaderError } from "../raft/index.js";
import { LeadershipLostError } from "../kvraft/index.js";
import type { Rsm } from "../kvraft/index.js";
import { checkSize } from "./local-end.js";
import type { TcpEnd } from "./transport/index.js";

/** The leader's node refused a command, or failed; `code` and message are that node's. */
export class ForwardedError extends KvraftError {
  readonly maybeApplied: boolean;

  constructor(code: string, message: string, maybeApplied: boolean) {
    super(code, message);
    this.maybeApplied = maybeApplied;
  }
}

type SubmitReply =
  | readonly [status: "ok", result?: unknown]
  | readonly [status: "notLeader", leader: number | null]
  | readonly [status: "error", code: string, message: string, maybeApplied: boolean];

/** With these a command was refused before it came into the log. */
const REFUSALS: ReadonlySet<string> = new Set(["NOT_LEADER", "INVALID_ARGUMENT", "ENCODE"]);

/** Whether the command may be applied although submit ended with this. Who does not say, may not be taken for a no. */
export function isMaybeApplied(error: KvraftError): boolean {
  return (error as { maybeApplied?: boolean }).maybeApplied ?? !REFUSALS.has(error.code);
}

const SERVICE = "Rsm";
/** A hint may be old, and so may the one after it; a leader that two nodes name is one. */
const MAX_HOPS = 3;

/** What the leader's node offers the others. */
export function makeSubmitService(rsm: Rsm<unknown, unknown>): Service {
  return makeService(SERVICE, {
    Submit: async (args: unknown): Promise<SubmitReply> => {
      try {
        const result = await rsm.submit((args as readonly unknown[])[0]);
        return result === undefined ? ["ok"] : ["ok", result];
      } catch (error) {
        if (error instanceof NotLeaderError) return ["notLeader", error.leader];
        if (!(error instanceof KvraftError)) throw error;
        return ["error", error.code, error.message, isMaybeApplied(error)];
      }
    },
  });
}

async function send(end: TcpEnd, command: unknown): Promise<SubmitReply | null> {
  try {
    return await end.call<SubmitReply>(`${SERVICE}.Submit`, [command]);
  } catch (error) {
    // For instance a result that is no plain data: the command was applied.
    if (error instanceof RemoteError) throw new ForwardedError(error.code, error.message, true);
    throw error;
  }
}

/** A group with the user's state machine, as each node offers it: commands go to the leader, wherever it is. */
export class ForwardingRsm implements Rsm<unknown, unknown> {
  readonly #local: Rsm<unknown, unknown>;
  readonly #ends: readonly (TcpEnd | null)[];
  readonly #ids: readonly number[];
  readonly #maxCommandBytes: number;
  readonly #clock: Clock;

  constructor(
    local: Rsm<unknown, unknown>,
    nodes: {
      readonly ends: readonly (TcpEnd | null)[];
      readonly ids: readonly number[];
      readonly maxCommandBytes: number;
    },
    clock: Clock,
  ) {
    this.#maxCommandBytes = nodes.maxCommandBytes;
    this.#local = local;
    this.#ends = nodes.ends;
    this.#ids = nodes.ids;
    this.#clock = clock;
  }

  get lastApplied(): number {
    return this.#local.lastApplied;
  }

  async submit(command: unknown, options: CallOptions = {}): Promise<unknown> {
    checkSize(command, this.#maxCommandBytes, "the bytes of a command");
    const end = this.#clock.now() + (options.timeoutMs ?? Infinity);
    let leader: number | null;
    try {
      return await this.#local.submit(command, options);
    } catch (error) {
      if (!(error instanceof NotLeaderError)) throw error;
      leader = error.leader;
    }
    for (let hop = 0; hop < MAX_HOPS && leader !== null; hop++) {
      const way: TcpEnd | null = this.#ends[leader] ?? null;
      // Nothing is sent where there is no connection: then nothing was proposed, and the caller may know it.
      if (way?.state().status !== "ready") break;
      const reply = await this.#limit(send(way, command), end, options);
      if (reply === null) throw new LeadershipLostError(`node ${this.#ids[leader]} took it and did not answer`, true);
      if (reply[0] === "ok") return reply[1];
      if (reply[0] === "error") throw new ForwardedError(reply[1], reply[2], reply[3]);
      leader = reply[1];
    }
    throw this.#notLeader(leader);
  }

  async read<T>(query: () => T, options?: CallOptions): Promise<T> {
    try {
      return await this.#local.read(query, options);
    } catch (error) {
      throw error instanceof NotLeaderError ? this.#notLeader(error.leader) : error;
    }
  }

  snapshot(): void {
    this.#local.snapshot();
  }

  kill(): void {
    this.#local.kill();
  }

  /** Raft knows the nodes by their places in the list, users by their ids. */
  #notLeader(leader: number | null): NotLeaderError {
    return new NotLeaderError(leader === null ? null : (this.#ids[leader] as number));
  }

  /** The command is on its way: whatever ends the wait, it may be applied. */
  #limit<T>(promise: Promise<T>, end: number, { signal, timeoutMs }: CallOptions): Promise<T> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => reject(new AbortError("submit was aborted", true, signal?.reason));
      const onTimeout = (): void => reject(new TimeoutError(`submit did not finish within ${timeoutMs} ms`, true));
      const timer =
        end === Infinity ? undefined : this.#clock.setTimeout(onTimeout, Math.max(0, end - this.#clock.now()));
      signal?.addEventListener("abort", onAbort, { once: true });
      const settle = (): void => {
        if (timer !== undefined) this.#clock.clearTimeout(timer);
        signal?.removeEventListener("abort", onAbort);
      };
      if (signal?.aborted) onAbort();
      void promise.then(resolve, reject).finally(settle);
    });
  }
}
