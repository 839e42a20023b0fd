import { Command } from "commander";
import { describe, expect, test } from "vitest";

import { checkCommand } from "../../server/commands/check.js";
import { clusterCommands } from "../../server/commands/index.js";
import { EXIT_OF, processOutside } from "../../server/commands/outside.js";
import { clusterSettings, nodeSettings } from "../../server/config-sources.js";
import { nodeConfigFields, resolveNode } from "../../server/config.js";
import { NodeMetrics } from "../../server/metrics.js";
import { defaultTransportLimits } from "../../server/transport/index.js";
import { startNode } from "../../server/index.js";
import { bare, deadLinksIn, flagsIn, readText, tableOf } from "../harness/documents.js";
import { scratch } from "../harness/nodes.js";

const operations = readText("docs/operations.md");
const table = (title: string): string[][] => tableOf(operations, title);

/** As the tables write it: large sizes in MiB and KiB, times in ms. */
function shown(name: string, value: unknown): string {
  if (typeof value !== "number") return String(value);
  if (/Bytes|RaftState/.test(name)) return value % 2 ** 20 === 0 ? `${value / 2 ** 20} MiB` : `${value / 2 ** 10} KiB`;
  return /Ms$|imeout|Interval/.test(name) ? `${value} ms` : String(value);
}

// What the code has, docs/operations.md has, with the same defaults; and nothing else.
describe("docs/operations.md", () => {
  test("settings, with flags, variables and defaults", () => {
    const rows = new Map(table("setting").map(([name, ...rest]) => [bare(name as string), rest.map(bare)]));
    const fields = new Set(Object.keys(nodeConfigFields));
    for (const name of ["bind", "tls"]) fields.delete(name);
    const parts = [
      "bind.host",
      "bind.port",
      ...["ca", "cert", "key"].flatMap((part) => [`tls.${part}`, `tls.${part}File`]),
    ];
    expect([...rows.keys()].sort()).toEqual([...fields, ...parts].sort());
    for (const { path, flag, variable } of [...clusterSettings, ...nodeSettings]) {
      expect(rows.get(path)?.slice(0, 2), path).toEqual([flag, variable]);
    }
    const standard = resolveNode({ nodes: [{ id: 1, host: "localhost", port: 1 }], myid: 1, dataDir: "d" });
    const defaults: Record<string, unknown> = { ...standard, dataDir: "kvraft-data", httpHost: "127.0.0.1" };
    for (const name of ["nodes", "myid"]) defaults[name] = "required";
    for (const [name, [, , text]] of rows) {
      if (!Object.hasOwn(defaults, name)) expect(text, name).toMatch(/^none$|in nodes$/);
      else expect(text, name).toBe(defaults[name] === undefined ? "none" : shown(name, defaults[name]));
    }
  });

  test("the bounds of the transport", () => {
    const rows = table("limit").map(([name, value]) => [bare(name as string), value]);
    expect(Object.fromEntries(rows)).toEqual(
      Object.fromEntries(Object.entries(defaultTransportLimits).map(([name, value]) => [name, shown(name, value)])),
    );
  });

  test("commands and their flags", () => {
    const program = new Command("kvraft");
    checkCommand(program, processOutside);
    clusterCommands(program, processOutside);
    const rows = new Map(table("command").map(([usage, , flags]) => [bare(usage as string).split(" ")[0], flags]));
    expect([...rows.keys()].sort()).toEqual(program.commands.map((command) => command.name()).sort());
    // What all clients have stands with the first of them; settings of clusters and nodes stand in their own table.
    const settings = new Set([...clusterSettings, ...nodeSettings].map(({ flag }) => flag));
    const ofClients = new Set(["--config", "--group", "--timeout", "--json"]);
    const alone = new Set(["get", "serve", "cluster", "inspect", "check"]);
    for (const command of program.commands) {
      const name = command.name();
      const wanted = command.options
        .map(({ long }) => long as string)
        .filter((flag) =>
          ofClients.has(flag) && name !== "serve" ? alone.has(name) : name === "cluster" || !settings.has(flag),
        );
      const documented = flagsIn(rows.get(name) as string);
      expect(documented.sort(), name).toEqual(wanted.sort());
    }
  });

  test("metrics and their kinds", async () => {
    await using node = await startNode({
      nodes: [{ id: 1, host: "127.0.0.1", port: 0 }],
      myid: 1,
      dataDir: scratch(),
      timeout: 50,
    });
    const text = await new NodeMetrics(() => node.status()).text();
    const found = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, kind]) => [name, kind]);
    expect(
      table("metric")
        .map(([name, kind]) => [bare(name as string), kind])
        .sort(),
    ).toEqual(found.sort());
  });

  test("error codes", () => {
    const codes = table("code").map(([code]) => bare(code as string));
    expect(new Set(codes).size).toBe(codes.length);
    expect(Object.keys(EXIT_OF).filter((code) => !codes.includes(code))).toEqual([]);
  });

  test("links to its own headings lead somewhere", () => {
    expect(deadLinksIn(operations)).toEqual([]);
  });
});
