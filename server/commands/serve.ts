import type { Command } from "commander";

import { resolveNode } from "../config.js";
import type { NodeConfig } from "../config.js";
import { clusterSettings, nodeSettings } from "../config-sources.js";
import { jsonLogger } from "../json-logger.js";
import { startNode } from "../node.js";
import type { KvNode } from "../node.js";
import type { Logger } from "../transport/index.js";
import { addSettings, nodeConfigOf } from "./options.js";
import { Exit, EXIT_CODES_HELP, run } from "./outside.js";
import type { Outside } from "./outside.js";
import { onStop } from "./signals.js";

/** What `serve` tells the process that started it with a channel, once it serves. */
export interface ReadyMessage {
  readonly type: "ready";
  readonly id: number;
  readonly address: string;
  readonly http: string | null;
}

/** Beyond `closeTimeout`: for the disk, and until the process ends as it is. */
const DISK_MS = 1500;
const GRACE_MS = 2000;

export function serveCommand(program: Command, outside: Outside): void {
  const command = program.command("serve").description("run one node of a cluster, until SIGTERM or SIGINT");
  command
    .option("--config <file>", "JSON with comments; the environment (KVRAFT_...) overrides it, and flags override both")
    .option("--json", "print JSON");
  addSettings(command, [...clusterSettings, ...nodeSettings]).addHelpText("after", EXIT_CODES_HELP);
  command.action(async () => {
    const flags = command.opts<Record<string, string | boolean> & { config?: string; json?: boolean }>();
    await run(outside, flags.json === true, () => serve(flags, outside));
  });
}

async function serve(
  flags: Record<string, string | boolean> & { config?: string; json?: boolean },
  outside: Outside,
): Promise<number> {
  const { config, unknownVariables } = nodeConfigOf(flags, outside.environment);
  const { myid, logLevel, closeTimeout } = resolveNode(config);
  const logger = jsonLogger(logLevel, { node: myid }, outside.err);
  for (const variable of unknownVariables)
    logger.warn({ variable }, `${variable} is in the environment, but no setting`);
  // It was checked just now: all that must be there is.
  const node = await startNode({ ...(config as NodeConfig), logger });
  announce(node, flags.json === true, outside);
  return untilStopped(node, closeTimeout, logger);
}

function announce(node: KvNode, json: boolean, outside: Outside): void {
  const { id, address, http } = node.status();
  const message: ReadyMessage = { type: "ready", id, address, http };
  const where = http === null ? "" : `, http://${http}`;
  outside.out(json ? `${JSON.stringify(message)}\n` : `node ${id} listens on ${address}${where}\n`);
  process.send?.(message);
}

/** Waits for a signal or a failure, and closes the node. Returns the exit code. */
async function untilStopped(node: KvNode, closeTimeoutMs: number, logger: Logger): Promise<number> {
  const failed = await new Promise<boolean>((resolve) => {
    onStop((why) => {
      logger.info({ why }, "stopping; a second signal ends the process at once");
      resolve(false);
    });
    // Without one of its groups a node is of little use; a fresh start recovers from what can be recovered from.
    node.on("error", () => resolve(true));
  });
  // Not cleared: it also ends a process in which something was left open. It does not keep one alive.
  setTimeout(() => {
    logger.error({ closeTimeoutMs }, "closing takes too long; ending the process");
    process.exit(Exit.node);
  }, closeTimeoutMs + GRACE_MS).unref();
  await node.close({ timeoutMs: closeTimeoutMs, diskTimeoutMs: DISK_MS });
  if (process.connected) process.disconnect();
  return failed ? Exit.node : Exit.ok;
}
