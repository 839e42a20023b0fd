import type { RunRecord } from "../sim/index.js";
import { Run } from "./page/run.js";
import { eventText, seconds } from "./page/words.js";

/** The story of a run: a line for each event with its number and its time in seconds, as the page lists them. */
export function* recordLines(record: RunRecord): Generator<string> {
  const run = new Run(record);
  const width = String(run.seq[run.length - 1] ?? 0).length;
  for (let event = 0; event < run.length; event++) {
    const number = String(run.seq[event]).padStart(width);
    yield `${seconds(run.timeAt(event)).padStart(8)} s  #${number}  ${eventText(run, event)}`;
  }
}
