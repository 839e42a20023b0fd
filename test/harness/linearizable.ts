import { checkLinearizable, type HistoryEvent } from "../../sim/index.js";
import { LabError } from "./lab.js";

/**
 * In the labs' model there is no absent key: each holds "" from the beginning, and a clerk's get cannot tell the two
 * apart. Ours knows absence, so the history is given one put of "" for each key before everything else; then "" is what
 * a get may find, and put and append mean the same in both models.
 *
 * A history that cannot be decided fails the test: a check that may say nothing is none.
 */
export function assertLinearizable(events: readonly HistoryEvent[]): void {
  const keys = new Set(events.map((event) => event.key));
  const process = events.reduce((highest, event) => Math.max(highest, event.process), 0) + 1;
  const before = (events[0]?.time ?? 0) - 1;
  const created = [...keys].flatMap((key): HistoryEvent[] => [
    { process, type: "invoke", f: "put", key, value: "", time: before },
    { process, type: "ok", f: "put", key, time: before },
  ]);
  const result = checkLinearizable([...created, ...events]);
  if (result.verdict !== "linearizable") {
    throw new LabError(
      `the history of ${events.length} events is ${result.verdict}: ${JSON.stringify(result, null, 2)}`,
    );
  }
}
