import { relative } from "node:path";

import * as fc from "fast-check";
import { expect } from "vitest";

/**
 * Every run draws the same cases unless PROPERTY_SEED says otherwise. PROPERTY_RUNS is how many cases each property gets;
 * for many of them add --testTimeout=0. PROPERTY_PATH leads to one case of one test: failures print it.
 */
const SEED = wholeNumber("PROPERTY_SEED") ?? 1;
const RUNS = wholeNumber("PROPERTY_RUNS");
const PATH = process.env["PROPERTY_PATH"];
/** Not a single case: what all cases together reach can be expected. */
export const isWholeRun = PATH === undefined;

function wholeNumber(name: string): number | undefined {
  const text = process.env[name];
  if (text === undefined) return undefined;
  const value = Number(text);
  if (text === "" || !Number.isSafeInteger(value)) throw new Error(`${name} must be a whole number, not "${text}"`);
  return value;
}

function parameters<T>(runs: number): fc.Parameters<T> {
  return { seed: SEED, numRuns: RUNS ?? runs, ...(PATH !== undefined && { path: PATH, endOnFailure: true }) };
}

/** What failed, made as small as it gets, and the command that replays it. */
function failure<T>(details: fc.RunDetails<T>): Error {
  const { currentTestName = "", testPath = "" } = expect.getState();
  const file = relative(process.cwd(), testPath);
  // -t takes an expression.
  const name = currentTestName
    .split(" > ")
    .at(-1)!
    .replace(/[^\w ,:;-]/g, ".");
  const replay = `PROPERTY_SEED=${details.seed} PROPERTY_PATH=${details.counterexamplePath} npx vitest run ${file} -t "${name}"`;
  const cause = details.errorInstance;
  return new Error(`${fc.defaultReportMessage(details)}\n\nreplay: ${replay}`, { cause });
}

/** Fails where the property does not hold for one of `runs` cases. */
export function holds<T>(property: fc.IProperty<T>, runs: number): void {
  const details: fc.RunDetails<T> = fc.check(property, parameters<T>(runs));
  if (details.failed) throw failure(details);
}

export async function holdsAsync<T>(property: fc.IAsyncProperty<T>, runs: number): Promise<void> {
  const details = await fc.check(property, parameters<T>(runs));
  if (details.failed) throw failure(details);
}
