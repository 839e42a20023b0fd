import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { resolveNode } from "../../server/config.js";
import { ConfigError } from "../../server/index.js";
import { resolvePaxosConfig } from "../../server/mypaxos/config.js";
import { scratch } from "../harness/nodes.js";

const nodes = [1, 2, 3].map((id) => ({ id, host: "localhost", port: 33_332 + id }));

/** A file with this text, as resolved. */
function fromFile(text: string, name = "conf.json"): { file: string; resolve: () => object } {
  const file = join(scratch(), name);
  writeFileSync(file, text);
  return { file, resolve: () => resolvePaxosConfig(file) };
}

function errorOf(act: () => unknown): ConfigError {
  try {
    act();
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("the configuration of MyPaxos", () => {
  test("its sample, with comments: every value counts, and those of time fit the engine", () => {
    const { file, resolve } = fromFile(`{
      "nodes": [ // all nodes
        {"id": 1, "host": "localhost", "port": 33333},
        {"id": 2, "host": "localhost", "port": 33334}, {"id": 3, "host": "localhost", "port": 33335}
      ],
      "myid": 2, /* who this is */
      "timeout": 1000,
      "learningInterval": 1000, // ms
      "dataDir": "./dataDir/",
      "enableDataPersistence": false
    }`);
    const settings = resolve();
    expect(settings).toEqual({
      nodes,
      myid: 2,
      timeout: 1000,
      learningInterval: 333,
      dataDir: join(file, "..", "dataDir"),
      enableDataPersistence: false,
    });
    expect(resolveNode(settings)).toMatchObject({ me: 1, learningInterval: 333 });
  });

  test("three files that differ only in myid", () => {
    const text = (myid: number): string => JSON.stringify({ nodes, myid, timeout: 500, learningInterval: 50 });
    const all = [1, 2, 3].map((myid) => fromFile(text(myid), `conf${myid}.json`).resolve());
    expect(all.map((one) => (one as { myid: number }).myid)).toEqual([1, 2, 3]);
    expect(all[1]).toMatchObject({ nodes, timeout: 500, learningInterval: 50 });
  });

  test("defaults", () => {
    expect(resolvePaxosConfig({ nodes, myid: 1 })).toMatchObject({
      timeout: 1000,
      learningInterval: 333,
      enableDataPersistence: true,
      dataDir: join(process.cwd(), "dataDir"),
    });
  });

  test.each([
    [20, 1, 1],
    [20, 60_000, 6],
    [1000, 100, 100],
    [60_000, 60_000, 20_000],
  ])("timeout %d and learningInterval %d: a leader is heard every %d ms", (timeout, learningInterval, heartbeatMs) => {
    const settings = resolvePaxosConfig({ nodes, myid: 1, timeout, learningInterval });
    expect(settings.learningInterval).toBe(heartbeatMs);
    expect(resolveNode(settings).timeout).toBe(timeout);
  });

  test.each<[change: object, field: string, message: RegExp]>([
    [{ nodes: undefined }, "nodes", /nodes is missing/],
    [{ nodes: [{ id: 1, host: "h" }] }, "nodes[0].port", /nodes\[0\]\.port is missing/],
    [{ nodes: [nodes[0], nodes[0]] }, "nodes", /the same id 1/],
    [{ myid: 4 }, "myid", /the id of one of the nodes \(1, 2, 3\), not 4/],
    [{ myid: undefined }, "myid", /myid is missing/],
    [{ timeout: "1000" }, "timeout", /a whole number of milliseconds from 20 to 60000, not "1000"/],
    [{ timeout: 0 }, "timeout", /from 20 to 60000, not 0/],
    [{ learningInterval: 0 }, "learningInterval", /from 1 to 60000, not 0/],
    [{ dataDir: 7 }, "dataDir", /a string that is not empty, not 7/],
    [{ dataDir: "" }, "dataDir", /a string that is not empty, not ""/],
    [{ enableDataPersistence: 1 }, "enableDataPersistence", /true or false, not 1/],
    [{ enableDataPersistance: true }, "enableDataPersistance", /did you mean enableDataPersistence\?/],
    [{ learninginterval: 5 }, "learninginterval", /did you mean learningInterval\?/],
    [{ groups: ["kv"] }, "groups", /unknown setting groups; known are nodes, myid, timeout/],
  ])("%j is a mistake: the error names the field, and the file", (change, field, message) => {
    const { file, resolve } = fromFile(JSON.stringify({ nodes, myid: 1, ...change }));
    const error = errorOf(resolve);
    expect(error).toMatchObject({ code: "CONFIG", field, message: expect.stringMatching(message) as string });
    expect(error.message.startsWith(`${file}: `)).toBe(true);
    const inProgram = errorOf(() => resolvePaxosConfig({ nodes, myid: 1, ...change }));
    expect(error.message).toBe(`${file}: ${inProgram.message}`);
  });

  test("a file that is not there, is not JSON, or is a list", () => {
    expect(errorOf(() => resolvePaxosConfig("/no/such/conf.json")).message).toMatch(
      /conf\.json cannot be read \(ENOENT\)/,
    );
    expect(errorOf(fromFile("{").resolve).message).toMatch(/conf\.json is not JSON \(with comments\) at line 1/);
    expect(errorOf(fromFile("[]").resolve)).toMatchObject({
      field: "config",
      message: expect.stringMatching(/conf\.json must be an object/) as string,
    });
  });

  test("a byte order mark in front of a file is no part of it", () => {
    expect(fromFile(`\ufeff${JSON.stringify({ nodes, myid: 2 })}`).resolve()).toMatchObject({ myid: 2 });
  });

  test.each([undefined, null, 5])("%j in place of a configuration", (config) => {
    expect(errorOf(() => resolvePaxosConfig(config as never))).toMatchObject({ code: "CONFIG", field: "config" });
  });
});
