import type { Tally } from "./tally.js";

const BAR = 24;
const REDRAW_MS = 200;
const LINES = 10;

/** How far a sweep is: a bar that is drawn anew on a terminal, a line now and then anywhere else. */
export class Progress {
  readonly #total: number;
  readonly #out: (text: string) => void;
  readonly #isTerminal: boolean;
  readonly #begun = performance.now();
  #drawnAt = -Infinity;
  #nextLine = 1;
  #hasBar = false;

  constructor(total: number, out: (text: string) => void, isTerminal: boolean) {
    this.#total = total;
    this.#out = out;
    this.#isTerminal = isTerminal;
  }

  update(tally: Tally): void {
    const now = performance.now();
    if (this.#isTerminal) {
      if (now - this.#drawnAt < REDRAW_MS) return;
      this.#drawnAt = now;
      this.#hasBar = true;
      this.#out(`\r${this.#bar(tally)}\u001b[K`);
    } else if (tally.seeds * LINES >= this.#nextLine * this.#total) {
      while (tally.seeds * LINES >= this.#nextLine * this.#total) this.#nextLine++;
      this.#out(`${this.#figures(tally)}\n`);
    }
  }

  /** Makes room for a line of its own. */
  clear(): void {
    if (this.#hasBar) this.#out("\r\u001b[K");
    this.#hasBar = false;
  }

  #bar(tally: Tally): string {
    const done = Math.floor((tally.seeds / this.#total) * BAR);
    return `${"━".repeat(done)}${"─".repeat(BAR - done)} ${this.#figures(tally)}`;
  }

  #figures({ seeds, failures, simulatedMs }: Tally): string {
    const seconds = (performance.now() - this.#begun) / 1000;
    const left = Math.ceil(((this.#total - seeds) * seconds) / seeds);
    const failed = failures.length === 0 ? "nothing found" : `${failures.length} FAILED`;
    return (
      `${seeds} of ${this.#total} seeds, ${Math.round(seeds / seconds)} seeds/s, ` +
      `${Math.round(simulatedMs / 1000 / seconds)} simulated s/s, ${failed}${left > 0 ? `, ${left} s left` : ""}`
    );
  }
}
