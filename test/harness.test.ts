import { describe, expect, test } from "vitest";

import type { HistoryEvent } from "../sim/index.js";
import { CommitRecord, encodeSnapshot, FILLED } from "./harness/commit-record.js";
import { checkAppends, marker } from "./harness/kv-checks.js";
import { assertLinearizable } from "./harness/linearizable.js";
import { passedLine, replayCommand } from "./harness/runner.js";
import { parseLabSettings } from "./harness/settings.js";

// The suites can only be trusted if their checks can fail: each of them does here.

const command = (index: number, value: number, term = 1) => ({ type: "command", index, term, command: value }) as const;
const snapshot = (index: number, bytes: Uint8Array, term = 1) =>
  ({ type: "snapshot", index, term, snapshot: bytes }) as const;

const operation = (process: number, f: "get" | "put" | "append", value: string, from: number, to: number) => {
  const invoke: HistoryEvent = { process, type: "invoke", f, key: "k", time: from };
  const ok: HistoryEvent = { process, type: "ok", f, key: "k", time: to };
  return f === "get" ? [invoke, { ...ok, value }] : [{ ...invoke, value }, ok];
};

/** Server 0 has applied 11, 12, 13 at indices 1, 2, 3. */
function threeApplied(): CommitRecord {
  const record = new CommitRecord(3);
  for (const index of [1, 2, 3]) expect(record.command(0, command(index, 10 + index))).toBeNull();
  return record;
}

describe("lab harness: what is applied", () => {
  test("counts the servers that have applied an index", () => {
    const record = threeApplied();
    expect(record.command(1, command(1, 11))).toBeNull();
    expect([1, 2, 4].map((index) => record.count(index))).toEqual([2, 1, 0]);
    expect(record.at(2)).toBe(12);
    expect(record.maxIndex).toBe(3);
  });

  test.each([
    ["another command", command(1, 99), "differs from what was committed there before: 11"],
    ["another term", command(1, 11, 2), "differs from what was committed there before: 11 (term 1)"],
    ["a gap", command(2, 12), "applied index 2 out of order, expected 1"],
    ["index 0", command(0, 11), "applied index 0 out of order, expected 1"],
  ])("refuses %s", (_, msg, wrong) => {
    expect(threeApplied().command(1, msg)).toContain(wrong);
  });

  test("an index that the engine has filled is passed over by every server, or by none", () => {
    const record = new CommitRecord(3, { fillsHoles: true });
    expect(record.command(0, command(1, 11))).toBeNull();
    expect(record.command(0, command(3, 13))).toBeNull();
    expect(record.at(2)).toBe(FILLED);
    expect(record.count(2)).toBe(1);
    expect(record.command(1, command(1, 11))).toBeNull();
    expect(record.command(1, command(2, 12))).toContain("differs from what was committed there before");
    expect(record.command(2, command(3, 13))).toBe("server 2 passed over index 1, which holds 11");
    expect(record.command(0, command(2, 12))).toContain("out of order, expected 4");
    expect(new CommitRecord(3).command(0, command(2, 12))).toContain("out of order, expected 1");
  });

  test("refuses a repetition, but not after a restart", () => {
    const record = threeApplied();
    expect(record.command(0, command(3, 13))).toContain("out of order, expected 4");
    expect(record.begin(0, null)).toBeNull();
    expect(record.command(0, command(1, 11))).toBeNull();
    expect(record.count(3)).toBe(1);
  });

  test("takes a snapshot and goes on right after it", () => {
    const record = threeApplied();
    expect(record.snapshot(1, snapshot(2, encodeSnapshot(2, [11, 12])))).toBeNull();
    expect(record.count(2)).toBe(2);
    expect(record.command(1, command(3, 13))).toBeNull();
  });

  test("loads the persisted snapshot at a restart and goes on right after it", () => {
    const record = threeApplied();
    expect(record.begin(0, encodeSnapshot(2, record.prefix(2)))).toBeNull();
    expect(record.command(0, command(1, 11))).toContain("out of order, expected 3");
    expect(record.begin(0, new Uint8Array([1]))).toContain("cannot be decoded");
  });

  test.each([
    ["bytes that are none", snapshot(2, new Uint8Array()), "cannot be decoded"],
    ["the snapshot of another index", snapshot(3, encodeSnapshot(2, [11, 12])), "snapshot of index 2"],
    ["a snapshot with other commands", snapshot(2, encodeSnapshot(2, [11, 99])), "holds 99 at 2, not 12"],
    ["a snapshot that lacks commands", snapshot(2, encodeSnapshot(2, [11])), "holds 1 commands"],
    ["a snapshot of another term", snapshot(2, encodeSnapshot(2, [11, 12]), 7), "came with term 7"],
  ])("refuses %s", (_, msg, wrong) => {
    expect(threeApplied().snapshot(1, msg)).toContain(wrong);
  });

  test("refuses a snapshot that goes back", () => {
    expect(threeApplied().snapshot(0, snapshot(2, encodeSnapshot(2, [11, 12])))).toContain("went back");
  });
});

describe("lab harness: what clerks see", () => {
  test.each([
    ["missing", [0, 2], "is missing"],
    ["twice", [0, 1, 2, 1], "is twice"],
    ["out of order", [1, 0, 2], "is out of order"],
  ])("an append that is %s", (_, order, wrong) => {
    expect(() => checkAppends(4, order.map((j) => marker(4, j)).join(""), 3)).toThrow(wrong);
  });

  test("appends of others in between are no matter", () => {
    expect(() => checkAppends(4, marker(4, 0) + marker(5, 0) + marker(4, 1), 2)).not.toThrow();
  });

  test("a read before the first write finds the empty text, as in the labs' model", () => {
    const history = [...operation(0, "get", "", 0, 1), ...operation(0, "append", "a", 2, 3)];
    expect(() => assertLinearizable([...history, ...operation(1, "get", "a", 4, 5)])).not.toThrow();
    expect(() => assertLinearizable([...history, ...operation(1, "get", "", 4, 5)])).toThrow("not-linearizable");
  });

  test("a stale read fails", () => {
    const writes = [...operation(0, "put", "14", 0, 1), ...operation(0, "put", "16", 2, 3)];
    expect(() => assertLinearizable([...writes, ...operation(1, "get", "14", 4, 5)])).toThrow("not-linearizable");
  });
});

describe("lab harness: settings", () => {
  test("run one fixed seed in virtual time by default", () => {
    expect(parseLabSettings({})).toEqual({ time: "virtual", seeds: [1] });
  });

  test("LAB_SEED and LAB_SEEDS", () => {
    expect(parseLabSettings({ LAB_SEED: "17" }).seeds).toEqual([17]);
    expect(parseLabSettings({ LAB_SEEDS: "3" }).seeds).toEqual([1, 2, 3]);
    expect(parseLabSettings({ LAB_SEED: "40", LAB_SEEDS: "2", LAB_TIME: "real" })).toEqual({
      time: "real",
      seeds: [40, 41],
    });
  });

  test.each([
    [{ LAB_SEED: "abc" }, 'LAB_SEED must be a whole number of at least 0, not "abc"'],
    [{ LAB_SEED: "-1" }, "LAB_SEED"],
    [{ LAB_SEED: "" }, "LAB_SEED"],
    [{ LAB_SEED: "99999999999999999999" }, "LAB_SEED"],
    [{ LAB_SEEDS: "0" }, "LAB_SEEDS must be a whole number of at least 1"],
    [{ LAB_TIME: "fast" }, 'LAB_TIME must be "virtual" or "real", not "fast"'],
  ])("refuses %o", (env, wrong) => {
    expect(() => parseLabSettings(env)).toThrow(wrong);
  });

  test("a failure names the command that runs it again", () => {
    expect(replayCommand("test/2b.test.ts", "RPC byte count (2B)", 17, "virtual")).toBe(
      String.raw`LAB_SEED=17 npx vitest run test/2b.test.ts -t "^RPC byte count \(2B\)$"`,
    );
    expect(replayCommand("test/2a.test.ts", "initial election (2A)", 1, "real")).toMatch(
      /^LAB_TIME=real LAB_SEED=1 npx /,
    );
  });

  test("the line of a passed test", () => {
    const figures = { seconds: 3.46, servers: 3, rpcs: 60, bytes: 836, operations: 0 };
    expect(passedLine(figures)).toBe("  ... Passed --    3.5  3     60       836      0");
  });
});
