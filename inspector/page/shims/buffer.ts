/** The parts of Node's Buffer that the simulation uses. */
export class Buffer extends Uint8Array<ArrayBuffer> {
  static alloc(size: number): Buffer {
    return new Buffer(new ArrayBuffer(size));
  }

  static allocUnsafe(size: number): Buffer {
    return Buffer.alloc(size);
  }

  /** A view, as in Node, where it is made from a buffer; its text's own bytes otherwise. */
  static override from(source: unknown, offset?: unknown, length?: unknown): Buffer {
    if (source instanceof ArrayBuffer) return new Buffer(source, offset as number, length as number);
    const bytes = typeof source === "string" ? new TextEncoder().encode(source) : Uint8Array.from(source as number[]);
    return new Buffer(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  static concat(parts: readonly Uint8Array[]): Buffer {
    const whole = Buffer.alloc(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  }

  get #view(): DataView {
    return new DataView(this.buffer, this.byteOffset, this.byteLength);
  }

  equals(other: Uint8Array): boolean {
    return this.length === other.length && this.every((byte, i) => byte === other[i]);
  }

  copy(target: Uint8Array, targetStart = 0, start = 0, end = this.length): number {
    target.set(this.subarray(start, end), targetStart);
    return end - start;
  }

  readUInt32LE(offset = 0): number {
    return this.#view.getUint32(offset, true);
  }

  writeUInt32LE(value: number, offset = 0): number {
    this.#view.setUint32(offset, value, true);
    return offset + 4;
  }

  readUIntLE(offset: number, byteLength: number): number {
    let value = 0;
    for (let i = byteLength - 1; i >= 0; i--) value = value * 256 + (this[offset + i] as number);
    return value;
  }

  writeUIntLE(value: number, offset: number, byteLength: number): number {
    let rest = value;
    for (let i = 0; i < byteLength; i++) {
      this[offset + i] = rest % 256;
      rest = Math.floor(rest / 256);
    }
    return offset + byteLength;
  }
}
