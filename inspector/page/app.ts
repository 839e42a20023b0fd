import { chainOf } from "./causal.js";
import { showDetails } from "./details.js";
import { byId, el, fill, Surface } from "./dom.js";
import { EventList } from "./event-list.js";
import { hitTest, type Hit } from "./hit.js";
import { GUTTER, Lanes } from "./lanes.js";
import { cellAt, drawMatrix, firstColumn, HEAD_HEIGHT, ROW_HEIGHT } from "./matrix.js";
import { drawOverview } from "./overview.js";
import { Run, type MarkKind, type Message } from "./run.js";
import type { Loaded, Scene, Selection } from "./scene.js";
import { showFigures, showStores } from "./servers.js";
import { ServerState, States } from "./state.js";
import { themeOf, type Theme } from "./theme.js";
import { drawTimeline } from "./timeline.js";
import { Viewport } from "./viewport.js";
import { Visible } from "./visible.js";
import { eventText, messageGist, operationGist, seconds } from "./words.js";

export function load(record: unknown): Loaded {
  const run = new Run(record);
  return { run, states: new States(run), visible: new Visible(run) };
}

/** The page: one run on the screen at a time, a cursor in it, and what a person has picked. */
export class App {
  readonly viewport = new Viewport();
  readonly timeline = new Surface(byId("timeline") as HTMLCanvasElement);
  readonly overview = new Surface(byId("overview") as HTMLCanvasElement);
  readonly matrix = new Surface(byId("matrix") as HTMLCanvasElement);
  loaded: Loaded;
  cursor = 0;
  selection: Selection | null = null;
  hits: readonly number[] = [];
  divergence: number | null = null;
  /** Shown below the timeline of this run, at the same time. */
  other: Loaded | null = null;
  /** What to call this run and the other. */
  captions: readonly [own: string, other: string] = ["", ""];
  /** How many columns the matrix is scrolled back from the end of the logs. */
  matrixBack = 0;
  /** Called when the cursor has moved. */
  onMove: () => void = () => {};
  readonly #events: EventList;
  readonly #darkness = matchMedia("(prefers-color-scheme: dark)");
  #theme: Theme = themeOf(this.#darkness.matches);
  #isDue = false;

  constructor(loaded: Loaded) {
    this.loaded = loaded;
    this.#events = new EventList(byId("events"), (event) => this.go(event));
    this.#darkness.addEventListener("change", () => {
      this.#theme = themeOf(this.#darkness.matches);
      this.redraw();
    });
    new ResizeObserver(() => this.redraw()).observe(document.body);
    this.viewport.fit(loaded.run.endMs);
    this.redraw();
  }

  get run(): Run {
    return this.loaded.run;
  }

  scene(): Scene {
    const { loaded, viewport, cursor, selection, hits, divergence } = this;
    return { loaded, viewport, cursor, selection, hits, divergence, caption: "", theme: this.#theme };
  }

  lanes(): Lanes {
    return new Lanes(this.run, this.#paneHeight, this.loaded.visible.faultRows);
  }

  get #paneHeight(): number {
    return this.other === null ? this.timeline.height : Math.floor(this.timeline.height / 2);
  }

  /** Shows another run at the same moment. */
  show(loaded: Loaded, divergence: number | null): void {
    const ms = this.run.length === 0 ? 0 : this.run.timeAt(this.cursor);
    const { fromMs, toMs } = this.viewport;
    this.loaded = loaded;
    this.selection = null;
    this.hits = [];
    this.divergence = divergence;
    this.viewport.fit(loaded.run.endMs);
    this.viewport.show(fromMs, toMs);
    this.go(loaded.run.eventAt(ms));
  }

  /** Moves the cursor to an event. */
  go(event: number): void {
    this.cursor = Math.max(0, Math.min(event, this.run.length - 1));
    if (this.run.length > 0) this.viewport.reveal(this.run.timeAt(this.cursor));
    this.onMove();
    byId("status").textContent = this.run.length === 0 ? "" : eventText(this.run, this.cursor);
    this.redraw();
  }

  /** To the next or the previous event of a kind; stays where there is none. */
  jump(kind: MarkKind, direction: 1 | -1): void {
    this.goAmong(this.run.marks[kind], direction, `no ${direction > 0 ? "later" : "earlier"} ${kind}`);
  }

  goAmong(events: readonly number[], direction: 1 | -1, otherwise: string): void {
    const next =
      direction > 0 ? events.find((event) => event > this.cursor) : events.findLast((event) => event < this.cursor);
    if (next === undefined) this.say(otherwise);
    else this.go(next);
  }

  pick(hit: Hit | null): void {
    if (hit === null) this.selection = null;
    else if (hit.type === "message") this.selection = hit;
    else this.selection = { ...hit, chain: chainOf(this.run, hit.operation) };
    this.redraw();
  }

  /** The message or operation of the event at the cursor. */
  pickAtCursor(): void {
    const message = this.run.messageOf(this.cursor);
    const operation = this.run.operationOf(this.cursor);
    if (operation) this.pick({ type: "operation", operation });
    else if (message) this.pick({ type: "message", message });
    else this.say("this event is neither a message nor an operation");
  }

  zoom(factor: number, aroundMs: number = this.run.length === 0 ? 0 : this.run.timeAt(this.cursor)): void {
    this.viewport.zoom(factor, aroundMs);
    this.redraw();
  }

  fit(): void {
    this.viewport.fit(this.run.endMs);
    this.redraw();
  }

  hitAt(x: number, y: number): Hit | null {
    if (y > this.#paneHeight) return null;
    return hitTest(x, y, this.lanes(), this.scene());
  }

  /** A few words that go away by themselves. */
  say(text: string): void {
    const toast = byId("toast");
    toast.textContent = text;
    toast.classList.remove("shown");
    // Read, so that the animation begins anew.
    void toast.offsetWidth;
    toast.classList.add("shown");
  }

  /** Draws all at the next frame, once however often it is asked. */
  redraw(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame(() => {
      this.#isDue = false;
      this.#draw();
    });
  }

  #draw(): void {
    const { timeline, overview, matrix, run } = this;
    const scene = this.scene();
    const states = run.length === 0 ? [new ServerState()] : this.loaded.states.at(this.cursor);
    matrix.canvas.style.height = `${HEAD_HEIGHT + states.length * ROW_HEIGHT}px`;
    // All that asks for sizes comes first: once the page has changed, each question lays it out anew.
    for (const surface of [timeline, overview, matrix]) surface.prepare();
    this.#drawPanel();
    this.#drawTimelines(scene);
    drawOverview(overview.context, overview, scene);
    drawMatrix(matrix.context, matrix, scene, this.#firstColumn());
    showFigures(byId("figures"), states, this.#theme);
    showStores(byId("stores"), run, states);
  }

  #drawTimelines(scene: Scene): void {
    const { context, width } = this.timeline;
    const height = this.#paneHeight;
    const [caption, otherCaption] = this.other === null ? ["", ""] : this.captions;
    drawTimeline(context, { width, height }, { ...scene, caption });
    if (this.other === null || this.run.length === 0) return;
    const { run } = this.other;
    const cursor = run.eventAt(this.run.timeAt(this.cursor));
    context.translate(0, height);
    drawTimeline(
      context,
      { width, height },
      { ...scene, loaded: this.other, cursor, selection: null, hits: [], caption: otherCaption },
    );
    context.fillStyle = this.#theme.diverge;
    context.fillRect(0, 0, width, 1.5);
    context.translate(0, -height);
  }

  #drawPanel(): void {
    const { run, selection } = this;
    const marked = new Set<number>();
    if (selection?.type === "operation") {
      for (const { event } of selection.chain.links) marked.add(event);
    } else if (selection?.type === "message") {
      marked.add(selection.message.sent);
      for (const event of selection.message.ends) marked.add(event);
    }
    this.#events.show(run, this.cursor, marked);
    showDetails(byId("details"), run, this.cursor, selection, {
      go: (event) => this.go(event),
      pickMessage: (message) => this.pick({ type: "message", message }),
      clear: () => this.pick(null),
    });
    const place = run.length === 0 ? "" : `event ${this.cursor + 1} of ${run.length.toLocaleString("en")}`;
    byId("place").textContent = place;
  }

  #firstColumn(): number {
    return firstColumn(this.loaded.states.at(this.cursor), this.matrix.width, this.matrixBack);
  }

  scrollMatrix(columns: number): void {
    const last = Math.max(0, ...this.loaded.states.at(this.cursor).map((state) => state.lastIndex));
    this.matrixBack = Math.max(0, Math.min(last - 1, this.matrixBack + columns));
    this.redraw();
  }

  /** What to say about a point of the matrix. */
  entryAt(x: number, y: number): string | null {
    const { server, index } = cellAt(x, y, this.#firstColumn());
    const state = this.loaded.states.at(this.cursor)[server];
    if (!state || index < 1 || index > state.lastIndex) return null;
    if (index <= state.snapshotIndex) return `S${server} entry ${index}: in the snapshot up to ${state.snapshotIndex}`;
    const entry = state.log[index - state.snapshotIndex - 1] as number;
    const words = [index <= state.commit ? "committed" : "not committed"];
    if (index <= state.applied) words.push("applied");
    if (index > state.durable) words.push("not durable yet");
    const { run } = this;
    return `S${server} entry ${index}, term ${run.entryTerm(entry)}: ${run.entryText(entry)}\n${words.join(", ")}`;
  }

  /** What to say about a point of the timeline. */
  wordsAt(x: number, y: number): string | null {
    const hit = this.hitAt(x, y);
    if (hit?.type === "operation") return `client ${-1 - hit.operation.client}: ${operationGist(hit.operation)}`;
    if (hit?.type === "message") return this.#messageWords(hit.message);
    if (x < GUTTER) return null;
    const ms = this.viewport.ms(x);
    const server = this.lanes().serverAt(y);
    const faults = this.loaded.visible.faults
      .filter(({ fromMs, toMs }) => fromMs <= ms && ms <= toMs)
      .filter(({ fault }) => server === null || fault.servers.length === 0 || fault.servers.includes(server))
      .map(({ fault }) => fault.text);
    return faults.length > 0 ? faults.join("\n") : null;
  }

  #messageWords(message: Message): string {
    const { run } = this;
    const path = `${seconds(run.timeAt(message.sent))} s  `;
    return path + eventText(run, message.sent).replace(messageGist(run, message), `\n${messageGist(run, message)}`);
  }
}

/** Title and verdict at the top of the page. */
export function showHeader(loaded: Loaded): void {
  const { record } = loaded.run;
  document.title = `${record.title} · kvraft run inspector`;
  byId("title").textContent = record.title;
  const facts = [
    `${record.servers} servers`,
    `${record.clients} clients`,
    `${seconds(loaded.run.endMs, 2)} s`,
    `${loaded.run.length.toLocaleString("en")} events`,
  ];
  byId("facts").textContent = facts.join(" · ");
  const verdict = byId("verdict");
  verdict.className = record.outcome.ok ? "ok" : "bad";
  fill(verdict, el("b", {}, record.outcome.ok ? "passed" : "failed"), ` ${record.outcome.text}`);
  verdict.title = record.outcome.text;
}
