import { BUCKET_MS, type Happening } from "./chronicle.js";
import type { ServerView } from "./cluster.js";
import type { Frame } from "./frame.js";
import { layOut, seconds, type Piece, type Style } from "./text.js";

export const MAX_WIDTH = 80;

export interface Canvas {
  readonly width: number;
  readonly height: number;
  readonly color: boolean;
}

/** The live view: at most `height` lines of at most `width` columns, whatever the frame holds. */
export function renderFrame(frame: Frame, canvas: Canvas): string[] {
  const width = Math.min(canvas.width, MAX_WIDTH);
  const top: Piece[][] = [
    headline(frame),
    progress(frame, width),
    [],
    ...servers(frame, width),
    [],
    ...faults(frame),
    ...operations(frame, width),
    elections(frame),
    [],
  ];
  const room = Math.max(0, canvas.height - top.length - 1);
  const lines = [...top, ...frame.happenings.slice(-Math.min(room, MAX_HAPPENINGS)).map(describe)];
  return lines.slice(0, Math.max(1, canvas.height - 1)).map((pieces) => layOut(pieces, width, canvas.color));
}

const MAX_HAPPENINGS = 10;

function headline(frame: Frame): Piece[] {
  const load = `${frame.servers.length} servers, ${frame.clients} clients`;
  return [["kvraft", "bold"], `  ${load}, seed ${frame.seed}`, ["   Ctrl-C ends it and sums up", "dim"]];
}

function progress(frame: Frame, width: number): Piece[] {
  const { nowMs, faultsUntilMs } = frame;
  const label =
    nowMs < faultsUntilMs ? ` ${seconds(nowMs)} of ${seconds(faultsUntilMs, 0)}` : " healing: all must recover";
  const room = Math.max(0, width - 28);
  const full = Math.round(room * Math.min(1, nowMs / faultsUntilMs));
  return [["━".repeat(full), "cyan"], ["─".repeat(room - full), "dim"], label];
}

const ROLE_STYLES: Readonly<Record<string, Style>> = { leader: "green", candidate: "yellow", precandidate: "yellow" };
const ROLE_NAMES: Readonly<Record<string, string>> = { precandidate: "pre-vote" };

function servers(frame: Frame, width: number): Piece[][] {
  const ids = frame.servers.map((_, id) => String(id)).join(" ");
  const matrixWidth = Math.max(7, ids.length);
  const barWidth = Math.max(4, width - 46 - matrixWidth);
  const last = Math.max(1, ...frame.servers.map(({ status }) => status?.lastIndex ?? 0));
  const titles = [
    `    role       term  commit applied  `,
    logTitle(barWidth + 9),
    `reaches ${"".padEnd(Math.max(0, matrixWidth - 7))}`,
  ];
  const rows = frame.servers.map((_, id) => serverRow(frame.servers, id, last, barWidth));
  return [[[titles.join(""), "dim"]], [[`${" ".repeat(46 + barWidth)}${ids}`, "dim"]], ...rows];
}

function logTitle(width: number): string {
  const legend = "log: ░ in snapshot, ▒ uncommitted";
  return (legend.length < width ? legend : "log").padEnd(width);
}

function serverRow(all: readonly ServerView[], id: number, last: number, barWidth: number): Piece[] {
  const { status, reaches } = all[id] as ServerView;
  const name: Piece = [`S${id}  `, "bold"];
  if (status === null) return [name, ["crashed", "red"]];
  const role = (ROLE_NAMES[status.role] ?? status.role).padEnd(9);
  const style = ROLE_STYLES[status.role];
  return [
    name,
    style === undefined ? role : [role, style],
    `${number(status.term, 6)} ${number(status.commitIndex, 7)} ${number(status.appliedIndex, 7)}  `,
    ...logBar(status, last, barWidth),
    `${number(status.lastIndex, 7)}  `,
    ...reaches.flatMap((isOpen, to) => [link(isOpen, to === id, all[to]?.status !== null), " "]),
  ];
}

function number(value: number, width: number): string {
  return String(value).padStart(width);
}

function link(isOpen: boolean, isSelf: boolean, isUp: boolean): Piece {
  if (isSelf || !isUp) return [isSelf ? "·" : "-", "dim"];
  return isOpen ? ["●", "green"] : ["✗", "red"];
}

/** Entries that one column of the bar stands for. */
const BAR_STEP = 4;

/**
 * The end of the log, against the longest log of all: what is committed, what is not yet, and what is missing. Columns
 * stand for BAR_STEP entries at fixed places, so that the bar scrolls rather than flickers.
 */
function logBar(status: NonNullable<ServerView["status"]>, last: number, width: number): Piece[] {
  const firstColumn = Math.max(0, Math.ceil(last / BAR_STEP) - width);
  const column = (index: number): number => Math.min(width, Math.max(0, Math.ceil(index / BAR_STEP) - firstColumn));
  const trimmed = Math.min(width, Math.max(0, Math.floor(status.lastIncludedIndex / BAR_STEP) - firstColumn));
  const stored = Math.max(trimmed, column(status.lastIndex));
  // Even a single entry that is not committed shows.
  const open = status.lastIndex > status.commitIndex ? 1 : 0;
  const committed = Math.max(trimmed, Math.min(column(status.commitIndex), stored - open));
  return [
    ["░".repeat(trimmed), "dim"],
    ["█".repeat(committed - trimmed), "cyan"],
    ["▒".repeat(stored - committed), "yellow"],
    " ".repeat(width - stored),
  ];
}

/** Always two lines, one for what is broken and one for the weather, so that nothing below jumps. */
function faults(frame: Frame): Piece[][] {
  const lines: Piece[][] = frame.faults.map((fault, i) => [
    i === 0 ? "faults  " : "        ",
    [fault.text, "red"],
    [`  for ${seconds(frame.nowMs - fault.fromMs)}`, "dim"],
  ]);
  if (lines.length === 0) lines.push(["faults  ", ["none", "green"]]);
  while (lines.length < 2) lines.push([]);
  return lines;
}

const SPARKS = " ▁▂▃▄▅▆▇█";

function operations(frame: Frame, width: number): Piece[][] {
  const { buckets, done, unknown, waiting } = frame;
  const current = Math.floor(frame.nowMs / BUCKET_MS);
  const columns = Math.max(1, Math.min(width - 16, current));
  const counts = Array.from({ length: columns }, (_, i) => buckets[current - columns + i] ?? 0);
  const most = Math.max(1, ...buckets);
  const graph = counts.map((n) => SPARKS[Math.ceil((n / most) * (SPARKS.length - 1))]).join("");
  return [
    ["ops/s   ", [graph, "cyan"], ` ${operationsPerSecond(frame)}`],
    [`        ${done} done, ${waiting} under way, ${unknown} with an unknown outcome`],
  ];
}

const MAX_ELECTIONS = 3;

function elections(frame: Frame): Piece[] {
  const last = frame.elections.slice(-MAX_ELECTIONS).toReversed();
  const words = last.map(({ server, term, atMs }) => `S${server} for term ${term} at ${seconds(atMs)}`);
  return [`elected `, [words.join(", ") || "nobody yet", "yellow"]];
}

/** Over the last two whole columns of the graph. */
function operationsPerSecond({ buckets, nowMs }: Frame): number {
  const current = Math.floor(nowMs / BUCKET_MS);
  return ((buckets[current - 1] ?? 0) + (buckets[current - 2] ?? 0)) * (1000 / (2 * BUCKET_MS));
}

const HAPPENING_STYLES: Readonly<Partial<Record<Happening["kind"], Style>>> = {
  fault: "red",
  healed: "green",
  election: "yellow",
};

function describe(happening: Happening): Piece[] {
  const style = HAPPENING_STYLES[happening.kind];
  return [
    [`${(happening.atMs / 1000).toFixed(2).padStart(7)}  `, "dim"],
    style === undefined ? happening.text : [happening.text, style],
  ];
}

/** A happening as a line of its own, for output that is not a terminal. */
export function plainLine(happening: Happening): string {
  return layOut(describe(happening), Infinity, false);
}

/** How things stand, in one line. */
export function statusLine(frame: Frame): string {
  const leaders = frame.servers.filter(({ status }) => status?.role === "leader");
  const leader = leaders.toSorted((a, b) => (b.status?.term ?? 0) - (a.status?.term ?? 0))[0]?.status;
  const led = leader ? `S${leader.id} leads term ${leader.term}, commit ${leader.commitIndex}` : "no leader";
  const text = `${led}, ${operationsPerSecond(frame)} ops/s, ${frame.done} done`;
  return plainLine({ atMs: frame.nowMs, kind: "note", text });
}
