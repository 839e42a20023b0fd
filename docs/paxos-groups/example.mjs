import { fileURLToPath } from "node:url";

import { PaxosClient, PaxosNode } from "kvraft/server";

/** A key/value store as a callback. Each group of each node has one of its own. */
function makeStore() {
  const values = new Map();
  return (bytes) => {
    const { type, key, value } = JSON.parse(new TextDecoder().decode(bytes));
    if (type === "get") return values.get(key) ?? null;
    if (type === "put") values.set(key, value);
    if (type === "delete") values.delete(key);
    return "ok";
  };
}

// All three run in this process here; elsewhere each has its own machine, and its own file.
const nodes = ["conf1.json", "conf2.json", "conf3.json"].map(
  (name) => new PaxosNode(fileURLToPath(new URL(name, import.meta.url))),
);
for (const node of nodes) {
  node.setGroupId(1, makeStore());
  node.setGroupId(2, makeStore());
  await node.start();
}

const client = new PaxosClient();
client.setRemoteAddress("localhost", 33333);
client.setSendBufferSize(20);
const answers = [
  client.submit(JSON.stringify({ type: "put", key: "name", value: "Mike" }), 1),
  client.submit(JSON.stringify({ type: "put", key: "name", value: "Neo" }), 2),
  client.submit(JSON.stringify({ type: "get", key: "name" }), 1),
];
await client.flush();
for (const answer of answers) console.log(await answer);

await client.close();
await Promise.all(nodes.map((node) => node.close()));
