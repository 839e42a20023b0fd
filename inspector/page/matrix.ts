import type { Size } from "./draw.js";
import type { Scene } from "./scene.js";
import type { ServerState } from "./state.js";
import { FONT, termColor, type Theme } from "./theme.js";

export const ROW_HEIGHT = 24;
export const HEAD_HEIGHT = 24;
const CELL = 20;

/** Which columns of the matrix are shown: the last ones that any server holds, unless a person has scrolled. */
export function firstColumn(states: readonly ServerState[], width: number, back: number): number {
  const last = Math.max(1, ...states.map((state) => state.lastIndex));
  const columns = Math.max(1, Math.floor(width / CELL));
  return Math.max(1, last - columns + 2 - back);
}

/** The entry under a point of the matrix. */
export function cellAt(x: number, y: number, first: number): { server: number; index: number } {
  return { server: Math.floor((y - HEAD_HEIGHT) / ROW_HEIGHT), index: first + Math.floor(x / CELL) };
}

/**
 * The logs of all servers: rows are servers, columns indices. Term by colour; committed solid, uncommitted hatched,
 * snapshotted grey; an underline where the entry is not durable yet, a dot where it is applied.
 */
export function drawMatrix(context: CanvasRenderingContext2D, size: Size, scene: Scene, first: number): void {
  const { theme, loaded, cursor } = scene;
  const states = loaded.states.at(cursor);
  context.fillStyle = theme.background;
  context.fillRect(0, 0, size.width, size.height);
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.font = `10px ${FONT}`;
  context.fillStyle = theme.dim;
  const columns = Math.ceil(size.width / CELL);
  const every = first + columns > 9999 ? 10 : 5;
  for (let column = 0; column < columns; column++) {
    const index = first + column;
    if (index % every === 0 || (column === 0 && index % every > 1 && index % every < every - 1)) {
      context.fillText(String(index), column * CELL + CELL / 2, HEAD_HEIGHT / 2 + 1);
    }
  }
  for (const [server, state] of states.entries()) {
    const y = HEAD_HEIGHT + server * ROW_HEIGHT + 3;
    context.globalAlpha = state.isUp ? 1 : 0.4;
    for (let column = 0; column < columns; column++) {
      drawCell(context, { x: column * CELL, y, theme, state, index: first + column, run: loaded.run });
    }
    context.globalAlpha = 1;
  }
}

interface Cell {
  readonly x: number;
  readonly y: number;
  readonly theme: Theme;
  readonly state: ServerState;
  readonly index: number;
  readonly run: Scene["loaded"]["run"];
}

function drawCell(context: CanvasRenderingContext2D, { x, y, theme, state, index, run }: Cell): void {
  const [width, height] = [CELL - 2, ROW_HEIGHT - 6];
  if (index > state.lastIndex) return;
  if (index <= state.snapshotIndex) {
    context.fillStyle = theme.snapshot;
    context.globalAlpha *= 0.6;
    context.fillRect(x, y, width, height);
    context.globalAlpha = state.isUp ? 1 : 0.4;
    return;
  }
  const term = run.entryTerm(state.log[index - state.snapshotIndex - 1] as number);
  const color = termColor(theme, term);
  const isCommitted = index <= state.commit;
  context.fillStyle = color;
  if (isCommitted) {
    context.fillRect(x, y, width, height);
  } else {
    hatch(context, x, y, width, height, color);
  }
  context.fillStyle = isCommitted ? theme.onTerm : theme.text;
  context.font = `600 10px ${FONT}`;
  context.fillText(String(term), x + width / 2, y + height / 2 + 0.5);
  if (index <= state.applied) {
    context.fillStyle = isCommitted ? theme.onTerm : theme.text;
    context.fillRect(x + width - 4, y + 2, 2, 2);
  }
  if (index > state.durable) {
    context.fillStyle = theme.fault;
    context.fillRect(x, y + height - 2, width, 2);
  }
}

function hatch(
  context: CanvasRenderingContext2D,
  x: number,
  y: number,
  width: number,
  height: number,
  color: string,
): void {
  context.save();
  context.beginPath();
  context.rect(x, y, width, height);
  context.clip();
  const alpha = context.globalAlpha;
  context.globalAlpha = alpha * 0.22;
  context.fillRect(x, y, width, height);
  context.globalAlpha = alpha * 0.8;
  context.strokeStyle = color;
  context.lineWidth = 1.4;
  context.beginPath();
  for (let offset = -height; offset < width; offset += 5) {
    context.moveTo(x + offset, y + height);
    context.lineTo(x + offset + height, y);
  }
  context.stroke();
  context.globalAlpha = alpha;
  context.lineWidth = 1;
  context.strokeRect(x + 0.5, y + 0.5, width - 1, height - 1);
  context.restore();
}
