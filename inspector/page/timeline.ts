import { EventKind } from "../../sim/index.js";
import { fit, line, type Size } from "./draw.js";
import { drawClients, drawServers } from "./timeline-lanes.js";
import { drawMessages } from "./timeline-messages.js";
import { AXIS_HEIGHT, FAULT_ROW, GUTTER, Lanes } from "./lanes.js";
import type { Scene } from "./scene.js";
import { FONT } from "./theme.js";
import { tickStep, type Viewport } from "./viewport.js";
import { seconds } from "./words.js";

/** Draws the timeline: axis, faults, lanes, messages, marks and cursor. */
export function drawTimeline(context: CanvasRenderingContext2D, size: Size, scene: Scene): void {
  const { theme, viewport, loaded } = scene;
  const lanes = new Lanes(loaded.run, size.height, loaded.visible.faultRows);
  viewport.left = GUTTER;
  viewport.width = size.width - GUTTER - 8;
  context.fillStyle = theme.background;
  context.fillRect(0, 0, size.width, size.height);
  drawFaultBands(context, lanes, scene);
  drawGrid(context, size, scene);
  context.save();
  context.beginPath();
  context.rect(GUTTER, AXIS_HEIGHT, size.width - GUTTER, size.height - AXIS_HEIGHT);
  context.clip();
  drawServers(context, lanes, scene);
  drawClients(context, lanes, scene);
  drawMessages(context, lanes, scene);
  drawMarks(context, lanes, size, scene);
  drawFaultLabels(context, scene);
  context.restore();
  drawLabels(context, lanes, scene);
  drawCursor(context, size, scene);
}

function drawGrid(context: CanvasRenderingContext2D, size: Size, { theme, viewport }: Scene): void {
  const step = tickStep(viewport.spanMs, viewport.width, 84);
  const digits = Math.max(0, Math.min(4, 3 - Math.floor(Math.log10(step))));
  context.font = `11px ${FONT}`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (let ms = Math.ceil(viewport.fromMs / step) * step; ms <= viewport.toMs; ms += step) {
    const x = Math.round(viewport.x(ms)) + 0.5;
    if (x < GUTTER) continue;
    context.strokeStyle = theme.line;
    context.lineWidth = 1;
    line(context, x, AXIS_HEIGHT - 5, x, size.height);
    context.fillStyle = theme.dim;
    if (x < size.width - 22)
      context.fillText(`${seconds(Math.abs(ms) < 1e-9 ? 0 : ms, digits)} s`, x, AXIS_HEIGHT / 2 - 1);
  }
}

function drawFaultBands(context: CanvasRenderingContext2D, lanes: Lanes, scene: Scene): void {
  const { theme, viewport, loaded } = scene;
  for (const { fault, fromMs, toMs } of loaded.visible.faults) {
    if (toMs < viewport.fromMs || fromMs > viewport.toMs) continue;
    const [x, width] = extent(viewport, fromMs, toMs);
    context.fillStyle = theme.fault;
    // Where it is known whom a fault strikes, their lanes show it; other faults lie on all.
    const servers = fault.servers.length > 0 ? fault.servers : Array.from(loaded.states.spans.keys());
    context.globalAlpha = fault.servers.length > 0 ? 0.13 : 0.05;
    for (const server of servers) {
      context.fillRect(x, lanes.y(server) - lanes.serverHeight / 2, width, lanes.serverHeight);
    }
    context.globalAlpha = 1;
  }
}

function drawFaultLabels(context: CanvasRenderingContext2D, scene: Scene): void {
  const { theme, viewport, loaded } = scene;
  context.font = `11px ${FONT}`;
  context.textAlign = "left";
  context.textBaseline = "middle";
  for (const { fault, row, fromMs, toMs, isLabelled } of loaded.visible.faults) {
    if (toMs < viewport.fromMs || fromMs > viewport.toMs) continue;
    const [x, width] = extent(viewport, fromMs, toMs);
    const y = AXIS_HEIGHT + row * FAULT_ROW + 2;
    context.fillStyle = theme.fault;
    context.globalAlpha = 0.28;
    context.fillRect(x, y, width, FAULT_ROW - 3);
    context.globalAlpha = 1;
    context.fillRect(x, y, Math.min(2, width), FAULT_ROW - 3);
    const label = isLabelled ? fit(context, fault.text, width - 9) : "";
    context.fillStyle = theme.faultText;
    if (label !== "") context.fillText(label, x + 6, y + (FAULT_ROW - 3) / 2 + 0.5);
  }
}

/** The part of a stretch of time that can be seen: at least two pixels wide. */
function extent(viewport: Viewport, fromMs: number, toMs: number): [x: number, width: number] {
  const x = Math.max(GUTTER, viewport.x(fromMs));
  return [x, Math.max(2, Math.min(viewport.left + viewport.width, viewport.x(toMs)) - x)];
}

function drawMarks(context: CanvasRenderingContext2D, lanes: Lanes, size: Size, scene: Scene): void {
  const { theme, viewport, loaded, hits, divergence } = scene;
  const { run } = loaded;
  for (const event of run.marks.violation) {
    verticalMark(context, viewport.x(run.timeAt(event)), size, theme.bad, []);
    const x = viewport.x(run.timeAt(event));
    if (run.kind[event] !== EventKind.violation || x < GUTTER || x > size.width) continue;
    const text = "violation";
    context.font = `600 11px ${FONT}`;
    const width = context.measureText(text).width + 12;
    const left = Math.min(x, size.width - width - 4);
    context.fillStyle = theme.bad;
    context.fillRect(left, size.height - 18, width, 16);
    context.fillStyle = theme.background;
    context.textAlign = "left";
    context.fillText(text, left + 6, size.height - 9.5);
  }
  if (divergence !== null && divergence < run.length) {
    verticalMark(context, viewport.x(run.timeAt(divergence)), size, theme.diverge, [5, 4]);
  }
  context.fillStyle = theme.cursor;
  let lastX = -1;
  for (const event of hits) {
    const x = Math.round(viewport.x(run.timeAt(event)));
    if (x === lastX || x < GUTTER || x > size.width) continue;
    lastX = x;
    context.fillRect(x, lanes.top - 4, 1.5, 5);
  }
}

function verticalMark(
  context: CanvasRenderingContext2D,
  x: number,
  size: Size,
  color: string,
  dash: readonly number[],
): void {
  context.strokeStyle = color;
  context.lineWidth = 1.5;
  context.setLineDash([...dash]);
  line(context, x, AXIS_HEIGHT, x, size.height);
  context.setLineDash([]);
}

function drawLabels(context: CanvasRenderingContext2D, lanes: Lanes, scene: Scene): void {
  const { theme, loaded, cursor } = scene;
  const { servers, clients } = loaded.run.record;
  context.textAlign = "left";
  context.textBaseline = "middle";
  if (scene.caption !== "") {
    context.font = `600 11px ${FONT}`;
    context.fillStyle = theme.diverge;
    context.fillText(scene.caption, 12, AXIS_HEIGHT + 8);
  }
  const every = Math.max(1, Math.ceil(11 / Math.max(1, lanes.clientHeight)));
  context.font = `11px ${FONT}`;
  context.fillStyle = theme.dim;
  for (let client = 0; client < clients; client += every) {
    context.fillText(every === 1 ? `client ${client}` : `c${client}`, 12, lanes.y(-1 - client));
  }
  const states = loaded.states.at(cursor);
  for (let server = 0; server < servers; server++) {
    const y = lanes.y(server);
    const state = states[server];
    context.fillStyle = theme.text;
    context.font = `600 13px ${FONT}`;
    const isLeader = state?.isUp === true && state.role === 3;
    context.fillText(`S${server}${isLeader ? " ★" : ""}`, 12, lanes.serverHeight > 30 ? y - 6 : y);
    if (lanes.serverHeight <= 30 || !state) continue;
    context.font = `11px ${FONT}`;
    context.fillStyle = theme.dim;
    context.fillText(state.isUp ? (state.isPaused ? "paused" : `term ${state.term}`) : "down", 12, y + 9);
  }
}

function drawCursor(context: CanvasRenderingContext2D, size: Size, scene: Scene): void {
  const { theme, viewport, loaded, cursor } = scene;
  const ms = loaded.run.timeAt(cursor);
  const x = viewport.x(ms);
  if (loaded.run.length === 0 || x < GUTTER - 1 || x > size.width) return;
  context.strokeStyle = theme.cursor;
  context.lineWidth = 1;
  line(context, x, AXIS_HEIGHT - 4, x, size.height);
  context.font = `600 11px ${FONT}`;
  const text = `${seconds(ms, 4)} s`;
  const width = context.measureText(text).width + 12;
  const left = Math.max(GUTTER, Math.min(x - width / 2, size.width - width - 2));
  context.fillStyle = theme.cursor;
  context.beginPath();
  context.roundRect(left, 2, width, AXIS_HEIGHT - 6, 3);
  context.fill();
  context.fillStyle = theme.background;
  context.textAlign = "left";
  context.textBaseline = "middle";
  context.fillText(text, left + 6, AXIS_HEIGHT / 2 - 0.5);
}
