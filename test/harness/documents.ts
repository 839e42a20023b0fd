import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { expect } from "vitest";

/** Top of the project. */
export const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** A text by its path from the top of the project. */
export function readText(path: string): string {
  return readFileSync(`${ROOT}${path}`, "utf8");
}

/** The rows of the first table whose first column has this title. */
export function tableOf(text: string, title: string): string[][] {
  const lines = text.split("\n");
  const begin = lines.findIndex((line) => line.startsWith(`| ${title} `));
  expect(begin, `a table whose first column is "${title}"`).toBeGreaterThan(0);
  const rows: string[][] = [];
  for (const line of lines.slice(begin + 2)) {
    if (!line.startsWith("|")) break;
    rows.push(
      line
        .split(/(?<!\\)\|/)
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  }
  return rows;
}

/** A cell without its back quotes. */
export const bare = (cell: string): string => cell.replaceAll("`", "");

/** The options of command lines that a text names. */
export const flagsIn = (text: string): string[] =>
  [...text.matchAll(/(?<![\w-])--[a-z][a-z-]*/g)].map(([flag]) => flag);

/** Names of files and folders: back quotes around what has a slash at its end, or ends like a source file. */
export function filesNamedIn(text: string): string[] {
  const quoted = [...text.matchAll(/`([\w./-]+)`/g)].map(([, name]) => name as string);
  return quoted.filter((name) => /\.(ts|txt)$|\/$/.test(name));
}

/** Links within the text that lead to no heading of it. */
export function deadLinksIn(text: string): string[] {
  const slugOf = (heading: string): string =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-");
  const slugs = [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading]) => slugOf(heading as string));
  const links = [...text.matchAll(/\]\(#([^)]*)\)/g)].map(([, target]) => target as string);
  expect(links.length, "links within the text").toBeGreaterThan(3);
  return links.filter((target) => !slugs.includes(target));
}
