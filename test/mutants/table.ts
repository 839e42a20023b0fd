import { diskMutants } from "./disk.js";
import { electionMutants } from "./elections.js";
import type { Mutant } from "./mutant.js";
import { logMutants } from "./replication.js";
import { registerMutants } from "./paxos-registers.js";
import { readMutants, serviceMutants, snapshotMutants } from "./service.js";

export const mutants: readonly Mutant[] = [
  ...electionMutants,
  ...logMutants,
  ...readMutants,
  ...snapshotMutants,
  ...serviceMutants,
  ...diskMutants,
  ...registerMutants,
];

/** No mistake at all: what the checks of others find here proves that a catch of theirs means nothing. */
export const noMistake: Mutant = { name: "none", row: "", mistake: "the code as it ships", edits: [] };

/** The same with all checks that `chosen` have, for as long as the most patient of them, within `limit` seeds. */
export function baselineOf(chosen: readonly Mutant[], limit: number): Mutant {
  const most = (budgets: readonly (number | undefined)[]): number =>
    Math.max(0, ...budgets.map((budget) => budget ?? 0));
  const scripts = [...new Set(chosen.flatMap((mutant) => mutant.scripts ?? []))];
  const seeds = Math.min(limit, most(chosen.map(({ swarm }) => swarm)));
  const registers = Math.min(limit, most(chosen.map((mutant) => mutant.registers)));
  const lives = most(chosen.map(({ power }) => power?.runs));
  return {
    ...noMistake,
    ...(scripts.length > 0 && { scripts }),
    ...(seeds > 0 && { swarm: seeds }),
    ...(registers > 0 && { registers }),
    ...(lives > 0 && { power: { runs: Math.min(lives, 1000), syncErrorRate: 0.02 } }),
  };
}

/** Rows of the table of known mutations that have no mutant here. */
export const notApplicable: Readonly<Record<string, string>> = {
  35: "single-server membership changes do not exist yet",
  36: "membership changes do not exist yet",
};
