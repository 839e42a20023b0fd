import { KvraftError } from "../../runtime/index.js";
import type { Environment } from "../config-sources.js";

/** What a command touches of its process; a test hands in its own. */
export interface Outside {
  readonly environment: Environment;
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly setExitCode: (code: number) => void;
}

export const processOutside: Outside = {
  environment: process.env,
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  setExitCode: (code) => {
    process.exitCode = code;
  },
};

/** What the exit code of a command means. */
export const Exit = {
  ok: 0,
  /** It was carried out, and the answer is no: no such key, another value, a node is missing. */
  no: 1,
  /** The command line or the configuration is wrong. */
  usage: 2,
  /** The cluster did not answer in time: a write may have happened, the message says. */
  unavailable: 3,
  /** A node refused: another cluster, a wrong secret or certificate, a request that it cannot carry out. */
  refused: 4,
  /** This node cannot run: its data directory, its disk or its port. */
  node: 5,
  /** A bug. */
  bug: 70,
} as const;

export const EXIT_CODES_HELP = `
Exit codes:
  0  done
  1  done, and the answer is no: no such key, another value, a node or the leader is missing
  2  the command line or the configuration is wrong
  3  the cluster did not answer in time; the message says whether a write may have happened
  4  a node refused
  5  this node cannot run: its data directory, disk or port`;

export const EXIT_OF: Readonly<Record<string, number>> = {
  CONFIG: Exit.usage,
  INVALID_ARGUMENT: Exit.usage,
  UNSAFE_BIND: Exit.usage,
  TIMEOUT: Exit.unavailable,
  UNAVAILABLE: Exit.unavailable,
  ABORTED: Exit.unavailable,
  DISCONNECTED: Exit.unavailable,
  REFUSED: Exit.refused,
  NOT_LEADER: Exit.refused,
  TRANSFER_FAILED: Exit.refused,
  SESSION_EXPIRED: Exit.refused,
  UNKNOWN_SERVICE: Exit.refused,
  LISTEN_FAILED: Exit.node,
  DIRECTORY_LOCKED: Exit.node,
  WRONG_DIRECTORY: Exit.node,
  DATA_LOST: Exit.node,
  CORRUPT_LOG: Exit.node,
  FORMAT_TOO_NEW: Exit.node,
  DISK_FULL: Exit.node,
  DISK_FAILED: Exit.node,
  STORAGE_FAILED: Exit.node,
  STATE_MACHINE: Exit.node,
  CLOSE_TIMEOUT: Exit.node,
};

/** Runs a command; an error of ours becomes a line and an exit code, with `json` an object. Others are bugs, and thrown. */
export async function run(outside: Outside, json: boolean, command: () => Promise<number>): Promise<void> {
  try {
    outside.setExitCode(await command());
  } catch (error) {
    if (!(error instanceof KvraftError)) throw error;
    const { code, message } = error;
    const maybeApplied = (error as { maybeApplied?: boolean }).maybeApplied ?? false;
    if (json) outside.out(`${JSON.stringify({ error: { code, message, maybeApplied } })}\n`);
    else outside.err(`kvraft: ${message}${maybeApplied ? "; it may have happened all the same" : ""} [${code}]\n`);
    outside.setExitCode(EXIT_OF[code] ?? Exit.bug);
  }
}
