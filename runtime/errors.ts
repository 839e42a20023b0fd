/** Base of every error this package throws on purpose: `code` is stable, the message says what to do. */
export class KvraftError extends Error {
  readonly code: string;

  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** A call's `timeoutMs` passed. Code `TIMEOUT`. */
export class TimeoutError extends KvraftError {
  /** Whether the operation may have happened, or may still happen. `false`: it certainly does not. */
  readonly maybeApplied: boolean;

  constructor(message: string, maybeApplied: boolean) {
    super("TIMEOUT", message);
    this.maybeApplied = maybeApplied;
  }
}

/** A call's `signal` was aborted. Code `ABORTED`; `cause` is the signal's reason. */
export class AbortError extends KvraftError {
  /** Whether the operation may have happened, or may still happen. `false`: it certainly does not. */
  readonly maybeApplied: boolean;

  constructor(message: string, maybeApplied: boolean, cause: unknown) {
    super("ABORTED", message, { cause });
    this.maybeApplied = maybeApplied;
  }
}

/** An argument or a setting is wrong; the message names it. Code `INVALID_ARGUMENT`. */
export class InvalidArgumentError extends KvraftError {
  constructor(message: string) {
    super("INVALID_ARGUMENT", message);
  }
}

/** An invariant of the protocol does not hold: a bug, or damaged storage. Code `INVARIANT`. Never caught and ignored. */
export class InvariantError extends KvraftError {
  constructor(message: string) {
    super("INVARIANT", message);
  }
}

/**
 * Assertions stay on in production: a wrong state must stop a server before it spreads. Give a message that holds figures
 * as a function: it is put together only for a failure.
 */
export function assert(condition: boolean, message: string | (() => string)): asserts condition {
  if (!condition) throw new InvariantError(typeof message === "string" ? message : message());
}
