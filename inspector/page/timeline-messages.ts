import type { Lanes } from "./lanes.js";
import type { Message } from "./run.js";
import type { Scene } from "./scene.js";
import { classOf, isReply, MESSAGE_CLASSES, type MessageClass } from "./words.js";

/** More arrows than this are a grey mass; then columns say how many messages were sent. */
export const MOST_ARROWS = 1000;
const COLUMN_PX = 3;

/** Messages that are drawn one by one, or null where there are too many. */
export function arrowsOf({ loaded, viewport }: Scene): Message[] | null {
  return loaded.visible.messages.within(viewport.fromMs, viewport.toMs, MOST_ARROWS);
}

export function drawMessages(context: CanvasRenderingContext2D, lanes: Lanes, scene: Scene): void {
  const arrows = arrowsOf(scene);
  const chain = scene.selection?.type === "operation" ? scene.selection.chain.messages : null;
  const picked = scene.selection?.type === "message" ? scene.selection.message : null;
  if (arrows === null) {
    drawColumns(context, lanes, scene);
  } else {
    const alpha = chain || picked ? 0.18 : arrows.length > 500 ? 0.5 : arrows.length > 150 ? 0.7 : 0.9;
    for (const message of arrows) {
      if (!chain?.has(message)) drawArrow(context, lanes, scene, message, alpha, 1.1);
    }
  }
  for (const message of chain ?? []) drawArrow(context, lanes, scene, message, 1, 2.2);
  if (picked) {
    drawArrow(context, lanes, scene, picked, 1, 2.8);
    const { messages } = scene.loaded.run;
    const other = messages[picked.request ?? picked.reply ?? -1];
    if (other) drawArrow(context, lanes, scene, other, 1, 1.6);
  }
}

function drawArrow(
  context: CanvasRenderingContext2D,
  lanes: Lanes,
  { loaded, viewport, theme }: Scene,
  message: Message,
  alpha: number,
  width: number,
): void {
  const { run } = loaded;
  const kind = classOf(run, message);
  const [x1, y1] = [viewport.x(run.timeAt(message.sent)), lanes.y(message.from)];
  let [x2, y2] = [viewport.x(run.endOf(message)), lanes.y(message.to)];
  if (message.isLost) {
    // It ends in a cross on its way.
    x2 = x1 + (x2 - x1) * 0.55;
    y2 = y1 + (y2 - y1) * 0.55;
  }
  context.globalAlpha = alpha;
  context.strokeStyle = message.isLost ? theme.bad : theme.messages[kind];
  context.lineWidth = width;
  context.setLineDash(isReply(message) ? [4, 3] : []);
  context.beginPath();
  context.moveTo(x1, y1);
  context.lineTo(x2, y2);
  context.stroke();
  context.setLineDash([]);
  if (message.isLost) drawCross(context, x2, y2, 3 + width);
  else if (message.ends.length > 0) drawHead(context, { x1, y1, x2, y2 }, theme.messages[kind], 4 + width * 1.3);
  context.globalAlpha = 1;
}

function drawCross(context: CanvasRenderingContext2D, x: number, y: number, size: number): void {
  context.lineWidth = 1.6;
  context.beginPath();
  context.moveTo(x - size, y - size);
  context.lineTo(x + size, y + size);
  context.moveTo(x - size, y + size);
  context.lineTo(x + size, y - size);
  context.stroke();
}

interface Stroke {
  readonly x1: number;
  readonly y1: number;
  readonly x2: number;
  readonly y2: number;
}

function drawHead(context: CanvasRenderingContext2D, { x1, y1, x2, y2 }: Stroke, color: string, size: number): void {
  const angle = Math.atan2(y2 - y1, x2 - x1);
  context.fillStyle = color;
  context.beginPath();
  context.moveTo(x2, y2);
  context.lineTo(x2 - size * Math.cos(angle - 0.36), y2 - size * Math.sin(angle - 0.36));
  context.lineTo(x2 - size * Math.cos(angle + 0.36), y2 - size * Math.sin(angle + 0.36));
  context.fill();
}

/** Above each server's line: how many messages it sent, by class; the height grows with the root of the count. */
function drawColumns(context: CanvasRenderingContext2D, lanes: Lanes, { loaded, viewport, theme }: Scene): void {
  const columns = Math.ceil(viewport.width / COLUMN_PX);
  const columnMs = viewport.spanMs / columns;
  // Columns stand at fixed times, so that they do not flicker while the view moves.
  const first = Math.floor(viewport.fromMs / columnMs);
  const counts: number[][][] = [];
  let most = 1;
  for (let server = 0; server < loaded.run.record.servers; server++) {
    const row: number[][] = [];
    counts.push(row);
    for (let i = 0; i <= columns; i++) {
      const from = (first + i) * columnMs;
      const count = loaded.visible.countSent(server, from, from + columnMs);
      row.push(count);
      most = Math.max(
        most,
        count.reduce((sum, n) => sum + n, 0),
      );
    }
  }
  const room = Math.max(2, lanes.serverHeight / 2 - 9);
  const colors = [...MESSAGE_CLASSES.map((kind: MessageClass) => theme.messages[kind]), theme.bad];
  context.globalAlpha = 0.85;
  for (const [server, row] of counts.entries()) {
    const base = lanes.y(server) - 7;
    for (const [i, count] of row.entries()) {
      const total = count.reduce((sum, n) => sum + n, 0);
      if (total === 0) continue;
      const height = Math.max(1.5, Math.sqrt(total / most) * room);
      let y = base;
      const x = viewport.x((first + i) * columnMs);
      for (const [kind, n] of count.entries()) {
        if (n === 0) continue;
        const part = (n / total) * height;
        context.fillStyle = colors[kind] as string;
        context.fillRect(x, y - part, COLUMN_PX - 0.6, part);
        y -= part;
      }
    }
  }
  context.globalAlpha = 1;
}
