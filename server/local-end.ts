import { RemoteError } from "../labrpc/index.js";
import type { ClientEnd, Server } from "../labrpc/index.js";

/**
 * An end to a server in this process, without copies: for services that keep nothing of their arguments and hand out
 * nothing of their state, as Raft's and the store's do.
 */
export class LocalEnd implements ClientEnd {
  readonly #server: Server;

  constructor(server: Server) {
    this.#server = server;
  }

  async call<Reply = unknown>(method: string, args: unknown): Promise<Reply | null> {
    const handler = this.#server.accept(method);
    if (handler instanceof RemoteError) throw handler;
    try {
      return (await handler(args)) as Reply;
    } catch (cause) {
      throw new RemoteError("HANDLER_FAILED", `the handler of "${method}" failed: ${String(cause)}`, { cause });
    }
  }
}
