/** A change that is not known to be durable. */
export type Change =
  | { readonly kind: "write"; readonly position: number; readonly bytes: Uint8Array }
  | { readonly kind: "truncate"; readonly size: number };

/** Nobody writes to it: what is to hold a byte gets memory of its own. */
const EMPTY = new Uint8Array(0);
const LEAST_BYTES = 1024;

/** Bytes that grow. */
export class Content {
  #bytes: Uint8Array;
  size: number;

  constructor(bytes: Uint8Array = EMPTY) {
    this.#bytes = bytes;
    this.size = bytes.length;
  }

  apply(change: Change): void {
    if (change.kind === "truncate") this.truncate(change.size);
    else this.write(change.bytes, change.position);
  }

  write(bytes: Uint8Array, position: number): void {
    this.#extend(position + bytes.length);
    this.#bytes.set(bytes, position);
  }

  /** To at least `size`, with zeros. */
  grow(size: number): void {
    this.#extend(size);
  }

  truncate(size: number): void {
    if (size > this.size) this.#extend(size);
    this.#bytes.fill(0, size, this.size);
    this.size = size;
  }

  flipBit(position: number, bit: number): void {
    (this.#bytes[position] as number) ^= 1 << bit;
  }

  copy(): Uint8Array {
    return this.#bytes.slice(0, this.size);
  }

  /** Bytes between the old end and the new one are zero. */
  #extend(size: number): void {
    if (size <= this.size) return;
    if (size > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(size, 2 * this.#bytes.length, LEAST_BYTES));
      grown.set(this.#bytes.subarray(0, this.size));
      this.#bytes = grown;
    }
    this.size = size;
  }
}

/** A file: what is durable, what is seen, and the changes that lie between them. */
export class Inode {
  durable = new Content();
  seen = new Content();
  pending: Change[] = [];

  change(change: Change): void {
    this.seen.apply(change);
    this.pending.push(change);
  }

  /** The first `count` pending changes become durable. */
  settle(count: number): void {
    for (const change of this.pending.splice(0, count)) this.durable.apply(change);
  }

  restart(): void {
    this.pending = [];
    this.seen = new Content(this.durable.copy());
  }
}
