import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "..", "..");
const STORIES = "test/stories";
/** The known bugs of replicated logs are numbered S01 to S66. */
const LAST = 66;

/** Told by a test that needs more around it than the stories have. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  S33: "test/server/admission.test.ts",
};

const NO_CHANGES = "needs membership changes";

/** Not told, and why: nothing here could go wrong in that way yet. */
const NOT_APPLICABLE: Readonly<Record<string, string>> = {
  S05: `${NO_CHANGES}: a server that does not know of its own promotion refuses to vote`,
  S16: `${NO_CHANGES}: a server leaves and comes back in the same term while an answer of its earlier stay is under way`,
  S26: "there is no scenario of this number",
  S27: `${NO_CHANGES}: two single-server changes, begun in different terms, whose majorities do not meet`,
  S28: `${NO_CHANGES}: a configuration that takes effect when it is applied`,
  S29: `${NO_CHANGES}: a joint configuration of whose end the candidate knows and the voter does not`,
  S30: `${NO_CHANGES}: a leader whom a lagging server does not know as a member`,
  S31: `${NO_CHANGES}: a leader that is cut off removes the others one by one`,
  S32: `${NO_CHANGES}: a new voter that never starts`,
  S36: `${NO_CHANGES}: two requests for a change at once`,
  S37: `${NO_CHANGES}: a leader that dies in a joint configuration`,
  S38: `${NO_CHANGES}: a snapshot with a wrong configuration, or none`,
  S63: "there are no leases on keys",
  S64: "there is no watch",
};

/** The scenarios that a file tells, by the names of its tests. */
function toldIn(path: string): string[] {
  const source = readFileSync(join(ROOT, path), "utf8");
  return [...source.matchAll(/\btest\(\s*["`](S\d\d): /g)].map(([, number]) => number!);
}

const storyFiles = readdirSync(join(ROOT, STORIES)).filter((name) => name !== "index.test.ts");

test("every known bug is told as a story, or it says why not", () => {
  const told = new Set(storyFiles.flatMap((name) => toldIn(`${STORIES}/${name}`)));
  const all = Array.from({ length: LAST }, (_, i) => `S${String(i + 1).padStart(2, "0")}`);
  const places = all.map((scenario) => {
    const found: string[] = [];
    if (told.has(scenario)) found.push("told");
    if (scenario in ELSEWHERE) found.push("elsewhere");
    if (scenario in NOT_APPLICABLE) found.push("not applicable");
    return [scenario, found.join(", ")] as const;
  });
  // Each has exactly one place.
  expect(places.filter(([, place]) => !["told", "elsewhere", "not applicable"].includes(place))).toEqual([]);
  const known = new Set(all);
  expect([...told, ...Object.keys(ELSEWHERE), ...Object.keys(NOT_APPLICABLE)].filter((one) => !known.has(one))).toEqual(
    [],
  );
});

test("what is told elsewhere is told there", () => {
  for (const [scenario, path] of Object.entries(ELSEWHERE)) expect(toldIn(path)).toContain(scenario);
});

test("every test of a story file is named after its scenario", () => {
  for (const name of storyFiles) {
    const source = readFileSync(join(ROOT, STORIES, name), "utf8");
    const tests = source.match(/^ *test(\.\w+)?\(/gm) ?? [];
    expect(tests.length, name).toBeGreaterThan(0);
    expect(toldIn(`${STORIES}/${name}`), name).toHaveLength(tests.length);
  }
});
