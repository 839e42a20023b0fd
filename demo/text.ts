/** A style of the terminal, by its SGR code. */
export const STYLES = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const;

export type Style = keyof typeof STYLES;

/** A piece of a line, with or without a style. Every character takes one column. */
export type Piece = string | readonly [text: string, style: Style];

/** One line of at most `width` columns; what is beyond is cut off. */
export function layOut(pieces: readonly Piece[], width: number, color: boolean): string {
  let left = width;
  let line = "";
  for (const piece of pieces) {
    const [text, style] = typeof piece === "string" ? [piece, undefined] : piece;
    const shown = text.slice(0, left);
    left -= shown.length;
    line += color && style !== undefined && shown !== "" ? `\x1b[${STYLES[style]}m${shown}\x1b[0m` : shown;
  }
  return line.trimEnd();
}

export function seconds(ms: number, digits = 1): string {
  return `${(ms / 1000).toFixed(digits)} s`;
}

/** "1 election", "3 elections". */
export function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}
