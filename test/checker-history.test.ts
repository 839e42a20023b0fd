import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { main } from "../server/cli.js";
import { checkLinearizable, HistoryError, HistoryRecorder, parseHistory, toJsonLines } from "../sim/index.js";
import type { HistoryEvent } from "../sim/index.js";

const invoke = { process: 0, type: "invoke", f: "put", key: "x", value: "1", time: 0 } as const;
const line = (event: object): string => JSON.stringify({ ...invoke, ...event });

describe("checker: history files", () => {
  test("written and read back; blank lines and carriage returns do not matter", () => {
    const events: HistoryEvent[] = [invoke, { ...invoke, type: "ok", time: 5 }];
    expect(parseHistory(toJsonLines(events))).toEqual(events);
    expect(parseHistory(`\n${toJsonLines(events).replaceAll("\n", "\r\n\n")}  `)).toEqual(events);
    expect(parseHistory("")).toEqual([]);
  });

  const bad: Record<string, readonly [text: string, message: string]> = {
    "not JSON": [`${line({})}\n{"process":`, `line 2: not JSON: "{\\"process\\":"`],
    "not an object": ["[]", "line 1: the event is [], expected an object"],
    process: [line({ process: "a" }), `line 1: process is "a", expected a whole number from 0 up`],
    type: [line({ type: "done" }), `line 1: type is "done", expected one of invoke, ok, fail, info`],
    f: [line({ f: "incr" }), `line 1: f is "incr", expected one of get, put, append, cas, delete, read, putif`],
    key: [line({ key: 1 }), "line 1: key is 1, expected a text"],
    time: [line({ time: null }), "line 1: time is null, expected a number of nanoseconds"],
    "value of a put": [line({ value: 3 }), "line 1: value of invoke put is 3, expected the text to store"],
    "value of an append": [
      line({ f: "append", value: null }),
      "value of invoke append is null, expected the text to append",
    ],
    "value of a cas": [line({ f: "cas", value: ["1"] }), `value of invoke cas is ["1"], expected [expected, new]`],
    "value of a putif": [line({ f: "putif", value: "1" }), "expected { value, version }"],
    "outcome of a get": [
      `${line({ f: "get" })}\n${line({ f: "get", type: "ok", value: 1 })}`,
      "line 2: value of ok get is 1",
    ],
    "outcome of a read": [line({ f: "read", type: "ok", value: "1" }), "expected { value, version }, or null"],
    "outcome of a putif": [line({ f: "putif", type: "ok", value: true }), "expected { ok, version }"],
    "outcome of a delete": [line({ f: "delete", type: "ok", value: 1 }), "expected whether the key existed"],
    "completion alone": [line({ type: "ok" }), `line 1: process 0 has type "ok" without an invocation before it`],
    "two completions": [
      [line({}), line({ type: "info", time: 1 }), line({ type: "ok", time: 2 })].join("\n"),
      `line 3: process 0 has type "ok" without an invocation`,
    ],
    "two invocations": [`${line({})}\n\n${line({ time: 1 })}`, "line 3: process 0 invokes put while its put"],
    "a process that goes on after an info": [
      [line({}), line({ type: "info", time: 1 }), line({ time: 2 })].join("\n"),
      'line 3: process 0 invokes put while its put of "x" is still open; after an unknown outcome go on under a new',
    ],
    "another function": [
      `${line({})}\n${line({ f: "append", type: "ok" })}`,
      `line 2: f is "append", but process 0 invoked put on "x"`,
    ],
    "another key": [
      `${line({})}\n${line({ key: "y", type: "ok" })}`,
      `line 2: key is "y", but process 0 invoked put on "x"`,
    ],
    "a completion before its invocation": [
      `${line({ time: 2 })}\n${line({ type: "ok", time: 1 })}`,
      "line 2: process 0",
    ],
  };
  test.each(Object.entries(bad))("refused: %s", (_, [text, message]) => {
    expect(() => parseHistory(text)).toThrow(HistoryError);
    expect(() => parseHistory(text)).toThrow(message);
    expect(() => parseHistory(text)).toThrow(expect.objectContaining({ code: "BAD_HISTORY" }));
  });

  test("a history in memory is named by event", () => {
    expect(() => checkLinearizable([invoke, { ...invoke, time: 1 }])).toThrow("event 1: process 0 invokes put while");
  });

  test("times out of order rule; equal times keep the order of the list", () => {
    const read = { process: 1, f: "get", key: "x" } as const;
    const late: HistoryEvent[] = [
      { ...read, type: "invoke", time: 10 },
      { ...read, type: "ok", value: "1", time: 10 },
      { ...invoke, time: 5 },
      { ...invoke, type: "ok", time: 6 },
    ];
    expect(checkLinearizable(late).verdict).toBe("linearizable");
    const equal = late.map((event) => ({ ...event, time: 7 }));
    expect(checkLinearizable(equal).verdict).toBe("not-linearizable");
  });
});

describe("checker: recorder", () => {
  test("writes what was called, in nanoseconds, and renames a process after an unknown outcome", () => {
    let now = 0;
    const recorder = new HistoryRecorder({ now: () => (now += 1.5) });
    const first = recorder.invoke(0, "put", "x", "1");
    const second = recorder.invoke(1, "get", "x");
    recorder.info(first);
    recorder.ok(second, null);
    recorder.fail(recorder.invoke(0, "cas", "x", ["1", "2"]));
    // The number 2 is taken by then.
    recorder.ok(recorder.invoke(2, "delete", "x"), false);
    recorder.ok(recorder.invoke(0, "append", "x", "y"));
    expect(recorder.events.map(({ process, type, f, value, time }) => [process, type, f, value, time])).toEqual([
      [0, "invoke", "put", "1", 1_500_000],
      [1, "invoke", "get", undefined, 3_000_000],
      [0, "info", "put", "1", 4_500_000],
      [1, "ok", "get", null, 6_000_000],
      [2, "invoke", "cas", ["1", "2"], 7_500_000],
      [2, "fail", "cas", ["1", "2"], 9_000_000],
      [3, "invoke", "delete", undefined, 10_500_000],
      [3, "ok", "delete", false, 12_000_000],
      [2, "invoke", "append", "y", 13_500_000],
      [2, "ok", "append", undefined, 15_000_000],
    ]);
    expect(checkLinearizable(parseHistory(toJsonLines(recorder.events)))).toMatchObject({ operations: 5, keys: 1 });
  });
});

describe("checker: command line", () => {
  let directory: string;
  beforeAll(() => void (directory = mkdtempSync(join(tmpdir(), "kvraft-check-"))));
  afterAll(() => rmSync(directory, { recursive: true }));

  async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
    const seen = { code: -1, out: "", err: "" };
    await main(args, {
      environment: {},
      out: (text) => void (seen.out += text),
      err: (text) => void (seen.err += text),
      setExitCode: (code) => void (seen.code = code),
    });
    return seen;
  }

  function file(text: string): string {
    const path = join(directory, "history.jsonl");
    writeFileSync(path, text);
    return path;
  }

  const good = `${line({})}\n${line({ type: "ok", time: 1 })}\n`;
  const bad = `${good}${line({ f: "get", time: 2 })}\n${line({ f: "get", type: "ok", value: null, time: 3 })}\n`;

  test("0: linearizable", async () => {
    const { code, out, err } = await run("check", file(good));
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toMatch(/^linearizable: 1 operations on 1 keys, \d+ ms\n/);
  });

  test("1: not linearizable, with the window", async () => {
    const { code, out } = await run("check", file(bad));
    expect(code).toBe(1);
    expect(out).toMatch(/^not-linearizable: 2 operations on 1 keys/);
    expect(out).toContain(`process 0  put "1"        |--|         <- from here`);
  });

  test("--json prints one object", async () => {
    const { code, out } = await run("check", "--json", file(bad));
    expect(code).toBe(1);
    expect(JSON.parse(out)).toMatchObject({ verdict: "not-linearizable", key: "x", window: { from: 0, to: 3 } });
  });

  test("2: undecided in time", async () => {
    const { code, out } = await run("check", "--timeout-ms", "1e-300", file(good));
    expect(code).toBe(2);
    expect(out).toContain("unknown");
  });

  test("2: what cannot be read, with the line", async () => {
    const broken = await run("check", file(`${good}oops\n`));
    expect(broken).toMatchObject({ code: 2, out: "" });
    expect(broken.err).toMatch(/history\.jsonl: line 3: not JSON: "oops"/);
    const missing = await run("check", join(directory, "nothing"));
    expect(missing).toMatchObject({ code: 2, out: "" });
    expect(missing.err).toContain("ENOENT");
  });

  test("2: wrong options", async () => {
    for (const args of [["check"], ["check", "--timeout-ms", "soon", file(good)], ["check", "--nosuch", file(good)]]) {
      const { code, err } = await run(...args);
      expect(code, args.join(" ")).toBe(2);
      expect(err).toMatch(/error: /);
    }
  });

  test("200,000 lines", async () => {
    const lines: string[] = [];
    for (let i = 0; i < 100_000; i++) {
      const event = { key: `k${i % 50}`, value: String(i), process: i % 7 };
      lines.push(line({ ...event, time: 2 * i }), line({ ...event, type: "ok", time: 2 * i + 1 }));
    }
    const { code, out } = await run("check", file(lines.join("\n")));
    expect(code).toBe(0);
    expect(out).toMatch(/^linearizable: 100000 operations on 50 keys/);
  });
});
