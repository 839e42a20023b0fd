import { writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

import { checkWritable, inspectorHtml } from "../inspector/index.js";
import type { Outside } from "./display.js";
import { parseOptions, UsageExit, type DemoOptions } from "./options.js";
import { runDemo } from "./run.js";

/** Node leaves isTTY undefined where the output is a file or a pipe. */
const isTerminal: boolean = process.stdout.isTTY ?? false;

/** Within this time after the first interruption another is its echo: npm passes on to us what the terminal sent to both. */
const ECHO_MS = 500;

let interruptedAt: number | undefined;

/** The first one asks for the summary; a person who insists wants out at once. */
function interrupt(): void {
  interruptedAt ??= performance.now();
  if (performance.now() - interruptedAt > ECHO_MS) process.exit(130);
}

const outside: Outside = {
  output: {
    isTTY: isTerminal,
    color: isTerminal && !process.env["NO_COLOR"] && process.env["TERM"] !== "dumb",
    get columns() {
      return process.stdout.columns || 80;
    },
    get rows() {
      return process.stdout.rows || 24;
    },
    write: (text) => void process.stdout.write(text),
  },
  now: () => performance.now(),
  sleep: (ms) => sleep(ms),
  isInterrupted: () => interruptedAt !== undefined,
  onExit: (restore) => void process.on("exit", restore),
  writeFile: (path, text) => writeFileSync(path, text),
  inspectorHtml: (record) => inspectorHtml(record),
};

/** Finds out before the run, not after it, that a file cannot be written. */
function parseCommandLine(): DemoOptions {
  const options = parseOptions(process.argv.slice(2), Math.random);
  for (const name of ["history", "inspect"] as const) {
    const file = options[name];
    if (file === undefined) continue;
    try {
      checkWritable(`--${name}`, file);
    } catch (error) {
      throw new UsageExit(`error: ${(error as Error).message}\n`, 2);
    }
  }
  return options;
}

async function main(): Promise<number> {
  const options = parseCommandLine();
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  // Whoever reads our lines may have seen enough (`| head`).
  process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));
  return runDemo(options, outside);
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof UsageExit)) throw error;
  const stream = error.exitCode === 0 ? process.stdout : process.stderr;
  stream.write(error.message);
  process.exitCode = error.exitCode;
}
