import { readFileSync } from "node:fs";

import { expect, test } from "vitest";

import { engineTable } from "../../bench/engines.js";

const DOCUMENT = new URL("../../docs/paxos-and-raft.md", import.meta.url);

/** Cells without the padding that a formatter adds. */
const cells = (table: string): string[][] =>
  table
    .trim()
    .split("\n")
    .filter((line) => !/^[|\s-]+$/.test(line))
    .map((line) => line.split("|").map((cell) => cell.trim()));

test("the table of both engines is what the simulator measures", async () => {
  const document = readFileSync(DOCUMENT, "utf8");
  const printed = /<!-- engines -->(.*)<!-- \/engines -->/s.exec(document)?.[1] ?? "";
  expect(cells(printed)).toEqual(cells(await engineTable()));
}, 60_000);
