import { readdirSync } from "node:fs";
import { join } from "node:path";

import type { Command } from "commander";

import { ConfigError } from "../checks.js";
import type { NodeAnswer } from "../connect.js";
import { inspect } from "../inspect.js";
import { formatInspection } from "../storage/index.js";
import type { Inspection } from "../storage/index.js";
import { addClientOptions, withClient, wholeNumber } from "./options.js";
import type { ClientFlags } from "./options.js";
import { Exit, EXIT_CODES_HELP, run } from "./outside.js";
import type { Outside } from "./outside.js";
import { bytes, table } from "./table.js";

const nodeNumber = wholeNumber(0, Number.MAX_SAFE_INTEGER);

/** status, transfer, snapshot, inspect. */
export function operateCommands(program: Command, outside: Outside): void {
  const status = program.command("status").description("show how each node is");
  addClientOptions(status).addHelpText("after", EXIT_CODES_HELP);
  status.action(async () => {
    const flags = status.opts<ClientFlags>();
    await run(outside, flags.json === true, () =>
      withClient(flags, outside.environment, async (client) => {
        const answers = await client.status({ timeoutMs: flags.timeout });
        outside.out(flags.json ? `${JSON.stringify(answers)}\n` : `${describe(answers)}\n`);
        return answers.every(isWell) ? Exit.ok : Exit.no;
      }),
    );
  });

  const transfer = program.command("transfer").description("hand leadership over, to a node or to the best one");
  addClientOptions(transfer.argument("[node]", "its id", nodeNumber)).addHelpText("after", EXIT_CODES_HELP);
  transfer.action(async (target: number | undefined) => {
    const flags = transfer.opts<ClientFlags>();
    await run(outside, flags.json === true, () =>
      withClient(flags, outside.environment, async (client) => {
        const leader = await client.transferLeadership(target, { timeoutMs: flags.timeout });
        outside.out(flags.json ? `${JSON.stringify({ leader })}\n` : `node ${leader} leads\n`);
        return Exit.ok;
      }),
    );
  });

  const snapshot = program.command("snapshot").description("have a node, or all of them, take a snapshot now");
  addClientOptions(snapshot.argument("[node]", "its id", nodeNumber)).addHelpText("after", EXIT_CODES_HELP);
  snapshot.action(async (node: number | undefined) => {
    const flags = snapshot.opts<ClientFlags>();
    await run(outside, flags.json === true, () =>
      withClient(flags, outside.environment, async (client) => {
        const taken: { node: number; index: number }[] = [];
        for (const id of node === undefined ? client.nodes : [node]) {
          const { groups } = await client.snapshot(id, { timeoutMs: flags.timeout });
          taken.push({ node: id, index: groups[flags.group]?.snapshotIndex ?? 0 });
        }
        const lines = taken.map(({ node: id, index }) => `node ${id} has a snapshot up to entry ${index}\n`);
        outside.out(flags.json ? `${JSON.stringify(taken)}\n` : lines.join(""));
        return Exit.ok;
      }),
    );
  });

  const inspectCommand = program
    .command("inspect")
    .description("show what a data directory holds, and what is wrong with it");
  inspectCommand.argument("<dir>", "a data directory, or one of its parts").option("--json", "print JSON");
  inspectCommand.addHelpText("after", EXIT_CODES_HELP);
  inspectCommand.action(async (dir: string) => {
    const json = inspectCommand.opts<{ json?: boolean }>().json === true;
    await run(outside, json, async () => {
      const found = await Promise.all(logDirectories(dir).map((each) => inspect(each)));
      outside.out(json ? `${JSON.stringify(found, errorsAsData)}\n` : `${found.map(formatInspection).join("\n\n")}\n`);
      return found.every((each: Inspection) => each.problem === null) ? Exit.ok : Exit.node;
    });
  });
}

function isWell({ status }: NodeAnswer): boolean {
  if (status === null) return false;
  return Object.values(status.groups).every(({ failure, leader }) => failure === null && leader !== null);
}

const HEADINGS = [
  "node",
  "address",
  "engine",
  "group",
  "role",
  "term",
  "leader",
  "commit",
  "applied",
  "log",
  "snapshot",
  "disk",
  "queue",
];

function describe(answers: readonly NodeAnswer[]): string {
  const rows: string[][] = [HEADINGS];
  const notes: string[] = [];
  for (const { id, address, status, error } of answers) {
    if (status === null) {
      rows.push([String(id), address, "-", "-", "unreachable"]);
      notes.push(`node ${id}: ${error}`);
      continue;
    }
    if (!status.persistent) notes.push(`node ${id} keeps its data in memory only`);
    for (const [name, group] of Object.entries(status.groups)) {
      const { role, term, leader, commitIndex, appliedIndex, firstIndex, lastIndex, logBytes, disk } = group;
      rows.push([
        String(id),
        address,
        status.engine,
        name,
        group.failure === null ? role : "failed",
        String(term),
        leader === null ? "-" : String(leader),
        String(commitIndex),
        String(appliedIndex),
        lastIndex < firstIndex ? `empty, ${bytes(logBytes)}` : `${firstIndex}-${lastIndex}, ${bytes(logBytes)}`,
        group.snapshotIndex === 0 ? "none" : `${group.snapshotIndex}, ${bytes(group.snapshotBytes)}`,
        disk === null ? "memory" : `${disk.health}, ${bytes(disk.logBytes)}, sync ${disk.lastSyncMs.toFixed(1)} ms`,
        `${bytes(status.queuedBytes)}, ${disk?.waitingWrites ?? 0} writes`,
      ]);
      if (group.failure !== null) notes.push(`node ${id}, group ${name}: ${group.failure}`);
    }
  }
  return [table(rows), ...notes].join("\n");
}

/** `dir` itself, or the directories of groups below it. */
function logDirectories(dir: string): string[] {
  const found: string[] = [];
  const visit = (path: string, depth: number): void => {
    const entries = readdirSync(path, { withFileTypes: true });
    if (entries.some(({ name }) => /^(wal|snapshot)-\d+\.(log|snap)/.test(name))) found.push(path);
    else if (depth > 0) for (const entry of entries) if (entry.isDirectory()) visit(join(path, entry.name), depth - 1);
  };
  try {
    visit(dir, 2);
  } catch (error) {
    throw new ConfigError("dir", `${dir} cannot be read (${(error as NodeJS.ErrnoException).code})`);
  }
  if (found.length === 0) throw new ConfigError("dir", `${dir} holds no data of a node, nor do the directories in it`);
  return found.sort();
}

function errorsAsData(_key: string, value: unknown): unknown {
  return value instanceof Error ? { code: (value as { code?: unknown }).code, message: value.message } : value;
}
