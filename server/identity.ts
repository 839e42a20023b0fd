import { randomBytes } from "node:crypto";
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

import { KvraftError } from "../runtime/index.js";
import type { ResolvedNode } from "./config.js";

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
  /** Drawn when the directory was made: a new directory for the same node has another one. */
  readonly incarnation: string;
  /** Whether this node may take part in elections. */
  admitted: boolean;
  readonly peers: Record<string, Acquaintance>;
}

const INCARNATION_BYTES = 12;

/** Whose a data directory is, kept in its file node.json; in memory where nothing is kept. */
export class Identity {
  readonly directory: string;
  readonly #content: Content;
  readonly #isKept: boolean;

  /**
   * Reads who the directory belongs to, or writes it at the first start. With another cluster's, another node's or
   * another list of nodes, what is stored would be taken for something that it is not.
   * @throws WrongDirectoryError
   */
  constructor({ dataDir, myid, clusterId, nodes, enableDataPersistence }: ResolvedNode) {
    this.directory = join(dataDir, `node-${myid}`);
    this.#isKept = enableDataPersistence;
    const ids = nodes.map(({ id }) => id);
    const found = enableDataPersistence ? read(this.#file) : null;
    if (found !== null) {
      this.#check(found, { clusterId, myid, nodes: ids });
      this.#content = found;
      return;
    }
    const incarnation = randomBytes(INCARNATION_BYTES).toString("hex");
    // Who is alone has nobody to ask, and who keeps nothing has nothing to lose.
    const admitted = ids.length === 1 || !enableDataPersistence;
    this.#content = { format: 1, clusterId, myid, nodes: ids, incarnation, admitted, peers: {} };
    if (enableDataPersistence) mkdirSync(this.directory, { recursive: true });
    this.#save();
  }

  get incarnation(): string {
    return this.#content.incarnation;
  }

  get isAdmitted(): boolean {
    return this.#content.admitted;
  }

  admit(): void {
    this.#content.admitted = true;
    this.#save();
  }

  /** Remembers node `id`, durably, unless it is known already; `replace` forgets what was known. Returns what is known now. */
  meet(id: number, incarnation: string, replace: boolean): Acquaintance {
    const { peers, admitted } = this.#content;
    const known = peers[id];
    if (known !== undefined && (!replace || known.incarnation === incarnation)) return known;
    const met: Acquaintance = { incarnation, metFresh: !admitted || !this.#isKept };
    peers[id] = met;
    this.#save();
    return met;
  }

  get #file(): string {
    return join(this.directory, "node.json");
  }

  #check(found: Content, expected: Pick<Content, "clusterId" | "myid" | "nodes">): void {
    const differs = (what: string, theirs: unknown, ours: unknown): WrongDirectoryError =>
      new WrongDirectoryError(
        `${this.directory} belongs to ${what} ${JSON.stringify(theirs)}, but the configuration says ` +
          `${JSON.stringify(ours)}; use the right directory or the right configuration`,
      );
    if (found.format !== 1) throw differs("format", found.format, 1);
    if (found.clusterId !== expected.clusterId) throw differs("cluster", found.clusterId, expected.clusterId);
    if (found.myid !== expected.myid) throw differs("node", found.myid, expected.myid);
    if (String(found.nodes) !== String(expected.nodes))
      throw differs("a cluster of nodes", found.nodes, expected.nodes);
  }

  #save(): void {
    if (!this.#isKept) return;
    const temporary = `${this.#file}.tmp`;
    writeFileSync(temporary, `${JSON.stringify(this.#content, null, 2)}\n`);
    sync(temporary);
    renameSync(temporary, this.#file);
    sync(this.directory);
    sync(dirname(this.directory));
  }
}

function read(file: string): Content | null {
  let content: string;
  try {
    content = readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
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
