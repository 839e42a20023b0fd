import { KvraftError } from "../runtime/index.js";

/** This server does not lead, or stopped leading before it was sure. Code `NOT_LEADER`; try `leader`, if it is known. */
export class NotLeaderError extends KvraftError {
  readonly leader: number | null;

  constructor(leader: number | null) {
    super(
      "NOT_LEADER",
      leader === null
        ? "this server does not lead; no leader is known"
        : `this server does not lead; ask server ${leader}`,
    );
    this.leader = leader;
  }
}

/** The chosen server did not take over within an election timeout; this one may still lead. Code `TRANSFER_FAILED`. */
export class TransferError extends KvraftError {
  constructor(message: string) {
    super("TRANSFER_FAILED", message);
  }
}

/** The server was killed. Code `KILLED`. */
export class KilledError extends KvraftError {
  constructor(id: number) {
    super("KILLED", `server ${id} was killed; start a new one from its storage`);
  }
}

/** A write to storage failed, and the server stopped; `cause` says why. Code `STORAGE_FAILED`. */
export class StorageFailedError extends KvraftError {
  constructor(id: number, cause: Error) {
    super("STORAGE_FAILED", `server ${id} stopped: its storage failed (${cause.message}); mend it and start again`, {
      cause,
    });
  }
}

/** A message that is not of this protocol. It was not acted on. Code `BAD_MESSAGE`. */
export class BadMessageError extends KvraftError {
  constructor(message: string) {
    super("BAD_MESSAGE", message);
  }
}
