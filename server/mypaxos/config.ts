import { checkFields, ConfigError, mustBe } from "../checks.js";
import type { Check } from "../checks.js";
import { nodeConfigFields, resolveNode } from "../config.js";
import type { NodeAddress, ResolvedNode } from "../config.js";
import { readConfigFile } from "../config-sources.js";

/** The configuration of MyPaxos, under its own names: what stands in its conf.json. Times in milliseconds. */
export interface PaxosConfig {
  /** All members, the same on each of them, in any order; 1 to 9. */
  readonly nodes: readonly NodeAddress[];
  /** The `id` of this node: all in which the files of a cluster differ. */
  readonly myid: number;
  /**
   * A node that hears nothing from a leader for `timeout` to twice as long takes over (prepares again). 20 to 60000,
   * default 1000.
   */
  readonly timeout?: number;
  /**
   * How often an idle leader tells the others how far the log is decided, so that they catch up. 1 to 60000, default 1000;
   * what is above a third of `timeout` counts as that third, or they would take the leader for dead. What is decided is
   * told at once: this is no bound on the rate, as it was in MyPaxos.
   */
  readonly learningInterval?: number;
  /** This node keeps its data in `<dataDir>/node-<myid>/group-<id>`. Default "dataDir". */
  readonly dataDir?: string;
  /**
   * Default true. False keeps everything in memory, with a warning: a node that comes back has forgotten its promises and
   * votes.
   */
  readonly enableDataPersistence?: boolean;
}

export const DEFAULT_TIMEOUT_MS = 1000;
export const DEFAULT_LEARNING_INTERVAL_MS = 1000;
export const DEFAULT_PAXOS_DATA_DIR = "dataDir";
/** So many heartbeats fit into the shortest wait for a leader: one that is lost on the way must change nothing. */
const HEARTBEATS_IN_TIMEOUT = 3;

const { nodes, myid, timeout, learningInterval, dataDir, enableDataPersistence } = nodeConfigFields;
export const paxosConfigFields = {
  ...{ nodes, myid, timeout, learningInterval, dataDir, enableDataPersistence },
} satisfies Record<keyof PaxosConfig, Check<unknown>>;

/** The same as settings of a node of ours, valid together. */
export type PaxosSettings = Pick<ResolvedNode, keyof PaxosConfig>;

/**
 * Checks a configuration, or reads one from a file: JSON, in which comments and trailing commas are fine, and a relative
 * `dataDir` is meant from where the file is.
 * @throws ConfigError: `field` names the setting, the message the file too.
 */
export function resolvePaxosConfig(config: string | PaxosConfig): PaxosSettings {
  if (typeof config !== "string") {
    if (typeof config === "object" && config !== null) return settle(config);
    throw mustBe("config", "the path of a file, or an object", config);
  }
  const values = readConfigFile(config);
  try {
    return settle(values);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new ConfigError(error.field, `${config}: ${error.message}`);
  }
}

function settle(values: object): PaxosSettings {
  const config = checkFields(paxosConfigFields, values, "");
  const timeoutMs = config.timeout ?? DEFAULT_TIMEOUT_MS;
  const intervalMs = config.learningInterval ?? DEFAULT_LEARNING_INTERVAL_MS;
  const settled = resolveNode({
    ...config,
    timeout: timeoutMs,
    learningInterval: Math.min(intervalMs, Math.floor(timeoutMs / HEARTBEATS_IN_TIMEOUT)),
    dataDir: config.dataDir ?? DEFAULT_PAXOS_DATA_DIR,
  });
  return Object.fromEntries(
    Object.keys(paxosConfigFields).map((name) => [name, settled[name as keyof PaxosConfig]]),
  ) as unknown as PaxosSettings;
}
