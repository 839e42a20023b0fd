import { fork } from "node:child_process";
import { basename, join } from "node:path";

import type { Job, Told } from "./job.js";

export interface Answer {
  readonly caught: boolean;
  /** The rule that was broken. */
  readonly by: string;
  readonly detail: string;
  /** How many runs it took, the one that caught it included. */
  readonly runs: number;
  /** Of the last run. */
  readonly seed: number;
}

const WORKER = new URL("./worker.js", import.meta.url);

/** A run that does not end for so long will never end. */
const STUCK_MS = 120_000;

/** Carries out a job in a process of its own, with the modules of `copy`. */
export function inChild(copy: string, job: Job): Promise<Answer> {
  return new Promise((resolve) => {
    const child = fork(join(copy, "test/mutants", basename(WORKER.pathname)), {
      execArgv: [],
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    let last = { run: 0, seed: 0 };
    let answer: { caught: boolean; by: string; detail: string } | null = null;
    let errors = "";
    const kill = (): void => {
      answer ??= {
        caught: true,
        by: "a run ends",
        detail: `seed ${last.seed} has not ended after ${STUCK_MS / 1000} s`,
      };
      child.kill("SIGKILL");
    };
    let watchdog = setTimeout(kill, STUCK_MS);
    child.stderr?.on("data", (bytes: Buffer) => {
      errors = (errors + bytes.toString()).slice(-4000);
    });
    child.on("message", (told: Told) => {
      clearTimeout(watchdog);
      watchdog = setTimeout(kill, STUCK_MS);
      if ("run" in told) last = told;
      else answer = told;
    });
    child.on("close", () => {
      clearTimeout(watchdog);
      // Without an answer the mistake ended the whole process; before the first run that says nothing of the mistake.
      const died = { caught: last.run > 0, by: "the process lives", detail: errors.trim() || "the process ended" };
      resolve({ ...(answer ?? died), runs: last.run, seed: last.seed });
    });
    child.send(job);
  });
}
