import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { closeSync, fstatSync, openSync, readFileSync } from "node:fs";

import type { ReadyMessage } from "./serve.js";

/** What keeps one process running. */
export interface SupervisorOptions {
  /** Program and arguments. */
  readonly command: readonly string[];
  readonly onReady: (message: ReadyMessage, pid: number) => void;
  /** The process has ended, with these last words; the next one starts in `restartMs`, or null: never. */
  readonly onExit: (how: string, lastWords: string, restartMs: number | null) => void;
  /** What it writes to its standard error goes to the end of this file. */
  readonly logFile: string;
  /** Its exit code for an end that another start would only repeat. */
  readonly hopelessCode: number;
}

const FIRST_PAUSE_MS = 200;
const MAX_PAUSE_MS = 10_000;
/** After so long a run the next pause is short again. */
const GOOD_RUN_MS = 10_000;

const LAST_LINES = 3;

/** Starts a process, and starts it again when it ends, with growing pauses, until it is stopped. */
export class Supervisor {
  readonly #options: SupervisorOptions;
  #child: ChildProcess | undefined;
  #timer: NodeJS.Timeout | undefined;
  #pauseMs = FIRST_PAUSE_MS;
  #isStopping = false;
  #ended: (() => void) | undefined;

  constructor(options: SupervisorOptions) {
    this.#options = options;
  }

  start(): void {
    const [program, ...args] = this.#options.command as [string, ...string[]];
    const startedAt = performance.now();
    // In a process group of its own: Ctrl-C goes to us, and we stop them in order. Should we die, the channel breaks, and
    // they end by themselves.
    const log = openSync(this.#options.logFile, "a");
    const logStart = fstatSync(log).size;
    const child = spawn(program, args, { stdio: ["ignore", "ignore", log, "ipc"], detached: true, windowsHide: true });
    closeSync(log);
    this.#child = child;
    child.on("message", (message) => this.#options.onReady(message as ReadyMessage, child.pid as number));
    // It could not even be started: "exit" does not come then.
    child.once("error", (error) => this.#onEnd(error.message, null, startedAt, logStart));
    child.once("exit", (code, signal) => this.#onEnd(signal ?? `exit code ${code}`, code, startedAt, logStart));
  }

  /** The process is asked to end with SIGTERM, and after `timeoutMs` made to. */
  async stop(timeoutMs: number): Promise<void> {
    this.#isStopping = true;
    clearTimeout(this.#timer);
    const child = this.#child;
    if (child === undefined) return;
    const ended = new Promise<void>((resolve) => {
      this.#ended = resolve;
    });
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
    await ended;
    clearTimeout(timer);
  }

  /** Ends the process without asking. */
  kill(): void {
    this.#isStopping = true;
    this.#child?.kill("SIGKILL");
  }

  #onEnd(how: string, code: number | null, startedAt: number, logStart: number): void {
    if (this.#child === undefined) return;
    this.#child = undefined;
    this.#ended?.();
    if (this.#isStopping) return;
    // Killed from outside, it had nothing to say about it.
    const words = code === null ? "" : lastWords(this.#options.logFile, logStart);
    if (code === this.#options.hopelessCode) return this.#options.onExit(how, words, null);
    if (performance.now() - startedAt >= GOOD_RUN_MS) this.#pauseMs = FIRST_PAUSE_MS;
    const pauseMs = this.#pauseMs;
    this.#pauseMs = Math.min(2 * pauseMs, MAX_PAUSE_MS);
    this.#timer = setTimeout(() => this.start(), pauseMs);
    this.#options.onExit(how, words, pauseMs);
  }
}

/** What `kvraft` itself says when it cannot go on; not the lines of its log. */
function lastWords(file: string, start: number): string {
  const lines = readFileSync(file).subarray(start).toString("utf8").trimEnd().split("\n");
  return lines
    .filter((line) => !line.startsWith("{"))
    .slice(-LAST_LINES)
    .join("\n");
}
