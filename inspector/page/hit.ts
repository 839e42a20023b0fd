import { GUTTER, type Lanes } from "./lanes.js";
import type { Message, Operation } from "./run.js";
import type { Scene } from "./scene.js";
import { arrowsOf } from "./timeline-messages.js";

/** So near to the line of a message counts as on it, in pixels. */
const NEAR_PX = 5;

export type Hit =
  | { readonly type: "message"; readonly message: Message }
  | { readonly type: "operation"; readonly operation: Operation };

/** What lies under a point of the timeline. */
export function hitTest(x: number, y: number, lanes: Lanes, scene: Scene): Hit | null {
  if (x < GUTTER) return null;
  const operation = operationAt(x, y, lanes, scene);
  if (operation) return { type: "operation", operation };
  const message = messageAt(x, y, lanes, scene);
  return message && { type: "message", message };
}

function operationAt(x: number, y: number, lanes: Lanes, { viewport, loaded }: Scene): Operation | null {
  const client = lanes.clientAt(y);
  if (client === null) return null;
  const found = loaded.visible.operations[-1 - client]?.within(viewport.ms(x - 2), viewport.ms(x + 2)) ?? [];
  return found.at(-1) ?? null;
}

function messageAt(x: number, y: number, lanes: Lanes, scene: Scene): Message | null {
  const { viewport, loaded } = scene;
  const picked = scene.selection?.type === "operation" ? [...scene.selection.chain.messages] : [];
  let best: Message | null = null;
  let bestDistance = NEAR_PX;
  for (const message of [...(arrowsOf(scene) ?? []), ...picked]) {
    const x1 = viewport.x(loaded.run.timeAt(message.sent));
    const x2 = viewport.x(loaded.run.endOf(message));
    if (x < Math.min(x1, x2) - NEAR_PX || x > Math.max(x1, x2) + NEAR_PX) continue;
    const distance = distanceTo(x, y, x1, lanes.y(message.from), x2, lanes.y(message.to));
    if (distance < bestDistance) [best, bestDistance] = [message, distance];
  }
  return best;
}

/** From a point to the stretch between two others. */
function distanceTo(x: number, y: number, x1: number, y1: number, x2: number, y2: number): number {
  const [dx, dy] = [x2 - x1, y2 - y1];
  const length = dx * dx + dy * dy;
  const part = length === 0 ? 0 : Math.max(0, Math.min(1, ((x - x1) * dx + (y - y1) * dy) / length));
  return Math.hypot(x - x1 - part * dx, y - y1 - part * dy);
}
