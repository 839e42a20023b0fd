import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";

import { parse, printParseErrorCode, visit, type ParseError } from "jsonc-parser";

import { checkFields, ConfigError, mustBe } from "./checks.js";
import { clusterFields, nodeConfigFields } from "./config.js";
import type { NodeConfig } from "./config.js";

/** Settings as somebody wrote them, not checked yet. */
export type RawConfig = Readonly<Record<string, unknown>>;

/** Settings whose paths are meant from where the configuration file is. */
const PATHS = ["dataDir", "secretFile"] as const;
const TLS_PATHS = ["caFile", "certFile", "keyFile"] as const;

/** Reads a configuration file: JSON, in which comments and trailing commas are fine. @throws ConfigError */
export function readConfigFile(path: string): RawConfig {
  let content: string;
  try {
    // Some editors put a byte order mark in front.
    content = readFileSync(path, "utf8").replace(/^\ufeff/, "");
  } catch (cause) {
    throw new ConfigError(
      "config",
      `the configuration ${path} cannot be read (${(cause as NodeJS.ErrnoException).code})`,
    );
  }
  const errors: ParseError[] = [];
  const value: unknown = parse(content, errors, { allowTrailingComma: true });
  const [first] = errors;
  if (first !== undefined) {
    const at = placeOf(first.offset, content);
    throw new ConfigError(
      "config",
      `${path} is not JSON (with comments) at ${at}: ${printParseErrorCode(first.error)}`,
    );
  }
  refuseTwice(path, content);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ConfigError("config", mustBe(path, "an object", value).message);
  }
  return fromFile(value as Record<string, unknown>, dirname(path));
}

function placeOf(offset: number, content: string): string {
  const before = content.slice(0, offset).split("\n");
  return `line ${before.length}, column ${(before.at(-1) as string).length + 1}`;
}

/** JSON takes the last of two settings of the same name, and whoever reads the file the first. */
function refuseTwice(path: string, content: string): void {
  const open: Set<string>[] = [];
  visit(
    content,
    {
      onObjectBegin: () => void open.push(new Set()),
      onObjectEnd: () => void open.pop(),
      onObjectProperty: (name, offset) => {
        const names = open.at(-1) as Set<string>;
        if (names.has(name)) {
          throw new ConfigError(name, `${path} has ${name} twice: the second is at ${placeOf(offset, content)}`);
        }
        names.add(name);
      },
    },
    { allowTrailingComma: true },
  );
}

function fromFile(values: Record<string, unknown>, folder: string): RawConfig {
  const result = { ...values };
  const inFolder = (path: unknown): unknown => (typeof path === "string" && path !== "" ? resolve(folder, path) : path);
  for (const key of PATHS) if (key in result) result[key] = inFolder(result[key]);
  const { tls } = result;
  if (typeof tls === "object" && tls !== null) {
    const paths: Record<string, unknown> = { ...tls };
    for (const key of TLS_PATHS) if (key in paths) paths[key] = inFolder(paths[key]);
    result["tls"] = paths;
  }
  return result;
}

/** A setting that can also be given by a flag and by the environment. */
export interface TextSetting {
  readonly flag: string;
  readonly variable: string;
  readonly description: string;
  /** In place of the flag's value; undefined: a flag without one. */
  readonly argument: string | undefined;
  /** What the text means, not checked yet. */
  readonly toValue: (value: string) => unknown;
  /** Puts it into a configuration. */
  readonly put: (config: Record<string, unknown>, value: unknown) => void;
  /** Where it stands in a configuration file. */
  readonly path: string;
}

const asText = (value: string): unknown => value;
const asNumber = (value: string): unknown => (/^-?\d+$/.test(value) ? Number(value) : value);
const asYesOrNo = (value: string): unknown =>
  /^(true|yes|on|1)$/i.test(value) ? true : /^(false|no|off|0)$/i.test(value) ? false : value;
const asList = (value: string): unknown => value.split(",").filter((item) => item !== "");

/** "1=127.0.0.1:7001,2=127.0.0.1:7002"; without ids they are numbered from 1. */
function asNodes(value: string): unknown {
  return (asList(value) as string[]).map((item, i) => {
    const match = /^(?:(\d+)=)?(?:\[([^\]]+)\]|([^:=[\]]+)):(\d+)$/.exec(item);
    if (match === null) throw mustBe(`nodes[${i}]`, "id=host:port or host:port", item);
    const [, id, host6, host, port] = match;
    return { id: id === undefined ? i + 1 : Number(id), host: host6 ?? host, port: Number(port) };
  });
}

function setting(
  path: string,
  argument: string | undefined,
  toValue: TextSetting["toValue"],
  description: string,
): TextSetting {
  const words = path.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`).replaceAll(".", "-");
  const [first, second] = path.split(".") as [string, string | undefined];
  const put: TextSetting["put"] = (config, value) => {
    if (second === undefined) config[first] = value;
    else config[first] = { ...(config[first] as object | undefined), [second]: value };
  };
  const variable = `KVRAFT_${words.replaceAll("-", "_").toUpperCase()}`;
  return { flag: `--${words}`, variable, description, argument, toValue, put, path };
}

/** Of clients and nodes. */
export const clusterSettings: readonly TextSetting[] = [
  setting("nodes", "list", asNodes, "all members: 1=host:port,2=host:port,..."),
  setting("clusterId", "name", asText, "who belongs to another cluster is refused"),
  setting("secret", "text", asText, "shared by all nodes and clients (better: --secret-file)"),
  setting("secretFile", "path", asText, "file that holds the secret"),
  setting("tls.caFile", "path", asText, "certificate of the authority that signed the others"),
  setting("tls.certFile", "path", asText, "certificate to show"),
  setting("tls.keyFile", "path", asText, "its private key"),
];

/** Of nodes only. */
export const nodeSettings: readonly TextSetting[] = [
  setting("myid", "number", asNumber, "the id of this node"),
  setting("bind.host", "host", asText, "what to listen on, where it is not the address in nodes"),
  setting("bind.port", "port", asNumber, "the same for the port; 0: any free one"),
  setting("allowUnauthenticated", undefined, asYesOrNo, "accept everyone on addresses that others can reach"),
  setting("timeout", "ms", asNumber, "how long without a leader before an election (default 500)"),
  setting("learningInterval", "ms", asNumber, "how often a leader says that it is there (default timeout/5)"),
  setting("dataDir", "path", asText, 'data goes into <path>/node-<myid>/<group> (default "kvraft-data")'),
  setting("enableDataPersistence", "yes|no", asYesOrNo, "no: keep everything in memory (default yes)"),
  setting("replaceLostData", undefined, asYesOrNo, "this node's data were lost: get a copy from all the others"),
  setting("engine", "name", asText, "the consensus algorithm, the same on all nodes: raft or paxos (default raft)"),
  setting("groups", "names", asList, 'key/value groups (default "kv")'),
  setting("maxRaftState", "bytes", asNumber, "take a snapshot when the log is so large; -1: never (default 64 MiB)"),
  setting("maxPendingBytes", "bytes", asNumber, "put writes off while so much waits to be committed (default 64 MiB)"),
  setting("httpPort", "port", asNumber, "HTTP server for health, status, metrics (default none)"),
  setting("httpHost", "host", asText, "what it listens on (default 127.0.0.1)"),
  setting("closeTimeout", "ms", asNumber, "bound on an orderly end (default 5000)"),
  setting("logLevel", "level", asText, "debug, info, warn, error or silent (default info)"),
];

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Puts the sources together: flags win over the environment, which wins over the file. Each source is checked by itself,
 * so that an error names the field where it was written: `myid`, `KVRAFT_MYID` or `--myid`.
 * @throws ConfigError
 */
export function combine(
  settings: readonly TextSetting[],
  sources: { file?: RawConfig; environment?: Environment; flags?: Readonly<Record<string, string | boolean>> },
): Partial<NodeConfig> {
  const { file = {}, environment = {}, flags = {} } = sources;
  checkFields(nodeConfigFields, file, "");
  const config: Record<string, unknown> = { ...file };
  for (const each of settings) {
    const variable = environment[each.variable];
    if (variable !== undefined && variable !== "") putText(config, each, variable, each.variable);
    const flag = flags[each.path];
    if (flag !== undefined) putText(config, each, String(flag), each.flag);
  }
  return config;
}

/** A secret of one source replaces that of another, however each is given. */
const RIVALS: Readonly<Record<string, string>> = { secret: "secretFile", secretFile: "secret" };

function putText(config: Record<string, unknown>, each: TextSetting, value: string, source: string): void {
  const alone: Record<string, unknown> = {};
  try {
    each.put(alone, each.toValue(value));
    checkFields(nodeConfigFields, alone, "");
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new ConfigError(error.field, `${source}: ${error.message}`);
  }
  const rival = RIVALS[each.path];
  if (rival !== undefined) delete config[rival];
  each.put(config, each.toValue(value));
}

/** The part of a configuration that concerns clients: a node's file serves them too. */
export function clusterPart(config: Partial<NodeConfig>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(config).filter(([key]) => Object.hasOwn(clusterFields, key)));
}
