import { describe, expect, test } from "vitest";

import type { RaftConfig } from "../../raft/core/index.js";
import { CoreCluster } from "../harness/core-cluster.js";

/** Three servers; 0 leads and has committed one entry of its term, and nothing is on its way. */
function led(config: Partial<RaftConfig> = {}, size = 3): CoreCluster {
  const cluster = new CoreCluster(size, { config });
  cluster.elect(0);
  cluster.propose(0, "first");
  cluster.deliverAll();
  cluster.sent.length = 0;
  return cluster;
}

describe("read barrier (dissertation §6.4)", () => {
  test("a read is confirmed by a round of a majority that starts after it", () => {
    const cluster = led();
    const read = cluster.read(0);
    expect(cluster.reads.get(read)).toBe("waiting");
    expect(cluster.mail.map(({ to }) => to)).toEqual([1, 2]);
    cluster.deliver({ to: 1 });
    expect(cluster.reads.get(read)).toBe("waiting");
    cluster.deliver({ to: 0 });
    expect(cluster.reads.get(read)).toBe(1);
    expect(cluster.core(0).state.reads.hasRounds).toBe(false);
  });

  test("only the leader takes reads", () => {
    expect(led().read(1)).toBe(0);
  });

  test("with noopOnElection a read at once after the election is answered in a few round trips", () => {
    const cluster = led({ noopOnElection: true });
    cluster.propose(0, "committed");
    cluster.deliverAll();
    cluster.stepDown(0);
    cluster.mail = [];
    cluster.now += 2000;
    cluster.tick(1);
    cluster.until(
      () => cluster.core(1).state.isLeader(),
      () => void cluster.deliver(),
    );
    const read = cluster.read(1);
    cluster.deliverAll();
    expect(cluster.reads.get(read)).toBe(4);
  });

  test("many reads share a round; those that come meanwhile share the next", () => {
    const cluster = led();
    const ask = (count: number): number[] => {
      const reads: number[] = [];
      for (let i = 0; i < count; i++) reads.push(cluster.read(0));
      return reads;
    };
    const first = ask(1);
    const rest = ask(99);
    expect(cluster.sent).toHaveLength(2);
    cluster.deliver({ from: 0 });
    cluster.deliver({ from: 1 });
    expect(first.map((read) => cluster.reads.get(read))).toEqual([1]);
    expect(rest.map((read) => cluster.reads.get(read))).toEqual(new Array(99).fill("waiting"));
    cluster.deliverAll();
    expect(rest.map((read) => cluster.reads.get(read))).toEqual(new Array(99).fill(1));
    expect(cluster.count({ from: 0 })).toBe(4);
  });

  test("appends carry the round too: no message is sent for it where one goes anyway", () => {
    const cluster = led();
    cluster.act(0, (core) => core.propose(cluster.now, [new Uint8Array(1)]));
    const read = cluster.read(0);
    expect(cluster.sent).toHaveLength(2);
    cluster.deliverAll();
    expect(cluster.reads.get(read)).toBe(1);
  });

  test("a round whose messages are all lost is made good by the next heartbeat", () => {
    const cluster = led();
    const read = cluster.read(0);
    cluster.drop();
    const later = cluster.read(0);
    cluster.tick(0);
    cluster.deliverAll();
    expect([cluster.reads.get(read), cluster.reads.get(later)]).toEqual([1, 1]);
  });

  test("reads are lost when leadership ends, whichever way, the waiting and the unconfirmed alike", () => {
    const ends: ((cluster: CoreCluster) => void)[] = [
      (cluster) => cluster.stepDown(0),
      (cluster) => cluster.answer(0, 1, { type: "timeoutNowReply", term: 5 }),
      (cluster) => {
        cluster.isolate(0);
        for (let i = 0; i < 12 && cluster.core(0).state.isLeader(); i++) cluster.tick(0);
      },
    ];
    for (const end of ends) {
      const cluster = new CoreCluster(3, { disks: [{}, { term: 5 }] });
      cluster.elect(0, [2]);
      cluster.propose(0, "x");
      cluster.deliverAll({ with: 2 });
      const reads = [cluster.read(0), cluster.read(0)];
      end(cluster);
      expect(reads.map((read) => cluster.reads.get(read))).toEqual(["lost", "lost"]);
    }
  });

  test("one server confirms its reads itself, once its term is committed durably", () => {
    const cluster = new CoreCluster(1);
    cluster.elect(0);
    const early = cluster.read(0);
    expect(cluster.reads.get(early)).toBe("waiting");
    cluster.holdDisk(0);
    cluster.propose(0, "x");
    expect(cluster.reads.get(early)).toBe("waiting");
    cluster.releaseDisk(0);
    expect(cluster.reads.get(early)).toBe(1);
    expect(cluster.reads.get(cluster.read(0))).toBe(1);
  });

  test("two of five are no majority", () => {
    const cluster = led({}, 5);
    const read = cluster.read(0);
    cluster.deliverAll({ with: 1 });
    expect(cluster.reads.get(read)).toBe("waiting");
    cluster.deliverAll({ with: 2 });
    expect(cluster.reads.get(read)).toBe(1);
  });

  test("a follower that must have its log mended still confirms who leads", () => {
    const cluster = led();
    cluster.crash(2);
    cluster.propose(0, "lost on its way");
    cluster.drop();
    cluster.act(0, (core) => core.propose(cluster.now, [new Uint8Array(1)]));
    const read = cluster.read(0);
    cluster.deliver({ to: 1 });
    const refusal = cluster.deliver({ from: 1 }).map(({ message }) => message);
    expect(refusal).toMatchObject([{ success: false }]);
    expect(cluster.reads.get(read)).toBe(1);
  });
});

describe("lease reads (dissertation §6.4.1)", () => {
  test("they are off by default: each read costs a round", () => {
    const cluster = led();
    cluster.read(0);
    cluster.deliverAll();
    cluster.read(0);
    expect(cluster.count({ from: 0 })).toBe(4);
  });

  test("with a lease a read costs no message", () => {
    const cluster = led({ leaseReads: true });
    cluster.tick(0);
    cluster.deliverAll();
    cluster.sent.length = 0;
    for (let i = 0; i < 100; i++) expect(cluster.reads.get(cluster.read(0))).toBe(1);
    expect(cluster.sent).toEqual([]);
  });
});
