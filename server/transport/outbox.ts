import type { Duplex } from "node:stream";

import { atTurnEnd } from "../../runtime/index.js";
import { HEAD_BYTES, PREFIX_BYTES } from "./frames.js";

/** Frames are copied into slabs; what is larger than a quarter of one is handed on as it is. */
const SLAB_BYTES = 32 << 10;
const LARGE_BYTES = SLAB_BYTES / 4;
/** As much is handed to the socket at a time; then it must drain. Also the size of the pieces of a large frame. */
const HANDOVER_BYTES = 256 << 10;

/**
 * What waits to be sent on one connection. All frames of one turn of the event loop go out in one write: a system call
 * costs as much as some ten small frames. While the socket does not take more, they wait here, where they are counted.
 */
export class Outbox {
  readonly #socket: Duplex;
  readonly #coalesce: boolean;
  readonly #onFlushed: () => void;
  #chunks: Uint8Array[] = [];
  /** How many of the chunks were handed over; they are cut off when all are. */
  #handed = 0;
  /** Of #chunks that were not handed over, and of the slab. */
  #bytes = 0;
  #slab: Buffer | null = null;
  #slabStart = 0;
  #slabEnd = 0;
  #isScheduled = false;
  #isClosed = false;
  /** The socket has not taken all of the last write. */
  isBlocked = false;

  constructor(socket: Duplex, coalesce: boolean, onFlushed: () => void) {
    this.#socket = socket;
    this.#coalesce = coalesce;
    this.#onFlushed = onFlushed;
  }

  /** Bytes that the system has not taken. */
  get queuedBytes(): number {
    return this.#bytes + this.#socket.writableLength;
  }

  /** Neither `head` nor `payload` may be written to afterwards. */
  add(kind: number, id: number, head: Uint8Array | null, payload: Uint8Array | null): void {
    if (this.#isClosed) return;
    const headLength = head === null ? 0 : head.length;
    const payloadLength = payload === null ? 0 : payload.length;
    const isLarge = payloadLength > LARGE_BYTES;
    const slabBytes = PREFIX_BYTES + headLength + (isLarge ? 0 : payloadLength);
    const slab = this.#reserve(slabBytes);
    let at = slab.writeUInt32BE(HEAD_BYTES + headLength + payloadLength, this.#slabEnd);
    slab[at++] = kind;
    at = slab.writeUInt32BE(id, at);
    if (head !== null) {
      slab.set(head, at);
      at += headLength;
    }
    if (payload !== null && !isLarge) {
      slab.set(payload, at);
      at += payloadLength;
    }
    this.#slabEnd = at;
    this.#bytes += slabBytes;
    if (payload !== null && isLarge) this.#addLarge(payload);
    this.#schedule();
  }

  #reserve(bytes: number): Buffer {
    if (this.#slab === null || this.#slabEnd + bytes > this.#slab.length) {
      this.#finishChunk();
      // Written once and then left to the collector: the socket may hold on to any part of it.
      this.#slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, bytes));
      this.#slabStart = this.#slabEnd = 0;
    }
    return this.#slab;
  }

  #finishChunk(): void {
    if (this.#slabEnd === this.#slabStart) return;
    this.#chunks.push((this.#slab as Buffer).subarray(this.#slabStart, this.#slabEnd));
    this.#slabStart = this.#slabEnd;
  }

  #addLarge(payload: Uint8Array): void {
    this.#finishChunk();
    for (let at = 0; at < payload.length; at += HANDOVER_BYTES) {
      this.#chunks.push(payload.subarray(at, at + HANDOVER_BYTES));
    }
    this.#bytes += payload.length;
  }

  #schedule(): void {
    if (this.isBlocked || this.#isScheduled) return;
    if (!this.#coalesce) {
      this.flush();
      return;
    }
    this.#isScheduled = true;
    atTurnEnd(this.#onTurnEnd);
  }

  readonly #onTurnEnd = (): void => {
    this.#isScheduled = false;
    if (!this.isBlocked) this.flush();
  };

  /** Hands over what the socket takes. Call it when the socket has drained. */
  flush(): void {
    this.isBlocked = false;
    if (this.#isClosed) return;
    this.#finishChunk();
    const chunks = this.#chunks;
    const socket = this.#socket;
    let bytes = 0;
    if (this.#handed < chunks.length) {
      socket.cork();
      while (this.#handed < chunks.length && bytes < HANDOVER_BYTES) {
        const chunk = chunks[this.#handed++] as Uint8Array;
        bytes += chunk.length;
        socket.write(chunk);
      }
      socket.uncork();
      this.#bytes -= bytes;
      this.isBlocked = socket.writableNeedDrain;
    }
    if (this.#handed === chunks.length) {
      this.#chunks = [];
      this.#handed = 0;
    } else {
      this.#schedule();
    }
    this.#onFlushed();
  }

  /** Forgets everything. */
  close(): void {
    this.#isClosed = true;
    this.#chunks = [];
    this.#slab = null;
    this.#slabStart = this.#slabEnd = 0;
    this.#handed = 0;
    this.#bytes = 0;
  }
}
