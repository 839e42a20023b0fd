import { EventKind } from "../../sim/index.js";
import { fit, line } from "./draw.js";
import type { Lanes } from "./lanes.js";
import type { Operation } from "./run.js";
import type { Scene } from "./scene.js";
import type { Span } from "./state.js";
import { FONT, termColor } from "./theme.js";

/** Thickness of a server's line by role: follower, pre-candidate, candidate, leader. */
const THICKNESS = [2, 5, 5, 10] as const;

/** Role by thickness, term by colour; nothing where the server is down, dashes where it sleeps. */
export function drawServers(context: CanvasRenderingContext2D, lanes: Lanes, scene: Scene): void {
  const { viewport, loaded } = scene;
  for (const [server, spans] of loaded.states.spans.entries()) {
    const y = lanes.y(server);
    context.fillStyle = scene.theme.line;
    context.fillRect(viewport.left, y - 0.5, viewport.width, 1);
    let lastRight = -Infinity;
    for (let i = firstAfter(spans, viewport.fromMs); i < spans.length; i++) {
      const span = spans[i] as Span;
      if (span.fromMs > viewport.toMs) break;
      const x = Math.max(viewport.left - 4, viewport.x(span.fromMs));
      const right = Math.min(viewport.left + viewport.width + 4, viewport.x(span.toMs));
      // Flickering within a pixel cannot be seen.
      if (right - lastRight < 0.4 && span.role !== 3) continue;
      drawSpan(context, span, x, Math.max(right - x, 0.8), y, scene);
      lastRight = right;
    }
  }
  drawCrashes(context, lanes, scene);
}

/** The span that holds `ms`, or the next one. */
function firstAfter(spans: readonly Span[], ms: number): number {
  let low = 0;
  let high = spans.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((spans[middle] as Span).toMs < ms) low = middle + 1;
    else high = middle;
  }
  return low;
}

function drawSpan(
  context: CanvasRenderingContext2D,
  span: Span,
  x: number,
  width: number,
  y: number,
  { theme }: Scene,
): void {
  if (!span.isUp) return;
  const color = termColor(theme, span.term);
  const thickness = THICKNESS[span.role] ?? 2;
  if (span.isPaused) {
    context.strokeStyle = color;
    context.lineWidth = thickness;
    context.setLineDash([3, 4]);
    line(context, x, y, x + width, y);
    context.setLineDash([]);
    context.fillStyle = theme.dim;
    context.font = `11px ${FONT}`;
    context.textAlign = "left";
    context.textBaseline = "middle";
    const label = fit(context, "paused", width - 8);
    if (label === "paused") context.fillText(label, x + 5, y - 10);
    return;
  }
  context.fillStyle = color;
  context.globalAlpha = span.role === 0 ? 0.75 : 1;
  if (span.role === 1 || span.role === 2) {
    // Candidates have an open bar.
    context.strokeStyle = color;
    context.lineWidth = 1.2;
    context.setLineDash(span.role === 1 ? [2, 2] : []);
    context.strokeRect(x, y - thickness / 2, width, thickness);
    context.setLineDash([]);
  } else {
    context.fillRect(x, y - thickness / 2, width, thickness);
  }
  context.globalAlpha = 1;
  if (span.role === 3 && width > 48) {
    context.fillStyle = theme.onTerm;
    context.font = `600 9px ${FONT}`;
    context.textAlign = "left";
    context.textBaseline = "middle";
    context.fillText(`term ${span.term}`, Math.max(x, 68) + 5, y + 0.5);
  }
}

function drawCrashes(context: CanvasRenderingContext2D, lanes: Lanes, { theme, viewport, loaded }: Scene): void {
  const { run } = loaded;
  for (const event of run.marks.fault) {
    if (run.kind[event] !== EventKind.crash) continue;
    const x = viewport.x(run.timeAt(event));
    if (x < viewport.left - 6 || x > viewport.left + viewport.width + 6) continue;
    const y = lanes.y(run.a[event] as number);
    context.strokeStyle = theme.bad;
    context.lineWidth = 2.2;
    line(context, x - 5, y - 5, x + 5, y + 5);
    line(context, x - 5, y + 5, x + 5, y - 5);
  }
}

/** Operations of clients; the first illegal one, and those that contradict it, stand out. */
export function drawClients(context: CanvasRenderingContext2D, lanes: Lanes, scene: Scene): void {
  const { viewport, loaded, theme } = scene;
  const height = Math.max(2, Math.min(13, lanes.clientHeight - 3));
  context.textAlign = "left";
  context.textBaseline = "middle";
  context.font = `${height < 11 ? 9 : 10}px ${FONT}`;
  for (const [client, index] of loaded.visible.operations.entries()) {
    const y = lanes.y(-1 - client) - height / 2;
    let lastRight = -Infinity;
    for (const operation of index.within(viewport.fromMs, viewport.toMs) ?? []) {
      const x = Math.max(viewport.left - 4, viewport.x(loaded.run.timeAt(operation.invoked)));
      const endMs = operation.returned === null ? loaded.run.endMs : loaded.run.timeAt(operation.returned);
      const right = Math.min(viewport.left + viewport.width + 4, viewport.x(endMs));
      const mark = markOf(operation, scene);
      if (right - lastRight < 1 && (mark === "plain" || mark === "faded")) continue;
      lastRight = right;
      drawOperation(context, operation, mark, { x, y, width: Math.max(right - x - 0.6, 1.4), height }, scene);
    }
  }
  context.globalAlpha = 1;
  context.fillStyle = theme.dim;
}

type OperationMark = "illegal" | "related" | "picked" | "faded" | "plain";

function markOf(operation: Operation, { loaded, selection }: Scene): OperationMark {
  const illegal = loaded.run.record.illegal;
  if (illegal?.operation === operation.invoked) return "illegal";
  if (selection?.type === "operation" && selection.operation === operation) return "picked";
  if (illegal?.others.includes(operation.invoked) === true) return "related";
  return selection?.type === "operation" ? "faded" : "plain";
}

interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

function drawOperation(
  context: CanvasRenderingContext2D,
  operation: Operation,
  mark: OperationMark,
  { x, y, width, height }: Box,
  { theme, selection }: Scene,
): void {
  const isKnown = operation.outcome === "ok";
  context.globalAlpha = mark === "faded" ? 0.35 : 1;
  context.fillStyle = mark === "illegal" ? theme.bad : isKnown ? theme.operation : theme.unknown;
  if (!isKnown && mark !== "illegal") context.globalAlpha *= 0.55;
  if (width < 4) {
    // Too many and too narrow for round corners.
    context.fillRect(x, y, width, height);
  } else {
    context.beginPath();
    context.roundRect(x, y, width, height, 2);
    context.fill();
  }
  context.globalAlpha = mark === "faded" ? 0.35 : 1;
  if (mark === "related" || mark === "picked" || mark === "illegal") {
    const isPicked = selection?.type === "operation" && selection.operation === operation;
    context.strokeStyle = isPicked ? theme.cursor : theme.bad;
    context.lineWidth = 1.6;
    context.strokeRect(x, y, width, height);
  }
  if (width < 26 || height < 8) return;
  const { f, key, argument } = operation;
  context.fillStyle = mark === "illegal" ? "#ffffff" : theme.onTerm;
  context.fillText(fit(context, `${f} ${key} ${argument}`.trim(), width - 6), x + 3, y + height / 2 + 0.5);
}
