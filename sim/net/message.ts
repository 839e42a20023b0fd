import { decode } from "../../runtime/index.js";
import type { RemoteError } from "../../labrpc/index.js";

export type Leg = "request" | "reply";

/** Why a message got nowhere: bad luck, a cut link, nobody there, or its caller is gone or has given up. */
export type NetLoss = "loss" | "cut" | "down" | "gone" | "intervention";

/** One message: a request, or the reply to one. */
export class NetMessage {
  /** Unique in its network, in the order of sending. */
  readonly id: number;
  /** The id of the request; its own for a request. */
  readonly call: number;
  readonly leg: Leg;
  readonly from: string;
  readonly to: string;
  readonly method: string;
  /** Empty for a reply that is an error. */
  readonly bytes: Uint8Array;
  readonly error: RemoteError | null;
  readonly sentAtMs: number;
  #body: unknown;
  #isDecoded = false;

  constructor(
    id: number,
    request: NetMessage | null,
    from: string,
    to: string,
    method: string,
    bytes: Uint8Array,
    error: RemoteError | null,
    sentAtMs: number,
  ) {
    this.id = id;
    this.call = request === null ? id : request.id;
    this.leg = request === null ? "request" : "reply";
    this.from = from;
    this.to = to;
    this.method = method;
    this.bytes = bytes;
    this.error = error;
    this.sentAtMs = sentAtMs;
  }

  /** What it carries, decoded at the first call. For looking only: all who look share it. */
  body(): unknown {
    if (!this.#isDecoded && this.error === null) this.#body = decode(this.bytes);
    this.#isDecoded = true;
    return this.#body;
  }
}

/** What to do to a message that is about to leave. */
export interface Diversion {
  readonly drop?: boolean;
  readonly delayMs?: number;
  readonly duplicateMs?: number;
}

/** Sees every message. `sent` may divert it. */
export interface NetObserver {
  /** Gives the next message its number; ascending. Default: counts from 1. */
  nextId?(): number;
  sent?(message: NetMessage): Diversion | undefined;
  delivered?(message: NetMessage): void;
  dropped?(message: NetMessage, why: NetLoss): void;
  duplicated?(message: NetMessage): void;
  /** A handler threw while it dealt with the request `message`; its caller is told of the error. */
  failed?(message: NetMessage, error: Error): void;
}
