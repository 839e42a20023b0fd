import { startVitest, type TestCase, type Vitest } from "vitest/node";

import type { ScriptJob, Told } from "./job.js";

/** Runs test files on the sources with the mutant in them. Caught where a test fails. */
export async function findFailingTest(job: ScriptJob, tell: (told: Told) => void): Promise<Told> {
  const changed = new Map(job.changed);
  let run = 0;
  const vitest = await startVitest(
    "test",
    [...job.files],
    {
      root: job.root,
      config: false,
      include: ["test/**/*.test.ts"],
      watch: false,
      pool: "forks",
      maxWorkers: 1,
      testTimeout: 60_000,
      // Enough to find the test that is named after the mistake among those that fail.
      bail: 30,
      reporters: [{ onTestCaseResult: () => tell({ run: ++run, seed: 0 }) }],
    },
    { plugins: [{ name: "mutant", enforce: "pre", transform: (_code, id) => changed.get(id) }] },
  );
  try {
    return judge(vitest, job.row);
  } finally {
    await vitest.close();
  }
}

function judge(vitest: Vitest, row: string): Told {
  const modules = vitest.state.getTestModules();
  const tests = modules.flatMap((module) => [...module.children.allTests()]);
  const failed = tests.filter((test) => test.result().state === "failed");
  // Rather the test that is named after the mistake than one that happens to fail too.
  const named = failed.find(({ fullName }) => isNamedAfter(fullName, row)) ?? failed[0];
  if (named !== undefined) return { caught: true, by: named.fullName, detail: messageOf(named) };
  // No test failed, but a whole file, or something that no test waited for: that does not go unnoticed either.
  const errors = [...modules.flatMap((module) => module.errors()), ...vitest.state.getUnhandledErrors()];
  const [error] = errors as { message?: string }[];
  if (error !== undefined) return { caught: true, by: "the test file runs", detail: String(error.message) };
  if (tests.length === 0) return { caught: true, by: "there are tests", detail: "none was found" };
  return { caught: false, by: "", detail: "" };
}

const messageOf = (test: TestCase): string => test.result().errors?.[0]?.message ?? "";

/** "mutation 7", "mutations 13 and 14", "S18": as tests name them and the row does. */
function isNamedAfter(test: string, row: string): boolean {
  return row.split(/[ ,]+/).some((id) => {
    if (/^S\d+$/.test(id)) return new RegExp(`\\b${id}\\b`).test(test);
    return /^\d+$/.test(id) && new RegExp(`mutations? (\\d+(, | and ))*${id}\\b`).test(test);
  });
}
