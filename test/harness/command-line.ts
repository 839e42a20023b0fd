import { Command, CommanderError } from "commander";

import { clusterCommands } from "../../server/commands/index.js";

export interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a command of `kvraft` in this process. */
export async function kvraft(args: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<Outcome> {
  const outcome = { code: 0, out: "", err: "" };
  const program = new Command("kvraft").exitOverride().configureOutput({
    writeOut: (text) => (outcome.out += text),
    writeErr: (text) => (outcome.err += text),
  });
  clusterCommands(program, {
    environment,
    out: (text) => (outcome.out += text),
    err: (text) => (outcome.err += text),
    setExitCode: (code) => (outcome.code = code),
  });
  try {
    await program.parseAsync(args, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    outcome.code = error.exitCode;
  }
  return outcome;
}
