import { EventKind } from "../../sim/index.js";
import { el } from "./dom.js";
import type { Run } from "./run.js";
import { eventText, seconds } from "./words.js";

const ROW = 20;

/** All events as lines; only those that can be seen are in the page. */
export class EventList {
  readonly #box: HTMLElement;
  readonly #rows: HTMLElement;
  readonly #onPick: (event: number) => void;
  #run: Run | null = null;
  #cursor = 0;
  #marked: ReadonlySet<number> = new Set();

  constructor(box: HTMLElement, onPick: (event: number) => void) {
    this.#box = box;
    this.#rows = el("div", { class: "rows" });
    this.#onPick = onPick;
    box.append(this.#rows);
    box.addEventListener("scroll", () => this.#draw());
    box.addEventListener("click", (event) => {
      const row = (event.target as HTMLElement).closest<HTMLElement>("[data-event]");
      if (row) this.#onPick(Number(row.dataset["event"]));
    });
  }

  /** `marked`: events that belong to what is picked. */
  show(run: Run, cursor: number, marked: ReadonlySet<number>): void {
    const isNew = this.#run !== run || this.#cursor !== cursor;
    this.#run = run;
    this.#cursor = cursor;
    this.#marked = marked;
    this.#rows.style.height = `${run.length * ROW}px`;
    const { clientHeight, scrollTop } = this.#box;
    const top = cursor * ROW;
    if (isNew && (top < scrollTop + ROW * 2 || top > scrollTop + clientHeight - ROW * 3)) {
      this.#box.scrollTop = top - clientHeight / 2 + ROW;
    }
    this.#draw();
  }

  #draw(): void {
    const run = this.#run;
    if (run === null) return;
    const first = Math.max(0, Math.floor(this.#box.scrollTop / ROW) - 4);
    const last = Math.min(run.length, first + Math.ceil(this.#box.clientHeight / ROW) + 8);
    const rows: HTMLElement[] = [];
    for (let event = first; event < last; event++) rows.push(this.#row(run, event));
    this.#rows.replaceChildren(...rows);
  }

  #row(run: Run, event: number): HTMLElement {
    const classes = ["row", toneOf(run, event)];
    if (event === this.#cursor) classes.push("at");
    else if (event > this.#cursor) classes.push("later");
    if (this.#marked.has(event)) classes.push("marked");
    const text = eventText(run, event);
    const isAt = event === this.#cursor ? { "aria-selected": "true" } : {};
    return el(
      "div",
      {
        ...{ class: classes.join(" "), "data-event": String(event), style: `top:${event * ROW}px`, title: text },
        ...isAt,
      },
      el("span", { class: "time" }, seconds(run.timeAt(event))),
      el("span", { class: "what" }, text),
    );
  }
}

/** What an event is about, for its colour. */
function toneOf(run: Run, event: number): string {
  switch (run.kind[event]) {
    case EventKind.violation:
    case EventKind.crash:
      return "bad";
    case EventKind.drop:
      return "lost";
    case EventKind.faultBegin:
    case EventKind.faultEnd:
    case EventKind.pause:
    case EventKind.resume:
      return "fault";
    case EventKind.invoke:
    case EventKind.return:
      return "client";
    case EventKind.step:
      return run.step(event).r === 3 ? "leader" : "state";
    case EventKind.apply:
    case EventKind.start:
    case EventKind.snapshot:
    case EventKind.restore:
      return "state";
    default:
      return "";
  }
}
