import type { Chain } from "./causal.js";
import { el, fill } from "./dom.js";
import type { Message, Operation, Run } from "./run.js";
import type { Selection } from "./scene.js";
import { actorName, eventText, fateOf, messageName, messageParts, operationGist, seconds } from "./words.js";

export interface DetailActions {
  readonly go: (event: number) => void;
  readonly pickMessage: (message: Message) => void;
  readonly clear: () => void;
}

/** What is known of the thing that was picked; of the event at the cursor where nothing is. */
export function showDetails(
  box: HTMLElement,
  run: Run,
  cursor: number,
  selection: Selection | null,
  actions: DetailActions,
): void {
  if (selection?.type === "message") showMessage(box, run, selection.message, actions);
  else if (selection?.type === "operation") showOperation(box, run, selection.operation, selection.chain, actions);
  else showEvent(box, run, cursor);
}

function showEvent(box: HTMLElement, run: Run, cursor: number): void {
  if (run.length === 0) {
    fill(box, el("p", { class: "hint" }, "Nothing happened in this run."));
    return;
  }
  const { illegal } = run.record;
  const isIllegal = illegal !== null && run.operationOf(cursor)?.invoked === illegal.operation;
  fill(
    box,
    el("h3", {}, `Event ${run.seq[cursor]} `, el("small", {}, `${seconds(run.timeAt(cursor), 4)} s`)),
    el("p", { class: "gist" }, eventText(run, cursor)),
    isIllegal ? el("pre", { class: "explanation" }, illegal.text) : null,
    el("p", { class: "hint" }, "Enter picks the message or operation of this event; a click picks any other."),
  );
}

function showMessage(box: HTMLElement, run: Run, message: Message, actions: DetailActions): void {
  const { sent, ends } = message;
  const rows = messageParts(run, message).map(([name, value]) =>
    el("tr", {}, el("th", {}, name), el("td", {}, el("code", {}, value))),
  );
  const other = run.messages[message.request ?? message.reply ?? -1];
  fill(
    box,
    heading(`${actorName(message.from)} → ${actorName(message.to)}  ${messageName(run, message)}`, actions.clear),
    el("p", { class: "gist" }, `Sent at ${seconds(run.timeAt(sent), 4)} s, ${fateOf(run, message)}.`),
    message.copies > 0 ? el("p", {}, `The network made ${message.copies} more of it.`) : null,
    el("table", { class: "parts" }, ...rows),
    el(
      "p",
      { class: "links" },
      button("to its sending", () => actions.go(sent)),
      ...ends.slice(0, 3).map((event) => button("to its end", () => actions.go(event))),
      other
        ? button(message.request === null ? "its reply" : "its request", () => actions.pickMessage(other))
        : el("span", { class: "hint" }, message.request === null ? "It was never answered." : ""),
    ),
  );
}

function showOperation(box: HTMLElement, run: Run, operation: Operation, chain: Chain, actions: DetailActions): void {
  const start = run.timeAt(operation.invoked);
  const links = chain.links.map(({ event, stage, text }) =>
    el(
      "li",
      { class: `stage-${stage}`, onclick: () => actions.go(event) },
      el("b", {}, stage),
      el("span", { class: "what" }, text),
      el("span", { class: "time" }, `+${(run.timeAt(event) - start).toFixed(1)} ms`),
    ),
  );
  const { illegal } = run.record;
  const isIllegal = illegal?.operation === operation.invoked;
  const isRelated = illegal?.others.includes(operation.invoked) === true;
  fill(
    box,
    heading(`Client ${-1 - operation.client}: ${operationGist(operation)}`, actions.clear),
    el("p", { class: "gist" }, `Called at ${seconds(start, 4)} s, ${lengthOf(run, operation)}.`),
    isIllegal ? el("p", { class: "bad" }, "No order of the operations explains this answer.") : null,
    isRelated ? el("p", { class: "bad" }, "It contradicts the illegal operation.") : null,
    isIllegal ? el("pre", { class: "explanation" }, illegal.text) : null,
    el("ol", { class: "chain" }, ...links),
  );
}

function lengthOf(run: Run, { invoked, returned, outcome }: Operation): string {
  if (returned === null) return "never answered";
  const ms = (run.timeAt(returned) - run.timeAt(invoked)).toFixed(1);
  return outcome === "ok" ? `answered after ${ms} ms` : `given up after ${ms} ms`;
}

function heading(text: string, clear: () => void): HTMLElement {
  const close = el("button", { class: "close", title: "Let go (Esc)", "aria-label": "Let go", onclick: clear }, "×");
  return el("h3", {}, text, close);
}

function button(text: string, onclick: () => void): HTMLElement {
  return el("button", { onclick }, text);
}
