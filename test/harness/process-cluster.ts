import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { onTestFinished } from "vitest";

import { connect, type GroupStatus, type KvClient, type NodeAddress, type NodeConfig } from "../../server/index.js";
import type { Links } from "./links.js";
import { addresses } from "./nodes.js";
import { Program, type Json, type ProgramOptions } from "./processes.js";
import { until, within } from "./waiting.js";

/** Long: on a busy machine a process takes its time to start. */
const START_MS = 20_000;
const ELECTION_MS = 20_000;
const SAME_MS = 30_000;
const END_MS = 15_000;
const STATUS_MS = 1000;
const GROUP = "kv";
/** So many lines of a node's log go into the message of a failure. */
const LAST_LINES = 8;

export interface ProcessClusterOptions {
  /** Of `kvraft`, as built. */
  readonly program: { readonly path: string };
  readonly size?: number;
  readonly settings?: Partial<NodeConfig>;
  /** What lies between the nodes. Default: nothing, each goes to the others' own addresses. */
  readonly links?: Links;
  /** Before the command of node `id`: it puts the node's data into a file system that others see under /proc. */
  readonly starterOf?: (id: number) => readonly string[];
  /** Not by `startAll`. */
  readonly startsLater?: readonly number[];
}

interface Claim {
  readonly id: number;
  readonly term: number;
}

/**
 * Nodes as processes of `kvraft serve`, with data and logs under one directory, which is kept where the test fails. It
 * listens to what the nodes log: who leads, and whether two claim the same term.
 */
export class ProcessCluster {
  readonly directory: string;
  readonly nodes: readonly NodeAddress[];
  /** Rejects when something happens that must not: a node ends by itself, two lead the same term. */
  readonly broken: Promise<never>;
  /** Without a leader so far, in all and at the longest; counted from the moment that the leader was taken away. */
  readonly leaderless = { totalMs: 0, longestMs: 0 };
  readonly #options: ProcessClusterOptions;
  readonly #running = new Map<number, Program>();
  readonly #claims = new Map<number, number>();
  #leader: Claim | undefined;
  #lostAt: number | undefined;
  #break: (error: Error) => void = () => {};
  #isKept = false;

  private constructor(options: ProcessClusterOptions, nodes: readonly NodeAddress[]) {
    this.#options = options;
    this.nodes = nodes;
    this.directory = mkdtempSync(join(tmpdir(), "kvraft-crash-"));
    this.broken = new Promise((_, reject) => {
      this.#break = reject;
    });
    // It is raced with what the test does; what comes after that does not matter.
    this.broken.catch(() => {});
    onTestFinished(() => {
      if (!this.#isKept) rmSync(this.directory, { recursive: true, force: true });
    });
    const { settings = {}, links } = options;
    for (const { id } of nodes) {
      mkdirSync(this.dataOf(id), { recursive: true });
      const config: NodeConfig = {
        timeout: 300,
        ...settings,
        nodes: links?.addressesFor(id) ?? nodes,
        myid: id,
        dataDir: "data",
      };
      writeFileSync(this.configOf(id), JSON.stringify(config, null, 2));
    }
  }

  /** Starts none of them yet. */
  static async prepare(options: ProcessClusterOptions): Promise<ProcessCluster> {
    return new ProcessCluster(options, options.links?.nodes ?? (await addresses(options.size ?? 3)));
  }

  /** Resolves once one leads. */
  async startAll(): Promise<void> {
    await Promise.all(this.others(...(this.#options.startsLater ?? [])).map((id) => this.start(id)));
    await this.leader();
  }

  get ids(): number[] {
    return this.nodes.map(({ id }) => id);
  }

  /** All but these. */
  others(...ids: readonly number[]): number[] {
    return this.ids.filter((id) => !ids.includes(id));
  }

  configOf(id: number): string {
    return join(this.directory, `node-${id}.json`);
  }

  dataOf(id: number): string {
    return join(this.directory, "data", `node-${id}`);
  }

  /** The same, where it is in a file system that only the process sees. */
  liveDataOf(id: number): string {
    if (this.#options.starterOf === undefined) return this.dataOf(id);
    return join(`/proc/${this.running(id).pid}/root`, this.dataOf(id));
  }

  logOf(id: number): string {
    return join(this.directory, `node-${id}.log`);
  }

  /** A client of all nodes, or of some. Its user closes it. */
  connect(ids: readonly number[] = this.ids): KvClient {
    return connect({ nodes: this.nodes.filter(({ id }) => ids.includes(id)) });
  }

  // ---- processes ----------------------------------------------------------------------------------------------------------

  /** Resolves once it serves. */
  async start(id: number, ...flags: readonly string[]): Promise<Program> {
    const program = this.launch(id, flags);
    this.#running.set(id, program);
    void program.ended.then((how) => {
      if (this.#running.get(id) === program) this.#break(new Error(`node ${id} has ended by itself (${how})`));
    });
    await within(
      START_MS,
      `node ${id} serves`,
      program.event(({ type }) => type === "ready"),
    );
    return program;
  }

  /** A process that may end as it likes. */
  launch(id: number, flags: readonly string[] = []): Program {
    const starter = this.#options.starterOf?.(id);
    const options: ProgramOptions = {
      logFile: this.logOf(id),
      onErrorLine: (line) => this.#heard(id, line),
      ...(starter !== undefined && { starter }),
    };
    return new Program(this.#options.program.path, ["serve", "--config", this.configOf(id), ...flags], options);
  }

  running(id: number): Program {
    const program = this.#running.get(id);
    if (program === undefined) throw new Error(`node ${id} is not running`);
    return program;
  }

  isRunning(id: number): boolean {
    return this.#running.has(id);
  }

  /** SIGKILL, all of them at the same moment. Resolves once they are gone. */
  async kill(...ids: readonly number[]): Promise<void> {
    const programs = ids.map((id) => this.running(id));
    for (const id of ids) {
      this.#running.delete(id);
      this.leaderTaken(id);
    }
    for (const program of programs) program.signal("SIGKILL");
    const ends = await within(END_MS, `nodes ${ids.join(", ")} end`, Promise.all(programs.map(({ ended }) => ended)));
    if (ends.some((how) => how !== "SIGKILL")) throw new Error(`killed, they ended with ${ends.join(", ")}`);
  }

  /** SIGTERM for all that run: they must end well. */
  async stop(): Promise<void> {
    const programs = [...this.#running.values()];
    this.#running.clear();
    for (const program of programs) program.signal("SIGTERM");
    const ends = await within(END_MS, "all nodes end after SIGTERM", Promise.all(programs.map(({ ended }) => ended)));
    if (ends.some((how) => how !== 0)) throw new Error(`after SIGTERM the nodes ended with ${ends.join(", ")}`);
  }

  // ---- leaders ------------------------------------------------------------------------------------------------------------

  /** The leader of a term above `above`, as soon as there is one. */
  leader(above = 0): Promise<Claim> {
    return until(ELECTION_MS, `a leader of a term above ${above}`, () =>
      this.#leader !== undefined && this.#leader.term > above ? this.#leader : undefined,
    );
  }

  /** Node `id` can lead no longer, whatever it believes. */
  leaderTaken(id: number): void {
    if (this.#leader?.id !== id) return;
    this.#leader = undefined;
    this.#lostAt ??= performance.now();
  }

  #heard(id: number, line: string): void {
    if (!line.startsWith("{")) return;
    const { group, leader, term } = JSON.parse(line) as Json;
    if (group !== GROUP || typeof term !== "number" || leader === undefined) return;
    if (leader !== id) {
      // What it said of an earlier term came before a kill.
      if (this.#leader?.id === id && term >= this.#leader.term) this.leaderTaken(id);
      return;
    }
    const before = this.#claims.get(term);
    if (before !== undefined && before !== id)
      this.#break(new Error(`nodes ${before} and ${id} both lead term ${term}`));
    this.#claims.set(term, id);
    // The last words of one that has been killed since.
    if (!this.#running.has(id) || term <= (this.#leader?.term ?? 0)) return;
    this.#leader = { id, term };
    if (this.#lostAt === undefined) return;
    const ms = performance.now() - this.#lostAt;
    this.#lostAt = undefined;
    this.leaderless.totalMs += ms;
    this.leaderless.longestMs = Math.max(this.leaderless.longestMs, ms);
  }

  // ---- state --------------------------------------------------------------------------------------------------------------

  /** How a node's group is; undefined where the node does not answer. */
  async statusOf(client: KvClient, id: number): Promise<GroupStatus | undefined> {
    const answers = await client.status({ timeoutMs: STATUS_MS });
    return answers.find((answer) => answer.id === id)?.status?.groups[GROUP];
  }

  /** Resolves once all nodes follow one leader, and have stored and applied the same up to the end. */
  async allTheSame(client: KvClient): Promise<void> {
    let seen = "no status";
    const same = until(SAME_MS, "all replicas are the same", async () => {
      const groups = (await client.status({ timeoutMs: STATUS_MS })).map(({ status }) => status?.groups[GROUP]);
      const views = groups.map((group) => group && viewOf(group));
      seen = JSON.stringify(views);
      return views.every(
        (view) => view !== undefined && isDone(view) && JSON.stringify(view) === JSON.stringify(views[0]),
      );
    });
    await same.catch((error: Error) => {
      error.message += `; seen last: ${seen}`;
      throw error;
    });
  }

  // ---- failures -----------------------------------------------------------------------------------------------------------

  /** Ends everything and keeps it for those who want to know; returns where it is, and the last that the nodes said. */
  keep(): string {
    this.#isKept = true;
    for (const id of this.#running.keys()) {
      const live = this.liveDataOf(id);
      if (live !== this.dataOf(id) && existsSync(live))
        cpSync(live, this.dataOf(id), { recursive: true, filter: isFile });
    }
    for (const program of this.#running.values()) program.signal("SIGKILL");
    const logs = this.ids.map((id) => {
      const lines = this.#running.get(id)?.errors.split("\n").slice(-LAST_LINES) ?? ["(not running)"];
      return [`node ${id}${existsSync(this.logOf(id)) ? `, ${this.logOf(id)}` : ""}:`, ...lines].join("\n  ");
    });
    this.#running.clear();
    return [`data, configurations and logs are kept in ${this.directory}`, ...logs].join("\n");
  }
}

/** Not a socket, as the lock of a directory is. */
function isFile(path: string): boolean {
  return !path.endsWith(".sock");
}

function viewOf({ term, leader, commitIndex, appliedIndex, durableIndex, lastIndex, lastTerm, store }: GroupStatus) {
  return { term, leader, commitIndex, appliedIndex, durableIndex, lastIndex, lastTerm, store };
}

function isDone({ leader, commitIndex, appliedIndex, durableIndex, lastIndex }: ReturnType<typeof viewOf>): boolean {
  return leader !== null && [commitIndex, appliedIndex, durableIndex].every((index) => index === lastIndex);
}
