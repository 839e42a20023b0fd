import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { appendFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { afterAll, beforeAll, onTestFinished } from "vitest";

const root = fileURLToPath(new URL("../../", import.meta.url));

const BUILD_TIMEOUT_MS = 60_000;

/** Builds the program for the tests of a file, and returns where it will be found. */
export function builtProgram(): { readonly path: string } {
  const program = { path: "" };
  let folder = "";
  beforeAll(() => {
    mkdirSync(join(root, "build"), { recursive: true });
    // Inside the project, so that the packages are found from there.
    folder = mkdtempSync(join(root, "build", "test-"));
    const compiler = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin", "tsc");
    const options = ["-p", "tsconfig.build.json", "--outDir", folder, "--noCheck", "--declaration", "false"];
    const { status, stdout } = spawnSync(process.execPath, [compiler, ...options], { cwd: root, encoding: "utf8" });
    if (status !== 0) throw new Error(`the program does not compile: ${stdout}`);
    program.path = join(folder, "server", "cli.js");
  }, BUILD_TIMEOUT_MS);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return program;
}

export type Json = Readonly<Record<string, unknown>>;

export interface ProgramOptions {
  /** What starts the program: it gets the program's command as further arguments, and must become it (exec). */
  readonly starter?: readonly string[];
  /** What it writes to its standard error also goes to the end of this file. */
  readonly logFile?: string;
  /** Each line of its standard error. */
  readonly onErrorLine?: (line: string) => void;
}

/**
 * A process of `kvraft` with --json. Killed with the test; should the test's own process be killed, the broken channel
 * between the two ends it.
 */
export class Program {
  readonly process: ChildProcess;
  /** Resolves to the exit code, or the signal. */
  readonly ended: Promise<number | string>;
  readonly #events: Json[] = [];
  readonly #errors: string[] = [];
  #changed: () => void = () => {};
  #isOver = false;

  constructor(path: string, args: readonly string[], options: ProgramOptions = {}) {
    const { starter = [], logFile, onErrorLine } = options;
    const [file, ...rest] = [...starter, process.execPath, path, ...args, "--json"];
    this.process = spawn(file, rest, { stdio: ["ignore", "pipe", "pipe", "ipc"] });
    // The channel is there to break: nothing that comes through it is of interest, nor does it keep the test running.
    this.process.channel?.unref();
    onTestFinished(() => void this.process.kill("SIGKILL"));
    this.#read("stdout", (line) => this.#events.push(JSON.parse(line) as Json));
    this.#read("stderr", (line) => {
      this.#errors.push(line);
      if (logFile !== undefined) appendFileSync(logFile, `${line}\n`);
      onErrorLine?.(line);
    });
    this.ended = new Promise((resolve) => {
      this.process.once("close", (code, signal) => {
        this.#isOver = true;
        this.#changed();
        resolve(code ?? (signal as string));
      });
    });
  }

  get pid(): number {
    return this.process.pid as number;
  }

  get errors(): string {
    return this.#errors.join("\n");
  }

  signal(signal: NodeJS.Signals): void {
    this.process.kill(signal);
  }

  /** The next line of standard output that fits; those before it are dropped. */
  async event(fits: (event: Json) => boolean): Promise<Json> {
    for (;;) {
      for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift())
        if (fits(next)) return next;
      await this.#more();
    }
  }

  /** Resolves once a line of standard error holds `text`. */
  async said(text: string): Promise<void> {
    while (!this.errors.includes(text)) await this.#more();
  }

  async #more(): Promise<void> {
    if (this.#isOver) throw new Error(`the process has ended; it said: ${this.errors}`);
    await new Promise<void>((resolve) => {
      this.#changed = resolve;
    });
  }

  #read(stream: "stdout" | "stderr", onLine: (line: string) => void): void {
    createInterface({ input: this.process[stream] as NodeJS.ReadableStream }).on("line", (line) => {
      onLine(line);
      this.#changed();
    });
  }
}
