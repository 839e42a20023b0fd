import { connect as connectNet } from "node:net";
import type { Socket } from "node:net";
import { connect as connectTls } from "node:tls";

import type { Runtime } from "../../runtime/index.js";
import { Channel } from "./channel.js";
import type { ChannelOwner } from "./channel.js";
import { DisconnectedError, FrameError, RefusedError } from "./errors.js";
import { FrameKind } from "./frames.js";
import {
  decodeChallenge,
  decodeRefusal,
  decodeWelcome,
  encodeHello,
  encodeRefusal,
  isSameProof,
  makeNonce,
  prove,
  secretMismatch,
  secretOf,
} from "./handshake.js";
import type { Role, Secret, Welcome } from "./handshake.js";
import type { TransportLimits } from "./limits.js";
import { clientTls } from "./settings.js";
import type { TransportTls } from "./settings.js";

/** Whom to call, and as whom. */
export interface DialTarget {
  readonly runtime: Runtime;
  readonly host: string;
  readonly port: number;
  readonly clusterId: string;
  readonly role: Role;
  /** "" for a client. */
  readonly nodeId: string;
  /** "" for any. */
  readonly expectNodeId: string;
  readonly engine: string;
  readonly tls: TransportTls | undefined;
  readonly secret: Secret | undefined;
  readonly limits: TransportLimits;
  readonly coalesce: boolean;
}

/** What comes of an attempt: first `onReady` or `onLost`; after `onReady` any number of frames, and then `onLost`. */
export interface DialOwner {
  /** `nodeId` is the called node's. */
  onReady(channel: Channel, welcome: Welcome, nodeId: string): void;
  onFrame(kind: number, id: number, body: Buffer): void;
  onLost(error: Error): void;
}

/** How OpenSSL and Node call it when one side does not believe the other's certificate. */
const TLS_CODE = /^ERR_(TLS|SSL)|^(CERT|SELF_SIGNED|UNABLE_TO|DEPTH_ZERO|INVALID_CA)|_CERT|CERT_/;

function connectionError(cause: NodeJS.ErrnoException, wasReady: boolean): Error {
  // Several addresses were tried: the error of errors has no message of its own.
  const what = cause.message === "" ? (cause.code ?? cause.name) : cause.message;
  if (TLS_CODE.test(cause.code ?? ""))
    return new RefusedError("auth", `TLS: ${what}; both sides need certificates of ca`);
  return new DisconnectedError(wasReady ? `the connection failed: ${what}` : `cannot connect: ${what}`, { cause });
}

const NOTHING: Uint8Array = new Uint8Array(0);

/** The calling side of one connection: one attempt, from the first packet to the end. */
export class Dial implements ChannelOwner {
  readonly #target: DialTarget;
  readonly #owner: DialOwner;
  readonly #socket: Socket;
  #channel: Channel | null = null;
  #helloBytes = NOTHING;
  /** The proof that the called node owes us; null before its challenge. */
  #expectedProof: Uint8Array | null = null;
  #calledNodeId = "";
  #isReady = false;
  #isOver = false;
  readonly #timer;

  constructor(target: DialTarget, owner: DialOwner) {
    this.#target = target;
    this.#owner = owner;
    const { host, port, tls, limits, runtime } = target;
    this.#timer = runtime.clock.setTimeout(
      () => this.close(new DisconnectedError(`no connection within ${limits.handshakeMs} ms`)),
      limits.handshakeMs,
    );
    if (tls === undefined) {
      this.#socket = connectNet({ host, port, noDelay: true });
      this.#socket.once("connect", () => this.#onConnect());
    } else {
      const socket = connectTls({ host, port, ...clientTls(tls, target.expectNodeId) });
      socket.setNoDelay(true);
      socket.once("secureConnect", () => this.#onConnect());
      this.#socket = socket;
    }
    this.#socket.once("error", (cause: NodeJS.ErrnoException) => this.close(connectionError(cause, this.#isReady)));
    this.#socket.once("close", () => this.close(new DisconnectedError("the connection ended")));
  }

  /** Gives up, at whatever stage. `onLost` gets the error, unless it was called before. */
  close(error: Error): void {
    if (this.#channel !== null) this.#channel.destroy(error);
    else this.#socket.destroy();
    this.onClose(error);
  }

  onClose(error: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#target.runtime.clock.clearTimeout(this.#timer);
    const isRejected = this.#channel !== null && this.#expectedProof === null && error instanceof DisconnectedError;
    if (isRejected && this.#target.tls !== undefined) {
      // In TLS 1.3 the caller is through before the server has looked at its certificate, and Node's servers only hang up.
      const message = `${error.message} before it said who it is; does its ca accept our certificate?`;
      this.#owner.onLost(new DisconnectedError(message, { cause: error }));
    } else this.#owner.onLost(error);
  }

  #onConnect(): void {
    if (this.#isOver) return;
    const { runtime, clusterId, role, nodeId, expectNodeId, engine, secret, limits, coalesce } = this.#target;
    this.#channel = new Channel(this.#socket, this, runtime.clock, limits.maxFrameBytes, coalesce);
    this.#helloBytes = encodeHello({
      clusterId,
      role,
      nodeId,
      expectNodeId,
      proving: secret === undefined ? "none" : "secret",
      maxFrameBytes: limits.maxFrameBytes,
      nonce: makeNonce(),
      engine,
    });
    this.#channel.send(FrameKind.hello, 0, null, this.#helloBytes);
  }

  onFrame(kind: number, id: number, body: Buffer): void {
    if (this.#isReady) {
      this.#owner.onFrame(kind, id, body);
      return;
    }
    const channel = this.#channel as Channel;
    if (kind === FrameKind.refused) {
      channel.destroy(decodeRefusal(body, "the called node"));
      return;
    }
    try {
      if (kind === FrameKind.challenge && this.#expectedProof === null) this.#onChallenge(channel, body);
      else if (kind === FrameKind.welcome && this.#expectedProof !== null) this.#onWelcome(channel, body);
      else throw new FrameError(`a frame of kind ${kind} does not belong into a handshake`);
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      // Tell the other side, so that both logs say it.
      channel.send(FrameKind.refused, 0, null, encodeRefusal(error));
      channel.finish(error);
    }
  }

  #onChallenge(channel: Channel, body: Buffer): void {
    const { clusterId, expectNodeId, secret, role } = this.#target;
    const challenge = decodeChallenge(body);
    if (challenge.clusterId !== clusterId) {
      const message = `the called node belongs to cluster "${challenge.clusterId}", the caller to "${clusterId}"`;
      throw new RefusedError("cluster", message);
    }
    if (expectNodeId !== "" && challenge.nodeId !== expectNodeId) {
      throw new RefusedError("node", `the called node is "${challenge.nodeId}", not "${expectNodeId}"`);
    }
    // Otherwise a server that does not know the secret could simply not ask for it.
    if ((challenge.proving === "secret") !== (secret !== undefined)) {
      throw new RefusedError("auth", secretMismatch(secret === undefined));
    }
    this.#calledNodeId = challenge.nodeId;
    if (secret === undefined) {
      this.#expectedProof = NOTHING;
      channel.send(FrameKind.proof, 0, null, null);
      return;
    }
    const key = secretOf(secret, role);
    const challengeBytes = Uint8Array.from(body);
    this.#expectedProof = prove(key, "called", this.#helloBytes, challengeBytes);
    channel.send(FrameKind.proof, 0, null, prove(key, "caller", this.#helloBytes, challengeBytes));
  }

  #onWelcome(channel: Channel, body: Buffer): void {
    const { limits, runtime } = this.#target;
    const welcome = decodeWelcome(body);
    if (!isSameProof(this.#expectedProof as Uint8Array, welcome.proof)) {
      throw new RefusedError("auth", "the called node does not know the secret; it may not be what it claims to be");
    }
    this.#isReady = true;
    runtime.clock.clearTimeout(this.#timer);
    channel.acceptFrames(limits.maxFrameBytes, Infinity);
    channel.watch(limits.idleMs, Math.min(limits.pingMs, welcome.idleMs / 3));
    this.#owner.onReady(channel, welcome, this.#calledNodeId);
  }
}
