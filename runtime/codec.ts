import { addExtension, Packr } from "msgpackr";

import { KvraftError } from "./errors.js";

/** A value cannot be carried; the message names the place. Code `ENCODE`. */
export class EncodeError extends KvraftError {
  constructor(message: string) {
    super("ENCODE", message);
  }
}

/** Bytes that `encode` did not write, or not all of them. Code `DECODE`. */
export class DecodeError extends KvraftError {
  constructor(message: string, options?: { cause?: unknown }) {
    super("DECODE", message, options);
  }
}

const MAX_DEPTH = 100;

/**
 * `useRecords: false`: no state is kept between messages, so the bytes depend on the value alone. `variableMapSize`:
 * objects of more than 65,535 keys, and two bytes less for every small one. `useToJSON`: a field of that name is data.
 */
const packr = new Packr({ useRecords: false, variableMapSize: true, useToJSON: false });

let sawNegativeZero = false;

/**
 * Turns plain data into bytes (MessagePack): null, booleans, numbers, bigints of 64 bits, strings, Uint8Array, and arrays
 * and plain objects of these. A top-level undefined arrives as undefined. `what` names the value in an error.
 *
 * The result may be kept, for nobody writes to it again; it is a slice of an arena of some kilobytes that lives as long
 * as any of its slices.
 *
 * @throws EncodeError for everything that would not arrive as it was: functions, symbols, bigints outside of -2^63 to
 * 2^64 - 1, class instances (Date, Map and Set among them), undefined inside an object or array, strings with half a
 * surrogate pair, `__proto__` and symbol keys, values that contain themselves, more than 100 levels.
 */
export function encode(value: unknown, what = "value"): Uint8Array {
  sawNegativeZero = false;
  if (value !== undefined && !isCarried(value, 0)) {
    throw new EncodeError(findProblem(value, what, []) ?? `${what} changed while it was being encoded`);
  }
  return packr.pack(sawNegativeZero ? markNegativeZeros(value) : value);
}

function isCarried(value: unknown, depth: number): boolean {
  switch (typeof value) {
    case "number":
      if (value === 0 && Object.is(value, -0)) sawNegativeZero = true;
      return true;
    case "boolean":
      return true;
    case "string":
      return isWellFormed(value);
    case "bigint":
      return fits64Bits(value);
    case "object":
      return value === null || isContainerCarried(value, depth);
    default:
      return false;
  }
}

function isContainerCarried(value: object, depth: number): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Uint8Array.prototype || prototype === Buffer.prototype) return true;
  if (depth === MAX_DEPTH) return false;
  if (prototype === Array.prototype) {
    const array = value as unknown[];
    for (let i = 0; i < array.length; i++) {
      const element = array[i];
      // Numbers are most of what the protocols send.
      if (typeof element === "number" && element !== 0) continue;
      if (!isCarried(element, depth + 1)) return false;
    }
    return true;
  }
  if (prototype !== Object.prototype && prototype !== null) return false;
  for (const key of Object.keys(value)) {
    if (key === "__proto__" || !isWellFormed(key)) return false;
    if (!isCarried((value as Record<string, unknown>)[key], depth + 1)) return false;
  }
  return Object.getOwnPropertySymbols(value).length === 0;
}

/** MessagePack's int 64 and uint 64. Numbers never take these forms, so what arrives in one was a bigint. */
function fits64Bits(value: bigint): boolean {
  return value >= -(2n ** 63n) && value < 2n ** 64n;
}

/** V8 answers at once for strings of one-byte characters. (ES2024, in Node since 20.) */
function isWellFormed(text: string): boolean {
  return (text as string & { isWellFormed(): boolean }).isWellFormed();
}

/** The slow twin of `isCarried`: the first problem in words, or null. */
function findProblem(value: unknown, at: string, inside: object[]): string | null {
  switch (typeof value) {
    case "number":
    case "boolean":
      return null;
    case "string":
      return isWellFormed(value) ? null : `${at} is a string with half a surrogate pair, which UTF-8 cannot carry`;
    case "bigint":
      return fits64Bits(value) ? null : `${at} is a bigint that 64 bits cannot hold`;
    case "undefined":
      return `${at} is undefined; leave it out, or send null`;
    case "object":
      return value === null ? null : findContainerProblem(value, at, inside);
    default:
      return `${at} is a ${typeof value}; only plain data can be carried`;
  }
}

function findContainerProblem(value: object, at: string, inside: object[]): string | null {
  if (inside.includes(value)) return `${at} contains itself; only trees can be carried`;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Uint8Array.prototype || prototype === Buffer.prototype) return null;
  if (inside.length === MAX_DEPTH) return `${at} lies more than ${MAX_DEPTH} levels deep`;
  const within = [...inside, value];
  if (prototype === Array.prototype) {
    for (const [i, element] of (value as unknown[]).entries()) {
      const problem = findProblem(element, `${at}[${i}]`, within);
      if (problem !== null) return problem;
    }
    return null;
  }
  if (prototype !== Object.prototype && prototype !== null) {
    const name: unknown = value.constructor?.name;
    return `${at} is an instance of ${String(name)}; only plain objects, arrays and Uint8Array can be carried`;
  }
  for (const key of Object.keys(value)) {
    const place = /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(key) ? `${at}.${key}` : `${at}[${JSON.stringify(key)}]`;
    if (key === "__proto__") return `${at} has a key "__proto__", which cannot be carried safely`;
    if (!isWellFormed(key)) return `the key ${place} has half a surrogate pair, which UTF-8 cannot carry`;
    const problem = findProblem((value as Record<string, unknown>)[key], place, within);
    if (problem !== null) return problem;
  }
  const symbol = Object.getOwnPropertySymbols(value)[0];
  return symbol === undefined ? null : `${at} has the key ${String(symbol)}; symbols cannot be carried`;
}

/** Stands for -0, which msgpackr writes as 0: an extension may write what bytes it likes, here a plain float 64. */
class NegativeZero {}
const NEGATIVE_ZERO_BYTES = Uint8Array.of(0xcb, 0x80, 0, 0, 0, 0, 0, 0, 0);
let negativeZeroKnown = false;

/** A copy of checked data that msgpackr writes with its negative zeros. Rare, so it may be slow. */
function markNegativeZeros(value: unknown): unknown {
  if (!negativeZeroKnown) {
    negativeZeroKnown = true;
    // Only now, because msgpackr asks every extension whether a byte string belongs to it.
    const extension = { Class: NegativeZero, type: 0x7f, pack: writeNegativeZero, unpack: refuseExtension };
    addExtension(extension as unknown as Parameters<typeof addExtension>[0]);
  }
  if (Object.is(value, -0)) return new NegativeZero();
  if (Array.isArray(value)) return value.map(markNegativeZeros);
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [key, markNegativeZeros(field)]));
}

function writeNegativeZero(
  _value: NegativeZero,
  allocate: (size: number) => { target: Buffer; position: number },
): void {
  const { target, position } = allocate(NEGATIVE_ZERO_BYTES.length);
  target.set(NEGATIVE_ZERO_BYTES, position);
}

function refuseExtension(): never {
  throw new Error("an extension type");
}

/**
 * msgpackr attaches a DataView to every buffer that it reads from. Messages that fit are read from one buffer that has
 * its view already, which is cheaper although they are copied into it.
 */
const scratch = Buffer.alloc(4096);

/**
 * Turns the bytes of `encode` back into a fresh value that shares nothing with `bytes`; byte strings arrive as plain
 * Uint8Array.
 * @throws DecodeError for anything else, bytes left over included.
 */
export function decode(bytes: Uint8Array): unknown {
  const length = bytes.length;
  if (length === 0) throw new DecodeError("there are no bytes to decode");
  let value: unknown;
  try {
    if (length <= scratch.length) {
      scratch.set(bytes);
      value = packr.unpack(scratch, length);
    } else {
      value = packr.unpack(Buffer.from(bytes.buffer, bytes.byteOffset, length));
    }
  } catch (cause) {
    throw new DecodeError(`these ${length} bytes are not an encoded value: ${String(cause)}`, { cause });
  }
  return value === undefined ? value : settle(value, 0);
}

/**
 * Gives byte strings memory of their own, in place, and refuses what `encode` never writes: MessagePack has dates, sets
 * and the like. Returns what to put in the place of `value`.
 */
function settle(value: unknown, depth: number): unknown {
  switch (typeof value) {
    case "number":
    case "boolean":
    case "string":
    case "bigint":
      return value;
    case "object":
      return value === null ? null : settleContainer(value, depth);
    default:
      throw new DecodeError(`the bytes hold a ${typeof value}, which encode never writes`);
  }
}

function settleContainer(value: object, depth: number): unknown {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Buffer.prototype) return copyBytes(value as Uint8Array);
  if (depth === MAX_DEPTH) throw new DecodeError(`the bytes hold more than ${MAX_DEPTH} levels`);
  if (prototype === Array.prototype) {
    const array = value as unknown[];
    for (let i = 0; i < array.length; i++) {
      const element = array[i];
      if (typeof element === "number") continue;
      const settled = settle(element, depth + 1);
      if (settled !== element) array[i] = settled;
    }
    return value;
  }
  if (prototype !== Object.prototype) throw new DecodeError("the bytes hold a type that encode never writes");
  const object = value as Record<string, unknown>;
  for (const key of Object.keys(object)) {
    const field = object[key];
    const settled = settle(field, depth + 1);
    if (settled !== field) object[key] = settled;
  }
  return value;
}

/** V8 takes 300 ns to make an ArrayBuffer, and 30 for a view of one; so short byte strings share some, like Buffers. */
const POOL_BYTES = 8192;
const LARGEST_POOLED = 1024;
let pool = new ArrayBuffer(POOL_BYTES);
let poolUsed = 0;

function copyBytes(bytes: Uint8Array): Uint8Array {
  const length = bytes.length;
  if (length > LARGEST_POOLED) return new Uint8Array(bytes);
  if (poolUsed + length > POOL_BYTES) {
    pool = new ArrayBuffer(POOL_BYTES);
    poolUsed = 0;
  }
  const copy = new Uint8Array(pool, poolUsed, length);
  copy.set(bytes);
  poolUsed += length;
  return copy;
}
