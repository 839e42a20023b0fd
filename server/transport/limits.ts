import { InvalidArgumentError } from "../../runtime/index.js";

/** A bound on everything that another machine could make grow. Times in milliseconds, sizes in bytes. */
export interface TransportLimits {
  /** The largest frame that a peer may send, and the largest reply; it is the memory that one unfinished frame can take. */
  maxFrameBytes: number;
  /**
   * The largest frame that a client may send. Smaller than `maxFrameBytes`, so that what a client wrote always fits into
   * what the peers send each other afterwards.
   */
  maxClientFrameBytes: number;
  /** Bytes waiting to be sent to one peer. Beyond that calls answer null; a server stops reading who does not read. */
  maxQueuedBytes: number;
  /** Connections that a server accepts, those in their handshake included; further ones are closed at once. */
  maxConnections: number;
  /** How many of them may be clients: what is left is kept for the peers, whom no crowd of clients can lock out. */
  maxClientConnections: number;
  /** Requests without reply on one connection, at either side; further calls answer null. */
  maxInFlight: number;
  /** From the connection's start to the end of its handshake, at either side. */
  handshakeMs: number;
  /** How long a call waits for a connection that is being made; after that it answers null. */
  connectWaitMs: number;
  /** How long a call waits for its reply; after that it answers null. Longer than a Clerk waits for one server (16 s). */
  patienceMs: number;
  /** A caller says so often that it is there. */
  pingMs: number;
  /** A connection that brings nothing, or takes nothing, for so long is closed: the other machine may be gone. */
  idleMs: number;
  /** The pause before the first attempt to connect again; doubled with each, between half of it and all of it at random. */
  backoffMinMs: number;
  backoffMaxMs: number;
  /** Larger requests travel on the second connection of a peer, so that small ones never wait behind them. */
  bulkBytes: number;
}

export const defaultTransportLimits: Readonly<TransportLimits> = {
  maxFrameBytes: 16 << 20,
  maxClientFrameBytes: 8 << 20,
  maxQueuedBytes: 32 << 20,
  maxConnections: 1024,
  maxClientConnections: 896,
  maxInFlight: 4096,
  handshakeMs: 3000,
  connectWaitMs: 100,
  patienceMs: 20_000,
  pingMs: 1000,
  idleMs: 5000,
  backoffMinMs: 50,
  backoffMaxMs: 1000,
  bulkBytes: 32 << 10,
};

/** The largest frame of a handshake that is accepted of a caller: all that a stranger can make a server keep. */
export const HANDSHAKE_FRAME_BYTES = 8192;

/** Fills in the defaults and refuses limits that could not work. @throws InvalidArgumentError naming the limit. */
export function resolveLimits(partial: Partial<TransportLimits> = {}): TransportLimits {
  for (const [name, value] of Object.entries(partial)) {
    if (!(name in defaultTransportLimits)) {
      const known = Object.keys(defaultTransportLimits).join(", ");
      throw new InvalidArgumentError(`unknown transport limit "${name}"; known are ${known}`);
    }
    if (!(typeof value === "number" && value > 0 && value < 2 ** 31)) {
      throw new InvalidArgumentError(`transport limit ${name} must be a number above 0 and below 2^31, not ${value}`);
    }
  }
  const limits = { ...defaultTransportLimits, ...partial };
  if (limits.maxFrameBytes < HANDSHAKE_FRAME_BYTES) {
    throw new InvalidArgumentError(`transport limit maxFrameBytes must be at least ${HANDSHAKE_FRAME_BYTES}`);
  }
  mustNotExceed(limits, "maxClientFrameBytes", "maxFrameBytes");
  mustNotExceed(limits, "maxFrameBytes", "maxQueuedBytes");
  mustNotExceed(limits, "maxClientConnections", "maxConnections");
  mustNotExceed(limits, "backoffMinMs", "backoffMaxMs");
  mustNotExceed(limits, "pingMs", "idleMs");
  return limits;
}

function mustNotExceed(limits: TransportLimits, low: keyof TransportLimits, high: keyof TransportLimits): void {
  if (limits[low] <= limits[high]) return;
  throw new InvalidArgumentError(
    `transport limit ${low} (${limits[low]}) must not be above ${high} (${limits[high]}); set both`,
  );
}
