import { spawn } from "node:child_process";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

import { expect, test } from "vitest";

import * as server from "../../server/index.js";
import { paxosConfigFields, resolvePaxosConfig } from "../../server/mypaxos/config.js";
import { bare, deadLinksIn, readText, ROOT, tableOf } from "../harness/documents.js";
import { freePorts, scratch } from "../harness/nodes.js";
import { builtProgram } from "../harness/processes.js";

const program = builtProgram();
const page = readText("docs/paxos-groups.md");
const FOLDER = "docs/paxos-groups";

/** The first block of this language. */
function block(language: string, from = 0): string {
  const match = new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, "m").exec(page.slice(from));
  return match?.[1] ?? "";
}

test("the settings, with their defaults, are those of the code", () => {
  const rows = tableOf(page, "setting").map(([name, standard]) => [bare(name as string), bare(standard as string)]);
  expect(rows.map(([name]) => name)).toEqual(Object.keys(paxosConfigFields));
  const settled = resolvePaxosConfig({ nodes: [{ id: 1, host: "localhost", port: 1 }], myid: 1 });
  const standard = Object.fromEntries(rows) as Record<string, string>;
  expect(standard).toMatchObject({ nodes: "required", myid: "required" });
  expect(standard["timeout"]).toBe(`${settled.timeout} ms`);
  expect(settled.learningInterval).toBe(
    Math.floor(Math.min(parseInt(standard["learningInterval"] as string), 1000 / 3)),
  );
  expect(resolve(standard["dataDir"] as string)).toBe(settled.dataDir);
  expect(standard["enableDataPersistence"]).toBe(String(settled.enableDataPersistence));
});

test("the error codes are those of the classes", () => {
  const codes = tableOf(page, "code").map(([code]) => bare(code as string));
  const made = [
    new server.UnknownGroupError(1, new Error("x")),
    new server.GroupStoppedError(1, "x"),
    new server.NoAddressError(),
    new server.ClientClosedError("x", false),
    new server.CallbackError("x"),
  ];
  expect(codes.slice(0, made.length)).toEqual(made.map(({ code }) => code));
});

test("links lead somewhere", () => {
  expect(deadLinksIn(page)).toEqual([]);
  const links = [...page.matchAll(/\]\(([^#)]+)/g)].map(([, target]) => target as string);
  expect(links.filter((target) => !existsSync(`${ROOT}docs/${target}`))).toEqual([]);
});

test("three configurations that differ in myid alone", () => {
  const texts = [1, 2, 3].map((id) => readText(`${FOLDER}/conf${id}.json`));
  const [first] = texts as [string, string, string];
  for (const [i, text] of texts.entries()) expect(text).toBe(first.replace(`"myid": 1`, `"myid": ${i + 1}`));
  for (const id of [1, 2, 3]) expect(resolvePaxosConfig(`${ROOT}${FOLDER}/conf${id}.json`).myid).toBe(id);
});

test("the example, as printed, is the file; it prints what is printed", async () => {
  expect(block("js")).toBe(readText(`${FOLDER}/example.mjs`));
  // The package under its own name is what was built last; here it is what there is now. And ports that are free.
  const [folder, ports] = [scratch(), await freePorts(3)];
  const adapt = (text: string): string =>
    text
      .replace(/3333[345]/g, (port) => String(ports[Number(port) - 33_333]))
      .replace('"kvraft/server"', JSON.stringify(pathToFileURL(join(dirname(program.path), "index.js")).href));
  for (const name of readdirSync(`${ROOT}${FOLDER}`))
    writeFileSync(join(folder, name), adapt(readText(`${FOLDER}/${name}`)));
  const child = spawn(process.execPath, [join(folder, "example.mjs")], { stdio: ["ignore", "pipe", "inherit"] });
  let printed = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (printed += text));
  const [code] = (await once(child, "exit")) as [number | null];
  expect(printed).toBe(block("text"));
  expect(code).toBe(0);
});
