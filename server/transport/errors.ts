import { KvraftError } from "../../runtime/index.js";

/**
 * The other side, or this one, sent what the protocol does not know: a wrong length, an unknown kind, bytes that do not
 * decode, silence. The connection is closed; nothing else is harmed. Code `BAD_FRAME`.
 */
export class FrameError extends KvraftError {
  constructor(message: string, options?: { cause?: unknown }) {
    super("BAD_FRAME", message, options);
  }
}

/** Why two nodes do not talk to each other. */
export type RefusalReason = "version" | "cluster" | "role" | "node" | "engine" | "auth" | "busy";

/**
 * The handshake ended in a refusal, by this side or by the other; both sides get the same reason and message. Code
 * `REFUSED`. `reason` says what to change: the version, the cluster id, the role, the node id, the engine, the secret or
 * certificate; "busy": try again later.
 */
export class RefusedError extends KvraftError {
  readonly reason: RefusalReason;

  constructor(reason: RefusalReason, message: string) {
    super("REFUSED", message);
    this.reason = reason;
  }
}

/** A server would be reachable from other machines without knowing who calls. Code `UNSAFE_BIND`. */
export class UnsafeBindError extends KvraftError {
  constructor(host: string) {
    super(
      "UNSAFE_BIND",
      `binding to "${host}" without authentication would let everyone on the network read and write; ` +
        "give tls or secret, or bind to 127.0.0.1, or say allowUnauthenticated: true",
    );
  }
}

/** The address could not be bound; `cause` is the system's error. Code `LISTEN_FAILED`. */
export class ListenError extends KvraftError {
  constructor(host: string, port: number, cause: NodeJS.ErrnoException) {
    const advice =
      cause.code === "EADDRINUSE"
        ? "another process uses it; stop that one or choose another port"
        : cause.code === "EACCES"
          ? "ports below 1024 need privileges; choose a higher one"
          : "is it an address of this machine?";
    super("LISTEN_FAILED", `cannot listen on ${host}:${port} (${cause.code ?? cause.message}): ${advice}`, { cause });
  }
}

/** A connection could not be made, or ended; `cause` is the system's error where there is one. Code `DISCONNECTED`. */
export class DisconnectedError extends KvraftError {
  constructor(message: string, options?: { cause?: unknown }) {
    super("DISCONNECTED", message, options);
  }
}
