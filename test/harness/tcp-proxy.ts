import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

import type { Random } from "../../runtime/index.js";

/** What happens to the bytes on their way in one direction. */
export interface Conditions {
  /** A black hole: nothing arrives, and nobody is told. What was sent arrives when it ends, as TCP sends again. */
  isBlocked: boolean;
  /** Each piece is late by this, and by up to `jitterMs` more. The order is kept. */
  delayMs: number;
  jitterMs: number;
  /** A slow trickle. */
  bytesPerSecond: number;
}

const CLEAR: Readonly<Conditions> = { isBlocked: false, delayMs: 0, jitterMs: 0, bytesPerSecond: Infinity };

/** What one direction of one connection keeps on its way; beyond that the sender has to wait, as with real buffers. */
const MAX_QUEUED_BYTES = 256 << 10;
/** A trickle comes in so many pieces a second. */
const TRICKLES_A_SECOND = 20;

interface Piece {
  /** Or how the sender has ended the connection. */
  content: Buffer | "end" | "reset";
  /** When it may arrive. */
  due: number;
}

/** One direction of one connection. */
class Lane {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #conditions: Readonly<Conditions>;
  readonly #random: Random;
  readonly #queue: Piece[] = [];
  #queuedBytes = 0;
  #lastDue = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(from: Socket, to: Socket, conditions: Readonly<Conditions>, random: Random) {
    this.#from = from;
    this.#to = to;
    this.#conditions = conditions;
    this.#random = random;
    from.on("data", (bytes) => {
      this.#queuedBytes += bytes.length;
      if (this.#queuedBytes > MAX_QUEUED_BYTES) from.pause();
      this.#push(bytes);
    });
    from.once("end", () => this.#push("end"));
    from.once("close", () => {
      if (!from.readableEnded) this.#push("reset");
    });
  }

  /** Lets go what may arrive by now. */
  pass(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const { isBlocked, bytesPerSecond } = this.#conditions;
    if (isBlocked || this.#to.destroyed) return;
    for (let piece = this.#queue[0]; piece !== undefined; piece = this.#queue[0]) {
      const now = performance.now();
      if (piece.due > now) return this.#passLater(piece.due - now);
      const { content } = piece;
      if (typeof content === "string") {
        this.#queue.shift();
        if (content === "end") this.#to.end();
        else this.#to.resetAndDestroy();
        continue;
      }
      const part = content.subarray(0, Math.ceil(bytesPerSecond / TRICKLES_A_SECOND));
      this.#to.write(part);
      this.#queuedBytes -= part.length;
      if (part.length === content.length) this.#queue.shift();
      else piece.content = content.subarray(part.length);
      if (bytesPerSecond !== Infinity) return this.#passLater((1000 * part.length) / bytesPerSecond);
    }
    if (this.#from.isPaused() && !this.#from.destroyed) this.#from.resume();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #push(content: Piece["content"]): void {
    const { delayMs, jitterMs } = this.#conditions;
    const delay = delayMs + this.#random.next() * jitterMs;
    this.#lastDue = Math.max(this.#lastDue, performance.now() + delay);
    this.#queue.push({ content, due: this.#lastDue });
    if (this.#timer === undefined) this.pass();
  }

  #passLater(ms: number): void {
    this.#timer = setTimeout(() => this.pass(), ms);
  }
}

interface Connection {
  readonly sockets: readonly Socket[];
  readonly lanes: readonly Lane[];
}

/** Stands between one program that dials and another that listens, and does to their bytes what networks do. */
export class TcpProxy {
  /** From who dials to who listens, and back. */
  readonly forward: Conditions = { ...CLEAR };
  readonly backward: Conditions = { ...CLEAR };
  /** New connections are reset at once: nobody listens. */
  isRefusing = false;
  readonly #server: Server;
  readonly #target: number;
  readonly #random: Random;
  readonly #connections = new Set<Connection>();
  /** Accepted while nothing goes forward: not even the first packet has arrived. */
  readonly #callers = new Set<Socket>();

  private constructor(target: number, random: Random) {
    this.#target = target;
    this.#random = random;
    this.#server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => this.#accept(socket));
  }

  /** Passes on to port `target` of this machine. */
  static async listen(target: number, random: Random): Promise<TcpProxy> {
    const proxy = new TcpProxy(target, random);
    await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Both directions are as they should be, and what is on its way goes on. */
  heal(): void {
    Object.assign(this.forward, CLEAR);
    Object.assign(this.backward, CLEAR);
    this.isRefusing = false;
    this.conditionsChanged();
  }

  /** Call it after a change for the better: what was held back goes on. */
  conditionsChanged(): void {
    if (!this.forward.isBlocked) for (const caller of this.#callers) this.#dial(caller);
    for (const { lanes } of this.#connections) for (const lane of lanes) lane.pass();
  }

  /** Every connection ends with a reset, at both sides; what was on its way is lost. */
  reset(): void {
    for (const { sockets } of this.#connections) for (const socket of sockets) socket.resetAndDestroy();
    for (const caller of this.#callers) caller.resetAndDestroy();
  }

  async close(): Promise<void> {
    this.reset();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(caller: Socket): void {
    // An error is followed by "close", which is where it is dealt with.
    caller.on("error", () => {});
    if (this.isRefusing) return void caller.resetAndDestroy();
    this.#callers.add(caller);
    caller.once("close", () => this.#callers.delete(caller));
    if (!this.forward.isBlocked) this.#dial(caller);
  }

  #dial(caller: Socket): void {
    this.#callers.delete(caller);
    const called = connect({ port: this.#target, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
    caller.setNoDelay(true);
    const lanes = [
      new Lane(caller, called, this.forward, this.#random),
      new Lane(called, caller, this.backward, this.#random),
    ];
    const connection: Connection = { sockets: [caller, called], lanes };
    this.#connections.add(connection);
    called.on("error", () => {});
    for (const socket of connection.sockets) {
      socket.once("close", () => {
        if (!connection.sockets.every((each) => each.destroyed)) return;
        for (const lane of lanes) lane.stop();
        this.#connections.delete(connection);
      });
    }
    caller.resume();
  }
}
