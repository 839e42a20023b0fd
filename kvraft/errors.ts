import { KvraftError } from "../runtime/index.js";

/**
 * A submitted command lost the leader that took it before it was applied here. Code `LEADERSHIP_LOST`.
 * Submit it again only if applying it twice does no harm, or under a session that recognises it.
 */
export class LeadershipLostError extends KvraftError {
  /**
   * `true`: a later leader may still commit the command, or this server got its effect within a snapshot.
   * `false`: another command was committed in its place, so it never happens.
   */
  readonly maybeApplied: boolean;

  constructor(message: string, maybeApplied: boolean) {
    super("LEADERSHIP_LOST", message);
    this.maybeApplied = maybeApplied;
  }
}

/**
 * So much waits to be committed that this server takes no more: its disk, or those of a majority, do not keep up. Nothing
 * was proposed; try again later. Code `OVERLOADED`.
 */
export class OverloadedError extends KvraftError {
  readonly maybeApplied = false;

  constructor(pendingBytes: number, maxBytes: number) {
    super(
      "OVERLOADED",
      `${pendingBytes} bytes of commands wait to be committed, and no more than ${maxBytes} may; nothing was proposed, ` +
        `try again later`,
    );
  }
}

/** This server was killed while a submitted command waited; whether it was or will be applied is not known. Code `STOPPED`. */
export class StoppedError extends KvraftError {
  readonly maybeApplied = true;

  constructor(message: string) {
    super("STOPPED", message);
  }
}

/**
 * The state machine threw in apply, snapshot or restore, so this server stopped for good: going on would let it drift
 * away from the others, or its log grow without end. Code `STATE_MACHINE`; `cause` is what was thrown.
 */
export class StateMachineError extends KvraftError {
  /** A command that waited for this server may be in the log; the others apply it. */
  readonly maybeApplied = true;

  constructor(message: string, cause: unknown) {
    super("STATE_MACHINE", `${message}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/**
 * The servers have dropped this client's session, and with it the memory of which of its writes were applied. Code
 * `SESSION_EXPIRED`. The Clerk opens a new session for later calls; what this call did must be found out by reading.
 */
export class SessionExpiredError extends KvraftError {
  /** Nobody remembers: it may have happened, but does not happen later. */
  readonly maybeApplied = true;

  constructor() {
    const what = "read to find out whether this write was applied; more clients than maxSessions are writing";
    super("SESSION_EXPIRED", `this client's session has expired: ${what}`);
  }
}

/** The Clerk was closed before this call was made. Code `CLOSED`. */
export class ClosedError extends KvraftError {
  constructor() {
    super("CLOSED", "this Clerk is closed; make another one");
  }
}
