import type { Frame } from "./frame.js";
import { renderFrame } from "./view.js";

/** Where the demo prints. */
export interface Output {
  readonly isTTY: boolean;
  readonly columns: number;
  readonly rows: number;
  /** Whether colours are wanted, which takes a terminal, too. */
  readonly color: boolean;
  write(text: string): void;
}

const ENTER = "\x1b[?1049h\x1b[?25l";
const LEAVE = "\x1b[?25h\x1b[?1049l";
const HOME = "\x1b[H";
const CLEAR_TO_END_OF_LINE = "\x1b[K";
const CLEAR_BELOW = "\x1b[J";

/**
 * The live view on the terminal's second screen: drawn over itself in place, right again after the window changes its
 * size, and gone without a trace when it is closed.
 */
export class Screen {
  readonly #output: Output;
  #isOpen = false;

  constructor(output: Output) {
    this.#output = output;
  }

  draw(frame: Frame): void {
    const { columns: width, rows: height, color } = this.#output;
    const lines = renderFrame(frame, { width, height, color });
    const opening = this.#isOpen ? "" : ENTER;
    this.#isOpen = true;
    this.#output.write(
      opening + HOME + lines.map((line) => `${line}${CLEAR_TO_END_OF_LINE}\r\n`).join("") + CLEAR_BELOW,
    );
  }

  /** Gives the terminal back as it was. */
  close(): void {
    if (this.#isOpen) this.#output.write(LEAVE);
    this.#isOpen = false;
  }
}
