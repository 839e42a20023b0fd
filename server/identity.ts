import { randomBytes } from "node:crypto";
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";

import { KvraftError } from "../runtime/index.js";
import { ConfigError } from "./checks.js";
import type { ResolvedNode } from "./config.js";
import { DiskFailedError, DiskFullError, isDiskFull } from "./storage/index.js";

/** The directory holds the data of another node, or of another cluster. Nothing was changed. Code `WRONG_DIRECTORY`. */
export class WrongDirectoryError extends KvraftError {
  constructor(message: string) {
    super("WRONG_DIRECTORY", message);
  }
}

/** What a node remembers of another one. */
export interface Acquaintance {
  /** Of that node's data directory. */
  readonly incarnation: string;
  /** Whether the one who remembers was not admitted itself when they met: see admission.ts. */
  readonly metFresh: boolean;
}

interface Content {
  readonly format: 1;
  readonly clusterId: string;
  readonly myid: number;
  /** Ids of all nodes, ascending: the vote and the log refer to them by their place in this list. */
  readonly nodes: readonly number[];
  /** Whose log it is. Absent in directories from the time when there was only Raft. */
  readonly engine?: string;
  /** Drawn when the directory was made: a new directory for the same node has another one. */
  readonly incarnation: string;
  /** Whether this node may take part in elections. */
  readonly admitted: boolean;
  readonly peers: Readonly<Record<string, Acquaintance>>;
  /** The node that knew this one with other data when it asked to be admitted. */
  readonly witness?: number;
}

const INCARNATION_BYTES = 12;

/** Whose a data directory is, kept in its file node.json; in memory where nothing is kept. */
export class Identity {
  readonly directory: string;
  #content: Content;
  readonly #isKept: boolean;

  /**
   * Reads who the directory belongs to, or writes it at the first start. With another cluster's, another node's or
   * another list of nodes, what is stored would be taken for something that it is not.
   * @throws WrongDirectoryError; ConfigError where it is no directory that can be written to; DiskFullError
   */
  constructor({ dataDir, myid, clusterId, nodes, engine, enableDataPersistence }: ResolvedNode) {
    this.directory = join(dataDir, `node-${myid}`);
    this.#isKept = enableDataPersistence;
    const ids = nodes.map(({ id }) => id);
    const found = enableDataPersistence ? read(this.#file) : null;
    if (found !== null) {
      this.#check(found, { clusterId, myid, nodes: ids, engine });
      this.#content = found;
      return;
    }
    if (enableDataPersistence && holdsData(this.directory)) {
      throw new WrongDirectoryError(
        `${this.directory} holds data, but its node.json, which says whose they are and what has written them, is gone; ` +
          `restore that file from a copy, or empty the directory and start with --replace-lost-data`,
      );
    }
    const incarnation = randomBytes(INCARNATION_BYTES).toString("hex");
    // Who is alone has nobody to ask, and who keeps nothing has nothing to lose.
    const admitted = ids.length === 1 || !enableDataPersistence;
    this.#content = { format: 1, clusterId, myid, nodes: ids, engine, incarnation, admitted, peers: {} };
    if (enableDataPersistence) makeDirectory(this.directory);
    this.#save(this.#content);
  }

  get incarnation(): string {
    return this.#content.incarnation;
  }

  get isAdmitted(): boolean {
    return this.#content.admitted;
  }

  /** Whether there is a directory: who keeps nothing is another one after each start, and is not held to it. */
  get isKept(): boolean {
    return this.#isKept;
  }

  /** Who has refused this node for its data being lost; null: nobody, or it was admitted since. */
  get witness(): number | null {
    return this.#content.witness ?? null;
  }

  /** @throws DiskFullError: try again; DiskFailedError. Nothing has changed then. */
  admit(): void {
    const { witness: _, ...rest } = this.#content;
    this.#save({ ...rest, admitted: true });
  }

  /** It holds also after a restart, when the witness may be away. @throws as `admit` */
  refuse(witness: number): void {
    this.#save({ ...this.#content, witness });
  }

  /** As node `id` is remembered; null where they have not met. */
  incarnationOf(id: number): string | null {
    return this.#content.peers[id]?.incarnation ?? null;
  }

  /** Whether one of the other nodes is remembered with it. */
  knows(incarnation: string): boolean {
    return Object.values(this.#content.peers).some((peer) => peer.incarnation === incarnation);
  }

  /**
   * Remembers node `id`, durably, unless it is known already; `replace` forgets what was known. Returns what is known now.
   * @throws as `admit`
   */
  meet(id: number, incarnation: string, replace: boolean): Acquaintance {
    const { peers, admitted } = this.#content;
    const known = peers[id];
    if (known !== undefined && (!replace || known.incarnation === incarnation)) return known;
    const met: Acquaintance = { incarnation, metFresh: !admitted || !this.#isKept };
    this.#save({ ...this.#content, peers: { ...peers, [id]: met } });
    return met;
  }

  get #file(): string {
    return fileIn(this.directory);
  }

  #check(found: Content, expected: Pick<Content, "clusterId" | "myid" | "nodes" | "engine">): void {
    const differs = (what: string, theirs: unknown, ours: unknown): WrongDirectoryError =>
      new WrongDirectoryError(
        `${this.directory} belongs to ${what} ${JSON.stringify(theirs)}, but the configuration says ` +
          `${JSON.stringify(ours)}; use the right directory or the right configuration`,
      );
    if (found.format !== 1) throw differs("format", found.format, 1);
    if (found.clusterId !== expected.clusterId) throw differs("cluster", found.clusterId, expected.clusterId);
    if (found.myid !== expected.myid) throw differs("node", found.myid, expected.myid);
    const engine = engineIn(found);
    if (engine !== expected.engine) throw differs("engine", engine, expected.engine);
    if (String(found.nodes) !== String(expected.nodes))
      throw differs("a cluster of nodes", found.nodes, expected.nodes);
  }

  /** What is remembered counts only once it is durable: the answer to another node may depend on it. */
  #save(content: Content): void {
    if (this.#isKept) {
      const temporary = `${this.#file}.tmp`;
      try {
        writeFileSync(temporary, `${JSON.stringify(content, null, 2)}\n`);
        sync(temporary);
        renameSync(temporary, this.#file);
        sync(this.directory);
        sync(dirname(this.directory));
      } catch (error) {
        throw isDiskFull(error) ? new DiskFullError(this.directory, error) : new DiskFailedError(this.directory, error);
      }
    }
    this.#content = content;
  }
}

/** Whose data node.json in `directory` says they are; null where none can be read. */
export function engineOf(directory: string): string | null {
  try {
    const found = read(fileIn(directory));
    return found && engineIn(found);
  } catch (error) {
    if (error instanceof KvraftError) return null;
    throw error;
  }
}

function fileIn(directory: string): string {
  return join(directory, "node.json");
}

function engineIn({ engine = "raft" }: Content): string {
  return engine;
}

/** node.json comes before all else: without it nothing can be there that this node has written. */
function holdsData(directory: string): boolean {
  const namesIn = (path: string): string[] => {
    try {
      return readdirSync(path);
    } catch {
      // Not there, not a directory, or not ours to read.
      return [];
    }
  };
  return namesIn(directory).some((group) =>
    namesIn(join(directory, group)).some((name) => /^(wal|snapshot)-\d/.test(name)),
  );
}

function makeDirectory(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    throw isDiskFull(error) ? new DiskFullError(path, error) : unusable(path, error);
  }
}

function unusable(path: string, error: unknown): ConfigError {
  const { code } = error as NodeJS.ErrnoException;
  const message = `dataDir: ${path} cannot be used (${code}); name a directory that this process may write to`;
  return new ConfigError("dataDir", message);
}

function read(file: string): Content | null {
  let content: string;
  try {
    content = readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw unusable(file, error);
  }
  try {
    return JSON.parse(content) as Content;
  } catch {
    throw new WrongDirectoryError(
      `${file} is damaged; restore it from a copy, or empty the directory and start with --replace-lost-data`,
    );
  }
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
