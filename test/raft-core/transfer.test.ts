import { describe, expect, test } from "vitest";

import type { RaftConfig } from "../../raft/core/index.js";
import { CoreCluster } from "../harness/core-cluster.js";

function led(config: Partial<RaftConfig> = {}): CoreCluster {
  const cluster = new CoreCluster(3, { config });
  cluster.elect(0);
  cluster.propose(0, "first");
  cluster.deliverAll();
  cluster.sent.length = 0;
  return cluster;
}

function transfer(cluster: CoreCluster, target?: number): boolean {
  let started = false;
  cluster.act(0, (core) => (started = core.transfer(cluster.now, target)));
  return started;
}

/** Time goes on, and no TimeoutNow arrives. */
function untilGivenUp(cluster: CoreCluster): void {
  cluster.until(
    () => cluster.transfers.length > 0,
    () => {
      cluster.tick(0);
      cluster.drop({ type: "timeoutNow" });
      cluster.deliverAll();
    },
  );
}

describe("leadership transfer (dissertation §3.10)", () => {
  test("a target that has everything stands at once, past all protection, and wins the next term", () => {
    const cluster = led();
    expect(transfer(cluster, 2)).toBe(true);
    expect(cluster.mail.map(({ to, message }) => [to, message.type])).toEqual([[2, "timeoutNow"]]);
    const { now } = cluster;
    cluster.deliverAll();
    expect(cluster.now).toBe(now);
    expect(cluster.core(2).state).toMatchObject({ role: "leader", term: 2 });
    expect(cluster.core(0).state).toMatchObject({ role: "follower", leader: 2 });
    expect(cluster.transfers).toEqual([true]);
  });

  test("the target's own vote is durable before it asks, and before it answers the leader", () => {
    const cluster = led();
    transfer(cluster, 2);
    cluster.holdDisk(2);
    cluster.deliver();
    expect(cluster.mail).toEqual([]);
    cluster.releaseDisk(2);
    cluster.deliverAll();
    expect(cluster.leader()).toBe(2);
  });

  test("without a target the follower with the longest log takes over", () => {
    const cluster = led();
    cluster.propose(0, "x");
    cluster.deliverAll({ with: 2 });
    cluster.drop();
    transfer(cluster);
    cluster.deliverAll();
    expect(cluster.leader()).toBe(2);
  });

  test("a target that is behind catches up first", () => {
    const cluster = led();
    cluster.propose(0, "x");
    cluster.propose(0, "y");
    const appends = cluster.take({ to: 2 });
    transfer(cluster, 2);
    expect(cluster.count({ type: "timeoutNow" })).toBe(0);
    cluster.arrive(appends[0]!);
    cluster.deliver({ from: 2 });
    expect(cluster.count({ type: "timeoutNow" })).toBe(0);
    cluster.arrive(appends[1]!);
    cluster.deliver({ from: 2 });
    expect(cluster.count({ type: "timeoutNow" })).toBe(1);
    cluster.deliverAll();
    expect(cluster.leader()).toBe(2);
    cluster.propose(2, "z");
    cluster.run(200);
    expect(cluster.committed(0)).toEqual(["first", "x", "y", "z"]);
  });

  test("a target that needs a snapshot gets it first", () => {
    const cluster = new CoreCluster(3, { config: { snapshotChunkBytes: 10 } });
    cluster.elect(0, [1]);
    for (let i = 0; i < 5; i++) cluster.propose(0, `x${i}`);
    cluster.deliverAll({ with: 1 });
    cluster.drop();
    cluster.compact(0, new Uint8Array(100));
    transfer(cluster, 2);
    cluster.run(400);
    expect(cluster.leader()).toBe(2);
    expect(cluster.appliedIndex(2)).toBe(5);
  });

  test("proposals are refused meanwhile, and taken again if it comes to nothing", () => {
    const cluster = led();
    transfer(cluster, 2);
    expect(cluster.propose(0, "x")).toBe(0);
    const startedAt = cluster.now;
    untilGivenUp(cluster);
    expect(cluster.now - startedAt).toBe(1000);
    expect(cluster.transfers).toEqual([false]);
    expect(cluster.core(0).state.role).toBe("leader");
    expect(cluster.propose(0, "x")).toBe(2);
    cluster.deliverAll();
    expect(cluster.commitIndex(0)).toBe(2);
  });

  test("a lost TimeoutNow is repeated at heartbeat pace", () => {
    const cluster = led();
    transfer(cluster, 2);
    expect(cluster.lose({ type: "timeoutNow" })).toHaveLength(1);
    expect(cluster.count({ type: "timeoutNow" })).toBe(1);
    cluster.tick(0);
    expect(cluster.count({ type: "timeoutNow" })).toBe(2);
    cluster.deliverAll();
    expect(cluster.leader()).toBe(2);
  });

  test("one transfer takes the place of another", () => {
    const cluster = led();
    transfer(cluster, 1);
    cluster.drop();
    transfer(cluster, 2);
    expect(cluster.transfers).toEqual([false]);
    cluster.deliverAll();
    expect(cluster.leader()).toBe(2);
    expect(cluster.transfers).toEqual([false, true]);
  });

  test("a TimeoutNow that arrives in a later term, or twice, does nothing", () => {
    const cluster = led();
    transfer(cluster, 2);
    const [late] = cluster.take({ type: "timeoutNow" });
    cluster.stepDown(0);
    expect(cluster.transfers).toEqual([false]);
    cluster.elect(1);
    cluster.deliverAll();
    cluster.arrive(late!);
    expect(cluster.core(2).state).toMatchObject({ role: "follower", term: 2, leader: 1 });
    cluster.run(1000);
    expect(cluster.leader()).toBe(1);
    const again = led();
    transfer(again, 2);
    const [twice] = again.take({ type: "timeoutNow" });
    again.arrive(twice!);
    again.deliverAll();
    again.arrive(twice!);
    again.deliverAll();
    expect(again.core(2).state).toMatchObject({ role: "leader", term: 2 });
  });

  test("a TimeoutNow that arrives late in its own term, after the leader went on, wins nothing that it lacks", () => {
    const cluster = led();
    transfer(cluster, 2);
    const [late] = cluster.take({ type: "timeoutNow" });
    untilGivenUp(cluster);
    cluster.propose(0, "x");
    cluster.deliverAll({ with: 1 });
    expect(cluster.commitIndex(0)).toBe(2);
    cluster.drop();
    cluster.arrive(late!);
    cluster.run(3000);
    cluster.propose(cluster.leader()!, "y");
    cluster.run(200);
    for (const n of cluster.all) expect(cluster.committed(n)).toEqual(["first", "x", "y"]);
  });

  test("reads asked for during a transfer are answered or lost, and never stale", () => {
    for (const leaseReads of [false, true]) {
      const cluster = led({ leaseReads });
      transfer(cluster, 2);
      const answered = cluster.read(0);
      cluster.deliverAll({ type: "appendEntries" });
      cluster.deliver({ type: "appendEntriesReply" });
      expect(cluster.reads.get(answered)).toBe(1);
      const lost = cluster.read(0);
      cluster.deliver({ type: "timeoutNow" });
      cluster.deliver({ type: "requestVote" });
      expect(cluster.reads.get(lost)).toBe("lost");
    }
  });

  test("only a leader hands over, only to a follower, and not when it is alone", () => {
    const cluster = led();
    let started = true;
    cluster.act(1, (core) => (started = core.transfer(cluster.now, 2)));
    expect(started).toBe(false);
    expect(() => transfer(cluster, 7)).toThrow("server 7 is not a follower of server 0");
    expect(() => transfer(cluster, 0)).toThrow("server 0 is not a follower of server 0");
    const single = new CoreCluster(1);
    single.elect(0);
    expect(transfer(single)).toBe(false);
  });
});
