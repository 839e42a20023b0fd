import { expect, test } from "vitest";

import { ENGINE_NAMES } from "../../server/engines.js";
import { connect, type KvNode, type NodeStatus } from "../../server/index.js";
import { TestNodes } from "../harness/nodes.js";

async function get(node: KvNode, path: string, method = "GET"): Promise<{ status: number; text: string }> {
  const { host, port } = node.httpAddress!;
  const response = await fetch(`http://${host}:${port}${path}`, { method });
  return { status: response.status, text: await response.text() };
}

test.each(ENGINE_NAMES)("health, readiness, status and metrics (%s)", async (engine) => {
  const nodes = await TestNodes.prepare(3, { engine, httpPort: 0 });
  const lonely = await nodes.start(1);
  expect(await get(lonely, "/healthz")).toEqual({ status: 200, text: "ok\n" });
  expect(await get(lonely, "/readyz")).toEqual({
    status: 503,
    text: "the node does not know yet whether it may take part\ngroup kv knows no leader\n",
  });
  await Promise.all([nodes.start(2), nodes.start(3)]);
  await using client = connect({ nodes: nodes.addresses });
  // Until leadership is settled: what follows is asked of the node that did it all.
  let leader = await nodes.leader();
  for (let last: KvNode | undefined; last !== leader;) {
    last = leader;
    await client.clerk.put("k", "v");
    expect(await client.clerk.get("k")).toBe("v");
    leader = await nodes.leader();
  }
  expect(await get(leader, "/readyz")).toEqual({ status: 200, text: "ok\n" });
  const status = JSON.parse((await get(leader, "/status")).text) as NodeStatus;
  expect(status).toMatchObject({ id: leader.id, engine, clients: 1, persistent: true });
  expect(status.groups["kv"]).toMatchObject({ role: "leader", store: { keys: 1 }, disk: { health: "ok" } });
  expect(status.peers.map(({ connection }) => connection)).toEqual(["ready", "ready"]);
  leader.snapshot("kv");
  const { text } = await get(leader, "/metrics");
  for (const line of [
    'kvraft_is_leader{group="kv"} 1',
    'kvraft_snapshots_total{group="kv",origin="own"} 1',
    "kvraft_client_connections 1",
  ]) {
    expect(text).toContain(line);
  }
  for (const kind of ["read", "write"]) {
    expect(text).toMatch(new RegExp(`kvraft_request_seconds_count{group="kv",kind="${kind}"} [1-9]`));
  }
  for (const metric of ["sync", "append", "commit", "apply"]) {
    expect(text).toMatch(new RegExp(`kvraft_${metric}_seconds_count{group="kv"} [1-9]`));
  }
  expect(text).toMatch(/kvraft_elections_total\{group="kv"\} [1-9]/);
  expect(await get(leader, "/nothing")).toMatchObject({ status: 404 });
  expect(await get(leader, "/status", "POST")).toMatchObject({ status: 405 });
});
