import { KvraftError } from "../../runtime/index.js";

/** The node that was asked has no such group; the message lists those it has. Nothing was proposed. Code `UNKNOWN_GROUP`. */
export class UnknownGroupError extends KvraftError {
  readonly group: number;
  readonly maybeApplied = false;

  constructor(group: number, cause: Error) {
    super("UNKNOWN_GROUP", `there is no group ${group}: ${cause.message}`, { cause });
    this.group = group;
  }
}

/**
 * The group has stopped on a majority of nodes, because its callback failed there, and can go on nowhere; other groups go
 * on. The message ends with one node's. Code `GROUP_STOPPED`.
 */
export class GroupStoppedError extends KvraftError {
  readonly group: number;
  /** The batch may be the very one at which they stopped. */
  readonly maybeApplied = true;

  constructor(group: number, message: string) {
    super(
      "GROUP_STOPPED",
      `group ${group} has stopped on most nodes; correct its callback and start them again: ${message}`,
    );
    this.group = group;
  }
}

/** A client was given items before it was told whom to send them to. Code `NO_ADDRESS`. */
export class NoAddressError extends KvraftError {
  constructor() {
    super("NO_ADDRESS", "this client knows no node; call setRemoteAddress(host, port), or give it nodes");
  }
}

/** The client was closed before the call, or before the call had its answer. Code `CLOSED`. */
export class ClientClosedError extends KvraftError {
  readonly maybeApplied: boolean;

  constructor(message: string, maybeApplied: boolean) {
    super("CLOSED", message);
    this.maybeApplied = maybeApplied;
  }
}

/**
 * The callback of a group threw, or returned what is no answer. It is the `cause` of the StateMachineError with which the
 * group stops on this node; its own `cause` is what was thrown. Code `CALLBACK_FAILED`.
 */
export class CallbackError extends KvraftError {
  constructor(message: string, options?: { cause?: unknown }) {
    super("CALLBACK_FAILED", message, options);
  }
}
