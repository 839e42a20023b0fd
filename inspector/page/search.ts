import type { App } from "./app.js";
import { byId } from "./dom.js";
import type { Run } from "./run.js";
import { eventText } from "./words.js";

/** Finds events by their text: keys, clients, servers, methods. All words of the query must occur. */
export class Search {
  readonly #app: App;
  readonly #input = byId("query") as HTMLInputElement;
  /** The texts of the events of a run, in small letters; made at the first search. */
  #texts: { readonly run: Run; readonly lines: readonly string[] } | null = null;
  #timer = 0;

  constructor(app: App) {
    this.#app = app;
    this.#input.addEventListener("input", () => {
      clearTimeout(this.#timer);
      this.#timer = window.setTimeout(() => this.#find(), 150);
    });
    this.#input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      this.#find();
      this.go(event.shiftKey ? -1 : 1);
    });
  }

  focus(): void {
    this.#input.focus();
    this.#input.select();
  }

  blur(): void {
    this.#input.blur();
  }

  get isActive(): boolean {
    return document.activeElement === this.#input;
  }

  go(direction: 1 | -1): void {
    this.#app.goAmong(this.#app.hits, direction, `no ${direction > 0 ? "later" : "earlier"} event matches`);
  }

  #find(): void {
    const words = this.#input.value
      .toLowerCase()
      .split(/\s+/)
      .filter((word) => word !== "");
    const hits: number[] = [];
    if (words.length > 0) {
      for (const [event, line] of this.#lines().entries()) {
        if (words.every((word) => line.includes(word))) hits.push(event);
      }
    }
    this.#app.hits = hits;
    byId("found").textContent = words.length === 0 ? "" : `${hits.length.toLocaleString("en")} found`;
    this.#app.redraw();
  }

  #lines(): readonly string[] {
    const { run } = this.#app;
    if (this.#texts?.run !== run) {
      const lines = Array.from({ length: run.length }, (_, event) => eventText(run, event).toLowerCase());
      this.#texts = { run, lines };
    }
    return this.#texts.lines;
  }
}
