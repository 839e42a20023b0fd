/** One caller's channel to one server. */
export interface ClientEnd {
  /**
   * Calls `"Service.Method"`. Resolves to the reply, or to null when the network gave no answer (what Go's Call returns
   * as false): the call may or may not have been carried out.
   * @throws RemoteError where service or method do not exist or the handler threw; EncodeError where `args` cannot be carried.
   */
  call<Reply = unknown>(method: string, args: unknown): Promise<Reply | null>;
}

/** A handler gets its own copy of the arguments and returns an object, never null or undefined. */
// eslint-disable-next-line typescript/no-explicit-any -- the contract: a handler names the type that it expects
export type Handler = (args: any) => unknown | Promise<unknown>;

/** A named set of handlers; make it with `makeService`. */
export interface Service {
  readonly name: string;
  readonly handlers: ReadonlyMap<string, Handler>;
}
