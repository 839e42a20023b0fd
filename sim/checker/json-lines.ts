import { HistoryError, show, validateEvent } from "../history.js";
import type { HistoryEvent } from "../history.js";
import { pairOperations } from "./operations.js";

/** The history as JSON lines, one event a line, each line ended. */
export function toJsonLines(history: readonly HistoryEvent[]): string {
  let text = "";
  for (const event of history) text += `${JSON.stringify(event)}\n`;
  return text;
}

/**
 * Reads a history from JSON lines; blank lines are passed over. Throws a HistoryError that names the line and the field
 * where a line is no well-formed event, or does not pair up with the events before it.
 */
export function parseHistory(text: string): HistoryEvent[] {
  const events: HistoryEvent[] = [];
  const lines: number[] = [];
  let line = 0;
  for (let start = 0; start < text.length;) {
    let end = text.indexOf("\n", start);
    if (end < 0) end = text.length;
    const content = text.slice(start, end).trim();
    start = end + 1;
    line++;
    if (content === "") continue;
    let event: unknown;
    try {
      event = JSON.parse(content);
    } catch (cause) {
      throw new HistoryError(`line ${line}: not JSON: ${show(content)}`, { cause });
    }
    validateEvent(event, `line ${line}`);
    events.push(event);
    lines.push(line);
  }
  pairOperations(events, (index) => `line ${lines[index]}`);
  return events;
}
