import { KvraftError } from "../runtime/index.js";

/** The version was dropped by `trim`, and is not decided again. Code `TRIMMED`; write and read versions from `below` on. */
export class TrimmedError extends KvraftError {
  /** The lowest version of the key that is left. */
  readonly below: number;
  /** For a write: its value may have been established before the version was dropped. */
  readonly maybeApplied: boolean;

  constructor(register: string, below: number, maybeApplied: boolean) {
    super("TRIMMED", `${register} was trimmed; the lowest version that is kept is ${below}`);
    this.below = below;
    this.maybeApplied = maybeApplied;
  }
}

/**
 * So many acceptors answer with an error that the others are no quorum, and trying again would not help. Code
 * `QUORUM_FAILED`; `cause` is the first of their errors.
 */
export class QuorumFailedError extends KvraftError {
  /** For a write: it may have happened, or may still happen. */
  readonly maybeApplied: boolean;

  constructor(errors: readonly Error[], acceptors: number, maybeApplied: boolean) {
    const [cause] = errors;
    super(
      "QUORUM_FAILED",
      `${errors.length} of ${acceptors} acceptors answered with an error, so there is no quorum: ${cause?.message}`,
      { cause },
    );
    this.maybeApplied = maybeApplied;
  }
}

/** An acceptor could not write to its storage and answers no more; `cause` says why. Code `STORAGE_FAILED`. */
export class AcceptorFailedError extends KvraftError {
  constructor(cause: Error) {
    super("STORAGE_FAILED", `this acceptor stopped: its storage failed (${cause.message}); mend it and start again`, {
      cause,
    });
  }
}
