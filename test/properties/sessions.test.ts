import * as fc from "fast-check";
import { expect, test } from "vitest";

import { CommandKind, KvMachine, OpKind, type Command, type OpResult, type Slot } from "../../kvraft/index.js";
import { KvraftError } from "../../runtime/index.js";
import { SessionTable } from "../../kvraft/sessions.js";
import { outcome } from "./bits.js";
import { holds } from "./property.js";

// ---- the table by itself: who is remembered, in what order

type TableStep =
  | { readonly type: "open"; readonly limit: number }
  | { readonly type: "use" | "end"; readonly id: number };

const tableStep: fc.Arbitrary<TableStep> = fc.oneof(
  fc.record({ type: fc.constant("open"), limit: fc.integer({ min: 1, max: 5 }) }),
  fc.record({ type: fc.constantFrom("use", "end"), id: fc.integer({ min: 1, max: 20 }) }),
);

test("the table keeps the sessions used last, and their order survives a round trip", () => {
  holds(
    fc.property(fc.array(tableStep, { maxLength: 40 }), (steps) => {
      let table = new SessionTable();
      let order: number[] = [];
      for (const [i, step] of steps.entries()) {
        const id = step.type === "open" ? i + 1 : step.id;
        const isKnown = order.includes(id);
        order = order.filter((other) => other !== id);
        if (step.type === "open") {
          table.open(id, step.limit);
          order = [...order, id].slice(-step.limit);
        } else if (step.type === "end") {
          expect(table.end(id)).toBe(isKnown);
        } else {
          expect(table.use(id) !== undefined).toBe(isKnown);
          if (isKnown) order.push(id);
        }
        expect(table.toRows().map(([row]) => row)).toEqual(order);
        expect(table.size).toBe(order.length);
        const copy = new SessionTable();
        copy.restore(table.toRows());
        expect(copy.toRows()).toEqual(table.toRows());
        table = copy;
      }
    }),
    300,
  );
});

// ---- the machine: exactly once, against a model that forgets nothing

const KEYS = ["a", "b"];
const key = fc.constantFrom(...KEYS);
const value = fc.string({ maxLength: 2 });
const write: fc.Arbitrary<Slot> = fc.oneof(
  fc.tuple(fc.constant(OpKind.put), key, value),
  fc.tuple(fc.constant(OpKind.append), key, value),
  fc.tuple(fc.constant(OpKind.delete), key),
  fc.tuple(fc.constant(OpKind.putIf), key, value, fc.nat(3)),
  fc.constant(null),
);
const slots = fc.array(fc.oneof({ weight: 5, arbitrary: write }, fc.tuple(fc.constant(OpKind.read), key)), {
  minLength: 1,
  maxLength: 4,
});

/** Numbers near those that a session has reached: repeated, in part repeated, next, skipped. */
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 2, arbitrary: fc.tuple(fc.constant(CommandKind.register), fc.integer({ min: 2, max: 4 })) },
  { weight: 1, arbitrary: fc.tuple(fc.constant(CommandKind.end), fc.integer({ min: 1, max: 30 })) },
  { weight: 1, arbitrary: fc.tuple(fc.constant(CommandKind.read), fc.array(fc.tuple(fc.constant(OpKind.read), key))) },
  {
    weight: 12,
    arbitrary: fc.tuple(
      fc.constant(CommandKind.request),
      fc.integer({ min: 1, max: 6 }),
      fc.integer({ min: 1, max: 12 }),
      slots,
    ),
  },
);
const commands = fc.array(command, { minLength: 1, maxLength: 30 });

interface ModelSession {
  last: number;
  /** Every write that was ever applied, by number. */
  readonly replies: Map<number, number | null>;
  /** The first number of the last request that applied something: earlier replies need not be known any more. */
  since: number;
}

/** The state machine as one would write it without a thought for space. */
class Model {
  readonly items = new Map<string, { value: string; version: number }>();
  /** In order of use. */
  readonly sessions = new Map<number, ModelSession>();

  apply(by: Command, index: number): readonly OpResult[] | null {
    if (by[0] === CommandKind.read) return by[1].map(([, readKey]) => this.#read(readKey));
    if (by[0] === CommandKind.end) return this.sessions.delete(by[1]) ? [] : null;
    if (by[0] === CommandKind.register) {
      this.sessions.set(index, { last: 0, replies: new Map(), since: 1 });
      for (const id of [...this.sessions.keys()].slice(0, -by[1])) this.sessions.delete(id);
      return [index];
    }
    const session = this.sessions.get(by[1]);
    if (session === undefined) return null;
    this.sessions.delete(by[1]);
    this.sessions.set(by[1], session);
    return this.#request(session, by[2], by[3]);
  }

  #request(session: ModelSession, firstSeq: number, asked: readonly Slot[]): OpResult[] {
    let seq = firstSeq;
    return asked.map((slot) => {
      if (slot !== null && slot[0] === OpKind.read) return this.#read(slot[1]);
      const number = seq++;
      if (number <= session.last) {
        return number >= session.since ? (session.replies.get(number) ?? null) : null;
      }
      session.last = number;
      session.since = firstSeq;
      const reply = slot === null ? null : this.#write(slot);
      session.replies.set(number, reply);
      return reply;
    });
  }

  #read(readKey: string): OpResult {
    const item = this.items.get(readKey);
    return item === undefined ? null : [item.value, item.version];
  }

  #write(op: Exclude<Slot, null>): number {
    const item = this.items.get(op[1]);
    const version = item?.version ?? 0;
    if (op[0] === OpKind.delete) {
      this.items.delete(op[1]);
      return version;
    }
    if (op[0] === OpKind.putIf && version !== op[3]) return 0 - version;
    const added = op[2] as string;
    this.items.set(op[1], {
      value: op[0] === OpKind.append ? (item?.value ?? "") + added : added,
      version: version + 1,
    });
    return version + 1;
  }
}

test("every write happens once and is answered as the first time, for as long as its client may ask", () => {
  holds(
    fc.property(commands, (list) => {
      const machine = new KvMachine();
      const model = new Model();
      for (const [i, next] of list.entries()) {
        const index = i + 1;
        expect(machine.apply(next, { index, term: 1 }), JSON.stringify(next)).toEqual(model.apply(next, index));
        for (const known of KEYS) {
          const item = model.items.get(known);
          expect(machine.store.read(known)).toEqual(item === undefined ? null : [item.value, item.version]);
        }
        expect(machine.sessions.toRows().map(([id, last]) => [id, last])).toEqual(
          [...model.sessions].map(([id, { last }]) => [id, last]),
        );
      }
    }),
    500,
  );
});

test("a machine that goes on from a snapshot, taken anywhere, stays byte for byte the same", () => {
  holds(
    fc.property(commands, fc.nat(), fc.boolean(), (list, at, isUsed) => {
      const straight = new KvMachine();
      let other = new KvMachine();
      for (const [i, next] of list.entries()) {
        if (i === at % list.length) {
          const snapshot = other.snapshot();
          other = new KvMachine();
          // Nothing of what was there before may shine through.
          if (isUsed) for (const old of list) other.apply(old, { index: 1, term: 1 });
          other.restore(snapshot);
          expect(other.snapshot()).toEqual(snapshot);
        }
        const context = { index: i + 1, term: 1 };
        expect(other.apply(next, context)).toEqual(straight.apply(next, context));
      }
      expect(other.snapshot()).toEqual(straight.snapshot());
    }),
    300,
  );
});

test("no beginning of a snapshot is taken for one, and the state stays as it was", () => {
  holds(
    fc.property(commands, fc.nat(), (list, at) => {
      const machine = new KvMachine();
      for (const [i, next] of list.entries()) machine.apply(next, { index: i + 1, term: 1 });
      const snapshot = machine.snapshot().slice();
      const beginning = snapshot.subarray(0, at % snapshot.length);
      expect(outcome(() => machine.restore(beginning))).toBeInstanceOf(KvraftError);
      expect(machine.snapshot()).toEqual(snapshot);
    }),
    300,
  );
});
