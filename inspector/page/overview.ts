import { lowerBound } from "./lower-bound.js";
import type { Size } from "./draw.js";
import { GUTTER } from "./lanes.js";
import type { Scene } from "./scene.js";
import { termColor } from "./theme.js";

/** The whole run on a strip: activity, terms, faults, elections and violations, and the part that is shown. */
export function drawOverview(context: CanvasRenderingContext2D, size: Size, scene: Scene): void {
  const { theme, loaded, viewport, cursor } = scene;
  const { run, states } = loaded;
  const width = size.width - GUTTER - 8;
  const x = (ms: number): number => GUTTER + (run.endMs === 0 ? 0 : (ms / run.endMs) * width);
  context.fillStyle = theme.background;
  context.fillRect(0, 0, size.width, size.height);
  context.fillStyle = theme.band;
  context.fillRect(GUTTER, 2, width, size.height - 4);
  drawActivity(context, size, scene, width);
  for (const { fromMs, toMs } of loaded.visible.faults) {
    context.fillStyle = theme.fault;
    context.globalAlpha = 0.55;
    context.fillRect(x(fromMs), size.height - 5, Math.max(1.5, x(toMs) - x(fromMs)), 3);
  }
  context.globalAlpha = 1;
  for (const spans of states.spans) {
    for (const span of spans) {
      if (span.role !== 3 || !span.isUp) continue;
      context.fillStyle = termColor(theme, span.term);
      context.fillRect(x(span.fromMs), 3, Math.max(1.5, x(span.toMs) - x(span.fromMs)), 3);
    }
  }
  for (const event of run.marks.violation) {
    context.fillStyle = theme.bad;
    context.fillRect(x(run.timeAt(event)) - 1, 2, 2.5, size.height - 4);
  }
  const from = x(Math.max(0, viewport.fromMs));
  const to = x(Math.min(run.endMs, viewport.toMs));
  context.strokeStyle = theme.dim;
  context.lineWidth = 1;
  context.fillStyle = theme.cursor;
  context.globalAlpha = 0.08;
  context.fillRect(from, 2, Math.max(3, to - from), size.height - 4);
  context.globalAlpha = 1;
  context.strokeRect(from + 0.5, 2.5, Math.max(3, to - from - 1), size.height - 5);
  context.fillStyle = theme.cursor;
  if (run.length > 0) context.fillRect(x(run.timeAt(cursor)) - 0.75, 1, 1.5, size.height - 2);
}

/** Events in columns of two pixels. */
function drawActivity(context: CanvasRenderingContext2D, size: Size, { theme, loaded }: Scene, width: number): void {
  const { run } = loaded;
  const columns = Math.max(1, Math.floor(width / 2));
  const counts = new Float64Array(columns);
  let before = 0;
  for (let i = 0; i < columns; i++) {
    const end = i === columns - 1 ? run.length : lowerBound(run.time, ((i + 1) / columns) * run.endMs);
    counts[i] = end - before;
    before = end;
  }
  const most = Math.max(1, ...counts);
  context.fillStyle = theme.messages.heartbeat;
  context.globalAlpha = 0.6;
  for (const [i, count] of counts.entries()) {
    const height = Math.sqrt(count / most) * (size.height - 16);
    context.fillRect(GUTTER + i * 2, size.height - 6 - height, 1.6, height);
  }
  context.globalAlpha = 1;
}
