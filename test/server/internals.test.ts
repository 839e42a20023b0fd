import { existsSync, readdirSync } from "node:fs";
import { basename } from "node:path";

import { expect, test } from "vitest";

import { filesNamedIn, readText, ROOT } from "../harness/documents.js";

test("every file that docs/internals.md names exists", () => {
  const names = filesNamedIn(readText("docs/internals.md"));
  expect(names.length).toBeGreaterThan(60);
  // Within a sentence a name may stand without its folder, which was named just before.
  const rooms = ["runtime", "labrpc", "raft", "kvraft", "sim", "server", "test"];
  const files = rooms.flatMap((room) => readdirSync(`${ROOT}${room}`, { recursive: true, encoding: "utf8" }));
  const known = new Set(files.map((file) => basename(file)));
  const isThere = (name: string): boolean =>
    existsSync(`${ROOT}${name}`) || existsSync(`${ROOT}server/${name}`) || (!name.includes("/") && known.has(name));
  expect(names.filter((name) => !isThere(name))).toEqual([]);
});
