import type { Power } from "./mutant.js";

/** Runs test files on the sources as a mutant changes them. */
export interface ScriptJob {
  readonly kind: "script";
  readonly root: string;
  readonly files: readonly string[];
  readonly row: string;
  /** Sources that the mutant changes: absolute path and text. */
  readonly changed: readonly (readonly [path: string, text: string])[];
}

/** Lets one storage after the other live on a disk that loses its power. */
export type PowerJob = { readonly kind: "power" } & Required<Power>;

/** Runs one seed of the swarm after the other. */
export interface SwarmJob {
  readonly kind: "swarm" | "blackBox";
  readonly firstSeed: number;
  readonly runs: number;
  /** Write the run that shows the mistake, as a page of the inspector. */
  readonly page?: Page;
}

/** Runs one seed of the swarm of registers after the other. */
export interface RegistersJob {
  readonly kind: "registers";
  readonly firstSeed: number;
  readonly runs: number;
}

export interface Page {
  readonly file: string;
  /** The page without a run in it. */
  readonly template: string;
  readonly title: string;
}

export type Job = ScriptJob | PowerJob | SwarmJob | RegistersJob;

/** What the runner is told: before each run its number from 1, and at the end what came of it. */
export type Told =
  | { readonly run: number; readonly seed: number }
  | { readonly caught: boolean; readonly by: string; readonly detail: string };
