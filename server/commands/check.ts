import { readFileSync } from "node:fs";

import { InvalidArgumentError, type Command } from "commander";

import { KvraftError } from "../../runtime/index.js";
import { checkLinearizable, parseHistory } from "../../sim/index.js";
import type { CheckResult } from "../../sim/index.js";
import type { Outside } from "./outside.js";

/** What the exit code of `check` means; the verdict is the answer. */
const EXIT: Readonly<Record<CheckResult["verdict"], number>> = { linearizable: 0, "not-linearizable": 1, unknown: 2 };
const EXIT_UNREADABLE = 2;

const STANDARD_INPUT = 0;

interface CheckOptions {
  readonly json?: boolean;
  readonly timeoutMs?: number;
}

/** `kvraft check history.jsonl`: is a recorded history linearizable? */
export function checkCommand(program: Command, outside: Outside): void {
  program
    .command("check")
    .description("say whether a recorded history is linearizable (JSON lines in Jepsen's shape)")
    .argument("<history>", "a file, or - for standard input")
    .option("--json", "print the whole result as one JSON object")
    .option("--timeout-ms <ms>", "give up after so many milliseconds (default: decide by a budget of steps)", positive)
    .addHelpText("after", "\nExit codes: 0 linearizable, 1 not linearizable, 2 undecided, unreadable or wrong options")
    .action((file: string, options: CheckOptions) => outside.setExitCode(check(file, options, outside)));
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0 && value < Infinity)) throw new InvalidArgumentError("It must be a number of milliseconds above 0.");
  return value;
}

function check(file: string, { json = false, timeoutMs }: CheckOptions, { out, err }: Outside): number {
  let result: CheckResult;
  const started = performance.now();
  try {
    const history = parseHistory(read(file));
    result = checkLinearizable(history, timeoutMs === undefined ? {} : { timeoutMs });
  } catch (error) {
    // A history that cannot be read or understood; anything else is a bug, and thrown.
    if (!(error instanceof KvraftError)) throw error;
    err(`kvraft: ${name(file)}: ${error.message} [${error.code}]\n`);
    return EXIT_UNREADABLE;
  }
  if (json) {
    out(`${JSON.stringify(result)}\n`);
  } else {
    const ms = Math.round(performance.now() - started);
    out(`${result.verdict}: ${result.operations} operations on ${result.keys} keys, ${ms} ms\n`);
    if (result.verdict !== "linearizable") out(`${result.explanation}\n`);
  }
  return EXIT[result.verdict];
}

function read(file: string): string {
  try {
    return readFileSync(file === "-" ? STANDARD_INPUT : file, "utf8");
  } catch (cause) {
    throw new KvraftError("UNREADABLE", `cannot be read (${(cause as Error).message})`, { cause });
  }
}

function name(file: string): string {
  return file === "-" ? "standard input" : file;
}
