import type { Duplex } from "node:stream";

import type { Clock, TimerHandle } from "../../runtime/index.js";
import { DisconnectedError, FrameError } from "./errors.js";
import { FrameDecoder, FrameKind } from "./frames.js";
import { Outbox } from "./outbox.js";

const LINGER_MS = 1000;

/** Whoever speaks over a channel. */
export interface ChannelOwner {
  /** A frame other than ping and pong. What it throws closes the channel. The body is valid only during the call. */
  onFrame(kind: number, id: number, body: Buffer): void;
  /** Once, when nothing can be sent or received any more. */
  onClose(error: Error): void;
}

/** Frames both ways over one socket, and the signs of life on it. Any error closes it and goes no further. */
export class Channel {
  readonly #socket: Duplex;
  readonly #owner: ChannelOwner;
  readonly #decoder: FrameDecoder;
  readonly #outbox: Outbox;
  readonly #clock: Clock;
  #isClosed = false;
  #isPaused = false;
  /** Stop reading from who does not read: beyond so many queued bytes. Infinity where answers are not owed. */
  #pauseAtBytes = Infinity;
  /** Whether anything came, or was taken, since the last look. */
  #heard = false;
  #drained = false;
  #heardAtMs: number;
  #drainedAtMs: number;
  #watch: TimerHandle | undefined;

  constructor(socket: Duplex, owner: ChannelOwner, clock: Clock, maxFrameBytes: number, coalesce: boolean) {
    this.#socket = socket;
    this.#owner = owner;
    this.#clock = clock;
    this.#decoder = new FrameDecoder(maxFrameBytes);
    this.#outbox = new Outbox(socket, coalesce, () => this.#resume());
    this.#heardAtMs = this.#drainedAtMs = clock.now();
    socket.on("data", this.#onData);
    socket.on("drain", this.#onDrain);
    socket.once("end", () => this.destroy(this.#ended()));
    socket.once("error", (cause: Error) =>
      this.destroy(new DisconnectedError(`the connection failed: ${cause.message}`, { cause })),
    );
    socket.once("close", () => this.destroy(this.#ended()));
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  get queuedBytes(): number {
    return this.#outbox.queuedBytes;
  }

  /** Bytes kept of a frame that has not arrived completely. */
  get pendingBytes(): number {
    return this.#decoder.pendingBytes;
  }

  send(kind: number, id: number, head: Uint8Array | null, payload: Uint8Array | null): void {
    this.#outbox.add(kind, id, head, payload);
  }

  /** After the handshake: frames may be larger from now on. */
  acceptFrames(maxBytes: number, pauseAtBytes: number): void {
    this.#decoder.maxBytes = maxBytes;
    this.#pauseAtBytes = pauseAtBytes;
  }

  /** Closes the channel when it is silent, or stuck, for `idleMs`. With `pingMs` it says so often that it is there. */
  watch(idleMs: number, pingMs: number | null): void {
    this.#watch = this.#clock.setTimeout(
      () => {
        const nowMs = this.#clock.now();
        if (this.#heard) this.#heardAtMs = nowMs;
        if (this.#drained || !this.#outbox.isBlocked) this.#drainedAtMs = nowMs;
        this.#heard = this.#drained = false;
        if (nowMs - this.#drainedAtMs >= idleMs) {
          this.destroy(new DisconnectedError(`the other side took no data for ${idleMs} ms`));
        } else if (nowMs - this.#heardAtMs >= idleMs && !this.#isPaused) {
          this.destroy(new DisconnectedError(`the other side was silent for ${idleMs} ms`));
        } else {
          if (pingMs !== null) this.send(FrameKind.ping, 0, null, null);
          this.watch(idleMs, pingMs);
        }
      },
      pingMs ?? idleMs / 4,
    );
  }

  /** Sends what is queued, as far as the socket takes it at once, and then closes. For last words. */
  finish(error: Error): void {
    if (this.#isClosed) return;
    this.#outbox.flush();
    this.#close(error);
    this.#socket.end();
    // Who does not close its side in turn must not keep ours.
    const timer = this.#clock.setTimeout(() => this.#socket.destroy(), LINGER_MS);
    this.#socket.once("close", () => this.#clock.clearTimeout(timer));
  }

  destroy(error: Error): void {
    if (!this.#isClosed) this.#close(error);
    this.#socket.destroy();
  }

  #close(error: Error): void {
    this.#isClosed = true;
    this.#outbox.close();
    if (this.#watch !== undefined) this.#clock.clearTimeout(this.#watch);
    this.#owner.onClose(error);
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#isClosed) return;
    this.#heard = true;
    try {
      this.#decoder.push(chunk, this.#onFrame);
    } catch (error) {
      this.destroy(error as Error);
      return;
    }
    if (this.#outbox.queuedBytes >= this.#pauseAtBytes && !this.#isPaused && !this.#isClosed) {
      this.#isPaused = true;
      this.#socket.pause();
    }
  };

  readonly #onFrame = (kind: number, id: number, body: Buffer): boolean => {
    if (kind === FrameKind.ping) this.send(FrameKind.pong, id, null, null);
    else if (kind !== FrameKind.pong) this.#owner.onFrame(kind, id, body);
    return !this.#isClosed;
  };

  readonly #onDrain = (): void => {
    this.#drained = true;
    this.#outbox.flush();
  };

  #resume(): void {
    if (!this.#isPaused || this.#outbox.queuedBytes >= this.#pauseAtBytes / 2) return;
    this.#isPaused = false;
    this.#heardAtMs = this.#clock.now();
    this.#socket.resume();
  }

  #ended(): Error {
    const pending = this.#decoder.pendingBytes;
    if (pending > 0) return new FrameError(`the connection ended ${pending} bytes into a frame`);
    return new DisconnectedError("the other side closed the connection");
  }
}
