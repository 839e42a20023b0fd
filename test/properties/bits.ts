import * as fc from "fast-check";

/** One to `most` places of bits in `length` bytes. */
export function bitsOf(length: number, most: number): fc.Arbitrary<readonly number[]> {
  return fc.uniqueArray(fc.nat(length * 8 - 1), { minLength: 1, maxLength: most });
}

/** A copy of `bytes` with these bits turned over. */
export function flipped(bytes: Uint8Array, bits: readonly number[]): Buffer {
  const copy = Buffer.from(bytes);
  for (const bit of bits) copy[bit >>> 3]! ^= 1 << (bit & 7);
  return copy;
}

/** What a function returns, or the error that it throws. */
export function outcome<T>(run: () => T): T | Error {
  try {
    return run();
  } catch (error) {
    return error as Error;
  }
}
