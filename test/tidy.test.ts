import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { describe, expect, test } from "vitest";

import { cycleProblems, entriesOf, floorProblems, reachProblems, specifierProblems } from "./tidy/layout.js";
import { lengthProblems, purityProblems, skippedTestProblems } from "./tidy/purity.js";
import { parseTree, readFiles } from "./tidy/tree.js";

const root = fileURLToPath(new URL("../", import.meta.url));
const manifest = JSON.parse(readFileSync(`${root}package.json`, "utf8")) as Parameters<typeof entriesOf>[0];
const tree = parseTree(readFiles(root));

describe("tidy", () => {
  test("the tree was found", () => {
    expect([...tree.keys()]).toEqual(expect.arrayContaining(["index.ts", "raft/core/index.ts", "test/tidy.test.ts"]));
  });
  test("no import goes upwards or past a room's index.ts", () => expect(floorProblems(tree)).toEqual([]));
  test("no import cycle", () => expect(cycleProblems(tree)).toEqual([]));
  test("no file that nothing reaches", () => {
    expect(reachProblems(tree, entriesOf(manifest, [...tree.keys()]))).toEqual([]);
  });
  test("imports name existing files with their ending, or known packages", () => {
    expect(specifierProblems(tree, manifest)).toEqual([]);
  });
  test("no wall clock or global randomness in the deterministic rooms", () => expect(purityProblems(tree)).toEqual([]));
  test("no test set aside", () => expect(skippedTestProblems(tree)).toEqual([]));
  test("no file over 450 lines", () => expect(lengthProblems(tree)).toEqual([]));
});

// A rule that finds nothing may be blind: each one is shown a small tree that breaks it, and one beside it that does not.
describe("tidy rules", () => {
  test("imports that point upwards are found, whatever their form", () => {
    const files = { "labrpc/index.ts": "", "raft/core/a.ts": "", "raft/index.ts": "", "sim/index.ts": "" };
    const cases = [
      ["raft/core/a.ts", 'import { x } from "../../labrpc/index.js";'],
      ["raft/core/a.ts", 'import type { X } from "../index.js";'],
      ["labrpc/index.ts", 'export * from "../raft/index.js";'],
      ["labrpc/index.ts", 'const x = await import("../raft/index.js");'],
      ["labrpc/index.ts", 'let x: import("../raft/index.js").Raft;'],
      ["raft/index.ts", '\n\nimport "../sim/index.js";'],
    ] as const;
    for (const [path, text] of cases) {
      expect(floorProblems(parseTree({ ...files, [path]: text })), text).toHaveLength(1);
    }
    expect(floorProblems(parseTree({ ...files, "raft/index.ts": '\n\nimport "../sim/index.js";' }))).toEqual([
      "raft/index.ts:3: raft/ must not import sim/ (sim/index.ts)",
    ]);
  });

  test("imports that go down through index.ts, or stay in the room, are fine", () => {
    const files = {
      "index.ts": 'export * from "./raft/index.js";',
      "raft/core/index.ts": 'import "./log.js"; import "../../runtime/index.js";',
      "raft/core/log.ts": "",
      "raft/index.ts": 'import "./core/index.js"; import "./part.js"; import "../labrpc/index.js";',
      "raft/part.ts": "",
      "runtime/index.ts": "",
      "labrpc/index.ts": 'import "../runtime/index.js";',
      "sim/checker/index.ts": 'import "../history.js";',
      "sim/history.ts": "",
      "test/log.test.ts": 'import "../raft/core/log.js";',
    };
    expect(floorProblems(parseTree(files))).toEqual([]);
  });

  test("an import past index.ts and a file outside all rooms are found", () => {
    expect(floorProblems(parseTree({ "raft/a.ts": 'import "./core/log.js";', "raft/core/log.ts": "" }))).toEqual([
      "raft/a.ts:1: import raft/core/ through raft/core/index.ts, not raft/core/log.ts",
    ]);
    expect(floorProblems(parseTree({ "utils/a.ts": "" }))).toHaveLength(1);
  });

  test("cycles are found through types too", () => {
    const files = {
      "raft/a.ts": 'import "./b.js";',
      "raft/b.ts": 'export { x } from "./c.js";',
      "raft/c.ts": 'import type { A } from "./a.js";',
    };
    expect(cycleProblems(parseTree(files))).toEqual(["import cycle: raft/a.ts -> raft/b.ts -> raft/c.ts -> raft/a.ts"]);
    expect(cycleProblems(parseTree({ ...files, "raft/c.ts": "" }))).toEqual([]);
  });

  test("files that nothing reaches are found", () => {
    const files = {
      "index.ts": 'import "./raft/index.js";',
      "raft/index.ts": "",
      "raft/left.ts": "",
      "demo/main.ts": 'new URL("./worker.js", import.meta.url);',
      "demo/worker.ts": "",
      "bench/a.ts": "",
      "bench/b.ts": "",
      "test/a.test.ts": 'import "./helper.js"; fork(new URL("./child.ts", import.meta.url));',
      "test/child.ts": "",
      "test/helper.ts": "",
      "vitest.config.ts": "",
    };
    const entries = entriesOf(
      {
        exports: { ".": { default: "./dist/index.js" }, "./package.json": "./package.json" },
        bin: {},
        scripts: { start: "node dist/demo/main.js", bench: "npm run build && node bench/a.ts" },
      },
      Object.keys(files),
    );
    expect(entries.toSorted()).toEqual([
      "bench/a.ts",
      "demo/main.ts",
      "index.ts",
      "test/a.test.ts",
      "vitest.config.ts",
    ]);
    expect(reachProblems(parseTree(files), [...entries, "server/cli.ts"])).toEqual([
      "server/cli.ts: is named as an entry, but does not exist",
      "raft/left.ts: nothing reaches it; import it or delete it",
      "bench/b.ts: nothing reaches it; import it or delete it",
    ]);
  });

  test("imports without an ending, of nothing, and of packages that are not dependencies are found", () => {
    const packages = { exports: {}, scripts: {}, dependencies: { msgpackr: "1" }, devDependencies: { vitest: "1" } };
    const good = 'import "node:fs"; import "msgpackr"; import "msgpackr/x"; import "./b.js";';
    const files = { "raft/a.ts": good, "raft/b.ts": "", "test/a.test.ts": 'import "vitest";' };
    expect(specifierProblems(parseTree(files), packages)).toEqual([]);
    for (const bad of ["./b", "./b.ts", "./c.js", "vitest", "left-pad"]) {
      expect(specifierProblems(parseTree({ ...files, "raft/a.ts": `import "${bad}";` }), packages), bad).toHaveLength(
        1,
      );
    }
  });

  test.each([
    "Date.now();",
    "new Date();",
    "Math.random();",
    "performance.now();",
    "const now = performance;",
    "setTimeout(() => {}, 1);",
    "const later = setImmediate;",
    "setInterval(f, 1);",
    "process.hrtime();",
    "process.nextTick(f);",
    "crypto.randomUUID();",
    "globalThis.setTimeout(f, 1);",
    "AbortSignal.timeout(5);",
    "const options = { setTimeout };",
    'import { randomInt } from "node:crypto";',
    'import { setTimeout as sleep } from "node:timers/promises";',
  ])("found in a deterministic room: %s", (text) => {
    for (const room of ["runtime", "labrpc", "replica", "replica/core", "raft", "raft/core", "kvraft", "paxos"]) {
      expect(purityProblems(parseTree({ [`${room}/a.ts`]: text })), room).not.toEqual([]);
    }
    expect(purityProblems(parseTree({ "runtime/real.ts": text, "sim/a.ts": text, "demo/a.ts": text }))).toEqual([]);
  });

  test("a runtime's clock and words in comments and strings are fine", () => {
    const text = `
      // Date.now() and setTimeout(f) are forbidden
      runtime.clock.setTimeout(f, 5);
      interface Clock { setTimeout(fn: () => void, ms: number): object }
      class C { setTimeout(): void {} }
      const text = "Math.random()";
      const { setTimeout: later } = runtime.clock;
      const event = { process: 3 };
      event.process + 1;
    `;
    expect(purityProblems(parseTree({ "raft/a.ts": text }))).toEqual([]);
  });

  test.each([
    "async function f(): Promise<void> {}",
    "let p: Promise<void>;",
    "queueMicrotask(f);",
    "for await (const x of y) f(x);",
    "console.log(1);",
    "const f = async () => {};",
  ])("found in the pure core only: %s", (text) => {
    expect(purityProblems(parseTree({ "raft/core/a.ts": text }))).not.toEqual([]);
    expect(purityProblems(parseTree({ "raft/a.ts": text }))).toEqual([]);
  });

  test("tests that are set aside are found", () => {
    const bad = [
      'test.skip("a", f)',
      'describe.only("a", f)',
      'it.concurrent.todo("a")',
      'test.each([1]).fails("a", f)',
    ];
    for (const text of bad) expect(skippedTestProblems(parseTree({ "test/a.test.ts": text })), text).toHaveLength(1);
    expect(
      skippedTestProblems(parseTree({ "test/a.test.ts": 'test("a", f); list.skip(3); test.each([1])("b", f);' })),
    ).toEqual([]);
  });

  test("long files are found", () => {
    expect(lengthProblems(parseTree({ "raft/a.ts": "x;\n".repeat(450) }))).toEqual([]);
    expect(lengthProblems(parseTree({ "raft/a.ts": "x;\n".repeat(451) }))).toHaveLength(1);
  });
});
