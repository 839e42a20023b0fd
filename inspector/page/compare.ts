import { showHeader, type App } from "./app.js";
import { byId, el, fill } from "./dom.js";
import { openForkDialog } from "./fork-dialog.js";
import { runFork, testText, type Change, type Fork } from "./fork.js";
import type { Loaded } from "./scene.js";
import { seconds } from "./words.js";

/** The original and, once there is one, its fork: which of them is shown, and what tells them apart. */
export class Comparison {
  readonly #app: App;
  readonly #original: Loaded;
  #fork: Fork | null = null;
  #isRunning = false;

  constructor(app: App) {
    this.#app = app;
    this.#original = app.loaded;
  }

  open(): void {
    if (!this.#isRunning) openForkDialog(this.#app, (change) => void this.#run(change));
  }

  /** Shows the other one of the two. */
  toggle(): void {
    if (this.#fork === null) this.#app.say("there is no fork yet: press k");
    else this.#show(this.#isForkShown ? this.#original : this.#fork.loaded);
  }

  /** Both timelines at once, or one. */
  toggleBoth(): void {
    const fork = this.#fork;
    if (fork === null) return;
    this.#app.other = this.#app.other === null ? (this.#isForkShown ? this.#original : fork.loaded) : null;
    this.#draw();
    this.#app.redraw();
  }

  get #isForkShown(): boolean {
    return this.#fork?.loaded === this.#app.loaded;
  }

  async #run(change: Change | null): Promise<void> {
    this.#isRunning = true;
    const panel = byId("compare");
    panel.hidden = false;
    fill(panel, el("p", { class: "hint" }, change === null ? "running it again …" : `running: ${change.text} …`));
    try {
      // A change to the fork comes on top of those it has.
      const base = this.#isForkShown ? this.#fork : null;
      const fork = await runFork(this.#original, base, change);
      this.#fork = fork;
      this.#show(fork.loaded);
      if (fork.divergence !== null && fork.changes.length > 0) this.#app.go(fork.divergence);
    } catch (error) {
      fill(panel, el("p", { class: "bad" }, `the run could not be made again: ${(error as Error).message}`));
    } finally {
      this.#isRunning = false;
    }
  }

  #show(loaded: Loaded): void {
    const fork = this.#fork as Fork;
    const other = loaded === this.#original ? fork.loaded : this.#original;
    if (this.#app.other !== null) this.#app.other = other;
    this.#app.captions = loaded === this.#original ? ["original", "fork"] : ["fork", "original"];
    this.#app.show(loaded, fork.divergence);
    showHeader(loaded);
    this.#draw();
  }

  #draw(): void {
    const fork = this.#fork as Fork;
    const panel = byId("compare");
    panel.hidden = false;
    const close = el(
      "button",
      { class: "close", title: "Back to the original", "aria-label": "Close", onclick: () => this.#close() },
      "×",
    );
    fill(
      panel,
      el("h3", {}, fork.changes.length === 0 ? "Run again, unchanged" : "Fork", close),
      ...fork.changes.map((text) => el("p", { class: "change" }, text)),
      el("p", { class: "hint" }, this.#divergenceText(fork)),
      this.#table(fork),
      el(
        "p",
        { class: "links" },
        button(this.#isForkShown ? "Show original (t)" : "Show fork (t)", () => this.toggle()),
        button(this.#app.other === null ? "Side by side" : "One at a time", () => this.toggleBoth()),
        fork.divergence === null ? null : button("To the divergence", () => this.#app.go(fork.divergence as number)),
        button("Copy test", () => void this.#copy(fork)),
        button("Save test", () => save(testText(fork))),
      ),
    );
  }

  #divergenceText(fork: Fork): string {
    const { run } = this.#original;
    const isSameHash = fork.loaded.run.record.hash === run.record.hash;
    if (fork.changes.length === 0) {
      if (isSameHash) return `The same run, hash ${run.record.hash}.`;
      return (
        `Another run than the recorded one (hash ${fork.loaded.run.record.hash}, not ${run.record.hash}): that one was ` +
        "made by other code than this page's, an older version or one with a known bug put back."
      );
    }
    if (fork.divergence === null) return "The change made no difference.";
    const event = Math.min(fork.divergence, run.length - 1);
    return `The same up to event ${run.seq[event]} at ${seconds(run.timeAt(event))} s.`;
  }

  #table(fork: Fork): HTMLElement {
    const pair = [this.#original, fork.loaded];
    const row = (name: string, text: (loaded: Loaded) => string): HTMLElement =>
      el("tr", {}, el("th", {}, name), ...pair.map((loaded) => el("td", {}, text(loaded))));
    const head = ["", "original", "fork"].map((name, i) => {
      const isShown = pair[i - 1] === this.#app.loaded;
      return el("th", isShown ? { class: "shown" } : {}, name);
    });
    return el(
      "table",
      {},
      el("tr", {}, ...head),
      row("verdict", ({ run }) => (run.record.outcome.ok ? "passed" : run.record.outcome.text)),
      row("elections", ({ run }) => String(run.marks.election.length)),
      row("commits", ({ run }) => String(run.marks.commit.length)),
      row("answered", ({ run }) => String(run.operations.filter(({ outcome }) => outcome === "ok").length)),
      row("messages", ({ run }) => String(run.messages.length)),
      row("ends at", ({ run }) => `${seconds(run.endMs, 2)} s`),
    );
  }

  #close(): void {
    this.#app.other = null;
    this.#app.show(this.#original, null);
    showHeader(this.#original);
    byId("compare").hidden = true;
    this.#fork = null;
  }

  async #copy(fork: Fork): Promise<void> {
    try {
      await navigator.clipboard.writeText(testText(fork));
      this.#app.say("the test is in the clipboard");
    } catch {
      this.#app.say("the browser does not let this page copy; save the test instead");
    }
  }
}

function save(text: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  link.download = "fork.test.ts";
  link.click();
  URL.revokeObjectURL(link.href);
}

function button(text: string, onclick: () => void): HTMLElement {
  return el("button", { onclick }, text);
}
