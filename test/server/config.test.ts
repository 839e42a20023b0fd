import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { nearest } from "../../server/checks.js";
import { nodeConfigFields, resolveCluster, resolveNode } from "../../server/config.js";
import { clusterPart, clusterSettings, combine, nodeSettings, readConfigFile } from "../../server/config-sources.js";
import { ConfigError } from "../../server/index.js";
import { scratch } from "../harness/nodes.js";

const nodes = [
  { id: 3, host: "127.0.0.1", port: 7003 },
  { id: 1, host: "127.0.0.1", port: 7001 },
];
const good = { nodes, myid: 1 };

function errorOf(act: () => unknown): ConfigError {
  try {
    act();
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("settings of a node", () => {
  test("defaults", () => {
    expect(resolveNode(good)).toMatchObject({
      me: 0,
      clusterId: "kvraft",
      bind: { host: "127.0.0.1", port: 7001 },
      timeout: 500,
      learningInterval: 100,
      enableDataPersistence: true,
      groups: ["kv"],
      maxRaftState: 64 * 1024 * 1024,
      http: undefined,
      closeTimeout: 5000,
    });
  });

  test("the order in which the nodes are written does not matter", () => {
    expect(resolveNode({ nodes: nodes.toReversed(), myid: 3 })).toMatchObject({
      me: 1,
      nodes: resolveNode(good).nodes,
    });
  });

  test.each<[what: object, field: string, message: RegExp]>([
    [{ nodes: undefined }, "nodes", /nodes is missing; it must be a list of \{id, host, port\}/],
    [{ nodes: [] }, "nodes", /a list of 1 to 9 nodes/],
    [{ nodes: "x" }, "nodes", /must be a list of \{id, host, port\}, not "x"/],
    [{ nodes: [{ id: 1, host: "h" }] }, "nodes[0].port", /nodes\[0\]\.port is missing/],
    [{ nodes: [{ id: 1, host: "h", port: 70_000 }] }, "nodes[0].port", /from 0 to 65535, not 70000/],
    [
      { nodes: [{ id: 1, host: "h", port: 7, prot: 7 }] },
      "nodes[0].prot",
      /unknown setting nodes\[0\]\.prot; did you mean port\?/,
    ],
    [{ nodes: [nodes[0], { ...nodes[0], port: 1 }] }, "nodes", /nodes\[1\] has the same id 3 as nodes\[0\]/],
    [{ nodes: [nodes[0], { ...nodes[0], id: 1 }] }, "nodes", /the same address 127\.0\.0\.1:7003/],
    [{ nodes: [nodes[0], { id: 1, host: "h", port: 0 }] }, "nodes[1].port", /a port from 1 to 65535, not 0/],
    [{ myid: undefined }, "myid", /myid is missing; .*one of 1, 3/],
    [{ myid: 2 }, "myid", /the id of one of the nodes \(1, 3\), not 2/],
    [{ myid: "1" }, "myid", /a whole number .*, not "1"/],
    [{ timeout: 5 }, "timeout", /a whole number of milliseconds from 20 to 60000, not 5/],
    [{ timeout: 100, learningInterval: 60 }, "learningInterval", /at most half of timeout, 50 ms, not 60/],
    [{ enableDataPersistence: "no" }, "enableDataPersistence", /true or false, not "no"/],
    [{ enableDataPersistance: true }, "enableDataPersistance", /did you mean enableDataPersistence\?/],
    [{ data_dir: "x" }, "data_dir", /did you mean dataDir\?/],
    [{ colour: "red" }, "colour", /unknown setting colour; known are nodes, clusterId/],
    [{ dataDir: "" }, "dataDir", /a string that is not empty, not ""/],
    [{ groups: ["a", "a"] }, "groups[1]", /there is a group "a" already/],
    [{ groups: ["node"] }, "groups[0]", /must not be "node"/],
    [{ groups: ["../x"] }, "groups[0]", /a name of 1 to 64 letters/],
    [{ maxRaftState: 5 }, "maxRaftState", /from 1000, or -1/],
    [{ httpHost: "0.0.0.0", httpPort: 80 }, "httpHost", /would show status and metrics to everyone/],
    [{ httpHost: "127.0.0.1" }, "httpPort", /httpPort is missing/],
    [{ logLevel: "loud" }, "logLevel", /one of "debug", "info"/],
    [{ secret: { peer: "x" } }, "secret.client", /secret\.client is missing/],
    [{ secret: "s", secretFile: "f" }, "secretFile", /both given/],
    [{ secretFile: "/no/such/file" }, "secretFile", /cannot be read \(ENOENT\)/],
    [{ tls: { caFile: "/no/such/file" } }, "tls.caFile", /cannot be read/],
    [{ tls: { ca: "pem", cert: "pem" } }, "tls.keyFile", /tls\.keyFile is missing/],
    [{ bind: { hots: "x" } }, "bind.hots", /did you mean host\?/],
  ])("%j is a mistake", (change, field, message) => {
    const error = errorOf(() => resolveNode({ ...good, ...change }));
    expect(error).toMatchObject({ code: "CONFIG", field, message: expect.stringMatching(message) as string });
  });
});

describe("sources of settings", () => {
  const settings = [...clusterSettings, ...nodeSettings];

  test("flags win over the environment, which wins over the file", () => {
    const sources = {
      file: { ...good, timeout: 100, maxRaftState: 2000, clusterId: "file" },
      environment: { KVRAFT_TIMEOUT: "200", KVRAFT_CLUSTER_ID: "env", KVRAFT_GROUPS: "" },
      flags: { timeout: "300" },
    };
    expect(resolveNode(combine(settings, sources))).toMatchObject({
      timeout: 300,
      clusterId: "env",
      maxRaftState: 2000,
      groups: ["kv"],
    });
  });

  test.each([
    [
      "KVRAFT_NODES",
      "127.0.0.1:1,[::1]:2",
      "nodes",
      [
        { id: 1, host: "127.0.0.1", port: 1 },
        { id: 2, host: "::1", port: 2 },
      ],
    ],
    ["KVRAFT_NODES", "7=a:1", "nodes", [{ id: 7, host: "a", port: 1 }]],
    ["KVRAFT_ENABLE_DATA_PERSISTENCE", "no", "enableDataPersistence", false],
    ["KVRAFT_GROUPS", "a,b", "groups", ["a", "b"]],
    ["KVRAFT_BIND_HOST", "0.0.0.0", "bind", { host: "0.0.0.0" }],
    ["KVRAFT_TLS_CA_FILE", "ca.pem", "tls", { caFile: "ca.pem" }],
    ["KVRAFT_MAX_RAFT_STATE", "-1", "maxRaftState", -1],
  ])("%s=%s", (variable, text, field, value) => {
    expect(combine(settings, { environment: { [variable]: text } })).toEqual({ [field]: value });
  });

  test("an error names the place where the mistake was made", () => {
    const message = (sources: Parameters<typeof combine>[1]): string =>
      errorOf(() => combine(settings, sources)).message;
    expect(message({ environment: { KVRAFT_MYID: "one" } })).toMatch(/^KVRAFT_MYID: myid must be a whole number/);
    expect(message({ flags: { timeout: "soon" } })).toMatch(/^--timeout: timeout must be a whole number/);
    expect(message({ environment: { KVRAFT_NODES: "a:1,b" } })).toMatch(
      /^KVRAFT_NODES: nodes\[1\] must be id=host:port or host:port, not "b"/,
    );
    expect(message({ file: { myyid: 1 } })).toMatch(/^unknown setting myyid; did you mean myid\?/);
  });

  test("a secret replaces that of another source, however each is given", () => {
    const config = combine(settings, { file: { secret: "x" }, environment: { KVRAFT_SECRET_FILE: "f" } });
    expect(config).toEqual({ secretFile: "f" });
  });

  test("every setting but the nested ones has a flag, and every flag is a setting", () => {
    const paths = settings.map(({ path }) => path.split(".")[0]);
    expect([...new Set(paths)].sort()).toEqual(Object.keys(nodeConfigFields).sort());
  });

  test("a file: comments, trailing commas, paths from where it is, MyPaxos' names", () => {
    const folder = scratch();
    const file = join(folder, "conf.json");
    writeFileSync(
      file,
      `{
        "nodes": [ // all of them
          {"id": 1, "host": "localhost", "port": 33333},
          {"id": 2, "host": "localhost", "port": 33334},
        ],
        "myid": 1, /* this one */
        "timeout": 1000, "learningInterval": 200,
        "dataDir": "./dataDir/", "enableDataPersistence": false,
        "tls": {"caFile": "ca.pem"},
      }`,
    );
    const values = readConfigFile(file);
    expect(values).toMatchObject({
      myid: 1,
      dataDir: join(folder, "dataDir"),
      tls: { caFile: join(folder, "ca.pem") },
    });
    expect(Object.keys(clusterPart(values))).toEqual(["nodes", "tls"]);
    expect(resolveCluster({ nodes: values["nodes"] }).nodes).toHaveLength(2);
  });

  test.each([
    ["{", /is not JSON \(with comments\) at line 1, column \d+: CloseBraceExpected/],
    ['{\n  "myid" 1}', /line 2, column 10: ColonExpected/],
    ["[1]", /must be an object, not \[1\]/],
    [
      '{"nodes": [{"id": 1}, {"id": 2}],\n "myid": 1, "myid": 2}',
      /x\.json has myid twice: the second is at line 2, column 13/,
    ],
    ['{"nodes": [{"id": 1, "id": 2}]}', /has id twice/],
  ])("a file that is no configuration: %s", (content, message) => {
    const file = join(scratch(), "x.json");
    writeFileSync(file, content);
    expect(() => readConfigFile(file)).toThrow(message);
  });

  test("no file", () => expect(() => readConfigFile("/no/such/file")).toThrow(/cannot be read \(ENOENT\)/));
});

test.each([
  ["prot", ["host", "port"], "port"],
  ["DATA-DIR", ["dataDir"], "dataDir"],
  ["x", ["nodes", "myid"], undefined],
])("the nearest name to %s", (typed, known, expected) => expect(nearest(typed, known)).toBe(expected));
