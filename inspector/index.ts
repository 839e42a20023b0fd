import { readFileSync } from "node:fs";

import { KvraftError } from "../runtime/index.js";
import type { RunRecord } from "../sim/index.js";
import { writeText } from "./files.js";

export { checkWritable, notWritable, writeText } from "./files.js";
export { recordLines } from "./lines.js";
export { recordPlan, type RecordedRun, type RecordPlanOptions } from "./recording.js";

/** The page of the inspector was not built. Code `NO_INSPECTOR`. */
export class InspectorMissingError extends KvraftError {
  constructor(cause: unknown) {
    super("NO_INSPECTOR", "the inspector's page is not built; run `npm run build` first", { cause });
  }
}

const PLACE = '<script type="application/json" id="record">';

/**
 * One self-contained HTML page that shows the run: it loads nothing from anywhere. `template` is the page without a
 * record, by default the one that `npm run build` made.
 * @throws InspectorMissingError where that was not built.
 */
export function inspectorHtml(record: RunRecord, template: string = builtTemplate()): string {
  const place = template.indexOf(PLACE);
  if (place < 0) throw new InspectorMissingError(new Error(`the template has no ${PLACE}`));
  const at = place + PLACE.length;
  // No text of a record can end the element that holds it.
  const json = JSON.stringify(record).replaceAll("<", "\\u003c");
  return template.slice(0, at) + json + template.slice(at);
}

/**
 * Writes the page to a file.
 * @throws InvalidArgumentError where that cannot be written.
 */
export function writeInspector(file: string, record: RunRecord): void {
  writeText(file, inspectorHtml(record));
}

/** Beside this module in a built package; in the sources, where the build puts it. */
function builtTemplate(): string {
  try {
    return readFileSync(new URL("page.html", import.meta.url), "utf8");
  } catch {
    try {
      return readFileSync(new URL("../dist/inspector/page.html", import.meta.url), "utf8");
    } catch (error) {
      throw new InspectorMissingError(error);
    }
  }
}
