import type { Command } from "commander";

import { InvalidArgumentError } from "../../runtime/index.js";

/** What `kvraft sweep` does: one of these two options, or a sweep. */
type Mode = "a sweep" | "--replay" | "--shrink";

/** In which modes an option has an effect. Those that are not here have one in a sweep alone; --engine has one in each. */
const MODES: Readonly<Record<string, readonly Mode[]>> = {
  checkDeterminism: ["a sweep", "--replay"],
  json: ["a sweep", "--replay"],
  inspect: ["--replay", "--shrink"],
  quiet: ["--replay"],
  to: ["--shrink"],
  replay: ["--replay"],
  shrink: ["--shrink"],
  engine: ["a sweep", "--replay", "--shrink"],
};

/**
 * An option that would have no effect is a mistake of whoever gave it.
 * @throws InvalidArgumentError that names it and what it does not go with
 */
export function checkModes(command: Command): void {
  const given = command.options.filter((option) => isGiven(command, option.attributeName()));
  const has = (name: string): boolean => given.some((option) => option.attributeName() === name);
  const mode = has("replay") ? "--replay" : has("shrink") ? "--shrink" : "a sweep";
  for (const option of given) {
    const modes = MODES[option.attributeName()] ?? ["a sweep"];
    if (modes.includes(mode)) continue;
    const rest = mode === "a sweep" ? `goes with ${modes.join(" or ")} only` : `does not go with ${mode}`;
    throw new InvalidArgumentError(`${option.long} ${rest}`);
  }
  // Its two runs are compared, not written down.
  if (has("checkDeterminism") && has("inspect")) {
    throw new InvalidArgumentError("--inspect does not go with --check-determinism");
  }
}

/** On the command line, and not by default. */
export function isGiven(command: Command, name: string): boolean {
  return command.getOptionValueSource(name) === "cli";
}
