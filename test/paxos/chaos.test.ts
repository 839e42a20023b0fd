import { expect, test } from "vitest";

import { makePaxos } from "../../paxos/index.js";
import type { ApplyMsg } from "../../raft/index.js";
import { decode, encode, forkRandom } from "../../runtime/index.js";
import type { SimRuntime } from "../../sim/index.js";
import { DriverCluster, type DriverNode } from "../harness/driver-cluster.js";
import { forSeeds } from "../harness/seeds.js";

/** What the groups of servers have applied: one list for all, as long as the longest. */
class Agreement {
  readonly #log: (string | undefined)[] = [];

  applied(message: ApplyMsg): void {
    if (message.type === "snapshot") {
      const [index, commands] = decode(message.snapshot) as [number, string[]];
      if (index !== message.index) throw new Error(`the snapshot of ${index} comes as that of ${message.index}`);
      for (const [i, command] of commands.entries()) this.#agree(i + 1, command);
      return;
    }
    this.#agree(message.index, `${message.term}:${message.command as string}`);
  }

  #agree(index: number, what: string): void {
    const known = (this.#log[index] ??= what);
    if (what !== "" && known !== "" && known !== what) throw new Error(`instance ${index}: ${known} and ${what}`);
  }

  get commands(): string[] {
    return this.#log.flatMap((what) => (what === undefined || what === "" ? [] : [what.slice(what.indexOf(":") + 1)]));
  }
}

/** A service that is the list of its commands by index, and puts it into a snapshot now and then. */
function serve(node: DriverNode, agreement: Agreement, start: Uint8Array | null, snapshotEvery: number): void {
  const list: string[] = [];
  const load = (bytes: Uint8Array): void => {
    list.length = 0;
    list.push(...(decode(bytes) as [number, string[]])[1]);
  };
  if (start !== null) load(start);
  node.onMessage = (message) => {
    agreement.applied(message);
    if (message.type === "snapshot") return load(message.snapshot);
    while (list.length < message.index - 1) list.push("");
    list.push(`${message.term}:${message.command as string}`);
    if (message.index % snapshotEvery === 0) node.raft.snapshot(message.index, encode([message.index, list]));
    return undefined;
  };
}

async function chaos(runtime: SimRuntime, size: number): Promise<void> {
  const { clock } = runtime;
  const random = forkRandom(runtime.random, "chaos");
  const agreement = new Agreement();
  const cluster = new DriverCluster(runtime, size, {
    engine: makePaxos,
    config: { maxAppendBytes: 200, snapshotChunkBytes: 50 },
  });
  const snapshotEvery = random.int(5, 40);
  const up = new Set(cluster.nodes.keys());
  for (const node of cluster.nodes) serve(node, agreement, null, snapshotEvery);
  cluster.network.reliable(random.next() < 0.3);
  cluster.network.longReordering(random.next() < 0.5);
  let proposed = 0;
  const until = clock.now() + 8000;
  while (clock.now() < until) {
    await clock.sleep(random.int(1, 60));
    const i = random.int(0, size - 1);
    const what = random.next();
    if (what < 0.7) {
      for (const node of cluster.nodes) if (node.raft.start(`c${proposed}`).isLeader) proposed++;
    } else if (what < 0.78) {
      if (up.delete(i)) cluster.kill(i);
    } else if (what < 0.9) {
      if (!up.has(i)) {
        up.add(i);
        const node = cluster.start(i);
        serve(node, agreement, cluster.persisters[i]!.readSnapshot(), snapshotEvery);
      }
    } else {
      cluster.connect(i, what < 0.95);
    }
  }
  cluster.network.reliable(true);
  cluster.network.longReordering(false);
  for (let i = 0; i < size; i++) {
    if (!up.has(i)) serve(cluster.start(i), agreement, cluster.persisters[i]!.readSnapshot(), snapshotEvery);
    cluster.connect(i, true);
  }
  const leader = await cluster.leader();
  const { index } = cluster.rafts[leader]!.start("last");
  await cluster.until(() => cluster.rafts.every((raft) => raft.status().appliedIndex >= index));
  for (const { failures } of cluster.nodes) if (failures.length > 0) throw failures[0];
  expect(new Set(agreement.commands).size).toBe(agreement.commands.length);
  expect(agreement.commands).toContain("last");
}

for (const size of [1, 3, 5]) {
  test(`${size} servers that crash, restart, are cut off and lose messages agree on every instance`, () =>
    forSeeds(20, (runtime) => chaos(runtime, size)));
}
