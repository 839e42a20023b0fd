import { InvalidArgumentError } from "../../runtime/index.js";

/** Settings of one server, the same for each engine. Times in milliseconds of the runtime's clock, sizes in bytes. */
export interface ReplicaConfig {
  /** A leader sends each follower something at least this often. The labs allow ten a second. */
  heartbeatMs: number;
  /** A follower that hears nothing stands for election after a random time between these two (§5.2, §9.3). */
  electionTimeoutMinMs: number;
  electionTimeoutMaxMs: number;
  /** Ask whether an election could be won before raising the term (dissertation §9.6). */
  preVote: boolean;
  /** A leader that has not heard from a majority for an election timeout steps down (dissertation §6.2). */
  checkQuorum: boolean;
  /** Append an empty entry at the start of a term, so that entries of earlier terms commit without waiting (§8). */
  noopOnElection: boolean;
  /** Answer reads from the leader's lease (dissertation §6.4.1): no round trip, but correct only while clocks run at nearly the same rate. */
  leaseReads: boolean;
  /** How many appends to one follower may be unanswered, and how many bytes; beyond that entries wait and travel together. */
  maxInflightMessages: number;
  maxInflightBytes: number;
  /** Entries of one append: at most so many bytes, but always one entry. */
  maxAppendBytes: number;
  /** Bytes of a snapshot in one message. */
  snapshotChunkBytes: number;
}

export const defaultReplicaConfig: Readonly<ReplicaConfig> = {
  heartbeatMs: 100,
  electionTimeoutMinMs: 500,
  electionTimeoutMaxMs: 1000,
  preVote: true,
  checkQuorum: true,
  noopOnElection: false,
  leaseReads: false,
  maxInflightMessages: 64,
  maxInflightBytes: 1 << 20,
  maxAppendBytes: 256 << 10,
  snapshotChunkBytes: 64 << 10,
};

/** Fills in the defaults and refuses settings under which no engine could work. */
export function resolveReplicaConfig(partial: Partial<ReplicaConfig> = {}): ReplicaConfig {
  for (const name of Object.keys(partial)) {
    if (!Object.hasOwn(defaultReplicaConfig, name)) {
      throw new InvalidArgumentError(
        `unknown engine setting "${name}"; known are ${Object.keys(defaultReplicaConfig).join(", ")}`,
      );
    }
  }
  const config: ReplicaConfig = { ...defaultReplicaConfig, ...partial };
  for (const [name, value] of Object.entries(config)) {
    const standard = defaultReplicaConfig[name as keyof ReplicaConfig];
    if (typeof value !== typeof standard) {
      throw new InvalidArgumentError(`engine setting ${name} must be a ${typeof standard}, not ${String(value)}`);
    }
    if (typeof value === "number" && !(value > 0 && value < Infinity)) {
      throw new InvalidArgumentError(`engine setting ${name} must be a positive number, not ${value}`);
    }
    // Times may have fractions; with half a byte at a time a snapshot would never arrive.
    if (typeof value === "number" && !name.endsWith("Ms") && !Number.isSafeInteger(value)) {
      throw new InvalidArgumentError(`engine setting ${name} must be a whole number, not ${value}`);
    }
  }
  if (config.electionTimeoutMaxMs < config.electionTimeoutMinMs) {
    throw new InvalidArgumentError("electionTimeoutMaxMs must not be below electionTimeoutMinMs");
  }
  if (config.heartbeatMs * 2 > config.electionTimeoutMinMs) {
    throw new InvalidArgumentError(
      "electionTimeoutMinMs must be at least twice heartbeatMs, or followers depose a healthy leader",
    );
  }
  return config;
}
