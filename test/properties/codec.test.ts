import * as fc from "fast-check";
import { expect, test } from "vitest";

import { decode, DecodeError, encode } from "../../runtime/index.js";
import { bitsOf, flipped, outcome } from "./bits.js";
import { plainData } from "./plain-data.js";
import { holds } from "./property.js";

const known = { a: [1, "two", Uint8Array.of(3)] };
const knownBytes = encode(known);

/** Bytes that somebody made up are refused by name, or are plain data; and they leave nothing behind. */
function expectRefusedOrPlain(bytes: Uint8Array): void {
  const value = outcome(() => decode(bytes));
  if (value instanceof Error) expect(value, String(value)).toMatchObject({ name: "DecodeError", code: "DECODE" });
  else expect(decode(encode(value))).toStrictEqual(value);
  expect(decode(knownBytes)).toStrictEqual(known);
}

test("any plain data comes out as it went in", () => {
  holds(
    fc.property(plainData, (value) => {
      expect(decode(encode(value))).toStrictEqual(value);
    }),
    1000,
  );
});

test("equal values have equal bytes, whatever was encoded in between, and again after a round trip", () => {
  holds(
    fc.property(plainData, plainData, (value, other) => {
      const bytes = encode(value).slice();
      encode(other);
      expect(encode(value)).toEqual(bytes);
      expect(encode(decode(bytes))).toEqual(bytes);
    }),
    500,
  );
});

test("no beginning of a value's bytes is a value, nor is anything with bytes left over", () => {
  holds(
    fc.property(plainData, fc.nat(255), (value, byte) => {
      const bytes = encode(value);
      const refuse = (bad: Uint8Array): void => {
        const result = outcome(() => decode(bad));
        if (!(result instanceof DecodeError)) expect(result, `${bad.length} bytes`).toBeInstanceOf(DecodeError);
      };
      // All short beginnings, and some of the long ones.
      const stride = Math.ceil(bytes.length / 60);
      for (let length = 0; length < bytes.length; length += stride) refuse(bytes.subarray(0, length));
      refuse(bytes.subarray(0, bytes.length - 1));
      refuse(Uint8Array.of(...bytes, byte));
    }),
    300,
  );
});

test("any bytes decode to plain data or are refused, and leave nothing behind", () => {
  holds(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => expectRefusedOrPlain(bytes)),
    3000,
  );
});

test("so do the bytes of a value with some bits turned over", () => {
  const damaged = plainData.chain((value) => {
    const bytes = encode(value).slice();
    return bitsOf(bytes.length, 4).map((bits) => flipped(bytes, bits));
  });
  holds(
    fc.property(damaged, (bytes) => expectRefusedOrPlain(bytes)),
    1500,
  );
});
