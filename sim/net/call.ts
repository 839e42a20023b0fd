import { decode, encode } from "../../runtime/index.js";
import { RemoteError, type Server } from "../../labrpc/index.js";
import { NetMessage } from "./message.js";
import type { NetLoss } from "./message.js";
import type { Fate } from "./conditions.js";
import type { Fabric, Handled, Host, Link } from "./host.js";

/** One call, from its request to the one answer that its caller gets. */
export class Call implements Handled {
  readonly from: Host;
  readonly to: Host;
  readonly method: string;
  private readonly network: Fabric;
  private readonly link: Link;
  private readonly life: number;
  private readonly bytes: Uint8Array;
  private readonly resolve: (reply: unknown) => void;
  private readonly reject: (error: Error) => void;
  private request: NetMessage | null = null;
  private isSettled = false;

  constructor(
    link: Link,
    life: number,
    method: string,
    bytes: Uint8Array,
    resolve: (reply: unknown) => void,
    reject: (error: Error) => void,
  ) {
    this.link = link;
    this.from = link.from;
    this.to = link.to;
    this.network = link.from.network;
    this.life = life;
    this.method = method;
    this.bytes = bytes;
    this.resolve = resolve;
    this.reject = reject;
  }

  send(): void {
    const request = this.message(null, this.from, this.to, this.bytes, null);
    this.request = request;
    this.travel(request, this.link);
  }

  /** The reply will never come: whoever waits is told so in time. */
  lose(link: Link): void {
    this.giveUp(this.network.draw(link).noticeMs || this.network.conditions.noticeMs[0]);
  }

  describe(): string {
    return `${this.from.name} calls ${this.method} of ${this.to.name}, whose handler has not returned`;
  }

  private message(
    request: NetMessage | null,
    from: Host,
    to: Host,
    bytes: Uint8Array,
    error: RemoteError | null,
  ): NetMessage {
    const { network } = this;
    const id = network.nextId();
    network.note(bytes.length);
    return new NetMessage(id, request, from.name, to.name, this.method, bytes, error, network.clock.now());
  }

  private travel(message: NetMessage, link: Link): void {
    const { network } = this;
    const { observer, clock } = network;
    const fate = network.draw(link);
    const diversion = observer.sent?.(message);
    if (diversion?.drop) return this.drop(message, "intervention", fate);
    if (link.isCut) return this.drop(message, "cut", fate);
    if (fate.isLost) return this.drop(message, "loss", fate);
    const delayMs = fate.delayMs + (diversion?.delayMs ?? 0);
    clock.setTimeout(() => this.arrive(message), delayMs);
    const duplicateMs = diversion?.duplicateMs ?? fate.duplicateMs;
    // A caller takes one reply: only requests can arrive twice.
    if (duplicateMs > 0 && message.leg === "request") {
      observer.duplicated?.(message);
      clock.setTimeout(() => this.arrive(message), delayMs + duplicateMs);
    }
  }

  private arrive(message: NetMessage): void {
    if (message.leg === "request") this.arriveThere(message);
    else this.arriveBack(message);
  }

  private drop(message: NetMessage, why: NetLoss, fate: Fate): void {
    this.network.observer.dropped?.(message, why);
    this.giveUp(fate.isLost ? fate.noticeMs : this.network.conditions.noticeMs[0] + fate.delayMs);
  }

  private giveUp(afterMs: number): void {
    if (this.isSettled) return;
    this.network.clock.setTimeout(() => {
      if (!this.isSettled) this.reach(() => this.settle(null));
    }, afterMs);
  }

  /** At the caller, if it still lives; when it wakes, if it sleeps. */
  private reach(act: () => void): void {
    const { from, life } = this;
    if (from.life !== life) return;
    if (from.gate === null) return act();
    from.gate(() => {
      if (from.life === life) act();
    });
  }

  private settle(reply: unknown): void {
    if (this.isSettled) return;
    this.isSettled = true;
    this.resolve(reply);
  }

  // ---- at the server ------------------------------------------------------------------------------------------------------

  private arriveThere(message: NetMessage): void {
    const { to } = this;
    if (this.life <= this.from.recalledLife) return this.network.observer.dropped?.(message, "loss");
    if (to.server === null) return this.nobodyThere(message);
    if (to.gate === null) return this.handle(message, to.server);
    const { life, server } = to;
    to.handling.add(this);
    to.gate(() => {
      if (to.life !== life) return;
      to.handling.delete(this);
      this.handle(message, server);
    });
  }

  private nobodyThere(message: NetMessage): void {
    this.network.observer.dropped?.(message, "down");
    this.lose(this.to.linkTo(this.from));
  }

  private handle(message: NetMessage, server: Server): void {
    const { life } = this.to;
    this.network.observer.delivered?.(message);
    const handler = server.accept(this.method);
    if (handler instanceof RemoteError) return this.answer(handler);
    let result: unknown;
    try {
      result = handler(decode(message.bytes));
    } catch (error) {
      result = this.to.life === life ? this.failure(error) : null;
    }
    // A handler may end its own host: then nothing that it says gets out.
    if (this.to.life !== life) this.lose(this.to.linkTo(this.from));
    else if (result instanceof RemoteError) this.answer(result);
    else if (isThenable(result)) this.finishLater(result, life);
    else this.finish(result);
  }

  private finishLater(result: PromiseLike<unknown>, life: number): void {
    const { to } = this;
    to.handling.add(this);
    const end = (): boolean => {
      if (to.life !== life) return false;
      to.handling.delete(this);
      return true;
    };
    result.then(
      (reply) => void (end() && this.finish(reply)),
      (error: unknown) => void (end() && this.answer(this.failure(error))),
    );
  }

  private finish(reply: unknown): void {
    if (reply === null || reply === undefined) {
      return this.answer(new RemoteError("BAD_REPLY", `"${this.method}" returned ${String(reply)}; return an object`));
    }
    try {
      this.answer(encode(reply, "reply"));
    } catch (cause) {
      const why = (cause as Error).message;
      this.answer(new RemoteError("BAD_REPLY", `"${this.method}" returned what cannot be carried: ${why}`, { cause }));
    }
  }

  private failure(cause: unknown): RemoteError {
    const where = `the handler of "${this.method}" on host "${this.to.name}"`;
    const error = new RemoteError("HANDLER_FAILED", `${where} failed: ${String(cause)}`, { cause });
    if (this.request !== null) this.network.observer.failed?.(this.request, error);
    return error;
  }

  private answer(reply: Uint8Array | RemoteError): void {
    const error = reply instanceof RemoteError ? reply : null;
    const bytes = error === null ? (reply as Uint8Array) : NO_BYTES;
    const message = this.message(this.request, this.to, this.from, bytes, error);
    this.travel(message, this.to.linkTo(this.from));
  }

  // ---- at the caller again ----------------------------------------------------------------------------------------------

  private arriveBack(message: NetMessage): void {
    const { from } = this;
    if (this.isSettled || from.life !== this.life) this.network.observer.dropped?.(message, "gone");
    else if (from.gate === null) this.take(message);
    else this.reach(() => this.take(message));
  }

  private take(message: NetMessage): void {
    if (this.isSettled) return;
    this.network.observer.delivered?.(message);
    if (message.error === null) return this.settle(decode(message.bytes));
    this.isSettled = true;
    const { code, message: text } = message.error;
    this.reject(new RemoteError(code, text));
  }
}

const NO_BYTES = new Uint8Array(0);

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";
}
