import { describe, expect, test } from "vitest";

import { decode } from "../../runtime/index.js";
import { PaxosNode } from "../../server/index.js";
import { CallbackMachine, EntryKind } from "../../server/mypaxos/callback.js";
import type { Entry, EntryResult } from "../../server/mypaxos/callback.js";
import { bytesOf, Journal, textOf } from "./virtual-group.js";

const TOKEN = 77;

/** A machine, and the entries of one client in session 1. */
class Script {
  readonly journal = new Journal();
  readonly machine: CallbackMachine;
  index = 0;

  constructor(limits: { maxSessions?: number; maxAnswerBytes?: number } = {}) {
    this.machine = new CallbackMachine(4, this.journal, limits);
  }

  apply(entry: Entry): EntryResult {
    return this.machine.apply(entry, { index: ++this.index, term: 1 });
  }

  open(token = TOKEN): number {
    return this.apply([EntryKind.open, token]) as number;
  }

  batch(session: number, seq: number, ...items: string[]): unknown {
    const result = this.apply([EntryKind.batch, session, TOKEN, seq, items.map(bytesOf)]);
    return result === null ? null : decode(result as Uint8Array);
  }
}

function failureOf(callback: (bytes: Uint8Array) => unknown): unknown {
  const machine = new CallbackMachine(4, callback);
  machine.apply([EntryKind.open, TOKEN], { index: 1, term: 1 });
  try {
    machine.apply([EntryKind.batch, 1, TOKEN, 1, [bytesOf("a"), bytesOf("b")]], { index: 2, term: 1 });
  } catch (error) {
    return error;
  }
  return null;
}

describe("a batch", () => {
  test("is applied once: asked again it has the same answers, and an older one has none", () => {
    const script = new Script();
    const session = script.open();
    const answers = [["1:a"], ["2:b"]];
    expect(script.batch(session, 1, "a", "b")).toEqual(answers);
    expect(script.batch(session, 1, "a", "b")).toEqual(answers);
    expect(script.batch(session, 3, "c")).toEqual([["3:c"]]);
    expect(script.batch(session, 2, "late")).toBeNull();
    expect(script.batch(session, 1, "a", "b")).toBeNull();
    expect(script.journal.items).toEqual(["a", "b", "c"]);
  });

  test("of a session that is unknown, has ended, or belongs to a client with another token: nothing happens", () => {
    const script = new Script();
    const session = script.open();
    expect(script.batch(9, 1, "a")).toBeNull();
    script.apply([EntryKind.end, session, TOKEN + 1]);
    expect(script.batch(session, 1, "b")).toEqual([["1:b"]]);
    script.apply([EntryKind.end, session, TOKEN]);
    expect(script.batch(session, 2, "c")).toBeNull();
    const stranger = script.open(TOKEN + 1);
    expect(script.batch(stranger, 1, "d")).toBeNull();
    expect(script.journal.items).toEqual(["b"]);
  });

  test("the client that wrote longest ago is forgotten: beyond so many clients, and beyond so many bytes of answers", () => {
    const few = new Script({ maxSessions: 2 });
    const [a, b] = [few.open(), few.open()];
    expect(few.batch(a, 1, "a")).not.toBeNull();
    const c = few.open();
    expect(few.batch(b, 1, "b")).toBeNull();
    expect(few.batch(a, 2, "a")).not.toBeNull();
    expect(few.batch(c, 1, "c")).not.toBeNull();

    const small = new Script({ maxAnswerBytes: 100 });
    const sessions = [small.open(), small.open()] as const;
    expect(small.batch(sessions[0], 1, "x".repeat(60))).not.toBeNull();
    expect(small.batch(sessions[1], 1, "y".repeat(200))).not.toBeNull();
    expect(small.batch(sessions[0], 2, "x")).toBeNull();
    // The last one stays, whatever its size.
    expect(small.batch(sessions[1], 1, "y".repeat(200))).toEqual([[`2:${"y".repeat(200)}`]]);
  });

  test("a snapshot holds what was applied, and what makes it happen once", () => {
    const script = new Script();
    const session = script.open();
    script.batch(session, 1, "a", "b");
    const other = new Script();
    other.machine.restore(script.machine.snapshot());
    expect(other.journal.items).toEqual(["a", "b"]);
    expect(other.batch(session, 1, "a", "b")).toEqual([["1:a"], ["2:b"]]);
    expect(other.batch(session, 2, "c")).toEqual([["3:c"]]);
  });

  test("an entry of another version, or a snapshot of one, stops the group", () => {
    const script = new Script();
    expect(() => script.apply([9] as unknown as Entry)).toThrow(/this version does not know/);
    expect(() => script.machine.restore(bytesOf("x"))).toThrow();
  });
});

describe("answers", () => {
  test("undefined, bytes, and any plain data", () => {
    const given = [undefined, null, 0, "text", Uint8Array.of(1, 2), { a: [1] }, []];
    const machine = new CallbackMachine(4, (bytes) => given[bytes[0] as number]);
    machine.apply([EntryKind.open, TOKEN], { index: 1, term: 1 });
    const items = given.map((_, i) => Uint8Array.of(i));
    const result = machine.apply([EntryKind.batch, 1, TOKEN, 1, items], { index: 2, term: 1 });
    expect(decode(result as Uint8Array)).toEqual(given.map((answer) => (answer === undefined ? null : [answer])));
  });

  test("a callback that throws: the error says where, and has the cause", () => {
    const cause = new Error("out of paper");
    const error = failureOf((bytes) => {
      if (textOf(bytes) === "b") throw cause;
    });
    expect(error).toMatchObject({
      code: "CALLBACK_FAILED",
      cause,
      message: "the callback of group 4 threw at item 2 of 2 in entry 2: out of paper",
    });
  });

  test("a promise is no answer, whatever becomes of it", () => {
    const failing = failureOf(() => Promise.reject(new Error("later")));
    expect(failing).toMatchObject({
      message: expect.stringMatching(/returned a promise at item 1.*must be synchronous/),
    });
  });

  test("what cannot be carried is no answer", () => {
    expect(failureOf(() => new Map())).toMatchObject({
      code: "CALLBACK_FAILED",
      message: expect.stringMatching(/group 4 returned what cannot be carried.*Map/) as string,
    });
  });
});

describe("a group's callback is checked when it is given", () => {
  const config = { nodes: [{ id: 1, host: "127.0.0.1", port: 1 }], myid: 1 };
  const nothing = (): void => {};

  test.each<[what: string, callback: unknown, message: RegExp]>([
    ["an async function", async () => {}, /group 7 must be synchronous/],
    ["async apply", { apply: async () => {}, snapshot: nothing, restore: nothing }, /must be synchronous/],
    ["async snapshot", { apply: nothing, snapshot: async () => {}, restore: nothing }, /must be synchronous/],
    ["half a state machine", { apply: nothing, snapshot: nothing }, /a function .* or \{ apply, snapshot, restore \}/],
    ["nothing", undefined, /group 7 needs a function/],
  ])("%s", (_, callback, message) => {
    expect(() => new PaxosNode(config).setGroupId(7, callback as () => void)).toThrow(message);
  });

  test("ids: whole numbers, each once", async () => {
    const node = new PaxosNode(config, { groups: { 1: nothing } });
    expect(() => node.setGroupId(1, nothing)).toThrow(/group 1 has a callback already/);
    expect(() => node.setGroupId(-1, nothing)).toThrow(/a whole number, 0 or more, not -1/);
    expect(() => new PaxosNode(config, { groups: { one: nothing } as Record<number, () => void> })).toThrow(/not NaN/);
    await expect(new PaxosNode(config).start()).rejects.toMatchObject({ code: "CONFIG", field: "groups" });
    expect(() => node.status()).toThrow(/has not started/);
  });
});
