import { beforeAll, describe, expect, test } from "vitest";

import type { Outside } from "../../demo/display.js";
import { parseOptions } from "../../demo/options.js";
import { runDemo } from "../../demo/run.js";
import { inspectorHtml } from "../../inspector/index.js";
import { checkRecord } from "../../sim/index.js";
import { buildPage } from "./bundles.js";
import { smallRecord } from "./records.js";

let template: string;

beforeAll(async () => {
  template = await buildPage();
});

/** Runs the demo; what it prints, and the files that it writes. */
async function demo(...args: string[]): Promise<{ code: number; printed: string; files: Map<string, string> }> {
  let printed = "";
  const files = new Map<string, string>();
  const write = (text: string): void => void (printed += text);
  const outside: Outside = {
    output: { isTTY: false, color: false, columns: 80, rows: 24, write },
    now: () => 0,
    sleep: () => Promise.resolve(),
    isInterrupted: () => false,
    onExit: () => {},
    writeFile: (path, text) => void files.set(path, text),
    inspectorHtml: (record) => inspectorHtml(record, template),
  };
  const code = await runDemo(
    parseOptions(args, () => 0.5),
    outside,
  );
  return { code, printed, files };
}

describe("the page of the inspector", () => {
  test("is one file that loads nothing", () => {
    const html = inspectorHtml(smallRecord(), template);
    expect(html).toMatch(/^<!doctype html>/);
    // Names of XML namespaces are no addresses to load from; there are none.
    expect(html.match(/https?:\/\/[^\s"'`)]*/g) ?? []).toEqual([]);
    expect(html).not.toMatch(/<(?:script|img|iframe|link)[^>]*\s(?:src|href)="(?!data:)/);
    expect(html).not.toMatch(/@import|url\(/);
    expect(html.match(/<\/script>/g)).toHaveLength(2);
  });

  test("demo: --inspect writes it, and the run is the same as without", async () => {
    const args = ["--fast", "--seed", "1", "--seconds", "6"];
    const plain = await demo(...args);
    const recorded = await demo(...args, "--inspect", "run.html");
    expect(plain.code).toBe(0);
    expect(recorded.printed).toBe(`${plain.printed}\nlook into it: open run.html in a browser\n`);
    expect(plain.files.size).toBe(0);
    const html = recorded.files.get("run.html")!;
    const json = /<script type="application\/json" id="record">(.*?)<\/script>/s.exec(html)?.[1] ?? "";
    const record: unknown = JSON.parse(json);
    checkRecord(record);
    const { title, servers, clients, outcome, plan, hash } = record;
    expect({ title, servers, clients, plan }).toEqual({ title: "Demo, seed 1", servers: 5, clients: 5, plan: null });
    expect(outcome).toMatchObject({ ok: true });
    expect(outcome.text).toMatch(/^linearizable: yes/);
    expect(hash).toMatch(/^[0-9a-f]{16}$/);
    expect(record.events.kind.length).toBeGreaterThan(2000);
  });
});
