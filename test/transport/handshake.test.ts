import { connect } from "node:net";
import type { Socket } from "node:net";

import { describe, expect, test } from "vitest";

import { encode } from "../../runtime/index.js";
import { UnsafeBindError } from "../../server/transport/index.js";
import type { ConnectOptions, ListenOptions } from "../../server/transport/index.js";
import { FrameDecoder } from "../../server/transport/frames.js";
import { prove } from "../../server/transport/handshake.js";
import { Authority } from "./certificates.js";
import { LogBook, serverOf, until, World } from "./world.js";

const SECRET = "0123456789abcdef-secret";
const OTHER = "fedcba9876543210-secret";

/** Both sides refuse, each in its own words or in the other's, and a call answers null. */
async function expectRefusal(
  listening: Partial<ListenOptions>,
  calling: Partial<ConnectOptions>,
  reason: string,
  text: RegExp,
): Promise<void> {
  await using world = new World();
  const log = new LogBook();
  const server = await world.listen({ logger: log, ...listening });
  const end = world.connect(server.address.port, calling);
  const error = (await end.ready({ timeoutMs: 2000 }).catch((thrown: unknown) => thrown)) as Error;
  expect(error).toMatchObject({ code: "REFUSED", reason, message: expect.stringMatching(text) as string });
  expect(await end.call("Test.Echo", 1)).toBeNull();
  expect(end.state()).toMatchObject({ status: "waiting", error: { code: "REFUSED" } });
  await until(() => log.lines.some((line) => text.test(line)), `the server logs ${text}, not ${log.lines.join("; ")}`);
  expect(server.connections()).toEqual([]);
}

describe("a stranger is refused, and both sides say why:", () => {
  test("another cluster", () =>
    expectRefusal({}, { clusterId: "other" }, "cluster", /cluster "test-cluster".*"other"/));
  test("another node than expected", () =>
    expectRefusal({}, { expectNodeId: "n7" }, "node", /this is node "n1", not "n7"/));
  test("a peer with the node's own id", () =>
    expectRefusal({}, { as: { nodeId: "n1" } }, "node", /must have a node id of its own/));
  test("a peer of another engine", () =>
    expectRefusal(
      { engine: "paxos" },
      { as: { nodeId: "n2" } },
      "engine",
      /this node runs the engine "paxos", the caller "raft"; all nodes must run the same/,
    ));
  test("another secret", () =>
    expectRefusal({ secret: SECRET }, { secret: OTHER }, "auth", /does not know the secret/));
  test("no secret where one is wanted", () => expectRefusal({ secret: SECRET }, {}, "auth", /the caller has none/));
  test("a server without a secret, where the caller has one", () =>
    expectRefusal({}, { secret: SECRET }, "auth", /the called node has none/));
  test("a client's secret for a peer", () =>
    expectRefusal(
      { secret: { peer: SECRET, client: OTHER } },
      { secret: OTHER, as: { nodeId: "n2" } },
      "auth",
      /does not know the secret of a peer/,
    ));
});

function say(socket: Socket, kind: number, body: Uint8Array): void {
  const head = Buffer.alloc(9);
  head.writeUInt32BE(body.length + 5);
  head[4] = kind;
  socket.write(Buffer.concat([head, body]));
}

/** Speaks the protocol by hand. Resolves to the frames that come back until the other side hangs up. */
function speak(port: number, ...frames: [number, Uint8Array][]): Promise<{ kind: number; body: Buffer }[]> {
  return new Promise((resolve) => {
    const answers: { kind: number; body: Buffer }[] = [];
    const decoder = new FrameDecoder(10_000);
    const socket = connect(port, "127.0.0.1", () => {
      for (const [kind, body] of frames) say(socket, kind, body);
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve(answers));
    socket.on("data", (chunk) =>
      decoder.push(chunk, (kind, _id, body) => {
        answers.push({ kind, body: Buffer.from(body) });
        return true;
      }),
    );
  });
}

describe("by hand", () => {
  const nonce = new Uint8Array(32);
  const hello = (version: unknown, role: string): Uint8Array =>
    encode(["kvraft", version, "test-cluster", role, "n2", "", "none", 1 << 20, nonce]);

  test("another version and an unknown role are refused by name", async () => {
    await using world = new World();
    const log = new LogBook();
    const { address } = await world.listen({ logger: log });
    const [versioned] = await speak(address.port, [1, hello(2, "peer")]);
    expect(versioned?.kind).toBe(5);
    expect(versioned?.body.toString()).toContain("speaks protocol version 2, the other side 1");
    const [ruled] = await speak(address.port, [1, hello(1, "king")]);
    expect(ruled?.body.toString()).toContain('must be "peer" or "client", not king');
    await until(() => log.lines.length === 2, "both are logged");
  });

  test("a request before, or instead of, a proof closes the connection", async () => {
    await using world = new World();
    const { address } = await world.listen({ secret: SECRET });
    const request = Buffer.from("\0\x0bg/Test.Echo\x01", "latin1");
    expect(await speak(address.port, [6, request])).toEqual([]);
    const secretly = encode(["kvraft", 1, "test-cluster", "client", "", "", "secret", 1 << 20, nonce]);
    const answers = await speak(address.port, [1, secretly], [6, request]);
    expect(answers.every(({ kind }) => kind === 2)).toBe(true);
    const wrong = await speak(address.port, [1, secretly], [3, new Uint8Array(32)]);
    expect(wrong.map(({ kind }) => kind)).toEqual([2, 5]);
    expect(wrong.some(({ body }) => body.includes(SECRET))).toBe(false);
  });

  test("a caller that says it has no secret is refused before a challenge", async () => {
    await using world = new World();
    const { address } = await world.listen({ secret: SECRET });
    const answers = await speak(address.port, [1, hello(1, "peer")]);
    expect(answers.map(({ kind }) => kind)).toEqual([5]);
    expect(answers[0]?.body.toString()).toContain("wants a shared secret, and the caller has none");
  });

  test("a server that does not ask for the secret gets no calls", async () => {
    await using world = new World();
    const kinds: number[] = [];
    const port = await world.bare((socket) => {
      const decoder = new FrameDecoder(10_000);
      socket.on("data", (chunk) =>
        decoder.push(chunk, (kind) => {
          kinds.push(kind);
          if (kind === 1) say(socket, 2, encode(["kvraft", 1, "test-cluster", "n1", "none", nonce]));
          return true;
        }),
      );
    });
    const end = world.connect(port, { secret: SECRET });
    await expect(end.ready({ timeoutMs: 2000 })).rejects.toThrow(/the called node has none/);
    await until(() => kinds.includes(5), "the server is told");
    expect(new Set(kinds)).toEqual(new Set([1, 5]));
  });

  test("a server that does not know the secret gets no calls", async () => {
    await using world = new World();
    const log = new LogBook();
    // It asks for a proof, as the real one would, but cannot give its own.
    const port = await world.bare((socket) => {
      const decoder = new FrameDecoder(10_000);
      socket.on("data", (chunk) =>
        decoder.push(chunk, (kind) => {
          if (kind === 1) say(socket, 2, encode(["kvraft", 1, "test-cluster", "n1", "secret", nonce]));
          if (kind === 3) say(socket, 4, encode([new Uint8Array(32), ["g"], "", 1 << 20, 5000]));
          if (kind === 6) log.warn({}, "got a call");
          return true;
        }),
      );
    });
    const end = world.connect(port, { secret: SECRET });
    await expect(end.ready({ timeoutMs: 2000 })).rejects.toThrow(/called node does not know the secret/);
    expect(await end.call("Test.Echo", 1)).toBeNull();
    expect(log.lines).toEqual([]);
  });

  test("a handshake that is not finished in time is closed", async () => {
    await using world = new World();
    const log = new LogBook();
    const { address } = await world.listen({ logger: log, limits: { handshakeMs: 50 } });
    const [answers] = await Promise.all([speak(address.port, [1, hello(1, "peer")]), speak(address.port)]);
    expect(answers.map(({ kind }) => kind)).toEqual([2]);
    await until(() => log.lines.filter((line) => line.includes("no handshake within 50 ms")).length === 2, "logged");
  });

  test("a proof is worth nothing in another handshake, direction or role", () => {
    const a = encode(["hello", 1]);
    const b = encode(["challenge", 1]);
    const proof = prove(SECRET, "caller", a, b);
    for (const other of [
      prove(SECRET, "called", a, b),
      prove(SECRET, "caller", encode(["hello", 2]), b),
      prove(SECRET, "caller", a, encode(["challenge", 2])),
      prove(OTHER, "caller", a, b),
      // The border between the two messages counts too.
      prove(SECRET, "caller", a.subarray(0, -1), Buffer.concat([a.subarray(-1), b])),
    ]) {
      expect(Buffer.compare(proof, other)).not.toBe(0);
    }
  });
});

describe("with a shared secret", () => {
  test("peers and clients get in, each with its own", async () => {
    await using world = new World();
    const server = await world.listen({ secret: { peer: SECRET, client: Buffer.from(OTHER) } });
    const peer = world.connect(server.address.port, { as: { nodeId: "n2" }, expectNodeId: "n1", secret: SECRET });
    const client = world.connect(server.address.port, { secret: OTHER });
    expect(await peer.call("Test.Echo", 1)).toEqual({ args: 1 });
    expect(await client.call("Test.Echo", 2)).toEqual({ args: 2 });
    expect(server.connections()).toMatchObject([
      { role: "peer", nodeId: "n2" },
      { role: "client", nodeId: "" },
    ]);
  });
});

describe("binding", () => {
  test("to an address that others can reach needs authentication, or the flag", async () => {
    await using world = new World();
    await expect(world.listen({ host: "0.0.0.0" })).rejects.toThrow(UnsafeBindError);
    await expect(world.listen({ host: "::" })).rejects.toMatchObject({ code: "UNSAFE_BIND" });
    await expect(world.listen({ host: "127.example.com" })).rejects.toThrow(/allowUnauthenticated: true/);
    const open = await world.listen({ host: "0.0.0.0", allowUnauthenticated: true });
    const closed = await world.listen({ host: "0.0.0.0", secret: SECRET });
    expect([open.address.host, closed.address.host]).toEqual(["0.0.0.0", "0.0.0.0"]);
    expect(await world.connect(closed.address.port, { secret: SECRET }).call("Test.Echo", 1)).toEqual({ args: 1 });
  });
});

describe("with TLS", () => {
  const authority = new Authority("test authority");
  const n1 = authority.issue("n1", "127.0.0.1");

  test("certificates of the authority get in, over both connections", async () => {
    await using world = new World();
    const server = await world.listen({ tls: n1, host: "0.0.0.0", secret: SECRET });
    const peer = world.connect(server.address.port, {
      as: { nodeId: "n2" },
      expectNodeId: "n1",
      tls: authority.issue("n2"),
      secret: SECRET,
    });
    const client = world.connect(server.address.port, { tls: authority.issue("somebody"), secret: SECRET });
    expect(await client.call("Test.Echo", "x")).toEqual({ args: "x" });
    const bulk = "y".repeat(500_000);
    expect(await Promise.all([peer.call("Test.Echo", bulk), peer.call("Test.Echo", 1)])).toEqual([
      { args: bulk },
      { args: 1 },
    ]);
    expect(server.connections()).toHaveLength(3);
  });

  test("a peer's certificate must name its node", () =>
    expectRefusal(
      { tls: n1 },
      { tls: authority.issue("somebody"), as: { nodeId: "n2" } },
      "auth",
      /certificate does not name node "n2"/,
    ));

  test("a server's certificate must name the node that is expected", async () => {
    await using world = new World();
    const { address } = await world.listen({ tls: authority.issue("n3") });
    const end = world.connect(address.port, { tls: authority.issue("n2"), as: { nodeId: "n2" }, expectNodeId: "n1" });
    await expect(end.ready({ timeoutMs: 2000 })).rejects.toMatchObject({ code: "REFUSED", reason: "auth" });
  });

  test("strangers are refused: another authority, no certificate, no TLS at all; the server goes on", async () => {
    await using world = new World();
    const log = new LogBook();
    const { address } = await world.listen({ tls: n1, logger: log });
    const stranger = new Authority("another authority");
    const foreign = world.connect(address.port, { tls: { ...stranger.issue("n2"), ca: authority.certificate } });
    const deceived = world.connect(address.port, { tls: stranger.issue("n2") });
    const plain = world.connect(address.port, { limits: { handshakeMs: 500 } });
    await until(
      () => /does its ca accept our certificate/.test(foreign.state().error?.message ?? ""),
      "an explanation",
    );
    await expect(deceived.ready({ timeoutMs: 2000 })).rejects.toMatchObject({ reason: "auth" });
    expect(await plain.call("Test.Echo", 1)).toBeNull();
    await until(
      () => log.lines.filter((line) => line.includes("TLS handshake failed")).length >= 3,
      "three are logged",
    );
    expect(await world.connect(address.port, { tls: authority.issue("c") }).call("Test.Echo", 1)).toEqual({ args: 1 });
  });

  test("a TLS caller of a server without TLS is told", async () => {
    await using world = new World();
    const { address } = await world.listen();
    const end = world.connect(address.port, { tls: authority.issue("c") });
    expect(await end.call("Test.Echo", 1)).toBeNull();
    await until(() => end.state().error !== null, "it failed");
  });

  test("a part that is missing is named", async () => {
    await using world = new World();
    const { cert, key } = n1;
    await expect(world.listen({ tls: { cert, key, ca: "" } })).rejects.toThrow(/tls needs ca/);
  });

  test("closing in the middle of things", async () => {
    await using world = new World();
    const server = await world.listen({ tls: n1, groups: { g: serverOf({ Never: () => new Promise(() => {}) }) } });
    const end = world.connect(server.address.port, { tls: authority.issue("c") });
    await end.ready();
    const calls = [end.call("Test.Never", 0), end.call("Test.Never", "x".repeat(100_000))];
    await server.close({ timeoutMs: 20 });
    expect(await Promise.all(calls)).toEqual([null, null]);
  });
});
