/** One place of the shipped sources: `find` stands there exactly once, and `replace` is the mistake in its place. */
export type Edit = readonly [file: string, find: string, replace: string];

/**
 * A mistake put back on purpose. The shipped code knows nothing of it: it is made in a copy of the sources. Each check
 * that is named here must catch it; a mutant that one of them lets pass has survived.
 */
export interface Mutant {
  readonly name: string;
  /** The row of the table of known mutations, or what else it is known from: a scenario, a lesson of this code. */
  readonly row: string;
  /** What is wrong, in the present tense. */
  readonly mistake: string;
  readonly edits: readonly Edit[];
  /** Test files of which at least one must fail. */
  readonly scripts?: readonly string[];
  /** The swarm, with its oracles, must find it within so many seeds. */
  readonly swarm?: number;
  /** And from outside alone, by what clients and operators see, within so many. */
  readonly blackBox?: number;
  /** The storage alone, on a disk that loses its power, must find it within so many lives. */
  readonly power?: Power;
  /** The swarm of single-decree Paxos must find it within so many seeds. */
  readonly registers?: number;
  /** Why a check is not asked: the mistake cannot be seen from there, or too rarely. */
  readonly note?: string;
  /** Takes a few seconds at most; a quarter of all mutants are of that kind, and run in CI. */
  readonly quick?: true;
}

export interface Power {
  readonly runs: number;
  /** Records of one size, so that an old one may stand exactly where a new one is expected. */
  readonly shape?: "mixed" | "fixed";
  readonly syncErrorRate?: number;
}
