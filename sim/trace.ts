const float = new Float64Array(1);
const words = new Uint32Array(float.buffer);

/** A running hash of everything that happened in a world: two runs with the same hash did the same. */
export class Trace {
  events = 0;
  #a = 0x9e3779b9 | 0;
  #b = 0x243f6a88 | 0;

  event(time: number, seq: number): void {
    this.events++;
    this.#fold(time, seq);
  }

  note(value: number): void {
    this.#fold(value, -1);
  }

  #fold(value: number, tag: number): void {
    float[0] = value;
    let a = Math.imul(this.#a ^ (words[0] as number), 0x85ebca6b);
    let b = Math.imul(this.#b ^ (words[1] as number), 0xc2b2ae35);
    a ^= (b >>> 15) ^ tag;
    b ^= a >>> 13;
    this.#a = Math.imul(a, 0x27d4eb2f) + b;
    this.#b = Math.imul(b, 0x165667b1) ^ a;
  }

  /** 16 hexadecimal digits. */
  hash(): string {
    return hex(this.#a) + hex(this.#b);
  }
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, "0");
}
