import type { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";

import { decode, DecodeError, encode } from "../../runtime/index.js";
import type { Clock, TimerHandle } from "../../runtime/index.js";
import { RemoteError } from "../../labrpc/index.js";
import { Channel } from "./channel.js";
import type { ChannelOwner } from "./channel.js";
import { DisconnectedError, FrameError, RefusedError } from "./errors.js";
import { FrameKind, HEAD_BYTES } from "./frames.js";
import {
  decodeHello,
  decodeRefusal,
  encodeChallenge,
  encodeRefusal,
  encodeWelcome,
  isSameProof,
  makeNonce,
  prove,
  secretMismatch,
  secretOf,
} from "./handshake.js";
import type { Hello, Role, Secret } from "./handshake.js";
import { HANDSHAKE_FRAME_BYTES } from "./limits.js";
import type { TransportLimits } from "./limits.js";
import type { Router } from "./router.js";
import { clip, hostAndPort } from "./text.js";

/** What all connections of one server share. */
export interface SessionHost {
  readonly clock: Clock;
  readonly clusterId: string;
  readonly nodeId: string;
  readonly engine: string;
  readonly secret: Secret | undefined;
  readonly limits: TransportLimits;
  readonly coalesce: boolean;
  readonly router: Router;
  readonly advertised: { readonly host: string; readonly port: number };
  /** Requests are refused from now on: the server is closing. */
  readonly isClosing: boolean;
  /** Why this caller, whose claims are proven, cannot be served now; null where it can. */
  admit(session: Session): RefusedError | null;
  /** A request was answered, or nobody waits for its answer any more. */
  onAnswered(): void;
  onClose(session: Session, error: Error): void;
}

const MAX_ERROR_LENGTH = 2000;
const NOTHING: Uint8Array = new Uint8Array(0);

/** The called side of one connection. */
export class Session implements ChannelOwner {
  readonly #host: SessionHost;
  readonly #socket: Duplex;
  readonly #channel: Channel;
  readonly remoteAddress: string;
  readonly sinceMs: number;
  hello: Hello | null = null;
  isReady = false;
  /** Requests without reply, and the bytes of their arguments. */
  running = 0;
  #runningBytes = 0;
  #helloBytes = NOTHING;
  #challengeBytes = NOTHING;
  #handshakeTimer: TimerHandle | undefined;

  constructor(host: SessionHost, socket: Duplex, remoteAddress: string) {
    this.#host = host;
    this.#socket = socket;
    this.remoteAddress = remoteAddress;
    this.sinceMs = host.clock.now();
    this.#channel = new Channel(socket, this, host.clock, HANDSHAKE_FRAME_BYTES, host.coalesce);
    const { handshakeMs } = host.limits;
    this.#handshakeTimer = host.clock.setTimeout(
      () => this.#channel.destroy(new DisconnectedError(`no handshake within ${handshakeMs} ms`)),
      handshakeMs,
    );
  }

  get role(): Role | null {
    return this.isReady ? (this.hello as Hello).role : null;
  }

  get queuedBytes(): number {
    return this.#channel.queuedBytes;
  }

  /** Sends what is queued, as far as the socket takes it, and closes. */
  finish(error: Error): void {
    this.#channel.finish(error);
  }

  onClose(error: Error): void {
    if (this.#handshakeTimer !== undefined) this.#host.clock.clearTimeout(this.#handshakeTimer);
    this.#host.onClose(this, error);
  }

  onFrame(kind: number, id: number, body: Buffer): void {
    if (this.isReady && kind === FrameKind.request) {
      this.#onRequest(id, body);
      return;
    }
    try {
      this.#onHandshake(kind, body);
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
      this.#channel.send(FrameKind.refused, 0, null, encodeRefusal(error));
      this.#channel.finish(error);
    }
  }

  // ---- the handshake ------------------------------------------------------------------------------------------------------

  #onHandshake(kind: number, body: Buffer): void {
    if (kind === FrameKind.hello && this.hello === null) {
      this.#onHello(body);
    } else if (kind === FrameKind.proof && this.hello !== null && !this.isReady) {
      this.#onProof(this.hello, body);
    } else if (kind === FrameKind.refused) {
      // The caller found out that we are not whom it wants. It has said why, so both logs can say it.
      this.#channel.destroy(decodeRefusal(body, "the caller"));
    } else {
      throw new FrameError(`a frame of kind ${kind} does not belong here`);
    }
  }

  #onHello(body: Buffer): void {
    const host = this.#host;
    const hello = decodeHello(body);
    const proving = host.secret === undefined ? "none" : "secret";
    if (hello.clusterId !== host.clusterId) {
      const message = `this node belongs to cluster "${host.clusterId}", the caller to "${hello.clusterId}"`;
      throw new RefusedError("cluster", message);
    }
    if (hello.expectNodeId !== "" && hello.expectNodeId !== host.nodeId) {
      const message = `this is node "${host.nodeId}", not "${hello.expectNodeId}"; one of the addresses is wrong`;
      throw new RefusedError("node", message);
    }
    if (hello.role === "peer" && (hello.nodeId === "" || hello.nodeId === host.nodeId)) {
      const message = `a peer of node "${host.nodeId}" must have a node id of its own, not "${hello.nodeId}"`;
      throw new RefusedError("node", message);
    }
    if (hello.role === "peer" && hello.engine !== host.engine) {
      const message = `this node runs the engine "${host.engine}", the caller "${hello.engine}"; all nodes must run the same`;
      throw new RefusedError("engine", message);
    }
    if (hello.proving !== proving) throw new RefusedError("auth", secretMismatch(proving === "secret"));
    this.#checkCertificate(hello);
    this.hello = hello;
    this.#helloBytes = Uint8Array.from(body);
    this.#challengeBytes = encodeChallenge({
      clusterId: host.clusterId,
      nodeId: host.nodeId,
      proving,
      nonce: makeNonce(),
    });
    this.#channel.send(FrameKind.challenge, 0, null, this.#challengeBytes);
  }

  /** That our authority signed it was checked before. But a client's certificate must not make a peer. */
  #checkCertificate({ role, nodeId }: Hello): void {
    if (role !== "peer" || !(this.#socket instanceof TLSSocket)) return;
    const certificate = this.#socket.getPeerX509Certificate();
    if (certificate?.checkHost(nodeId, { wildcards: false }) === undefined) {
      throw new RefusedError("auth", `the caller's certificate does not name node "${nodeId}"; give that name to it`);
    }
  }

  #onProof(hello: Hello, body: Buffer): void {
    const { secret, limits, router, advertised } = this.#host;
    let ourProof = NOTHING;
    if (secret !== undefined) {
      const key = secretOf(secret, hello.role);
      if (!isSameProof(prove(key, "caller", this.#helloBytes, this.#challengeBytes), body)) {
        throw new RefusedError(
          "auth",
          `the caller does not know the secret of a ${hello.role}; give both sides the same`,
        );
      }
      ourProof = prove(key, "called", this.#helloBytes, this.#challengeBytes);
    } else if (body.length > 0) {
      throw new FrameError("a proof, where none was asked for");
    }
    const refusal = this.#host.admit(this);
    if (refusal !== null) throw refusal;
    this.isReady = true;
    this.#host.clock.clearTimeout(this.#handshakeTimer as TimerHandle);
    const maxFrameBytes = hello.role === "peer" ? limits.maxFrameBytes : limits.maxClientFrameBytes;
    this.#channel.acceptFrames(maxFrameBytes, limits.maxQueuedBytes);
    this.#channel.watch(limits.idleMs, null);
    const welcome = encodeWelcome({
      proof: ourProof,
      groups: router.groups,
      advertised: hostAndPort(advertised.host, advertised.port),
      maxFrameBytes,
      idleMs: limits.idleMs,
    });
    this.#channel.send(FrameKind.welcome, 0, null, welcome);
  }

  // ---- requests -----------------------------------------------------------------------------------------------------------

  #onRequest(id: number, body: Buffer): void {
    const { limits, isClosing, router } = this.#host;
    if (body.length < 2) throw new FrameError("a request without a route");
    const routeEnd = 2 + body.readUInt16BE(0);
    if (routeEnd > body.length) throw new FrameError("a request whose route is longer than itself");
    const bytes = body.length;
    if (isClosing || this.running >= limits.maxInFlight || this.#runningBytes + bytes > limits.maxQueuedBytes) {
      this.#channel.send(FrameKind.busy, id, null, null);
      return;
    }
    let args: unknown;
    try {
      args = decode(body.subarray(routeEnd));
    } catch (cause) {
      if (cause instanceof DecodeError) throw new FrameError("the arguments of a request do not decode", { cause });
      throw cause;
    }
    const route = body.toString("utf8", 2, routeEnd);
    const handler = router.find(route, (this.hello as Hello).role);
    if (handler instanceof RemoteError) {
      this.#sendError(id, handler);
      return;
    }
    let result: unknown;
    try {
      result = handler(args);
    } catch (error) {
      this.#sendError(id, handlerFailed(route, error));
      return;
    }
    if (isThenable(result)) void this.#answerLater(id, route, bytes, result);
    else this.#sendReply(id, route, result);
  }

  async #answerLater(id: number, route: string, bytes: number, result: PromiseLike<unknown>): Promise<void> {
    this.running++;
    this.#runningBytes += bytes;
    try {
      this.#sendReply(id, route, await result);
    } catch (error) {
      this.#sendError(id, handlerFailed(route, error));
    }
    this.running--;
    this.#runningBytes -= bytes;
    this.#host.onAnswered();
  }

  #sendReply(id: number, route: string, reply: unknown): void {
    if (this.#channel.isClosed) return;
    const bytes = this.#encodeReply(route, reply);
    if (bytes instanceof RemoteError) this.#sendError(id, bytes);
    else if (this.#channel.queuedBytes + bytes.length > this.#host.limits.maxQueuedBytes) {
      // The caller does not read what it asked for. It hears that there is no answer, when it reads again.
      this.#channel.send(FrameKind.busy, id, null, null);
    } else this.#channel.send(FrameKind.reply, id, null, bytes);
  }

  #encodeReply(route: string, reply: unknown): Uint8Array | RemoteError {
    if (reply === null || reply === undefined) {
      const advice = "return an object, {} if there is nothing to say";
      return new RemoteError("BAD_REPLY", `the handler of "${route}" returned ${String(reply)}; ${advice}`);
    }
    let bytes: Uint8Array;
    try {
      bytes = encode(reply, "reply");
    } catch (cause) {
      const what = `the handler of "${route}" returned what cannot be carried`;
      return new RemoteError("BAD_REPLY", `${what}: ${(cause as Error).message}`, { cause });
    }
    const maxBytes = (this.hello as Hello).maxFrameBytes - HEAD_BYTES;
    if (bytes.length <= maxBytes) return bytes;
    const message = `the reply of "${route}" takes ${bytes.length} bytes; the caller's maxFrameBytes allows ${maxBytes}`;
    return new RemoteError("BAD_REPLY", message);
  }

  #sendError(id: number, error: RemoteError): void {
    if (this.#channel.isClosed) return;
    this.#channel.send(FrameKind.error, id, null, encode([error.code, clip(error.message, MAX_ERROR_LENGTH)]));
  }
}

function handlerFailed(route: string, cause: unknown): RemoteError {
  const what = cause instanceof Error ? `${cause.name}: ${cause.message}` : `it threw a ${typeof cause}`;
  return new RemoteError("HANDLER_FAILED", `the handler of "${route}" failed: ${what}`, { cause });
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";
}
