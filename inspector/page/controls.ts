import type { App } from "./app.js";
import { byId } from "./dom.js";
import { AXIS_HEIGHT, GUTTER } from "./lanes.js";
import type { MarkKind } from "./run.js";

/** So far a press may move and still be a click, in pixels. */
const CLICK_PX = 4;

/** What the keys and buttons of the page can do, by the name that a button carries in data-do. */
export type Commands = Readonly<Record<string, () => void>>;

const JUMPS: readonly (readonly [key: string, kind: MarkKind])[] = [
  ["e", "election"],
  ["c", "commit"],
  ["f", "fault"],
  ["v", "violation"],
];

export function appCommands(app: App): Commands {
  const jumps = JUMPS.flatMap(([, kind]) => [
    [`next-${kind}`, () => app.jump(kind, 1)] as const,
    [`previous-${kind}`, () => app.jump(kind, -1)] as const,
  ]);
  return {
    ...Object.fromEntries(jumps),
    back: () => app.go(app.cursor - 1),
    forward: () => app.go(app.cursor + 1),
    "back-10": () => app.go(app.cursor - 10),
    "forward-10": () => app.go(app.cursor + 10),
    first: () => app.go(0),
    last: () => app.go(app.run.length - 1),
    "zoom-in": () => app.zoom(1 / 1.6),
    "zoom-out": () => app.zoom(1.6),
    fit: () => app.fit(),
    "pan-left": () => (app.viewport.pan(-app.viewport.spanMs / 4), app.redraw()),
    "pan-right": () => (app.viewport.pan(app.viewport.spanMs / 4), app.redraw()),
    pick: () => app.pickAtCursor(),
  };
}

const KEYS: Readonly<Record<string, string>> = {
  ArrowLeft: "back",
  ArrowRight: "forward",
  "Shift+ArrowLeft": "back-10",
  "Shift+ArrowRight": "forward-10",
  Home: "first",
  End: "last",
  "+": "zoom-in",
  "=": "zoom-in",
  "-": "zoom-out",
  "0": "fit",
  "[": "pan-left",
  "]": "pan-right",
  ArrowUp: "zoom-in",
  ArrowDown: "zoom-out",
  Enter: "pick",
  "/": "search",
  n: "next-hit",
  N: "previous-hit",
  k: "fork",
  t: "toggle",
  "?": "help",
  Escape: "escape",
  ...Object.fromEntries(
    JUMPS.flatMap(([key, kind]) => [
      [key, `next-${kind}`],
      [key.toUpperCase(), `previous-${kind}`],
    ]),
  ),
};

/** Keys work wherever the focus is, except where a person writes. */
export function listenToKeys(commands: Commands): void {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target as HTMLElement;
    const isWriting = /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
    if (isWriting && event.key !== "Escape") return;
    // A focused button is pressed by Enter.
    if (event.key === "Enter" && target.tagName === "BUTTON") return;
    const isArrow = event.key.startsWith("Arrow");
    const command = KEYS[isArrow && event.shiftKey ? `Shift+${event.key}` : event.key];
    if (command === undefined || !(command in commands)) return;
    event.preventDefault();
    commands[command]?.();
  });
  document.addEventListener("click", (event) => {
    const button = (event.target as HTMLElement).closest<HTMLElement>("[data-do]");
    const command = button?.dataset["do"];
    if (command !== undefined) commands[command]?.();
  });
}

interface Press {
  readonly x: number;
  readonly isScrub: boolean;
  readonly fromMs: number;
  moved: boolean;
}

/** Drag on the axis scrubs, drag elsewhere pans, a click picks or moves the cursor, the wheel zooms. */
export function listenToTimeline(app: App): void {
  const { canvas } = app.timeline;
  let press: Press | null = null;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    canvas.focus();
    const isScrub = event.offsetY <= AXIS_HEIGHT;
    press = { x: event.offsetX, isScrub, fromMs: app.viewport.fromMs, moved: false };
    if (isScrub) app.go(app.run.eventAt(app.viewport.ms(event.offsetX)));
  });
  canvas.addEventListener("pointermove", (event) => {
    if (press === null) {
      hover(app, event);
      return;
    }
    if (Math.abs(event.offsetX - press.x) > CLICK_PX) press.moved = true;
    if (press.isScrub) {
      app.go(app.run.eventAt(app.viewport.ms(event.offsetX)));
    } else if (press.moved) {
      hideTip();
      const ms = ((press.x - event.offsetX) / app.viewport.width) * app.viewport.spanMs;
      app.viewport.pan(press.fromMs + ms - app.viewport.fromMs);
      app.redraw();
    }
  });
  canvas.addEventListener("pointerup", (event) => {
    if (press && !press.moved && !press.isScrub) click(app, event);
    press = null;
  });
  canvas.addEventListener("pointerleave", hideTip);
  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const isSideways = Math.abs(event.deltaX) > Math.abs(event.deltaY);
      if (isSideways || event.shiftKey) {
        app.viewport.pan(((isSideways ? event.deltaX : event.deltaY) / app.viewport.width) * app.viewport.spanMs);
        app.redraw();
      } else {
        app.zoom(1.0015 ** event.deltaY, app.viewport.ms(Math.max(GUTTER, event.offsetX)));
      }
    },
    { passive: false },
  );
}

function click(app: App, event: PointerEvent): void {
  const hit = app.hitAt(event.offsetX, event.offsetY);
  if (hit === null) {
    app.pick(null);
    if (event.offsetX >= GUTTER) app.go(app.run.eventAt(app.viewport.ms(event.offsetX)));
    return;
  }
  app.pick(hit);
  app.go(hit.type === "message" ? hit.message.sent : hit.operation.invoked);
}

function hover(app: App, event: PointerEvent): void {
  const words = app.wordsAt(event.offsetX, event.offsetY);
  app.timeline.canvas.style.cursor = event.offsetY <= AXIS_HEIGHT ? "ew-resize" : words === null ? "grab" : "pointer";
  if (words === null) hideTip();
  else showTip(words, event);
}

function showTip(words: string, event: MouseEvent): void {
  const tip = byId("tip");
  tip.textContent = words;
  tip.hidden = false;
  const left = Math.min(event.clientX + 14, window.innerWidth - tip.offsetWidth - 8);
  const top = Math.min(event.clientY + 16, window.innerHeight - tip.offsetHeight - 8);
  tip.style.transform = `translate(${left}px, ${top}px)`;
}

function hideTip(): void {
  byId("tip").hidden = true;
}

/** A press on the strip centres the view there. */
export function listenToOverview(app: App): void {
  const { canvas } = app.overview;
  const move = (event: PointerEvent): void => {
    const part = (event.offsetX - GUTTER) / (app.overview.width - GUTTER - 8);
    const ms = Math.max(0, Math.min(1, part)) * app.run.endMs;
    const half = app.viewport.spanMs / 2;
    app.viewport.show(ms - half, ms + half);
    app.go(app.run.eventAt(ms));
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    move(event);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.buttons === 1) move(event);
  });
}

export function listenToMatrix(app: App): void {
  const { canvas } = app.matrix;
  canvas.addEventListener("pointermove", (event) => {
    const words = app.entryAt(event.offsetX, event.offsetY);
    if (words === null) hideTip();
    else showTip(words, event);
  });
  canvas.addEventListener("pointerleave", hideTip);
  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      app.scrollMatrix(-Math.sign(event.deltaX || event.deltaY) * 2);
    },
    { passive: false },
  );
}
