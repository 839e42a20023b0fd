import { encode, EncodeError } from "../runtime/index.js";
import { RemoteError } from "../labrpc/index.js";
import type { ClientEnd, Server } from "../labrpc/index.js";
import { StoppedError } from "../kvraft/index.js";

/**
 * An end to a server in this process, without copies: for services that keep nothing of their arguments and hand out
 * nothing of their state, as Raft's and the store's do.
 */
export class LocalEnd implements ClientEnd {
  readonly #server: Server;
  readonly #maxBytes: number;

  /** Arguments that take more than `maxBytes` are refused, as over the network: they could not go to the other nodes. */
  constructor(server: Server, maxBytes: number) {
    this.#server = server;
    this.#maxBytes = maxBytes;
  }

  async call<Reply = unknown>(method: string, args: unknown): Promise<Reply | null> {
    checkSize(args, this.#maxBytes, "args");
    const handler = this.#server.accept(method);
    if (handler instanceof RemoteError) throw handler;
    try {
      return (await handler(args)) as Reply;
    } catch (cause) {
      throw new RemoteError("HANDLER_FAILED", `the handler of "${method}" failed: ${String(cause)}`, { cause });
    }
  }
}

/** An end for a Clerk that goes with its owner: after that its calls fail, instead of being tried again for ever. */
export function untilClosed(end: ClientEnd, owner: { readonly name: string; readonly closed: AbortSignal }): ClientEnd {
  return {
    call: (method, args) => {
      if (!owner.closed.aborted) return end.call(method, args);
      return Promise.reject(new StoppedError(`${owner.name} was closed before this call had its answer`));
    },
  };
}

/** An entry that does not fit into a message would stay in the leader's log for ever, and nothing behind it would commit. */
export function checkSize(value: unknown, maxBytes: number, what: string): void {
  const { length } = encode(value, what);
  if (length <= maxBytes) return;
  throw new EncodeError(`${what} take ${length} bytes, and ${maxBytes} are allowed; write less at a time`);
}
