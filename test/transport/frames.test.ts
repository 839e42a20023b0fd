import { Duplex } from "node:stream";

import { describe, expect, test } from "vitest";

import { SeededRandom } from "../../runtime/index.js";
import { Backoff } from "../../server/transport/backoff.js";
import { FrameError } from "../../server/transport/errors.js";
import { FrameDecoder } from "../../server/transport/frames.js";
import { Outbox } from "../../server/transport/outbox.js";

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

/** Takes what is written, as a real socket does: all at once, or nothing until it is told to. */
class Sink extends Duplex {
  readonly writes: Buffer[] = [];
  #held: (() => void) | null = null;
  isHolding = false;

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#take(chunk, done);
  }

  override _writev(chunks: { chunk: Buffer }[], done: () => void): void {
    this.#take(Buffer.concat(chunks.map(({ chunk }) => chunk)), done);
  }

  #take(bytes: Buffer, done: () => void): void {
    this.writes.push(bytes);
    if (this.isHolding) this.#held = done;
    else done();
  }

  release(): void {
    this.isHolding = false;
    this.#held?.();
  }
}

interface Frame {
  kind: number;
  id: number;
  body: string;
}

function decodeAll(chunks: Iterable<Buffer>, decoder = new FrameDecoder(1 << 20)): Frame[] {
  const frames: Frame[] = [];
  for (const chunk of chunks) {
    decoder.push(chunk, (kind, id, body) => {
      frames.push({ kind, id, body: body.toString("latin1") });
      return true;
    });
  }
  return frames;
}

async function written(frames: readonly Frame[]): Promise<Buffer> {
  const sink = new Sink();
  const outbox = new Outbox(sink, true, () => {});
  for (const { kind, id, body } of frames) outbox.add(kind, id, null, Buffer.from(body, "latin1"));
  while (outbox.queuedBytes > 0) await turn();
  return Buffer.concat(sink.writes);
}

describe("frames", () => {
  const frames: Frame[] = [
    { kind: 6, id: 0, body: "" },
    { kind: 7, id: 2 ** 32 - 1, body: "x" },
    { kind: 255, id: 77, body: "y".repeat(3000) },
    { kind: 1, id: 5, body: "z".repeat(100_000) },
    { kind: 2, id: 6, body: "end" },
  ];

  test("come out as they went in, however the stream is cut", async () => {
    const bytes = await written(frames);
    expect(decodeAll([bytes])).toEqual(frames);
    for (const size of [1, 2, 3, 4, 5, 7, 9, 1000, 65_536]) {
      const chunks: Buffer[] = [];
      for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size));
      expect(decodeAll(chunks), `pieces of ${size}`).toEqual(frames);
    }
  });

  test("a length out of bounds is an error, and takes no memory", () => {
    for (const length of [0, 4, 1001, 0x7fffffff, 0xffffffff]) {
      const head = Buffer.alloc(4);
      head.writeUInt32BE(length);
      expect(() => decodeAll([head], new FrameDecoder(1000))).toThrow(FrameError);
      expect(() => decodeAll([head.subarray(0, 2), head.subarray(2)], new FrameDecoder(1000))).toThrow(FrameError);
    }
    const decoder = new FrameDecoder(1 << 30);
    const before = process.memoryUsage().arrayBuffers;
    decodeAll([Buffer.of(0x3f, 0, 0, 0), Buffer.alloc(10)], decoder);
    expect(decoder.pendingBytes).toBe(14);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1 << 20);
  });

  test("nothing comes out after the owner has closed", () => {
    const decoder = new FrameDecoder(1000);
    const frame = Buffer.of(0, 0, 0, 5, 9, 0, 0, 0, 1);
    let count = 0;
    decoder.push(Buffer.concat([frame, frame, frame]), () => ++count < 2);
    expect(count).toBe(2);
  });
});

describe("outbox", () => {
  test("all frames of one turn go out in one write", async () => {
    const sink = new Sink();
    const outbox = new Outbox(sink, true, () => {});
    for (let id = 0; id < 1000; id++) {
      if (id % 100 === 50) await Promise.resolve();
      outbox.add(6, id, Buffer.from("route"), Buffer.alloc(id === 500 ? 50_000 : 100));
    }
    await turn();
    expect(sink.writes).toHaveLength(1);
    expect(decodeAll(sink.writes).map(({ id }) => id)).toEqual(Array.from({ length: 1000 }, (_, id) => id));
  });

  test("without coalescing each frame is a write", () => {
    const sink = new Sink();
    const outbox = new Outbox(sink, false, () => {});
    for (let id = 0; id < 10; id++) outbox.add(6, id, null, Buffer.alloc(10));
    expect(sink.writes).toHaveLength(10);
  });

  test("what the socket does not take waits, is counted, and keeps its order", async () => {
    const sink = new Sink();
    sink.isHolding = true;
    const outbox = new Outbox(sink, true, () => {});
    sink.on("drain", () => outbox.flush());
    for (let id = 0; id < 40; id++) outbox.add(6, id, null, Buffer.alloc(50_000));
    await turn();
    const total = 40 * 50_009;
    expect(outbox.isBlocked).toBe(true);
    expect(outbox.queuedBytes).toBe(total);
    expect(sink.writableLength).toBeLessThan(400_000);
    sink.release();
    for (let i = 0; outbox.queuedBytes > 0 && i < 100; i++) await turn();
    expect(decodeAll(sink.writes).map(({ id }) => id)).toEqual(Array.from({ length: 40 }, (_, id) => id));
  });
});

test("backoff doubles up to its limit, with jitter, and starts again", () => {
  const backoff = new Backoff(new SeededRandom(7), 50, 1000);
  const pauses = Array.from({ length: 10 }, () => backoff.next());
  for (const [i, pause] of pauses.entries()) {
    const full = Math.min(50 * 2 ** i, 1000);
    expect(pause).toBeGreaterThanOrEqual(full / 2);
    expect(pause).toBeLessThanOrEqual(full);
  }
  expect(new Set(pauses).size).toBe(10);
  backoff.reset();
  expect(backoff.next()).toBeLessThanOrEqual(50);
});
