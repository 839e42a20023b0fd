import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { beforeEach, describe, expect, test } from "vitest";

import { startNode } from "../../server/index.js";
import type { NodeAnswer } from "../../server/index.js";
import type { LoadFigures } from "../../server/load.js";
import { kvraft } from "../harness/command-line.js";
import { addresses, freePorts, scratch, TestNodes } from "../harness/nodes.js";
import { Authority } from "../transport/certificates.js";

const lists = (nodes: TestNodes): string =>
  nodes.addresses.map(({ id, host, port }) => `${id}=${host}:${port}`).join(",");

describe("commands against a cluster", () => {
  let nodes: TestNodes;
  let environment: Record<string, string>;
  beforeEach(async () => {
    nodes = await TestNodes.start(3, { groups: ["kv", "other"], timeout: 100 });
    environment = { KVRAFT_NODES: lists(nodes) };
  });

  test("get, put, append, del, cas", async () => {
    const story: [args: string[], code: number, out: string, err?: string][] = [
      [["get", "k"], 1, "", 'no key "k"\n'],
      [["get", "k", "--json"], 1, '{"key":"k","value":null,"version":0}\n'],
      [["put", "k", "a"], 0, "ok\n"],
      [["append", "k", "b", "--json"], 0, '{"key":"k","ok":true}\n'],
      [["get", "k"], 0, "ab\n"],
      [["get", "k", "--json"], 0, '{"key":"k","value":"ab","version":2}\n'],
      [["get", "k", "--group", "other"], 1, "", 'no key "k"\n'],
      [["cas", "k", "ab", "c"], 0, "ok, version 3\n"],
      [["cas", "k", "ab", "d"], 1, "", 'no: the value is "c"\n'],
      [["cas", "k", "3", "d", "--by-version"], 0, "ok, version 4\n"],
      [["cas", "k", "3", "e", "--by-version", "--json"], 1, '{"key":"k","ok":false,"version":4}\n'],
      [["cas", "new", "0", "x", "--by-version"], 0, "ok, version 1\n"],
      [["cas", "nokey", "x", "y"], 1, "", 'no: there is no key "nokey"\n'],
      [["del", "k"], 0, "deleted\n"],
      [["del", "k"], 1, "", 'no key "k"\n'],
    ];
    for (const [args, code, out, err = ""] of story) {
      expect(await kvraft(args, environment), args.join(" ")).toEqual({ code, out, err });
    }
  });

  test("status, transfer, snapshot, inspect", async () => {
    await kvraft(["put", "k", "v"], environment);
    const leader = await nodes.leader();
    const target = 1 + (leader.id % 3);
    expect(await kvraft(["transfer", String(target)], environment)).toEqual({
      code: 0,
      out: `node ${target} leads\n`,
      err: "",
    });
    const taken = await kvraft(["snapshot", String(target), "--json"], environment);
    expect(taken).toMatchObject({ code: 0, err: "" });
    expect(JSON.parse(taken.out)).toEqual([{ node: target, index: expect.any(Number) as number }]);

    await nodes.leader("other");
    const status = await kvraft(["status"], environment);
    expect(status).toMatchObject({ code: 0, err: "" });
    expect(status.out.split("\n")[0]).toMatch(
      /^node +address +engine +group +role +term +leader +commit +applied +log +snapshot +disk +queue$/,
    );
    expect(status.out.match(/^\d/gm)).toHaveLength(6);
    expect(status.out).toMatch(/ kv +leader /);
    await nodes.stop(target);
    await nodes.leader();
    const without = await kvraft(["status", "--json", "--timeout", "300"], environment);
    expect(without.code).toBe(1);
    const answers = JSON.parse(without.out) as NodeAnswer[];
    expect(answers.map(({ status: each }) => each === null)).toEqual([1, 2, 3].map((id) => id === target));
    expect(answers.find(({ id }) => id === target)?.error).toMatch(/no connection .*ECONNREFUSED/);

    const inspected = await kvraft(["inspect", nodes.dataDir]);
    expect(inspected).toMatchObject({ code: 0, err: "" });
    expect(inspected.out.match(/^data directory/gm)).toHaveLength(6);
    expect(inspected.out).toMatch(/snapshot-\d+\.snap +up to entry/);
    expect(JSON.parse((await kvraft(["inspect", join(nodes.dataDir, "node-1", "kv"), "--json"])).out)).toHaveLength(1);
  });

  test("bench", async () => {
    const args = ["bench", "--clients", "3", "--seconds", "1", "--keys", "20", "--value-bytes", "10"];
    const { code, out, err } = await kvraft([...args, "--mix", "put", "--json"], environment);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    const figures = JSON.parse(out) as LoadFigures;
    expect(figures).toMatchObject({ mix: "put", clients: 3, seconds: 1, keys: 20, valueBytes: 10 });
    expect(figures.operations).toBeGreaterThan(0);
    expect(figures.perSecond).toBe(figures.operations);
    expect(figures.p50Ms).toBeLessThanOrEqual(figures.p99Ms);
    expect(figures.p99Ms).toBeLessThanOrEqual(figures.maxMs);

    expect(await kvraft(args, environment)).toMatchObject({
      code: 0,
      out: expect.stringMatching(
        /^mixed, 3 clients: \d+ operations in 1 s, \d+\/s; p50 .* ms, p99 .* ms, max .* ms\n$/,
      ),
      err: "",
    });
    expect(await kvraft(["get", "bench000"], environment)).toMatchObject({ code: 1, err: 'no key "bench000"\n' });
  });

  test("refusals", async () => {
    expect(await kvraft(["get", "k", "--cluster-id", "other"], environment)).toMatchObject({
      code: 4,
      err: expect.stringMatching(/refuses: this node belongs to cluster "kvraft".*\[REFUSED\]/) as string,
    });
    expect(await kvraft(["get", "k", "--secret", "a secret of many bytes"], environment)).toMatchObject({ code: 4 });
    expect(await kvraft(["put", "k", "v", "--group", "none"], environment)).toMatchObject({
      code: 4,
      err: expect.stringMatching(/no group "none" on this node/) as string,
    });
    expect(await kvraft(["transfer", "9"], environment)).toMatchObject({ code: 2 });
    expect(await kvraft(["snapshot", "9"], environment)).toMatchObject({ code: 2 });
  });
});

describe("mistakes", () => {
  test("no cluster was named", async () => {
    expect(await kvraft(["get", "k"])).toEqual({
      code: 2,
      out: "",
      err: expect.stringMatching(/which cluster\? Give --nodes .* \[CONFIG\]/) as string,
    });
  });

  test("nobody is there", async () => {
    const [port] = await freePorts(1);
    const args = ["put", "k", "v", "--nodes", `127.0.0.1:${port}`, "--timeout", "200"];
    expect(await kvraft(args)).toMatchObject({
      code: 3,
      err: expect.stringMatching(/no node can be reached.*ECONNREFUSED/) as string,
    });
    const { code, out } = await kvraft([...args, "--json"]);
    expect(code).toBe(3);
    expect(JSON.parse(out)).toEqual({
      error: { code: "UNAVAILABLE", message: expect.any(String) as string, maybeApplied: false },
    });
  });

  test("no majority: the error says that the write may have happened", async () => {
    const nodes = await TestNodes.prepare(3);
    await nodes.start(1);
    const failed = await kvraft(["put", "k", "v", "--timeout", "200"], { KVRAFT_NODES: lists(nodes) });
    expect(failed).toMatchObject({ code: 3, err: expect.stringMatching(/put did not finish within 200 ms/) as string });
    const bench = await kvraft(["bench", "--timeout", "200"], { KVRAFT_NODES: lists(nodes) });
    expect(bench).toMatchObject({ code: 3, err: expect.stringMatching(/put did not finish within 200 ms/) as string });
  });

  test.each([
    [["serve"], 2, /nodes is missing/],
    [["serve", "--nodes", "127.0.0.1:1", "--myid", "2"], 2, /myid must be the id of one of the nodes \(1\)/],
    [["serve", "--config", "/no/such/file"], 2, /cannot be read/],
    [["serve", "--nodes", "0.0.0.0:0", "--myid", "1", "--enable-data-persistence", "no"], 2, /without authentication/],
    [["inspect", "/no/such/dir"], 2, /cannot be read/],
    [["inspect", "bench"], 2, /holds no data of a node/],
    [["serve", "--nodes", "127.0.0.1:1", "--myid", "1", "--data-dir", "LICENSE"], 2, /dataDir: .* cannot be used/],
    [["cluster", "--data-dir", "LICENSE"], 2, /LICENSE cannot be made a directory/],
    [["get"], 2, /missing required argument 'key'/],
    [["cluster", "--size", "0"], 2, /It must be a whole number from 1 to 9/],
    [["cluster", "--engine", "zab"], 2, /Allowed choices are raft, paxos/],
    [["serve", "--nodes", "127.0.0.1:1", "--myid", "1", "--engine", "zab"], 2, /engine must be one of "raft", "paxos"/],
    [["bench", "--mix", "scan"], 2, /Allowed choices are put, get, mixed/],
    [["bench", "--clients", "0"], 2, /It must be a whole number from 1 to/],
    [["frobnicate"], 2, /unknown command/],
  ])("%j", async (args, code, message) => {
    expect(await kvraft(args)).toMatchObject({ code, err: expect.stringMatching(message) as string });
  });

  test("certificates that are none", async () => {
    const file = join(scratch(), "some.pem");
    writeFileSync(file, "these are no certificates");
    const { cert, key } = new Authority("some").issue("1") as { cert: string; key: string };
    const good = file.replace("some", "cert");
    writeFileSync(good, cert);
    const other = file.replace("some", "key");
    writeFileSync(other, key);
    const story: [caFile: string, certFile: string, keyFile: string, message: RegExp][] = [
      [file, good, other, /tls\.ca \(or tls\.caFile\) must hold certificates in PEM form/],
      [good, file, other, /tls\.cert \(or tls\.certFile\) must hold certificates in PEM form/],
      [good, good, file, /tls\.key \(or tls\.keyFile\) must hold the private key of tls\.cert/],
      [good, good, `${file}.missing`, /tls\.keyFile: .* cannot be read \(ENOENT\)/],
    ];
    for (const [caFile, certFile, keyFile, message] of story) {
      const files = ["--tls-ca-file", caFile, "--tls-cert-file", certFile, "--tls-key-file", keyFile];
      expect(await kvraft(["get", "k", "--nodes", "127.0.0.1:1", ...files])).toMatchObject({
        code: 2,
        err: expect.stringMatching(message) as string,
      });
    }
  });

  test("a cluster's directory with a file that is damaged or missing", async () => {
    const dataDir = scratch();
    const args = ["cluster", "--data-dir", dataDir];
    const file = join(dataDir, "cluster.json");
    writeFileSync(file, "{");
    expect(await kvraft(args)).toMatchObject({
      code: 2,
      err: expect.stringMatching(/cluster\.json is not JSON/) as string,
    });
    const nodes = [1, 2, 3].map((id) => ({ id, host: "127.0.0.1", port: id }));
    writeFileSync(file, JSON.stringify({ nodes }));
    const missing = /incomplete cluster: the configuration .*node-1\.json cannot be read \(ENOENT\); mend that file/;
    expect(await kvraft(args)).toMatchObject({ code: 2, err: expect.stringMatching(missing) as string });
    expect(await kvraft([...args, "--size", "4"])).toMatchObject({ code: 2 });
  });

  test("another engine than that of the data", async () => {
    const dataDir = scratch();
    const nodes = await addresses(3);
    for (const { id } of nodes) {
      writeFileSync(
        join(dataDir, `node-${id}.json`),
        JSON.stringify({ nodes, myid: id, engine: "paxos", httpPort: 0 }),
      );
    }
    writeFileSync(join(dataDir, "cluster.json"), JSON.stringify({ nodes }));
    expect(await kvraft(["cluster", "--data-dir", dataDir, "--engine", "raft"])).toMatchObject({
      code: 2,
      err: expect.stringMatching(/a cluster with the engine paxos, not raft; use another --data-dir/) as string,
    });
    await (await startNode({ nodes, myid: 1, dataDir })).close({ timeoutMs: 0 });
    const serve = ["serve", "--config", join(dataDir, "node-1.json"), "--data-dir", dataDir];
    expect(await kvraft(serve)).toMatchObject({
      code: 5,
      err: expect.stringMatching(/belongs to engine "raft", but the configuration says "paxos"/) as string,
    });
  });

  test("a configuration file with an unknown setting", async () => {
    const file = join(scratch(), "node.json");
    writeFileSync(file, '{"nodes": [{"id": 1, "host": "127.0.0.1", "port": 0}], "myId": 1}');
    expect(await kvraft(["serve", "--config", file])).toMatchObject({
      code: 2,
      err: expect.stringMatching(/did you mean myid\?/) as string,
    });
  });
});
