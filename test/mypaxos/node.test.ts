import { expect, test } from "vitest";

import { PaxosClient, startPaxosNode } from "../../server/index.js";
import { addresses } from "../harness/nodes.js";

test("smoke", async () => {
  const nodes = await addresses(3);
  const seen: string[][] = [[], [], []];
  const text = new TextDecoder();
  const running = await Promise.all(
    [1, 2, 3].map((myid) =>
      startPaxosNode(
        { nodes, myid, timeout: 150, enableDataPersistence: false },
        {
          groups: {
            1: (bytes) => {
              seen[myid - 1]!.push(text.decode(bytes));
              return seen[myid - 1]!.length;
            },
            2: () => undefined,
          },
        },
      ),
    ),
  );
  await using client = new PaxosClient();
  client.setRemoteAddress("127.0.0.1", nodes[1]!.port);
  const answers = await Promise.all(["a", "b", "c"].map((item) => client.submit(item, 1)));
  expect(answers).toEqual([1, 2, 3]);
  expect(await client.submitAll(["x", "y"], 2)).toEqual([undefined, undefined]);
  await expect(client.submit("x", 9)).rejects.toMatchObject({ code: "UNKNOWN_GROUP" });
  expect(await client.submit("d", 1)).toBe(4);
  await client.close();
  await Promise.all(running.map((node) => node.close()));
  expect(seen).toEqual([0, 1, 2].map(() => ["a", "b", "c", "d"]));
});
