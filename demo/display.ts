import type { RunRecord } from "../sim/index.js";
import type { Chronicle } from "./chronicle.js";
import type { Cluster } from "./cluster.js";
import { takeFrame } from "./frame.js";
import type { DemoOptions } from "./options.js";
import { Screen, type Output } from "./screen.js";
import { plainLine, statusLine } from "./view.js";

/** The world outside the simulation, as far as the demo needs it. */
export interface Outside {
  readonly output: Output;
  /** Milliseconds of the wall clock since any fixed moment. */
  now(): number;
  sleep(ms: number): Promise<void>;
  /** Whether a person wants the run to end now. */
  isInterrupted(): boolean;
  /** Has `restore` called when the process ends, however it does. */
  onExit(restore: () => void): void;
  writeFile(path: string, text: string): void;
  /** A page for the browser that shows a run. */
  inspectorHtml(record: RunRecord): string;
}

/** Virtual time between two lines that say how things stand, where there is no live view. */
const STATUS_EVERY_MS = 5000;
/** Who is further behind the wall clock than this (a process that was stopped for a while) does not rush to catch up. */
const MAX_LAG_MS = 500;

/** Shows a run on the terminal, or as lines; and lets it go on only as fast as a person can follow. */
export class Display {
  readonly #options: DemoOptions;
  readonly #outside: Outside;
  readonly #screen: Screen | null;
  #printed = 0;
  /** Wall clock minus virtual time, once the run has begun. */
  #offsetMs: number | undefined;

  constructor(options: DemoOptions, outside: Outside) {
    this.#options = options;
    this.#outside = outside;
    this.#screen = outside.output.isTTY && !options.fast ? new Screen(outside.output) : null;
    outside.onExit(() => this.close());
  }

  async show(virtualMs: number, cluster: Cluster, chronicle: Chronicle): Promise<void> {
    const { seed, clients, seconds, fast } = this.#options;
    const setting = { seed, clients, faultsUntilMs: seconds * 1000 };
    if (this.#screen) {
      this.#screen.draw(takeFrame(virtualMs, setting, cluster, chronicle));
    } else {
      this.printRest(chronicle);
      if (virtualMs % STATUS_EVERY_MS === 0) {
        this.print([statusLine(takeFrame(virtualMs, setting, cluster, chronicle))]);
      }
    }
    if (!fast) await this.#keepPace(virtualMs);
  }

  /** The happenings that no line was printed for; with a live view there are no such lines. */
  printRest(chronicle: Chronicle): void {
    if (this.#screen) return;
    this.print(chronicle.happenings.slice(this.#printed).map(plainLine));
    this.#printed = chronicle.happenings.length;
  }

  print(lines: readonly string[]): void {
    if (lines.length > 0) this.#outside.output.write(lines.map((line) => `${line}\n`).join(""));
  }

  close(): void {
    this.#screen?.close();
  }

  async #keepPace(virtualMs: number): Promise<void> {
    const now = this.#outside.now();
    this.#offsetMs ??= now - virtualMs;
    const aheadMs = virtualMs + this.#offsetMs - now;
    if (aheadMs > 0) await this.#outside.sleep(aheadMs);
    else if (aheadMs < -MAX_LAG_MS) this.#offsetMs = now - virtualMs;
  }
}
