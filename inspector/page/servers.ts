import { el, fill } from "./dom.js";
import type { Run } from "./run.js";
import type { ServerState, Stored } from "./state.js";
import { termColor, type Theme } from "./theme.js";
import { roleName } from "./words.js";

const COLUMNS: readonly (readonly [name: string, title: string])[] = [
  ["", ""],
  ["role", "Role in its term"],
  ["term", "Current term"],
  ["vote", "Whom it voted for in this term"],
  ["votes", "Who voted for this candidate"],
  ["commit", "Highest index that it knows to be committed"],
  ["applied", "Highest index in its store"],
  ["durable", "Highest index on its disk"],
];

/** The figures of each server, beside the matrix of logs. */
export function showFigures(table: HTMLElement, states: readonly ServerState[], theme: Theme): void {
  const head = el("tr", {}, ...COLUMNS.map(([name, title]) => el("th", { title }, name)));
  const rows = states.map((state, server) => {
    if (!state.isUp) {
      const cell = el("td", { class: "down" }, "down");
      cell.setAttribute("colspan", "4");
      return el("tr", { class: "is-down" }, el("th", {}, `S${server}`), cell, ...figures(state));
    }
    const role = state.isPaused ? "paused" : roleName(state.role);
    return el(
      "tr",
      {},
      el("th", {}, `S${server}`),
      el("td", { class: `role role-${state.role}` }, role),
      el("td", { class: "number", style: `color:${termColor(theme, state.term)}` }, String(state.term)),
      el("td", {}, state.votedFor < 0 ? "–" : `S${state.votedFor}`),
      el("td", {}, state.votes.map((id) => `S${id}`).join(" ")),
      ...figures(state),
    );
  });
  fill(table, el("thead", {}, head), el("tbody", {}, ...rows));
}

function figures(state: ServerState): HTMLElement[] {
  const applied = state.isUp ? String(state.applied) : "";
  const commit = state.isUp ? String(state.commit) : "";
  return [commit, applied, String(state.durable)].map((text) => el("td", { class: "number" }, text));
}

/** Values longer than this show their end, where appends are. */
const MOST_CHARACTERS = 26;

/** The store of each server: rows are servers, columns keys. What lags behind the newest version stands out. */
export function showStores(table: HTMLElement, run: Run, states: readonly ServerState[]): void {
  const keys = new Map<number, number>();
  for (const state of states) {
    if (!state.isUp) continue;
    for (const [key, { version }] of state.store) keys.set(key, Math.max(keys.get(key) ?? 0, version));
  }
  const sorted = [...keys].toSorted(([a], [b]) => (run.text(a) < run.text(b) ? -1 : 1));
  const shown = sorted.slice(0, 40);
  const head = el("tr", {}, el("th", {}, ""), ...shown.map(([key]) => el("th", { class: "key" }, run.text(key))));
  const rows = states.map((state, server) => {
    const cells = shown.map(([key, newest]) => storeCell(state.isUp ? state.store.get(key) : undefined, newest));
    return el("tr", state.isUp ? {} : { class: "is-down" }, el("th", {}, `S${server}`), ...cells);
  });
  if (shown.length === 0) fill(table, el("caption", {}, "No server holds a key yet."));
  else fill(table, el("thead", {}, head), el("tbody", {}, ...rows));
}

function storeCell(stored: Stored | undefined, newest: number): HTMLElement {
  if (stored === undefined) return el("td", { class: "absent" }, "–");
  const { value, version } = stored;
  const text = value.length <= MOST_CHARACTERS ? value : `…${value.slice(-MOST_CHARACTERS)}`;
  const classes = version < newest ? "value behind" : "value";
  return el(
    "td",
    { class: classes, title: `version ${version}: ${value}` },
    text === "" ? "“”" : text,
    el("sub", {}, String(version)),
  );
}
