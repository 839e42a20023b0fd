import type { ClientEnd } from "../../labrpc/index.js";

export interface TappedCall {
  readonly end: number;
  readonly method: string;
  readonly args: unknown;
}

/** Ends that note every call, and let the test decide what becomes of the replies. */
export class Tap {
  readonly calls: TappedCall[] = [];
  readonly ends: ClientEnd[];
  /** What the client gets instead of `reply`; null = the reply is lost. */
  onReply: (reply: unknown, call: TappedCall) => unknown = (reply) => reply;
  /** What happens instead of the call; undefined = the call happens. */
  onCall: (call: TappedCall) => Promise<unknown> | undefined = () => undefined;

  constructor(ends: readonly ClientEnd[]) {
    this.ends = ends.map((end, position) => ({
      call: async <Reply>(method: string, args: unknown): Promise<Reply | null> => {
        const call: TappedCall = { end: position, method, args };
        this.calls.push(call);
        const reply = await (this.onCall(call) ?? end.call(method, args));
        return this.onReply(reply, call) as Reply | null;
      },
    }));
  }

  /** The operations that were sent, request by request. */
  get requests(): unknown[][] {
    return this.calls
      .filter(({ method }) => method === "KVServer.Request")
      .map(({ args }) => (args as [number, number, unknown[]])[2]);
  }

  /** Loses the next reply to a request, once. */
  loseNextReply(): void {
    const before = this.onReply;
    this.onReply = (reply, call) => {
      if (call.method !== "KVServer.Request") return before(reply, call);
      this.onReply = before;
      return null;
    };
  }
}
