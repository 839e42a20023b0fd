import * as fc from "fast-check";
import { expect, test } from "vitest";

import { ENTRY_OVERHEAD_BYTES, RaftLog } from "../../raft/core/log.js";
import type { Entry } from "../../raft/core/index.js";
import { InvariantError } from "../../runtime/index.js";
import { entryOf } from "../harness/core-messages.js";
import { outcome } from "./bits.js";
import { holds } from "./property.js";

/** A log as it is drawn on paper: the term at each index; those up to `base` are only remembered by the last. */
interface Model {
  base: number;
  baseTerm: number;
  /** terms[i] is that of entry base + 1 + i. */
  terms: number[];
}

type Change =
  | { readonly type: "append"; readonly step: number }
  | { readonly type: "truncateFrom" | "compactTo"; readonly at: number }
  | { readonly type: "reset"; readonly by: number; readonly step: number };

/** Places are relative to the base, so that also places before it and behind the end are tried. */
const change: fc.Arbitrary<Change> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ type: fc.constant("append"), step: fc.integer({ min: -1, max: 3 }) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("truncateFrom"), at: fc.integer({ min: -2, max: 12 }) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("compactTo"), at: fc.integer({ min: -2, max: 12 }) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("reset"), by: fc.nat(20), step: fc.nat(2) }) },
);
const start = fc.record({ base: fc.nat(4), steps: fc.array(fc.nat(2), { maxLength: 8 }) });

const lastIndexOf = (model: Model): number => model.base + model.terms.length;
const lastTermOf = (model: Model): number => model.terms.at(-1) ?? model.baseTerm;

/** The model after the change; null where the log must refuse it. */
function changed(model: Model, by: Change): Model | null {
  const { base, baseTerm, terms } = model;
  switch (by.type) {
    case "append":
      return by.step < 0 ? null : { base, baseTerm, terms: [...terms, lastTermOf(model) + by.step] };
    case "truncateFrom":
      return by.at <= 0 ? null : { base, baseTerm, terms: terms.slice(0, by.at - 1) };
    case "compactTo": {
      if (by.at < 0 || by.at > terms.length) return null;
      return { base: base + by.at, baseTerm: terms[by.at - 1] ?? baseTerm, terms: terms.slice(by.at) };
    }
    case "reset":
      return { base: base + by.by, baseTerm: baseTerm + by.step, terms: [] };
  }
}

function apply(log: RaftLog, { base, baseTerm }: Model, by: Change): void {
  switch (by.type) {
    case "append":
      return log.append(entryOf(log.lastIndex + 1, log.lastTerm + by.step));
    case "truncateFrom":
      return log.truncateFrom(base + by.at);
    case "compactTo":
      return log.compactTo(base + by.at);
    case "reset":
      return log.reset(base + by.by, baseTerm + by.step);
  }
}

function compare(log: RaftLog, model: Model): void {
  const { base, baseTerm, terms } = model;
  expect([log.lastIncludedIndex, log.lastIncludedTerm]).toEqual([base, baseTerm]);
  expect([log.lastIndex, log.lastTerm]).toEqual([lastIndexOf(model), lastTermOf(model)]);
  for (let index = base - 2; index <= lastIndexOf(model) + 2; index++) {
    const term = index === base ? baseTerm : terms[index - base - 1];
    if (log.termAt(index) !== term) expect(log.termAt(index), `termAt(${index})`).toBe(term);
    const entry = outcome(() => log.entryAt(index));
    if (index > base && term !== undefined) expect(entry).toEqual(entryOf(index, term));
    else if (!(entry instanceof InvariantError)) expect(entry, `entryAt(${index})`).toBeInstanceOf(InvariantError);
  }
}

const made = start.map(({ base, steps }): { log: RaftLog; model: Model } => {
  const baseTerm = base === 0 ? 0 : 1;
  let term = baseTerm;
  const terms = steps.map((step) => (term += step));
  const entries = terms.map((entryTerm, i) => entryOf(base + 1 + i, entryTerm));
  return { log: new RaftLog(base, baseTerm, entries), model: { base, baseTerm, terms } };
});

test("a log is the list on paper, whatever is appended, cut off, compacted or replaced; what it refuses changes nothing", () => {
  holds(
    fc.property(made, fc.array(change, { maxLength: 25 }), ({ log, model }, changes) => {
      compare(log, model);
      let now = model;
      for (const by of changes) {
        const next = changed(now, by);
        const error = outcome(() => apply(log, now, by));
        if (next === null) expect(error, JSON.stringify(by)).toBeInstanceOf(InvariantError);
        else expect(error, JSON.stringify(by)).toBeUndefined();
        now = next ?? now;
        compare(log, now);
      }
    }),
    100,
  );
});

test("a slice is as long as its bytes allow, and never empty where there is something", () => {
  holds(
    fc.property(made, fc.nat(12), fc.nat(40), fc.nat(300), ({ log, model }, ahead, to, maxBytes) => {
      const from = model.base + 1 + ahead;
      const slice = log.slice(from, to, maxBytes);
      const all: Entry[] = [];
      for (let index = from; index <= Math.min(to, log.lastIndex); index++) all.push(log.entryAt(index));
      expect(slice).toEqual(all.slice(0, slice.length));
      const size = (count: number): number =>
        all.slice(0, count).reduce((sum, { data }) => sum + data.length + ENTRY_OVERHEAD_BYTES, 0);
      if (all.length > 0) expect(slice.length).toBeGreaterThan(0);
      if (slice.length > 1) expect(size(slice.length)).toBeLessThanOrEqual(maxBytes);
      if (slice.length < all.length) expect(size(slice.length + 1)).toBeGreaterThan(maxBytes);
    }),
    500,
  );
});

test("lastIndexWithTermAtMost is what a search from the end finds", () => {
  holds(
    fc.property(made, fc.nat(20), fc.nat(20), ({ log }, limit, term) => {
      let index = Math.max(log.lastIncludedIndex, Math.min(limit, log.lastIndex));
      while (index > log.lastIncludedIndex && log.termAt(index)! > term) index--;
      return log.lastIndexWithTermAtMost(limit, term) === index;
    }),
    1000,
  );
});

// The argument for skipping whole terms (§5.3) rests on this.
test("two logs that share a history part where the hints of both sides say, or before", () => {
  const tail = fc.array(fc.nat(2), { maxLength: 8 });
  holds(
    fc.property(tail, tail, tail, (common, leaderSteps, followerSteps) => {
      const along = (from: number, steps: readonly number[]): number[] => {
        let term = from;
        return steps.map((step) => (term += step));
      };
      const shared = along(1, common);
      const last = shared.at(-1) ?? 1;
      // Odd terms are the leader's, even ones the follower's: beyond what they share nothing is equal.
      const leader = [...shared, ...along(last, leaderSteps).map((term) => term * 2 + 1)];
      const follower = [...shared, ...along(last, followerSteps).map((term) => term * 2)];
      const logOf = (terms: readonly number[]): RaftLog =>
        new RaftLog(
          0,
          0,
          terms.map((term, i) => entryOf(i + 1, term)),
        );
      const [a, b] = [logOf(leader), logOf(follower)];
      let prev = a.lastIndex;
      let refusals = 0;
      while (b.termAt(prev) !== a.termAt(prev)) {
        const hint = b.lastIndexWithTermAtMost(Math.min(prev, b.lastIndex), a.termAt(prev)!);
        const next = Math.min(a.lastIndexWithTermAtMost(hint, b.termAt(hint)!), hint, prev - 1);
        expect(next).toBeGreaterThanOrEqual(Math.min(shared.length, prev - 1));
        prev = next;
        refusals++;
      }
      expect(prev).toBeLessThanOrEqual(shared.length);
      expect(refusals).toBeLessThanOrEqual(new Set(leader).size + 1);
    }),
    1000,
  );
});
