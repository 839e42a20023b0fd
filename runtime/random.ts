import { InvalidArgumentError } from "./errors.js";
import type { Random } from "./types.js";

/** 32-bit FNV-1a over the UTF-16 units of `text`, started from `seed`. */
export function hashString(text: string, seed = 0x811c9dc5): number {
  let hash = seed;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

/** splitmix32: spreads a seed over the state words, so that neighbouring seeds share nothing. */
function splitmix32(state: number): () => number {
  let a = state;
  return () => {
    a = (a + 0x9e3779b9) | 0;
    let t = a ^ (a >>> 16);
    t = Math.imul(t, 0x21f0aaad);
    t ^= t >>> 15;
    t = Math.imul(t, 0x735a2d97);
    return (t ^ (t >>> 15)) >>> 0;
  };
}

/**
 * sfc32 (Chris Doty-Humphrey, PractRand), ours rather than a package's: a seed in a bug report must replay for ever.
 * `seed` is any safe integer; `path` is the hash of the names forked on the way here.
 */
export class SeededRandom implements Random {
  readonly #seed: number;
  readonly #path: number;
  /** How often each name was forked; null before the first: most streams have no branches. */
  #forks: Map<string, number> | null = null;
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: number, path = 0) {
    if (!Number.isSafeInteger(seed)) throw new InvalidArgumentError(`seed must be a safe integer, not ${String(seed)}`);
    this.#seed = seed;
    this.#path = path;
    const low = seed | 0;
    const high = Math.floor(seed / 2 ** 32) | 0;
    const mix = splitmix32(low ^ Math.imul(high, 0x85ebca6b) ^ Math.imul(path, 0xc2b2ae35));
    this.#a = mix();
    this.#b = mix() ^ high;
    this.#c = mix() ^ path;
    for (let i = 0; i < 12; i++) this.#uint32();
  }

  #uint32(): number {
    const t = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (this.#c << 21) | (this.#c >>> 11);
    this.#c = (this.#c + t) | 0;
    return t >>> 0;
  }

  next(): number {
    const high = this.#uint32() >>> 5;
    const low = this.#uint32() >>> 6;
    return (high * 0x4000000 + low) / 2 ** 53;
  }

  int(lo: number, hi: number): number {
    if (!(Number.isSafeInteger(lo) && Number.isSafeInteger(hi) && lo <= hi)) {
      throw new InvalidArgumentError(`int(lo, hi) needs whole numbers with lo <= hi, not ${lo} and ${hi}`);
    }
    return lo + Math.floor(this.next() * (hi - lo + 1));
  }

  fork(name: string): Random {
    this.#forks ??= new Map();
    const times = this.#forks.get(name) ?? 0;
    this.#forks.set(name, times + 1);
    return new SeededRandom(this.#seed, hashString(`${name}#${times}`, this.#path ^ 0x811c9dc5));
  }
}

/** A stream of its own for `name`, also from a foreign `Random` that cannot fork. */
export function forkRandom(random: Random, name: string): Random {
  return random.fork?.(name) ?? new SeededRandom(random.int(0, 2 ** 48), hashString(name));
}
