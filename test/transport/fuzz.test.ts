import { connect } from "node:net";
import { Duplex } from "node:stream";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { encode, SeededRandom } from "../../runtime/index.js";
import { FrameDecoder, FrameKind } from "../../server/transport/frames.js";
import { decodeChallenge } from "../../server/transport/handshake.js";
import { defaultTransportLimits } from "../../server/transport/limits.js";
import { Router } from "../../server/transport/router.js";
import { Session } from "../../server/transport/session.js";
import type { SessionHost } from "../../server/transport/session.js";
import { CLUSTER, runtime, serverOf, World } from "./world.js";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/** The memory of buffers that were collected is given back a little later. */
async function heapBytes(): Promise<number> {
  for (let i = 0; i < 5; i++) {
    collectGarbage();
    await turn();
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

/** A socket whose other side says nothing by itself, and reads everything, or nothing. */
class Mute extends Duplex {
  static written = 0;
  isDeaf = false;

  override _read(): void {}

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: () => void): void {
    Mute.written += chunk.length;
    if (!this.isDeaf) done();
  }
}

const nonce = new Uint8Array(32);
const helloWith = (proving: string): Uint8Array =>
  encode(["kvraft", 1, CLUSTER, "peer", "n2", "", proving, 1 << 20, nonce]);
const HELLO = helloWith("none");
/** What the strangers say: it gets them a challenge, and no further. */
const SECRET_HELLO = helloWith("secret");
const EMPTY = Buffer.alloc(0);

function frame(kind: number, id: number, body: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(9 + body.length);
  bytes.writeUInt32BE(5 + body.length, 0);
  bytes[4] = kind;
  bytes.writeUInt32BE(id >>> 0, 5);
  bytes.set(body, 9);
  return bytes;
}

function request(route: string, payload: Uint8Array): Buffer {
  const name = Buffer.from(route);
  return Buffer.concat([Buffer.of(name.length >> 8, name.length & 255), name, payload]);
}

const HANDSHAKE = Buffer.concat([frame(FrameKind.hello, 0, HELLO), frame(FrameKind.proof, 0, EMPTY)]);
const GOOD_ARGS = encode({ key: "k", value: new Uint8Array(20), list: [1, 2, [3]] });
const GOOD = request("g/Test.Echo", GOOD_ARGS);
const BAD_ROUTES = [
  "",
  "g",
  "/",
  "g/",
  "g/Test",
  "g/Test.",
  "g/.Echo",
  "x/Test.Echo",
  "g/Test.Typo",
  "g/__proto__.x",
  "é/😀",
];

/** Makes frames of every kind of badness; some hold a well-formed head, so that they get further. */
class BadFrames {
  readonly #random: SeededRandom;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
  }

  get random(): SeededRandom {
    return this.#random;
  }

  noise(max: number): Buffer {
    const bytes = Buffer.allocUnsafe(this.#random.int(0, max));
    for (let i = 0; i < bytes.length; i++) bytes[i] = this.#random.int(0, 255);
    return bytes;
  }

  mutated(good: Uint8Array): Buffer {
    const bytes = Buffer.from(good);
    for (let i = this.#random.int(1, 3); i > 0; i--)
      bytes[this.#random.int(0, bytes.length - 1)] = this.#random.int(0, 255);
    return this.#random.next() < 0.2 ? bytes.subarray(0, this.#random.int(0, bytes.length)) : bytes;
  }

  /** For a server that has not met us yet. */
  first(): Buffer {
    switch (this.#random.int(0, 6)) {
      case 0:
        return Buffer.concat([this.noise(8), this.noise(24)]);
      case 1:
        return Buffer.from("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
      case 2:
        return frame(this.#random.int(0, 255), 0, this.noise(40));
      case 3:
        return frame(FrameKind.hello, 0, this.mutated(SECRET_HELLO));
      case 4:
        return Buffer.concat([
          frame(FrameKind.hello, 0, SECRET_HELLO),
          frame(this.#random.int(0, 12), 7, this.noise(40)),
        ]);
      case 5:
        return frame(FrameKind.hello, 0, SECRET_HELLO).subarray(0, this.#random.int(1, SECRET_HELLO.length));
      default:
        return this.hugeLength();
    }
  }

  hugeLength(): Buffer {
    const bytes = Buffer.alloc(12);
    bytes.writeUInt32BE(this.#random.int(1 << 14, 2 ** 32 - 1));
    return bytes;
  }

  /** For a server that has welcomed us. */
  later(): Buffer {
    const next = this.#random.next();
    const id = this.#random.int(0, 2 ** 32 - 1);
    if (next < 0.65) return frame(FrameKind.request, id, request(this.#route(), GOOD_ARGS));
    if (next < 0.9) return frame(FrameKind.ping, id, this.noise(10));
    if (next < 0.95) return frame(FrameKind.request, id, this.mutated(GOOD));
    if (next < 0.965) return frame(FrameKind.request, id, request("g/Test.Echo", this.noise(60)));
    if (next < 0.98) return frame(FrameKind.request, id, this.noise(60));
    if (next < 0.99) return frame(this.#random.int(0, 255), id, this.noise(30));
    return this.#random.next() < 0.5 ? this.hugeLength() : this.noise(40);
  }

  #route(): string {
    return BAD_ROUTES[this.#random.int(0, BAD_ROUTES.length - 1)] as string;
  }
}

interface Feeder {
  closed: number;
  readonly host: SessionHost;
}

function makeFeeder(secret?: string): Feeder {
  const feeder = { closed: 0 } as { closed: number; host: SessionHost };
  feeder.host = {
    clock: runtime.clock,
    clusterId: CLUSTER,
    nodeId: "n1",
    engine: "raft",
    secret,
    // Not larger, or a single length that happens to be allowed swallows thousands of frames.
    limits: { ...defaultTransportLimits, maxFrameBytes: 1 << 16 },
    coalesce: true,
    router: new Router({ g: serverOf({ Echo: (args: unknown) => ({ args }) }) }),
    advertised: { host: "127.0.0.1", port: 1 },
    isClosing: false,
    admit: () => null,
    onAnswered: () => {},
    onClose: () => void feeder.closed++,
  };
  return feeder;
}

describe("a million bad frames", () => {
  // Each connection ends in an error that nobody reads; vitest asks for stacks of a hundred frames.
  const { stackTraceLimit } = Error;
  beforeAll(() => void (Error.stackTraceLimit = 0));
  afterAll(() => void (Error.stackTraceLimit = stackTraceLimit));

  test("from strangers: 150,000 connections end, nothing else happens", { timeout: 120_000 }, async () => {
    const bad = new BadFrames(1);
    const feeder = makeFeeder("a secret of the cluster");
    let opened = 0;
    let before = 0;
    for (let i = 0; i < 150_000; i++) {
      if (i === 30_000) before = await heapBytes();
      const socket = new Mute();
      const session = new Session(feeder.host, socket, "fuzz");
      opened++;
      socket.emit("data", bad.first());
      expectQuiet(session.isReady, "a stranger got in");
      // The stream ends in the middle of whatever it was.
      socket.emit("end");
      if (i % 500 === 0) await turn();
    }
    await turn();
    expect(feeder.closed).toBe(opened);
    expect((await heapBytes()) - before).toBeLessThan(4 << 20);
  });

  test(
    "from those who were let in: 840,000 frames; an error reply or a closed connection",
    { timeout: 120_000 },
    async () => {
      const bad = new BadFrames(2);
      const feeder = makeFeeder();
      let opened = 0;
      let before = 0;
      let socket: Mute | null = null;
      for (let i = 0; i < 840_000; i++) {
        if (i === 30_000) before = await heapBytes();
        if (socket === null || feeder.closed === opened) {
          socket = new Mute();
          const session = new Session(feeder.host, socket, "fuzz");
          opened++;
          socket.emit("data", HANDSHAKE);
          expectQuiet(!session.isReady, "the handshake failed");
        }
        const bytes = bad.later();
        const cut = bad.random.next() < 0.1 ? bad.random.int(0, bytes.length) : 0;
        if (cut > 0) socket.emit("data", bytes.subarray(0, cut));
        socket.emit("data", bytes.subarray(cut));
        if (i % 500 === 0) await turn();
      }
      await turn();
      expect(opened).toBeGreaterThan(20_000);
      expect(Mute.written).toBeGreaterThan(1_000_000);
      expect((await heapBytes()) - before).toBeLessThan(4 << 20);
    },
  );

  test("from who sends and never reads: it is not read any more", async () => {
    const feeder = makeFeeder();
    const { limits } = feeder.host;
    limits.maxQueuedBytes = 1 << 16;
    const socket = new Mute();
    socket.isDeaf = true;
    const session = new Session(feeder.host, socket, "fuzz");
    socket.push(HANDSHAKE);
    const pings = Buffer.concat(Array.from({ length: 1000 }, (_, id) => frame(FrameKind.ping, id, EMPTY)));
    let pushed = 0;
    while (pushed < 1000 && socket.push(pings)) {
      pushed++;
      await turn();
    }
    expect(session.isReady).toBe(true);
    expect(pushed).toBeLessThan(20);
    expect(session.queuedBytes).toBeLessThan(limits.maxQueuedBytes + 2 * pings.length);
    session.finish(new Error("enough"));
    socket.destroy();
  });

  test(
    "over real sockets: 10,000 frames on 400 connections, and the server still serves",
    { timeout: 120_000 },
    async () => {
      await using world = new World();
      const server = await world.listen();
      const end = world.connect(server.address.port);
      await end.ready();
      const bad = new BadFrames(3);
      for (let round = 0; round < 20; round++) {
        await Promise.all(Array.from({ length: 20 }, (_, i) => pester(server.address.port, bad, i % 2 === 0)));
        expect(await end.call("Test.Echo", round)).toEqual({ args: round });
      }
      expect(server.connections()).toHaveLength(1);
    },
  );

  test("from servers: an end that calls a madman answers null, and lives", { timeout: 120_000 }, async () => {
    await using world = new World();
    const bad = new BadFrames(4);
    let connections = 0;
    const port = await world.bare((socket) => {
      connections++;
      const decoder = new FrameDecoder(1 << 20);
      const isPolite = connections % 2 === 0;
      if (!isPolite) {
        socket.end(bad.first());
        return;
      }
      const welcome = encode([new Uint8Array(0), ["g"], "", 1 << 20, 5000]);
      socket.on("data", (chunk) =>
        decoder.push(chunk, (kind, id) => {
          if (kind === FrameKind.hello) {
            const challenge = encode(["kvraft", 1, CLUSTER, "n1", "none", nonce]);
            decodeChallenge(challenge);
            socket.write(frame(FrameKind.challenge, 0, challenge));
          } else if (kind === FrameKind.proof) socket.write(frame(FrameKind.welcome, 0, welcome));
          else if (kind === FrameKind.request) {
            const answer = bad.random.int(FrameKind.reply, FrameKind.pong);
            socket.write(frame(answer, bad.random.next() < 0.5 ? id : id + 1, bad.noise(20)));
            if (bad.random.next() < 0.3) socket.write(bad.hugeLength());
          }
          return true;
        }),
      );
    });
    const limits = { backoffMinMs: 1, backoffMaxMs: 2, patienceMs: 5 };
    const end = world.connect(port, { limits });
    for (let i = 0; i < 200; i++) {
      // Noise may decode, but then it is a value; nothing else may come out.
      await end.call("Test.Echo", i).catch((error: Error) => expect(error.name).toBe("RemoteError"));
      await runtime.clock.sleep(1);
    }
    expect(connections).toBeGreaterThan(20);
  });
});

/** `expect` takes longer than all the rest of such a loop. */
function expectQuiet(isWrong: boolean, what: string): void {
  if (isWrong) throw new Error(what);
}

function pester(port: number, bad: BadFrames, isKnown: boolean): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      if (isKnown) socket.write(HANDSHAKE);
      const frames = Array.from({ length: 25 }, () => (isKnown ? bad.later() : bad.first()));
      socket.end(Buffer.concat(frames));
    });
    socket.resume();
    socket.on("error", () => {});
    socket.on("close", () => resolve());
  });
}
