import { diskMutants } from "./disk.js";
import { electionMutants } from "./elections.js";
import type { Mutant } from "./mutant.js";
import { paxosMutants } from "./paxos.js";
import { logMutants } from "./replication.js";
import { registerMutants } from "./paxos-registers.js";
import { readMutants, serviceMutants } from "./service.js";
import { snapshotMutants } from "./snapshots.js";

export const mutants: readonly Mutant[] = [
  ...electionMutants,
  ...logMutants,
  ...readMutants,
  ...snapshotMutants,
  ...serviceMutants,
  ...diskMutants,
  ...registerMutants,
  ...paxosMutants,
];

/** No mistake at all: what the checks of others find here proves that a catch of theirs means nothing. */
export const noMistake: Mutant = { name: "none", row: "", mistake: "the code as it ships", edits: [] };

/** The same on the other engine. */
export const noMistakeInPaxos: Mutant = { ...noMistake, name: "none-paxos", engine: "paxos" };

export const isClean = ({ name }: Mutant): boolean => name === noMistake.name || name === noMistakeInPaxos.name;

/** The baseline of each engine that `chosen` is about. */
export function baselinesOf(chosen: readonly Mutant[], limit: number): Mutant[] {
  const isPaxos = ({ engine }: Mutant): boolean => engine === "paxos";
  const groups = [chosen.filter((mutant) => !isPaxos(mutant)), chosen.filter(isPaxos)] as const;
  return groups.flatMap((group, i) =>
    group.length === 0 ? [] : [{ ...baselineOf(group, limit), ...(i > 0 && noMistakeInPaxos) }],
  );
}

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
