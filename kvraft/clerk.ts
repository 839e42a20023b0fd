import { InvalidArgumentError, refusal, TimeoutError, watchLimits } from "../runtime/index.js";
import type { CallOptions, Runtime } from "../runtime/index.js";
import type { ClientEnd } from "../labrpc/index.js";
import { OpKind } from "./commands.js";
import type { Op, OpResult, ReadResult } from "./commands.js";
import { ClosedError } from "./errors.js";
import { Requester } from "./requester.js";
import type { Call } from "./requester.js";

/**
 * A client of the store. Every call waits until the store has answered, through any number of failures, unless its
 * options limit it; each write then happened exactly once. Many calls may be outstanding: they travel together, and take
 * effect in the order in which they were made, as far as they concern the same key.
 *
 * Every call throws InvalidArgumentError for wrong arguments; TimeoutError (code TIMEOUT) or AbortError (code ABORTED)
 * when a limit ended it, `maybeApplied` saying whether its write may happen all the same; SessionExpiredError when the
 * servers have forgotten this client while the fate of a write was open; ClosedError after close(); RemoteError where
 * the servers do not understand it. Keys and values are any strings without halves of surrogate pairs.
 */
export interface Clerk {
  /** The value, "" where the key is absent. */
  get(key: string, options?: CallOptions): Promise<string>;
  put(key: string, value: string, options?: CallOptions): Promise<void>;
  /** Creates the key where it is absent. */
  append(key: string, value: string, options?: CallOptions): Promise<void>;
  /** Value and version; null where the key is absent. */
  read(key: string, options?: CallOptions): Promise<{ value: string; version: number } | null>;
  /**
   * Writes only if the key is at `version`; 0 means absent. `ok`: the write happened, and `version` is the new one. Not
   * `ok`: nothing happened, and `version` is the stored one, 0 where the key is absent.
   */
  putIf(key: string, value: string, version: number, options?: CallOptions): Promise<{ ok: boolean; version: number }>;
  /** Whether the key existed. */
  delete(key: string, options?: CallOptions): Promise<boolean>;
  /** Refuses further calls, waits for those outstanding, then ends this client's session on the servers. */
  close(options?: CallOptions): Promise<void>;
  /** close(), giving up after a second: a session that was not ended makes room for others in time. */
  [Symbol.asyncDispose](): Promise<void>;
}

const DISPOSE_TIMEOUT_MS = 1000;

const toText = (result: OpResult): string => (result as ReadResult)?.[0] ?? "";
const toNothing = (): void => {};
const toRead = (result: OpResult): { value: string; version: number } | null =>
  result === null ? null : { value: (result as [string, number])[0], version: (result as [string, number])[1] };
const toPutIf = (result: OpResult): { ok: boolean; version: number } => {
  const version = result as number;
  return { ok: version > 0, version: Math.abs(version) };
};
const toExisted = (result: OpResult): boolean => (result as number) > 0;

class KVClerk implements Clerk {
  readonly #runtime: Runtime;
  readonly #requester: Requester;
  #closing: Promise<void> | undefined;

  constructor(servers: readonly ClientEnd[], runtime: Runtime) {
    this.#runtime = runtime;
    this.#requester = new Requester(servers, runtime);
  }

  get(key: string, options?: CallOptions): Promise<string> {
    return this.#call("get", [OpKind.read, key], toText, options);
  }

  put(key: string, value: string, options?: CallOptions): Promise<void> {
    return this.#call("put", [OpKind.put, key, value], toNothing, options);
  }

  append(key: string, value: string, options?: CallOptions): Promise<void> {
    return this.#call("append", [OpKind.append, key, value], toNothing, options);
  }

  read(key: string, options?: CallOptions): Promise<{ value: string; version: number } | null> {
    return this.#call("read", [OpKind.read, key], toRead, options);
  }

  putIf(key: string, value: string, version: number, options?: CallOptions): Promise<{ ok: boolean; version: number }> {
    if (!(Number.isSafeInteger(version) && version >= 0)) {
      const message = `the version of putIf must be a whole number, 0 for a key that is absent, not ${String(version)}`;
      return Promise.reject(new InvalidArgumentError(message));
    }
    return this.#call("putIf", [OpKind.putIf, key, value, version], toPutIf, options);
  }

  delete(key: string, options?: CallOptions): Promise<boolean> {
    return this.#call("delete", [OpKind.delete, key], toExisted, options);
  }

  close(options?: CallOptions): Promise<void> {
    const refused = options && refusal("close", options);
    if (refused) return Promise.reject(refused);
    this.#closing ??= this.#enqueue("close", null, toNothing, options);
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.close({ timeoutMs: DISPOSE_TIMEOUT_MS });
    } catch (error) {
      if (!(error instanceof TimeoutError)) throw error;
    }
  }

  #call<T>(name: string, op: Op, convert: (result: OpResult) => T, options: CallOptions | undefined): Promise<T> {
    if (!isText(op[1])) return Promise.reject(badText("key", op[1]));
    if (op.length > 2 && !isText(op[2])) return Promise.reject(badText("value", op[2]));
    if (this.#closing !== undefined) return Promise.reject(new ClosedError());
    const refused = options && refusal(name, options);
    if (refused) return Promise.reject(refused);
    return this.#enqueue(name, op, convert, options);
  }

  #enqueue<T>(
    name: string,
    op: Op | null,
    convert: (result: OpResult) => T,
    options: CallOptions | undefined,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const call: Call = {
        op,
        resolve: (result) => resolve(convert(result)),
        reject,
        release: undefined,
        request: undefined,
        ended: false,
      };
      if (options) {
        call.release = watchLimits(this.#runtime.clock, name, options, (error) => this.#requester.end(call, error));
      }
      this.#requester.add(call);
    });
  }
}

function isText(value: unknown): value is string {
  // The library types of the compiler's target do not know the method; every Node that we support has it.
  return typeof value === "string" && (value as string & { isWellFormed(): boolean }).isWellFormed();
}

function badText(what: string, value: unknown): InvalidArgumentError {
  const found = typeof value === "string" ? "one with half a surrogate pair, which UTF-8 cannot carry" : typeof value;
  return new InvalidArgumentError(`a ${what} must be a string, not ${found}`);
}

/** A client of the servers behind `servers`, which may stand in any order. It sends nothing before its first call. */
export function makeClerk(servers: readonly ClientEnd[], options: { runtime: Runtime }): Clerk {
  if (servers.length === 0) throw new InvalidArgumentError("a Clerk needs at least one server");
  return new KVClerk(servers, options.runtime);
}
