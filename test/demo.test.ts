import { describe, expect, test } from "vitest";

import { Chronicle } from "../demo/chronicle.js";
import type { ServerView } from "../demo/cluster.js";
import type { Outside } from "../demo/display.js";
import { FAULT_KINDS, type Fault } from "../demo/faults.js";
import type { Frame } from "../demo/frame.js";
import { parseOptions, UsageExit, type DemoOptions } from "../demo/options.js";
import { runDemo } from "../demo/run.js";
import { summarize, type Ending } from "../demo/summary.js";
import { renderFrame, statusLine } from "../demo/view.js";
import type { RaftStatus, Role } from "../raft/index.js";
import { checkLinearizable, type HistoryEvent, type RunRecord } from "../sim/index.js";

const ESC = "\x1b";
const ANSI = new RegExp(`${ESC}\\[[0-9;?]*[A-Za-z]`, "g");

function server(id: number, role: Role, values: Partial<RaftStatus>, reaches: boolean[]): ServerView {
  const base = {
    votedFor: null,
    leader: null,
    durableIndex: 0,
    lastTerm: 0,
    killed: false,
    isSettled: false,
    followers: [],
  };
  const log = { term: 12, commitIndex: 0, appliedIndex: 0, lastIncludedIndex: 0, lastIncludedTerm: 0, lastIndex: 0 };
  return { status: { id, role, ...base, ...log, ...values }, reaches };
}

function frameOf(servers: readonly ServerView[], rest: Partial<Frame> = {}): Frame {
  const texts = ["S0 leads term 12", "partition S0 | S1 S2", "x".repeat(200)];
  return {
    seed: 123_456_789,
    nowMs: 12_345,
    faultsUntilMs: 30_000,
    clients: 50,
    servers,
    faults: [fault("partition S0 | S1 S2", 10_000), fault("message loss and delay", 12_000)],
    buckets: Array.from({ length: 24 }, (_, i) => i * 10),
    done: 1234,
    unknown: 5,
    waiting: 50,
    elections: [3, 7, 12].map((term) => ({ server: 0, term, atMs: term * 1000 })),
    happenings: Array.from({ length: 40 }, (_, i) => ({ atMs: i * 300, kind: "fault" as const, text: texts[i % 3]! })),
    ...rest,
  };
}

function fault(text: string, fromMs: number): Fault {
  return { kind: "partition", text, fromMs, untilMs: null, recoverableMs: fromMs, recoveryMs: null };
}

const three = [
  server(0, "leader", { commitIndex: 99_990, appliedIndex: 99_990, lastIndex: 100_000 }, [true, false, false]),
  server(1, "precandidate", { commitIndex: 99_999, lastIndex: 99_999, lastIncludedIndex: 99_900 }, [false, true, true]),
  { status: null, reaches: [true, true, true] },
];

describe("demo: the live view", () => {
  const nine = Array.from({ length: 9 }, (_, i) =>
    server(i, "follower", { lastIndex: 99_999 }, Array<boolean>(9).fill(true)),
  );

  test.each([
    [80, 24],
    [200, 60],
    [79, 20],
    [40, 10],
    [20, 4],
    [1, 1],
  ])("fits a terminal of %i x %i", (width, height) => {
    for (const servers of [three, nine, nine.slice(0, 1)]) {
      const lines = renderFrame(frameOf(servers), { width, height, color: false });
      expect(lines.length).toBeLessThanOrEqual(Math.max(1, height - 1));
      for (const line of lines) expect(line.length).toBeLessThanOrEqual(Math.min(width, 80));
    }
  });

  test("shows every server, who reaches whom, the faults and the elections", () => {
    const lines = renderFrame(frameOf(three), { width: 80, height: 24, color: false });
    const text = lines.join("\n");
    expect(lines.find((line) => line.startsWith("S0"))).toMatch(
      /^S0 {2}leader +12 +99990 +99990 .*▒ +100000 {2}· ✗ -$/,
    );
    expect(lines.find((line) => line.startsWith("S1"))).toMatch(/^S1 {2}pre-vote +12 +99999 +0 .*░█+ +99999 {2}✗ · -$/);
    expect(lines.find((line) => line.startsWith("S2"))).toBe("S2  crashed");
    expect(text).toContain("12.3 s of 30 s");
    expect(text).toContain("partition S0 | S1 S2  for 2.3 s");
    expect(text).toContain("message loss and delay  for 0.3 s");
    expect(text).toContain("elected S0 for term 12 at 12.0 s, S0 for term 7 at 7.0 s, S0 for term 3 at 3.0 s");
    expect(text).toContain("1234 done, 50 under way, 5 with an unknown outcome");
    // The last whole second: columns 22 and 23 of the graph.
    expect(lines.find((line) => line.startsWith("ops/s"))).toMatch(/ 450$/);
  });

  test("uses colours only where they are wanted, and they take no room", () => {
    const canvas = { width: 80, height: 24 };
    const plain = renderFrame(frameOf(three), { ...canvas, color: false });
    const colored = renderFrame(frameOf(three), { ...canvas, color: true });
    expect(plain.join("\n")).not.toMatch(ANSI);
    expect(colored.join("\n")).toMatch(ANSI);
    expect(colored.map((line) => line.replaceAll(ANSI, "").trimEnd())).toEqual(plain);
  });

  test("a cluster without servers up, operations or faults can be shown", () => {
    const nothing = { faults: [], buckets: [], elections: [], happenings: [], nowMs: 0 };
    const frame = frameOf([{ status: null, reaches: [true] }], nothing);
    expect(renderFrame(frame, { width: 80, height: 24, color: false }).join("\n")).toContain("faults  none");
    expect(statusLine(frame)).toBe("   0.00  no leader, 0 ops/s, 1234 done");
  });
});

describe("demo: options", () => {
  const parse = (...args: string[]): DemoOptions => parseOptions(args, () => 0.5);

  function refusal(...args: string[]): UsageExit {
    try {
      parse(...args);
    } catch (error) {
      if (error instanceof UsageExit) return error;
      throw error;
    }
    throw new Error(`${args.join(" ")} was accepted`);
  }

  test("have defaults; the seed is a new one each time", () => {
    expect(parse()).toEqual({ seed: 5000, servers: 5, clients: 5, seconds: 30, faults: FAULT_KINDS, fast: false });
  });

  test("are taken over", () => {
    const args = "--seed 7 --servers 3 --clients 9 --seconds 60 --faults loss,crash --fast --history h.jsonl".split(
      " ",
    );
    const wanted = { seed: 7, servers: 3, clients: 9, seconds: 60, faults: ["crash", "loss"], fast: true };
    expect(parse(...args)).toEqual({ ...wanted, history: "h.jsonl" });
    expect(parse("--faults", "none").faults).toEqual([]);
    expect(parse("--faults", "all").faults).toEqual(FAULT_KINDS);
  });

  test.each([
    ["--seed", "-1"],
    ["--seed", "1.5"],
    ["--servers", "0"],
    ["--servers", "10"],
    ["--servers", "five"],
    ["--clients", "0"],
    ["--seconds", ""],
    ["--faults", "crash,fire"],
    ["--faults", ""],
    ["--nonsense"],
    ["--history"],
  ])("that are wrong are named, with exit code 2: %s %s", (option, ...value) => {
    const { message, exitCode } = refusal(option, ...value);
    expect(exitCode).toBe(2);
    expect(message).toContain(option);
  });

  test("an unknown fault is named beside those that there are", () => {
    expect(refusal("--faults", "crash,fire").message).toMatch(/Unknown: "fire"\. Known are partition, oneway, crash,/);
  });

  test("--help is not an error", () => {
    const { message, exitCode } = refusal("--help");
    expect(exitCode).toBe(0);
    for (const option of ["--seed", "--servers", "--clients", "--seconds", "--faults", "--fast", "--history"]) {
      expect(message).toContain(option);
    }
  });
});

/** A world outside in which a sleep takes no time. */
class FakeOutside implements Outside {
  printed = "";
  slept = 0;
  restore: (() => void) | undefined;
  readonly files = new Map<string, string>();
  interruptAfter = Infinity;
  readonly output;

  constructor(isTTY: boolean) {
    const write = (text: string): void => void (this.printed += text);
    this.output = { isTTY, color: isTTY, columns: 80, rows: 24, write };
  }

  now(): number {
    return this.slept;
  }

  sleep(ms: number): Promise<void> {
    this.slept += ms;
    return Promise.resolve();
  }

  isInterrupted(): boolean {
    return --this.interruptAfter < 0;
  }

  inspectorHtml({ title }: RunRecord): string {
    return `page: ${title}`;
  }

  onExit(restore: () => void): void {
    this.restore = restore;
  }

  writeFile(path: string, text: string): void {
    this.files.set(path, text);
  }
}

const fast: DemoOptions = { seed: 1, servers: 5, clients: 5, seconds: 30, faults: FAULT_KINDS, fast: true };

async function play(
  options: Partial<DemoOptions>,
  outside = new FakeOutside(false),
): Promise<FakeOutside & { code: number }> {
  const code = await runDemo({ ...fast, ...options }, outside);
  return Object.assign(outside, { code });
}

describe("demo: a run", () => {
  test("with --fast: same seed, same output, on a terminal too; another seed, another run", async () => {
    const first = await play({});
    expect(first.code).toBe(0);
    expect(first.slept).toBe(0);
    expect(first.printed).not.toMatch(ANSI);
    expect((await play({})).printed).toBe(first.printed);
    expect((await play({}, new FakeOutside(true))).printed).toBe(first.printed);
    expect((await play({ seed: 2 })).printed).not.toBe(first.printed);
  });

  test("meets every kind of fault within half a minute, recovers, and sums up", async () => {
    const { printed } = await play({});
    expect(printed).toMatch(/^operations +\d{3,} answered/m);
    expect(printed).toMatch(/^elections +\d+, the last one won by S\d in term \d+$/m);
    for (const kind of FAULT_KINDS) expect(printed).toMatch(new RegExp(`^faults .*[1-9]\\d* ${kind}`, "m"));
    expect(printed).toMatch(/^slowest recovery +\d+\.\d\d s, from .+ at \d+\.\d s$/m);
    expect(printed).toMatch(/^in the end +5 servers, the same on each: \d keys at revision \d+$/m);
    expect(printed).toMatch(/^linearizable +yes: \d{3,} operations on 4 keys$/m);
  });

  test.each(FAULT_KINDS.map((kind) => [kind]))("--faults %s injects nothing else", async (kind) => {
    const { printed, code } = await play({ faults: [kind], seconds: 10 });
    expect(code).toBe(0);
    expect(printed).toMatch(new RegExp(`^faults +(\\d+) \\(\\1 ${kind}\\)$`, "m"));
  });

  test("--faults none is a run in peace, and one server is a cluster, too", async () => {
    const { printed, code } = await play({ faults: [], seconds: 2, servers: 1, clients: 1 });
    expect(code).toBe(0);
    expect(printed).toMatch(/^faults +none$/m);
  });

  test("on a terminal it is drawn in place at the pace of the wall clock, then the terminal is given back", async () => {
    const { printed, slept, code } = await play({ fast: false, seconds: 5 }, new FakeOutside(true));
    expect(code).toBe(0);
    expect(slept).toBeGreaterThan(5000);
    const [view, summary, ...more] = printed.split(`${ESC}[?25h${ESC}[?1049l`);
    expect(more).toEqual([]);
    expect(view!.startsWith(`${ESC}[?1049h${ESC}[?25l${ESC}[H`)).toBe(true);
    expect(view!.split(`${ESC}[H`).length).toBeGreaterThan(50);
    expect(summary).toMatch(/^\nseed 1: ran for \d/);
  });

  test("a process that ends in the middle gives the terminal back", async () => {
    const outside = new FakeOutside(true);
    const bug = new Error("a bug");
    let left = "";
    outside.sleep = () => {
      outside.restore!();
      left = outside.printed;
      return Promise.reject(bug);
    };
    await expect(play({ fast: false }, outside)).rejects.toBe(bug);
    expect(left.endsWith(`${ESC}[?25h${ESC}[?1049l`)).toBe(true);
    expect(outside.printed).toBe(left);
  });

  test("where it is not a terminal it prints lines, at the same pace", async () => {
    const { printed, slept } = await play({ fast: false, seconds: 5 });
    expect(slept).toBeGreaterThan(5000);
    expect(printed).toBe((await play({ seconds: 5 })).printed);
  });

  test("Ctrl-C ends it with the summary so far", async () => {
    for (const isTerminal of [false, true]) {
      const outside = new FakeOutside(isTerminal);
      outside.interruptAfter = 120;
      const { printed, code } = await play({ fast: false }, outside);
      expect(code).toBe(0);
      expect(printed).toContain("seed 1: interrupted after 12.");
      expect(printed).toMatch(/^operations +\d{3,} answered, \d+ with an unknown outcome/m);
      expect(printed).toMatch(/^linearizable +yes: /m);
    }
  });

  test("--history leaves a file of everything that the clients did", async () => {
    const { files, printed } = await play({ seconds: 3, history: "out.jsonl" });
    const events = files.get("out.jsonl")!.trimEnd().split("\n");
    expect(checkLinearizable(events.map((line) => JSON.parse(line) as HistoryEvent)).verdict).toBe("linearizable");
    expect(events.length).toBeGreaterThan(100);
    expect(printed).toContain("npx kvraft check out.jsonl");
  });
});

describe("demo: the verdict", () => {
  const ending: Ending = { seed: 1, virtualMs: 30_000, wasInterrupted: false, problems: [], agreement: "the same" };
  const chronicle = new Chronicle({ now: () => 0 });
  const put = (value: string, time: number): HistoryEvent[] => [
    { process: 0, type: "invoke", f: "put", key: "x", value, time },
    { process: 0, type: "ok", f: "put", key: "x", time: time + 1 },
  ];
  const get = (value: string, time: number): HistoryEvent[] => [
    { process: 1, type: "invoke", f: "get", key: "x", time },
    { process: 1, type: "ok", f: "get", key: "x", value, time: time + 1 },
  ];

  test("is exit code 0 where all is well", () => {
    const summary = summarize(ending, chronicle, [...put("1", 0), ...put("2", 10), ...get("2", 20)]);
    expect(summary.exitCode).toBe(0);
    expect(summary.lines.join("\n")).toMatch(/^linearizable +yes: 3 operations on 1 key$/m);
  });

  test("is exit code 1 and shows what is wrong where the history is not linearizable", () => {
    const summary = summarize(ending, chronicle, [...put("1", 0), ...put("2", 10), ...get("1", 20)]);
    expect(summary.exitCode).toBe(1);
    expect(summary.lines.join("\n")).toMatch(/^linearizable +NO: 3 operations on 1 key\n\n[^]*x[^]*get/m);
  });

  test("is exit code 1 where the cluster did not recover", () => {
    const summary = summarize({ ...ending, problems: ["2 clients got no answer"] }, chronicle, put("1", 0));
    expect(summary.exitCode).toBe(1);
    expect(summary.lines.join("\n")).toMatch(/^PROBLEM +2 clients got no answer$/m);
  });
});

describe("demo: recovery", () => {
  test("counts from the fault, or from the moment that there is a majority again", () => {
    let now = 0;
    const chronicle = new Chronicle({ now: () => now });
    const at = (ms: number, what: () => void): void => {
      now = ms;
      what();
    };
    let small!: Fault;
    let large!: Fault;
    at(100, () => (small = chronicle.faultBegins("crash", "small", true)));
    // Begun before the fault: its answer proves nothing.
    at(150, () => chronicle.operationDone("get", 90));
    expect(small.recoveryMs).toBeNull();
    at(300, () => chronicle.operationDone("get", 110));
    expect(small.recoveryMs).toBe(200);
    at(1000, () => (large = chronicle.faultBegins("partition", "large", false)));
    at(1500, () => chronicle.operationDone("get", 1400));
    at(3000, () => chronicle.faultEnds(large, "healed", true));
    at(3200, () => chronicle.operationDone("get", 1600));
    expect(large.recoveryMs).toBeNull();
    at(3700, () => chronicle.operationDone("get", 3100));
    expect(large).toMatchObject({ recoverableMs: 3000, recoveryMs: 700 });
    const ending = { seed: 1, virtualMs: 4000, wasInterrupted: false, problems: [] };
    const { lines } = summarize(ending, chronicle, []);
    expect(lines).toContain('slowest recovery  0.70 s, from the end of "large" at 3.0 s');
  });
});
