import { describe, expect, test } from "vitest";

import { makeHistory, spoil } from "../bench/histories.js";
import { SeededRandom } from "../runtime/index.js";
import { checkLinearizable, simulate } from "../sim/index.js";
import type { CheckResult, HistoryEvent, HistoryFunction, HistoryValue } from "../sim/index.js";
import { bruteForce, randomHistory } from "./checker-data.js";

/** An operation: what, when it was called and when it returned, and its outcome. Without `to` it never returned. */
interface Told {
  readonly f: HistoryFunction;
  readonly in?: HistoryValue;
  readonly out?: HistoryValue;
  readonly from: number;
  readonly to?: number;
  readonly type?: "ok" | "fail" | "info";
  readonly key?: string;
}

/** A history in which every operation has a process of its own. */
function tell(...told: readonly Told[]): HistoryEvent[] {
  const events = told.flatMap(({ f, in: input, out, from, to, type = "ok", key = "x" }, process) => {
    const invoke: HistoryEvent = { process, type: "invoke", f, key, value: input, time: from };
    return to === undefined ? [invoke] : [invoke, { process, type, f, key, value: out, time: to }];
  });
  return events.sort((a, b) => a.time - b.time);
}

const put = (value: string, from: number, to?: number): Told => ({ f: "put", in: value, from, ...(to && { to }) });
const append = (value: string, from: number, to?: number): Told => ({
  f: "append",
  in: value,
  from,
  ...(to && { to }),
});
const get = (out: string | null, from: number, to: number): Told => ({ f: "get", out, from, to });
const cas = (
  expected: string | null,
  value: string,
  from: number,
  to: number,
  type?: "ok" | "fail" | "info",
): Told => ({
  ...{ f: "cas", in: [expected, value], from, to, ...(type && { type }) },
});
const del = (out: boolean | null, from: number, to: number): Told => ({ f: "delete", out, from, to });
const read = (value: string, version: number, from: number, to: number): Told => ({
  ...{ f: "read", out: { value, version }, from, to },
});
const putIf = (value: string, version: number, ok: boolean, now: number, from: number, to: number): Told => ({
  ...{ f: "putif", in: { value, version }, out: { ok, version: now }, from, to },
});

const GOOD: Record<string, Told[]> = {
  "nothing at all": [],
  "a key begins absent": [get(null, 0, 1)],
  "a read during two puts sees either": [put("1", 0, 9), put("2", 1, 8), get("1", 2, 3), get("2", 4, 5)],
  "an unanswered put takes effect much later": [put("1", 0), put("2", 1, 2), get("2", 3, 4), get("1", 5, 6)],
  "an unanswered put never takes effect": [put("1", 0), get(null, 3, 4), get(null, 5, 6)],
  "an unanswered append comes between two others": [
    append("a", 0, 1),
    append("b", 2),
    append("c", 3, 4),
    get("abc", 5, 6),
  ],
  "append creates": [append("a", 0, 1), get("a", 2, 3)],
  "appending nothing creates": [append("", 0, 1), get("", 2, 3)],
  "an unanswered cas swaps later": [
    put("1", 0, 1),
    { ...cas("1", "2", 2, 3), type: "info" },
    get("1", 4, 5),
    get("2", 6, 7),
  ],
  "a refused cas saw another value": [put("1", 0, 1), cas("2", "3", 2, 3, "fail"), get("1", 4, 5)],
  "a refused cas saw no value": [cas("2", "3", 2, 3, "fail")],
  "cas on absent creates": [cas(null, "1", 0, 1), get("1", 2, 3)],
  "a put that failed did not happen": [{ ...put("1", 0, 1), type: "fail" }, get(null, 2, 3)],
  "delete says whether there was something": [del(false, 0, 1), put("1", 2, 3), del(true, 4, 5), get(null, 6, 7)],
  "delete need not say": [put("1", 0, 1), del(null, 2, 3), get(null, 4, 5)],
  "versions count writes": [put("a", 0, 1), append("b", 2, 3), read("ab", 2, 4, 5), putIf("c", 2, true, 3, 6, 7)],
  "versions begin again after a delete": [
    put("a", 0, 1),
    del(true, 2, 3),
    putIf("b", 0, true, 1, 4, 5),
    read("b", 1, 6, 7),
  ],
  "a refused putif tells the version": [put("a", 0, 1), putIf("b", 0, false, 1, 2, 3), putIf("b", 7, false, 1, 4, 5)],
  "a hidden put may need an unanswered one after it": [
    ...[put("ab", 0), cas(null, "ab", 1, 2), put("", 4, 7), cas("ab", "a", 5, 6), get("a", 11, 12)],
  ],
  "keys are independent": [put("1", 0, 1), { ...put("2", 2, 3), key: "y" }, get("1", 4, 5)],
};

/** With the operations of a counterexample, in order. */
const BAD: Record<string, readonly [Told[], string[]]> = {
  "stale read": [
    [put("1", 0, 1), put("2", 2, 3), get("1", 4, 5)],
    ["put", "get"],
  ],
  "lost update": [
    [put("1", 0, 1), get("1", 2, 3), get(null, 4, 5)],
    ["get", "get"],
  ],
  "lost append": [
    [append("a", 0, 3), append("b", 1, 4), get("a", 5, 6)],
    ["append", "get"],
  ],
  "read from the future": [[get("1", 0, 1), put("1", 2, 3)], ["get"]],
  "read from nowhere": [[put("1", 0, 1), get("2", 2, 3)], ["get"]],
  "duplicated append": [
    [put("", 0, 1), append("a", 2, 3), get("aa", 4, 5)],
    ["put", "append", "get"],
  ],
  "reads disagree on the order": [[put("1", 0, 9), put("2", 0, 9), get("1", 1, 2), get("2", 3, 4), get("1", 5, 6)], []],
  "appends read in two orders": [
    [append("a", 0, 1), append("b", 0, 1), get("ab", 2, 3), get("ba", 4, 5)],
    ["get", "get"],
  ],
  "a failed put was seen": [[{ ...put("1", 0, 1), type: "fail" }, get("1", 2, 3)], ["get"]],
  "an unanswered put came and went and came": [
    [put("1", 0), put("2", 1, 2), get("1", 3, 4), put("3", 5, 6), get("1", 7, 8)],
    ["put", "put", "get", "put", "get"],
  ],
  "cas on another value swapped": [[put("1", 0, 1), cas("2", "3", 2, 3)], ["cas"]],
  "cas refused the value it wanted": [
    [put("1", 0, 1), cas("1", "3", 2, 3, "fail")],
    ["put", "cas"],
  ],
  "cas on absent refused": [[cas(null, "1", 0, 1, "fail")], ["cas"]],
  "two cas of one value": [
    [put("1", 0, 1), cas("1", "2", 2, 5), cas("1", "3", 3, 6)],
    ["put", "cas", "cas"],
  ],
  "deleted and still there": [
    [put("1", 0, 1), del(true, 2, 3), get("1", 4, 5)],
    ["delete", "get"],
  ],
  "deleted twice": [
    [put("1", 0, 1), del(true, 2, 5), del(true, 3, 6)],
    ["put", "delete", "delete"],
  ],
  "delete found what was not there": [[del(true, 0, 1)], ["delete"]],
  "a version went back": [
    [putIf("a", 0, true, 1, 0, 1), putIf("b", 1, true, 2, 2, 3), read("a", 1, 4, 5)],
    ["putif", "read"],
  ],
  "putif skipped a version": [[put("a", 0, 1), putIf("b", 1, true, 3, 2, 3)], ["putif"]],
  "putif refused its own version": [[putIf("b", 0, false, 0, 2, 3)], ["putif"]],
};

describe("checker", () => {
  test.each(Object.entries(GOOD))("linearizable: %s", (_, told) => {
    expect(checkLinearizable(tell(...told))).toMatchObject({ verdict: "linearizable", operations: told.length });
  });

  test.each(Object.entries(BAD))("not linearizable: %s", (_, [told, shown]) => {
    const result = checkLinearizable(tell(...told));
    expect(result).toMatchObject({ verdict: "not-linearizable", key: "x" });
    if (shown.length > 0) expect(result.counterexample?.map(({ f }) => f)).toEqual(shown);
    expect(result.explanation).toContain("fits nowhere");
  });

  test("agrees with brute force on small histories of every kind, and so do its counterexamples", () => {
    const count = { good: 0, bad: 0 };
    for (let seed = 0; seed < 6000; seed++) {
      const history = randomHistory(new SeededRandom(seed));
      const result = checkLinearizable(history);
      const isGood = bruteForce(history);
      const details = `seed ${seed}\n${history.map((event) => JSON.stringify(event)).join("\n")}\n${result.explanation}`;
      expect(result.verdict, details).toBe(isGood ? "linearizable" : "not-linearizable");
      count[isGood ? "good" : "bad"]++;
      if (!isGood) expect(bruteForce(eventsOf(history, result)), details).toBe(false);
    }
    expect(count.good).toBeGreaterThan(3000);
    expect(count.bad).toBeGreaterThan(800);
  });

  test("a timeline that a person can read", () => {
    const told = [put("1", 0, 2e6), put("2", 3e6, 5e6), append("x", 6e6), get("1", 4e6, 9e6), get("1", 10e6, 11e6)];
    expect(checkLinearizable(tell(...told)).explanation).toBe(
      [
        `Key "x": no order of these 2 operations explains their outcomes (3.000 ms to 11.000 ms).`,
        "",
        `  process 1  put "2"     |--|         <- from here`,
        `  process 4  get -> "1"        |--|   <- fits nowhere`,
        "",
        `The key's value is known from the operation marked "from here"; it left what it read or wrote.`,
        "Another write cannot explain it either, whatever its time and even if repeated.",
      ].join("\n"),
    );
  });

  test("long values are shortened, open operations have no end", () => {
    const long = "0123456789".repeat(10);
    const result = checkLinearizable(tell(put("b", 1, 2), get(long, 3, 4)));
    expect(result.explanation).toContain(`get -> "01234567".."678901234567890123456789" (100 characters)`);
    const twice = tell(put("a", 0), put("b", 1, 2), get("a", 3, 4), put("b", 5, 6), get("a", 7, 8));
    expect(checkLinearizable(twice).explanation).toMatch(/put "a" +\|-+ {2}no answer/);
  });
});

/** The events of the operations in a counterexample. */
function eventsOf(history: readonly HistoryEvent[], result: CheckResult): HistoryEvent[] {
  expect(result.counterexample?.length).toBeLessThanOrEqual(10);
  return history.filter(({ process, key, time }) =>
    result.counterexample?.some(
      (one) => one.process === process && one.key === key && (one.call === time || one.return === time),
    ),
  );
}

describe("checker: hard histories", () => {
  const labs = { put: 5, append: 45, get: 50 };
  const cases = {
    "18,000 operations of 15 clients on one key": [18_000, 15, 1, labs, 0],
    "the same with unknown outcomes": [18_000, 15, 1, labs, 0.01],
    "50,000 operations on ten keys": [50_000, 15, 10, labs, 0],
    "appends and gets, unknown outcomes": [4_000, 15, 1, { append: 1, get: 1 }, 0.02],
    "versioned writes": [8_000, 15, 1, { read: 5, putif: 4, put: 1 }, 0.01],
  } as const;

  test.each(Object.entries(cases))("%s", (_, [operations, clients, keys, mix, unknown]) => {
    const random = new SeededRandom(7);
    const history = makeHistory(random, { operations, clients, keys, mix, unknown, think: 0 });
    const good = checkLinearizable(history, { maxNodes: 200_000 });
    expect(good).toMatchObject({ verdict: "linearizable", operations, keys });
    const bad = checkLinearizable(spoil(random, history), { maxNodes: 400_000 });
    expect(bad.verdict).toBe("not-linearizable");
    expect(bad.counterexample?.length).toBeLessThanOrEqual(10);
  });

  test("registers of few values, as Jepsen has them: always decided", () => {
    for (let seed = 0; seed < 60; seed++) {
      const random = new SeededRandom(seed);
      const mix = seed % 2 === 0 ? { put: 1, get: 1, cas: 1 } : { put: 1, get: 1 };
      const workload = { operations: 170, clients: 5, keys: 1, mix, values: 5, think: 20, unknown: 0.15 };
      const history = makeHistory(random, workload);
      expect(checkLinearizable(history).verdict).toBe("linearizable");
      expect(checkLinearizable(spoil(random, history)).verdict).not.toBe("unknown");
    }
  });

  test("forty unanswered appends at once", () => {
    const lost = Array.from({ length: 40 }, (_, i) => append(`<${i}>`, i));
    const seen = [get("<7><3>", 50, 51), get("<7><3><39>", 52, 53)];
    expect(checkLinearizable(tell(...lost, ...seen)).verdict).toBe("linearizable");
    const back = checkLinearizable(tell(...lost, ...seen, get("<7><3><38>", 54, 55)));
    expect(back).toMatchObject({ verdict: "not-linearizable" });
    expect(back.counterexample).toHaveLength(2);
  });

  test("unanswered appends beside a read with its version", () => {
    const lost = Array.from({ length: 30 }, (_, i) => append(`<${i}>`, i));
    // Two appends at a time, of which the one that is first called and answered comes second.
    const known = Array.from({ length: 20 }, (_, i) => 100 + 10 * i).flatMap((at, i) => [
      append(`(${i})`, at, at + 4),
      append(`[${i}]`, at + 1, at + 5),
    ]);
    const texts = Array.from({ length: 20 }, (_, i) => `[${i}](${i})`);
    const gets = texts.map((_, i) => get(texts.slice(0, i + 1).join(""), 106 + 10 * i, 107 + 10 * i));
    const history = (version: number) => tell(...lost, ...known, ...gets, read(texts.join(""), version, 900, 901));
    expect(checkLinearizable(history(40), { maxNodes: 10_000 }).verdict).toBe("linearizable");
    expect(checkLinearizable(history(41), { maxNodes: 10_000 }).verdict).toBe("not-linearizable");
  });
});

describe("checker: limits", () => {
  // Puts and appends of few values, half of them unanswered: more orders than anybody can try.
  const workload = { operations: 600, clients: 15, keys: 1, mix: { put: 1, append: 4, delete: 1, get: 2 }, values: 2 };
  const hard = makeHistory(new SeededRandom(1), { ...workload, think: 0, unknown: 0.3 });

  test("a budget of configurations gives unknown, always at the same place", () => {
    const result = checkLinearizable(hard, { maxNodes: 30 });
    expect(result).toMatchObject({ verdict: "unknown", key: "k1" });
    expect(result.explanation).toMatch(/^Key "k1" with \d+ operations was not decided within 30 configurations/);
    expect(checkLinearizable(hard, { maxNodes: 30 })).toEqual(result);
  });

  test("runs inside a simulation, timed or not", async () => {
    const told = tell(put("1", 0, 1), get("2", 2, 3));
    const inside = await simulate({ seed: 1 }, async () => [
      checkLinearizable(told),
      checkLinearizable(told, { timeoutMs: 60_000 }),
    ]);
    expect(inside).toEqual([checkLinearizable(told), checkLinearizable(told)]);
  });

  test("no time at all gives unknown", () => {
    const result = checkLinearizable(tell(put("1", 0, 1)), { timeoutMs: Number.MIN_VALUE });
    expect(result).toMatchObject({ verdict: "unknown", nodes: 0 });
    expect(result.explanation).toContain("Raise timeoutMs");
  });

  test("limits must be positive", () => {
    expect(() => checkLinearizable([], { timeoutMs: 0 })).toThrow("timeoutMs must be more than 0, not 0");
    expect(() => checkLinearizable([], { maxNodes: -1 })).toThrow("maxNodes must be more than 0, not -1");
  });
});
