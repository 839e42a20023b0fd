import { mkdirSync, readFileSync, renameSync, openSync, closeSync, fsyncSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

import { KvraftError } from "../runtime/index.js";
import type { ResolvedNode } from "./config.js";

/** The directory holds the data of another node, or of another cluster. Nothing was changed. Code `WRONG_DIRECTORY`. */
export class WrongDirectoryError extends KvraftError {
  constructor(message: string) {
    super("WRONG_DIRECTORY", message);
  }
}

interface Identity {
  readonly format: 1;
  readonly clusterId: string;
  readonly myid: number;
  /** Ids of all nodes, ascending: the vote and the log refer to them by their place in this list. */
  readonly nodes: readonly number[];
}

/**
 * A data directory says whose it is. With another cluster's, another node's or another list of nodes, what is stored
 * would be taken for something that it is not. Writes the file at the first start.
 * @throws WrongDirectoryError
 */
export function checkIdentity({ dataDir, myid, clusterId, nodes }: ResolvedNode): void {
  const directory = join(dataDir, `node-${myid}`);
  const file = join(directory, "node.json");
  const expected: Identity = { format: 1, clusterId, myid, nodes: nodes.map(({ id }) => id) };
  const found = read(file);
  if (found === null) {
    mkdirSync(directory, { recursive: true });
    write(directory, file, expected);
    return;
  }
  const differs = (what: string, theirs: unknown, ours: unknown): WrongDirectoryError =>
    new WrongDirectoryError(
      `${directory} belongs to ${what} ${JSON.stringify(theirs)}, but the configuration says ${JSON.stringify(ours)}; ` +
        `use the right directory or the right configuration`,
    );
  if (found.format !== 1) throw differs("format", found.format, 1);
  if (found.clusterId !== clusterId) throw differs("cluster", found.clusterId, clusterId);
  if (found.myid !== myid) throw differs("node", found.myid, myid);
  if (String(found.nodes) !== String(expected.nodes)) throw differs("a cluster of the nodes", found.nodes, expected.nodes);
}

function read(file: string): Identity | null {
  let content: string;
  try {
    content = readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
  try {
    return JSON.parse(content) as Identity;
  } catch {
    throw new WrongDirectoryError(`${file} is damaged; restore it from a copy, or take this node out of the cluster`);
  }
}

function write(directory: string, file: string, identity: Identity): void {
  const temporary = `${file}.tmp`;
  writeFileSync(temporary, `${JSON.stringify(identity, null, 2)}\n`);
  sync(temporary);
  renameSync(temporary, file);
  sync(directory);
  sync(dirname(directory));
}

function sync(path: string): void {
  // Windows can neither open nor sync a directory; NTFS keeps its names in a journal of its own.
  if (process.platform === "win32") return;
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
