import type { App } from "./app.js";
import { byId, el, fill } from "./dom.js";
import { changeMessage, crash, partition, planOf, type Change } from "./fork.js";
import type { Message } from "./run.js";
import { actorName, messageGist, seconds } from "./words.js";

const NO_PLAN =
  "This run cannot be forked: its record holds no plan to run again. Runs of `kvraft sweep` do; the demo and live " +
  "clusters are only written down.";

/** Asks what to change. `run` gets the change, null for none. */
export function openForkDialog(app: App, run: (change: Change | null) => void): void {
  const dialog = byId("fork") as HTMLDialogElement;
  const close = el("button", { class: "close", "aria-label": "Close", onclick: () => dialog.close() }, "×");
  const heading = el("h3", {}, `Fork at ${seconds(app.run.length === 0 ? 0 : app.run.timeAt(app.cursor), 4)} s`, close);
  if (planOf(app.run.record) === null) {
    fill(dialog, heading, el("p", {}, NO_PLAN), replayHint(app));
  } else {
    const start = (change: Change | null): void => {
      dialog.close();
      run(change);
    };
    fill(
      dialog,
      heading,
      el("p", { class: "hint" }, "The run begins anew in this page and is the same up to the change."),
      ...messagePart(app, start),
      ...crashPart(app, start),
      ...partitionPart(app, start),
      el("h2", {}, "No change"),
      el(
        "p",
        { class: "links" },
        action("Run it again as it was", () => start(null)),
      ),
      replayHint(app),
    );
  }
  dialog.showModal();
}

function replayHint(app: App): HTMLElement | null {
  const { replay } = app.run.record;
  return replay === null ? null : el("p", { class: "hint" }, "In a terminal it runs again by ", el("kbd", {}, replay));
}

/** The message that was picked, or that the event at the cursor is about. */
function messageOf(app: App): Message | null {
  return app.selection?.type === "message" ? app.selection.message : app.run.messageOf(app.cursor);
}

function messagePart(app: App, start: (change: Change) => void): HTMLElement[] {
  const message = messageOf(app);
  if (message === null) {
    return [
      el("h2", {}, "A message"),
      el("p", { class: "hint" }, "Pick one on the timeline first: then it can be dropped, delayed or duplicated."),
    ];
  }
  const { run } = app;
  const ms = number(50, "Milliseconds of delay");
  const delay = (type: "delay" | "duplicate") => (): void =>
    start(changeMessage(run, message, { type, byMs: Number(ms.value) }));
  const words = `${actorName(message.from)} → ${actorName(message.to)} ${messageGist(run, message)}`;
  return [
    el("h2", {}, "The message"),
    el("p", { class: "gist" }, words),
    el(
      "p",
      { class: "links" },
      action("Drop it", () => start(changeMessage(run, message, { type: "drop" }))),
      action("Delay it", delay("delay")),
      action("Duplicate it", delay("duplicate")),
      el("label", {}, "by ", ms, " ms"),
    ),
  ];
}

function crashPart(app: App, start: (change: Change) => void): HTMLElement[] {
  const server = document.createElement("select");
  server.setAttribute("aria-label", "Server");
  for (let id = 0; id < app.run.record.servers; id++) server.append(new Option(`S${id}`, String(id)));
  const leader = app.loaded.states.at(app.cursor).findIndex((state) => state.isUp && state.role === 3);
  if (leader >= 0) server.value = String(leader);
  const power = check("with power lost");
  const ms = number(1000, "Milliseconds until it starts again");
  return [
    el("h2", {}, "Crash a server here"),
    el(
      "p",
      { class: "links" },
      server,
      power.label,
      el("label", {}, "for ", ms, " ms"),
      action("Crash it", () =>
        start(crash(app.run, app.cursor, Number(server.value), power.input.checked, Number(ms.value))),
      ),
    ),
  ];
}

function partitionPart(app: App, start: (change: Change) => void): HTMLElement[] {
  const { servers } = app.run.record;
  const boxes = Array.from({ length: servers }, (_, id) => check(`S${id}`));
  const leader = app.loaded.states.at(app.cursor).findIndex((state) => state.isUp && state.role === 3);
  (boxes[Math.max(0, leader)] as Check).input.checked = true;
  const ms = number(2000, "Milliseconds until it heals");
  return [
    el("h2", {}, "Cut these off from the others here"),
    el(
      "p",
      { class: "links" },
      ...boxes.map(({ label }) => label),
      el("label", {}, "for ", ms, " ms"),
      action("Partition", () => {
        const side = boxes.flatMap(({ input }, id) => (input.checked ? [id] : []));
        if (side.length === 0 || side.length === servers) app.say("both sides need a server");
        else start(partition(app.run, app.cursor, side, Number(ms.value)));
      }),
    ),
  ];
}

interface Check {
  readonly input: HTMLInputElement;
  readonly label: HTMLElement;
}

function check(text: string): Check {
  const input = document.createElement("input");
  input.type = "checkbox";
  return { input, label: el("label", {}, input, ` ${text}`) };
}

function number(value: number, label: string): HTMLInputElement {
  const input = document.createElement("input");
  input.type = "number";
  input.min = "1";
  input.value = String(value);
  input.setAttribute("aria-label", label);
  return input;
}

function action(text: string, onclick: () => void): HTMLElement {
  return el("button", { onclick }, text);
}
