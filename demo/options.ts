import { Command, CommanderError, InvalidArgumentError, Option } from "commander";

import { FAULT_KINDS, type FaultKind } from "./faults.js";

export interface DemoOptions {
  readonly seed: number;
  readonly servers: number;
  readonly clients: number;
  /** Virtual seconds during which faults happen; a short time to recover follows. */
  readonly seconds: number;
  readonly faults: readonly FaultKind[];
  /** Run as fast as the machine can, without the live view. */
  readonly fast: boolean;
  /** Where to write the history of all operations. */
  readonly history?: string;
  /** Where to write the page that shows the run. */
  readonly inspect?: string;
}

/** The command line was wrong, or asked for help: print `text` and exit with `exitCode`. */
export class UsageExit extends Error {
  readonly exitCode: number;

  constructor(text: string, exitCode: number) {
    super(text);
    this.exitCode = exitCode;
  }
}

const LARGEST_RANDOM_SEED = 9999;

/**
 * `random` gives the seed where none is named.
 * @throws UsageExit where the options cannot be used; its text names the option and says what is expected.
 */
export function parseOptions(args: readonly string[], random: () => number): DemoOptions {
  let printed = "";
  const command = new Command("kvraft-demo")
    .usage("[options]")
    .description(
      "Raft servers elect, replicate, partition, crash, heal and lose nothing; a linearizability checker says so.",
    )
    .option(
      "--seed <number>",
      "replays a run: same seed, same run (default: a new one)",
      wholeNumber(0, Number.MAX_SAFE_INTEGER),
    )
    .option("--servers <number>", "how many servers", wholeNumber(1, 9), 5)
    .option("--clients <number>", "how many clients", wholeNumber(1, 50), 5)
    .option("--seconds <number>", "how long faults go on", wholeNumber(1, 3600), 30)
    .addOption(
      new Option("--faults <list>", `"all", "none", or some of ${FAULT_KINDS.join(",")}`)
        .argParser(parseFaults)
        .default(FAULT_KINDS, "all"),
    )
    .option("--fast", "do not wait: minutes pass in a moment, events are printed as lines")
    .option("--history <file>", "write what every client did, for `npx kvraft check`")
    .option("--inspect <file>", "write the run as a page for the browser: every message, log and store at every moment")
    .allowExcessArguments(false)
    .exitOverride()
    .configureOutput({ writeOut: (text) => (printed += text), writeErr: (text) => (printed += text) });
  try {
    command.parse(args, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    throw new UsageExit(printed, error.exitCode === 0 ? 0 : 2);
  }
  const options = command.opts<Omit<DemoOptions, "seed" | "fast"> & { seed?: number; fast?: boolean }>();
  const { fast = false, seed = 1 + Math.floor(random() * LARGEST_RANDOM_SEED) } = options;
  return { ...options, fast, seed };
}

function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > most) {
      throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
    }
    return value;
  };
}

function parseFaults(text: string): readonly FaultKind[] {
  if (text === "all") return FAULT_KINDS;
  if (text === "none") return [];
  const names = text.split(",");
  const unknown = names.filter((name) => !FAULT_KINDS.some((kind) => kind === name));
  if (unknown.length > 0) {
    const named = unknown.map((name) => `"${name}"`).join(", ");
    throw new InvalidArgumentError(`Unknown: ${named}. Known are ${FAULT_KINDS.join(", ")}, all and none.`);
  }
  return FAULT_KINDS.filter((kind) => names.includes(kind));
}
