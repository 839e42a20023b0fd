#!/usr/bin/env node
import { readFileSync, realpathSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { Command, CommanderError } from "commander";

import { checkCommand } from "./commands/check.js";
import { clusterCommands } from "./commands/index.js";
import { sweepCommand } from "./commands/sweep.js";
import { processOutside, type Outside } from "./commands/outside.js";

const EXIT_USAGE = 2;

/** The version of the package that this file was installed with: beside `server/`, or beside `dist/server/`. */
function version(): string {
  for (const place of ["../package.json", "../../package.json"]) {
    try {
      return (JSON.parse(readFileSync(new URL(place, import.meta.url), "utf8")) as { version: string }).version;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
  }
  return "unknown";
}

/** The command line: `argv` without node and script. Sets the exit code through `outside`; never ends the process. */
export async function main(argv: readonly string[], outside: Outside = processOutside): Promise<void> {
  const program = new Command("kvraft")
    .description("a key/value service replicated by Raft")
    .version(version())
    .showHelpAfterError("(--help shows what there is)")
    .exitOverride()
    .configureOutput({ writeOut: outside.out, writeErr: outside.err });
  checkCommand(program, outside);
  sweepCommand(program, outside);
  clusterCommands(program, outside);
  for (const command of program.commands) command.copyInheritedSettings(program);
  try {
    await program.parseAsync(argv, { from: "user" });
  } catch (error) {
    // Commander has printed what is wrong; --help and --version come by here too, with 0.
    if (!(error instanceof CommanderError)) throw error;
    outside.setExitCode(error.exitCode === 0 ? 0 : EXIT_USAGE);
  }
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  // Whoever reads may have read enough: `kvraft sweep --replay 5 | head`.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  });
  await main(process.argv.slice(2));
}
