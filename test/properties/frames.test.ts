import * as fc from "fast-check";
import { expect, test } from "vitest";

import { FrameError, RefusedError } from "../../server/transport/errors.js";
import { FrameDecoder, HEAD_BYTES, LENGTH_BYTES, PREFIX_BYTES } from "../../server/transport/frames.js";
import {
  decodeChallenge,
  decodeHello,
  decodeRefusal,
  decodeWelcome,
  encodeChallenge,
  encodeHello,
  encodeRefusal,
  encodeWelcome,
} from "../../server/transport/handshake.js";
import { encode } from "../../runtime/index.js";
import { bitsOf, flipped, outcome } from "./bits.js";
import { plainData } from "./plain-data.js";
import { holds } from "./property.js";

const MAX_BYTES = 3000;

interface Frame {
  readonly kind: number;
  readonly id: number;
  readonly body: Uint8Array;
}

const frame: fc.Arbitrary<Frame> = fc.record({
  kind: fc.nat(255),
  id: fc.nat(0xffffffff),
  body: fc.oneof(
    { weight: 9, arbitrary: fc.uint8Array({ maxLength: 40 }) },
    { weight: 1, arbitrary: fc.nat(2900).map((length) => new Uint8Array(length).fill(7)) },
  ),
});

function bytesOf(frames: readonly Frame[]): Buffer {
  return Buffer.concat(
    frames.map(({ kind, id, body }) => {
      const bytes = Buffer.alloc(PREFIX_BYTES + body.length);
      bytes.writeUInt32BE(HEAD_BYTES + body.length, 0);
      bytes[LENGTH_BYTES] = kind;
      bytes.writeUInt32BE(id, LENGTH_BYTES + 1);
      bytes.set(body, PREFIX_BYTES);
      return bytes;
    }),
  );
}

function chunksOf(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length]!;
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
}

/** The frames of a stream up to its end, or to the first length that is out of bounds. */
function read(chunks: readonly Buffer[]): { frames: Frame[]; isRefused: boolean; pending: number } {
  const decoder = new FrameDecoder(MAX_BYTES);
  const frames: Frame[] = [];
  let isRefused = false;
  for (const chunk of chunks) {
    const error = outcome(() =>
      decoder.push(chunk, (kind, id, body) => {
        frames.push({ kind, id, body: Uint8Array.from(body) });
        return true;
      }),
    );
    if (error instanceof Error) {
      expect(error).toBeInstanceOf(FrameError);
      isRefused = true;
      break;
    }
  }
  return { frames, isRefused, pending: decoder.pendingBytes };
}

const sizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 4000 })), {
  minLength: 1,
  maxLength: 8,
});

test("frames come out as they went in, however the stream is cut, and what lacks its end is kept", () => {
  holds(
    fc.property(fc.array(frame, { maxLength: 8 }), sizes, fc.nat(), (frames, cuts, lost) => {
      const bytes = bytesOf(frames);
      expect(read(chunksOf(bytes, cuts))).toEqual({ frames, isRefused: false, pending: 0 });
      const beginning = bytes.subarray(0, bytes.length - (lost % (bytes.length + 1)));
      const part = read(chunksOf(beginning, cuts));
      expect(part.frames).toEqual(frames.slice(0, part.frames.length));
      expect(part.isRefused).toBe(false);
      expect(bytesOf(part.frames).length + part.pending).toBe(beginning.length);
    }),
    400,
  );
});

test("a length out of bounds is refused as soon as it is there, whatever the frames before it", () => {
  const bad = fc.oneof(fc.nat(HEAD_BYTES - 1), fc.integer({ min: MAX_BYTES + 1, max: 0xffffffff }));
  holds(
    fc.property(fc.array(frame, { maxLength: 4 }), bad, sizes, (frames, length, cuts) => {
      const head = Buffer.alloc(LENGTH_BYTES);
      head.writeUInt32BE(length);
      expect(read(chunksOf(Buffer.concat([bytesOf(frames), head]), cuts))).toMatchObject({ frames, isRefused: true });
    }),
    300,
  );
});

test("any stream, cut in any way, gives the same frames and is refused at the same place or not at all", () => {
  const damaged = fc.array(frame, { minLength: 1, maxLength: 4 }).chain((frames) => {
    const bytes = bytesOf(frames);
    return bitsOf(bytes.length, 3).map((bits) => flipped(bytes, bits));
  });
  const noise = fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes));
  holds(
    fc.property(fc.oneof(noise, damaged), sizes, (bytes, cuts) => {
      const whole = read([bytes]);
      const pieces = read(chunksOf(bytes, cuts));
      expect(pieces.frames).toEqual(whole.frames);
      // In pieces a bad length may show before the frame in front of it is complete, never after.
      expect(pieces.isRefused).toBe(whole.isRefused);
      if (!whole.isRefused) expect(pieces.pending).toBe(whole.pending);
    }),
    600,
  );
});

// ---- the handshake's messages, which strangers send

const name = fc.string({ maxLength: 20 });
const nonce = fc.uint8Array({ minLength: 32, maxLength: 32 });
const proving = fc.constantFrom("secret" as const, "none" as const);
const size = fc.integer({ min: 1 });

const hello = fc.record({
  clusterId: name,
  role: fc.constantFrom("peer" as const, "client" as const),
  nodeId: name,
  expectNodeId: name,
  proving,
  maxFrameBytes: size,
  nonce,
  engine: name,
});
const challenge = fc.record({ clusterId: name, nodeId: name, proving, nonce });
const welcome = fc.record({
  proof: fc.uint8Array({ maxLength: 32 }),
  groups: fc.array(name, { maxLength: 3 }),
  advertised: name,
  maxFrameBytes: size,
  idleMs: size,
});
const refusal = fc.record({ reason: fc.constantFrom("version" as const, "auth" as const), message: name });

test("a handshake's messages come out as they went in", () => {
  holds(
    fc.property(hello, challenge, welcome, refusal, (a, b, c, { reason, message }) => {
      expect(decodeHello(encodeHello(a))).toEqual(a);
      expect(decodeChallenge(encodeChallenge(b))).toEqual(b);
      expect(decodeWelcome(encodeWelcome(c))).toEqual(c);
      expect(decodeRefusal(encodeRefusal(new RefusedError(reason, message)), "it")).toMatchObject({
        reason,
        message: `it refuses: ${message}`,
      });
    }),
    300,
  );
});

test("any bytes in their place are refused by name, or well formed", () => {
  const damaged = fc
    .oneof(hello.map(encodeHello), challenge.map(encodeChallenge), welcome.map(encodeWelcome))
    .chain((bytes) => bitsOf(bytes.length, 4).map((bits) => flipped(bytes, bits)));
  // Well-formed but for one field, which is anything.
  const anything = fc.oneof(plainData, fc.constant({ toString: false }));
  const fields = fc.tuple(hello, anything, fc.nat(9)).map(([given, junk, at]) => {
    const { clusterId, role, nodeId, expectNodeId, proving, maxFrameBytes, nonce, engine } = given;
    const names = [clusterId, role, nodeId, expectNodeId, proving];
    const whole: unknown[] = ["kvraft", 1, ...names, maxFrameBytes, nonce, engine];
    return encode(whole.with(at, junk));
  });
  const junk = fc.oneof(
    fields,
    fc.uint8Array({ maxLength: 60 }),
    plainData.map((value) => encode(value)),
    damaged,
  );
  holds(
    fc.property(junk, (bytes) => {
      for (const decode of [
        decodeHello,
        decodeChallenge,
        decodeWelcome,
        (body: Uint8Array) => decodeRefusal(body, "x"),
      ]) {
        const result = outcome(() => decode(bytes));
        if (!(result instanceof Error) || result instanceof RefusedError) continue;
        expect(result).toBeInstanceOf(FrameError);
      }
    }),
    1500,
  );
});
