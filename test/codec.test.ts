import { describe, expect, test } from "vitest";

import { decode, DecodeError, encode, EncodeError } from "../runtime/index.js";

function encodeErrorOf(value: unknown, what?: string): string {
  try {
    encode(value, what);
  } catch (error) {
    if (error instanceof EncodeError && error.code === "ENCODE") return error.message;
    throw error;
  }
  return "no error";
}

/** The decoded value, or undefined where the bytes were refused as they should be. */
function decodeOrRefuse(bytes: Uint8Array): unknown {
  try {
    return decode(bytes);
  } catch (error) {
    if (!(error instanceof DecodeError) || error.code !== "DECODE") throw error;
    return undefined;
  }
}

function nested(levels: number): unknown {
  let value: unknown = 1;
  for (let i = 0; i < levels; i++) value = i % 2 ? [value] : { in: value };
  return value;
}

describe("labgob: what goes in comes out", () => {
  test("nested objects, arrays, strings, numbers and bytes", () => {
    const value = {
      name: "träge 🐢",
      list: [
        { term: 1, cmd: null },
        { term: 2, cmd: [true, false, "x".repeat(300)] },
      ],
      numbers: [
        0,
        -0,
        1,
        -1,
        255,
        65_536,
        2 ** 31,
        2 ** 32,
        2 ** 53,
        -(2 ** 53),
        0.1,
        Number.NaN,
        -Infinity,
        Number.MIN_VALUE,
      ],
      bigints: [0n, 1n, -1n, 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 64n - 1n],
      bytes: Uint8Array.of(1, 2, 3),
      empty: [[], {}, "", new Uint8Array(0)],
    };
    expect(decode(encode(value))).toStrictEqual(value);
    expect(decode(encode(undefined))).toBeUndefined();
    expect(decode(encode(-0))).toBe(-0);
    expect(decode(encode("top"))).toBe("top");
  });

  test("objects of any size, a Buffer, a prototype of null, a key named constructor", () => {
    const large = Object.fromEntries(Array.from({ length: 70_000 }, (_, i) => [`k${i}`, i]));
    expect(decode(encode(large))).toStrictEqual(large);
    expect(decode(encode(Buffer.from("abc")))).toStrictEqual(Uint8Array.of(97, 98, 99));
    expect(decode(encode(Object.assign(Object.create(null), { a: 1 })))).toStrictEqual({ a: 1 });
    const awkward: unknown = JSON.parse('{"constructor":1,"hasOwnProperty":2,"toJSON":3,"length":4,"then":5}');
    expect(decode(encode(awkward))).toStrictEqual(awkward);
    expect(decode(encode(nested(100)))).toStrictEqual(nested(100));
  });

  test("the same value gives the same bytes, whatever was encoded before", () => {
    const value = { term: 3, entries: [[1, Uint8Array.of(1)]] };
    const before = [...encode(value)];
    for (let i = 0; i < 100; i++) encode({ [`other${i}`]: -0, x: i });
    expect([...encode(value)]).toStrictEqual(before);
  });
});

describe("labgob: nothing is shared", () => {
  test("encoded bytes stay what they were", () => {
    const kept = Array.from({ length: 5000 }, (_, i) => ({ bytes: encode([i, "x".repeat(i % 50)]), i }));
    for (const { bytes, i } of kept) expect(decode(bytes)).toStrictEqual([i, "x".repeat(i % 50)]);
  });

  test("decoded bytes are plain, of their own, and hold on to no message", () => {
    for (const size of [10, 1000, 5000]) {
      const message = encode({ data: new Uint8Array(size).fill(7) });
      const { data } = decode(message) as { data: Uint8Array };
      expect(Object.getPrototypeOf(data)).toBe(Uint8Array.prototype);
      expect(data.buffer).not.toBe(message.buffer);
      message.fill(0);
      decode(encode({ data: new Uint8Array(size).fill(9) }));
      expect(data.every((byte) => byte === 7)).toBe(true);
    }
  });
});

describe("labgob: what cannot be carried is an error that names the place", () => {
  class Point {
    x = 1;
  }
  const cycle: { list: unknown[] } = { list: [] };
  cycle.list.push({ up: cycle });

  test.each<[string, unknown, string]>([
    ["a function", { entries: [0, { cmd: () => 1 }] }, "args.entries[1].cmd is a function"],
    ["a symbol", [Symbol("s")], "args[0] is a symbol"],
    ["a bigint beyond 64 bits", { n: 2n ** 64n }, "args.n is a bigint that 64 bits cannot hold"],
    ["a negative bigint beyond 64 bits", -(2n ** 63n) - 1n, "args is a bigint that 64 bits cannot hold"],
    ["a class instance", { at: new Point() }, "args.at is an instance of Point"],
    ["a Date", new Date(0), "args is an instance of Date"],
    ["a Map", { "two words": new Map() }, 'args["two words"] is an instance of Map'],
    ["a Set", [new Set()], "args[0] is an instance of Set"],
    ["another typed array", [new Uint16Array(1)], "args[0] is an instance of Uint16Array"],
    ["an undefined field", { a: { b: undefined } }, "args.a.b is undefined"],
    ["an undefined element", [1, undefined], "args[1] is undefined"],
    ["a hole", Array.from({ length: 2 }), "args[0] is undefined"],
    ["a cycle", cycle, "args.list[0].up contains itself"],
    ["too many levels", nested(101), "lies more than 100 levels deep"],
    ["a symbol key", { [Symbol("hidden")]: 1 }, "args has the key Symbol(hidden)"],
    ["half a surrogate pair", { text: "a\ud800" }, "args.text is a string with half a surrogate pair"],
    ["half a surrogate pair in a key", { "\udc00": 1 }, "has half a surrogate pair"],
    ["__proto__", JSON.parse('{"a":{"__proto__":{"x":1}}}'), 'args.a has a key "__proto__"'],
  ])("%s", (_, value, message) => {
    expect(encodeErrorOf(value, "args")).toContain(message);
  });

  test("the value is called value unless the caller says otherwise", () => {
    expect(encodeErrorOf([undefined])).toContain("value[0] is undefined");
  });

  test("100,000 levels are an error, not a stack overflow", () => {
    expect(encodeErrorOf(nested(100_000))).toContain("100 levels deep");
  });
});

describe("labgob: bytes from anywhere", () => {
  const known = { a: [1, "two", Uint8Array.of(3)] };
  const knownBytes = encode(known);

  test("no bytes, cut bytes, and bytes left over are refused", () => {
    expect(() => decode(new Uint8Array(0))).toThrow(DecodeError);
    for (let length = 0; length < knownBytes.length; length++) {
      expect(() => decode(knownBytes.subarray(0, length))).toThrow(DecodeError);
    }
    expect(() => decode(Uint8Array.of(...knownBytes, 0))).toThrow(DecodeError);
  });

  test("MessagePack that encode never writes is refused", () => {
    const date = Uint8Array.of(0xd6, 0xff, 0, 0, 0, 1);
    const undefinedInside = Uint8Array.of(0x91, 0xd4, 0, 0);
    const negativeZeroType = Uint8Array.of(0xd4, 0x7f, 0);
    encode(-0);
    for (const bytes of [date, undefinedInside, negativeZeroType]) expect(() => decode(bytes)).toThrow(DecodeError);
    expect(() => decode(new Uint8Array(1_000_000).fill(0x91))).toThrow(DecodeError);
    expect(() => decode(Uint8Array.of(...Array<number>(101).fill(0x91), 1))).toThrow("more than 100 levels");
  });

  test("a __proto__ key pollutes nothing", () => {
    const key = [...new TextEncoder().encode("__proto__")];
    const value = decodeOrRefuse(Uint8Array.of(0x81, 0xa0 + key.length, ...key, 0x81, 0xa1, 0x78, 1));
    expect(Object.getPrototypeOf(value ?? {})).toBe(Object.prototype);
    expect(({} as { x?: unknown }).x).toBeUndefined();
  });
});
