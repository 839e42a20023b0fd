import { FrameError } from "./errors.js";

/**
 * A frame: four bytes of length, big-endian; one byte of kind; four of request id; the body. The length counts what comes
 * after it. Bodies, after the route of a request, are values as `encode` of runtime/ writes them (MessagePack).
 */
export const FrameKind = {
  /** The handshake, in this order; `refused` takes the place of any of them. */
  hello: 1,
  challenge: 2,
  proof: 3,
  welcome: 4,
  refused: 5,
  /** Length of the route (two bytes), the route "group/Service.Method", the arguments. */
  request: 6,
  /** The reply. */
  reply: 7,
  /** [code, message] of a RemoteError. */
  error: 8,
  /** No answer will come: some limit is reached. */
  busy: 9,
  ping: 10,
  pong: 11,
} as const;

export const LENGTH_BYTES = 4;
/** Kind and id, which the length counts. */
export const HEAD_BYTES = 5;
export const PREFIX_BYTES = LENGTH_BYTES + HEAD_BYTES;

const FIRST_PARTIAL_BYTES = 1024;
/** A buffer up to this size is kept for the next frame that comes in pieces. */
const KEPT_PARTIAL_BYTES = 64 << 10;

/**
 * Called for each frame. The body is a view that is valid only during the call. Returns whether to go on: false where
 * the connection has been closed.
 */
export type OnFrame = (kind: number, id: number, body: Buffer) => boolean;

/**
 * Cuts a stream of bytes into frames. Frames that lie whole in a chunk, nearly all, are not copied. A frame that comes in
 * pieces is put together in a buffer that grows with what has arrived, never with what a length claims.
 */
export class FrameDecoder {
  /** The largest length that is accepted; it may change between frames. */
  maxBytes: number;
  #partial: Buffer | null = null;
  #used = 0;

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  /** Bytes kept of a frame that has not arrived completely. */
  get pendingBytes(): number {
    return this.#used;
  }

  /** @throws FrameError where a length is out of bounds; nothing may be pushed after that. */
  push(chunk: Buffer, onFrame: OnFrame): void {
    let at = 0;
    if (this.#used > 0) {
      at = this.#complete(chunk, onFrame);
      if (at < 0) return;
    }
    const end = chunk.length;
    while (end - at >= LENGTH_BYTES) {
      const length = this.#lengthAt(chunk, at);
      const next = at + LENGTH_BYTES + length;
      if (next > end) break;
      if (!emit(chunk, at, next, onFrame)) return;
      at = next;
    }
    if (at < end) this.#keep(chunk, at, end);
  }

  /** Goes on with the frame of which a part is there. Returns where the chunk goes on, or -1 for no further. */
  #complete(chunk: Buffer, onFrame: OnFrame): number {
    let at = 0;
    if (this.#used < LENGTH_BYTES) {
      at = Math.min(LENGTH_BYTES - this.#used, chunk.length);
      this.#keep(chunk, 0, at);
      if (this.#used < LENGTH_BYTES) return -1;
    }
    const partial = this.#partial as Buffer;
    const total = LENGTH_BYTES + this.#lengthAt(partial, 0);
    const end = Math.min(at + total - this.#used, chunk.length);
    this.#keep(chunk, at, end);
    if (this.#used < total) return -1;
    const whole = this.#partial as Buffer;
    this.#used = 0;
    if (whole.length > KEPT_PARTIAL_BYTES) this.#partial = null;
    return emit(whole, 0, total, onFrame) ? end : -1;
  }

  #keep(chunk: Buffer, start: number, end: number): void {
    const needed = this.#used + end - start;
    if (this.#partial === null || this.#partial.length < needed) {
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#used, FIRST_PARTIAL_BYTES));
      if (this.#partial !== null) this.#partial.copy(grown, 0, 0, this.#used);
      this.#partial = grown;
    }
    chunk.copy(this.#partial, this.#used, start, end);
    this.#used = needed;
  }

  #lengthAt(bytes: Buffer, at: number): number {
    const length = bytes.readUInt32BE(at);
    if (length < HEAD_BYTES || length > this.maxBytes) {
      throw new FrameError(`a frame claims ${length} bytes; ${HEAD_BYTES} to ${this.maxBytes} are allowed here`);
    }
    return length;
  }
}

function emit(bytes: Buffer, start: number, end: number, onFrame: OnFrame): boolean {
  const kind = bytes[start + LENGTH_BYTES] as number;
  return onFrame(kind, bytes.readUInt32BE(start + LENGTH_BYTES + 1), bytes.subarray(start + PREFIX_BYTES, end));
}
