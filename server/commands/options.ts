import { existsSync } from "node:fs";
import { join } from "node:path";

import { InvalidArgumentError, type Command } from "commander";

import { ConfigError } from "../checks.js";
import { DEFAULT_DATA_DIR } from "../config.js";
import type { NodeConfig } from "../config.js";
import { clusterPart, clusterSettings, combine, nodeSettings, readConfigFile } from "../config-sources.js";
import type { Environment, TextSetting } from "../config-sources.js";
import type { KvClient } from "../connect.js";
import { connect } from "../connect.js";

/** Where `kvraft cluster` writes what its clients need. */
export const CLUSTER_FILE = "cluster.json";

type Flags = Readonly<Record<string, string | boolean>>;

export function addSettings(command: Command, settings: readonly TextSetting[]): Command {
  for (const { flag, argument, description } of settings) {
    command.option(argument === undefined ? flag : `${flag} <${argument}>`, description);
  }
  return command;
}

/** Commander names an option after its flag; a setting has its own name. */
function flagsOf(settings: readonly TextSetting[], options: Flags): Record<string, string | boolean> {
  const flags: Record<string, string | boolean> = {};
  for (const { flag, path } of settings) {
    const value = options[flag.slice(2).replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())];
    if (value !== undefined) flags[path] = value;
  }
  return flags;
}

export function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > most) {
      throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
    }
    return value;
  };
}

/** The configuration of `kvraft serve`, and settings in the environment that have no meaning. */
export function nodeConfigOf(
  options: Flags & { readonly config?: string },
  environment: Environment,
): { config: Partial<NodeConfig>; unknownVariables: string[] } {
  const settings = [...clusterSettings, ...nodeSettings];
  const path = options.config ?? environment["KVRAFT_CONFIG"];
  const file = path === undefined ? {} : readConfigFile(path);
  const known = new Set(["KVRAFT_CONFIG", ...settings.map(({ variable }) => variable)]);
  const unknownVariables = Object.keys(environment).filter((key) => key.startsWith("KVRAFT_") && !known.has(key));
  return { config: combine(settings, { file, environment, flags: flagsOf(settings, options) }), unknownVariables };
}

export interface ClientFlags {
  readonly config?: string;
  readonly group: string;
  readonly timeout: number;
  readonly json?: boolean;
}

const MAX_TIMEOUT_MS = 3_600_000;

/** What all commands have that talk to a cluster. */
export function addClientOptions(command: Command): Command {
  command
    .option(
      "--config <file>",
      `a node's configuration, or ${CLUSTER_FILE} (default ./${DEFAULT_DATA_DIR}/${CLUSTER_FILE})`,
    )
    .option("--group <name>", "which store", "kv")
    .option("--timeout <ms>", "give up after so long", wholeNumber(1, MAX_TIMEOUT_MS), 5000)
    .option("--json", "print JSON");
  return addSettings(command, clusterSettings);
}

/** Connects as the options say, calls `use`, and closes the connections. */
export async function withClient(
  flags: ClientFlags,
  environment: Environment,
  use: (client: KvClient) => Promise<number>,
): Promise<number> {
  const given = flagsOf(clusterSettings, flags as unknown as Flags);
  const path =
    flags.config ?? environment["KVRAFT_CONFIG"] ?? defaultFile(given["nodes"] ?? environment["KVRAFT_NODES"]);
  const file = path === undefined ? {} : clusterPart(readConfigFile(path));
  const config = clusterPart(combine(clusterSettings, { file, environment, flags: given }));
  if (config["nodes"] === undefined) {
    throw new ConfigError(
      "nodes",
      "which cluster? Give --nodes host:port,host:port or --config FILE, or start one: kvraft cluster",
    );
  }
  // resolveCluster checks it all.
  await using client = connect({ ...(config as unknown as NodeConfig), group: flags.group });
  await client.ready({ timeoutMs: flags.timeout });
  return await use(client);
}

function defaultFile(nodes: unknown): string | undefined {
  const file = join(DEFAULT_DATA_DIR, CLUSTER_FILE);
  return nodes === undefined && existsSync(file) ? file : undefined;
}
