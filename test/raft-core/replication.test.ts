import { describe, expect, test } from "vitest";

import type { AppendEntries, RaftConfig } from "../../raft/core/index.js";
import type { Progress } from "../../raft/core/progress.js";
import { CoreCluster } from "../harness/core-cluster.js";
import type { Packet } from "../harness/core-packets.js";
import { appendEntries, appendReply, bytes, entriesFrom } from "../harness/core-messages.js";

/** Three servers, the first of which leads; nothing is on its way. */
function led(config: Partial<RaftConfig> = {}): CoreCluster {
  const cluster = new CoreCluster(3, { config });
  cluster.elect(0);
  cluster.deliverAll();
  cluster.sent.length = 0;
  return cluster;
}

const progress = (cluster: CoreCluster, of: number): Progress => cluster.core(0).state.progressOf(of)!;
const appends = (packets: readonly Packet[]): AppendEntries[] =>
  packets.map(({ message }) => message).filter((message) => message.type === "appendEntries");
const sizes = (packets: readonly Packet[]): number[] => appends(packets).map(({ entries }) => entries.length);

describe("replication (§5.3)", () => {
  test("a proposal is sent at once, to all, in parallel with the leader's own write", () => {
    const cluster = led();
    cluster.holdDisk(0);
    expect(cluster.propose(0, "x")).toBe(1);
    expect(cluster.mail.map(({ to }) => to)).toEqual([1, 2]);
    expect(sizes(cluster.mail)).toEqual([1, 1]);
    cluster.deliverAll();
    // The two others are a majority without it.
    expect(cluster.committed(0)).toEqual(["x"]);
    expect(cluster.disk(0).load().entries).toEqual([]);
    cluster.releaseDisk(0);
    cluster.run(100);
    for (const n of cluster.all) expect(cluster.committed(n)).toEqual(["x"]);
  });

  test("what is proposed before a flush travels in one message", () => {
    const cluster = led();
    for (const command of ["a", "b", "c"]) {
      cluster.act(0, (core) => expect(core.propose(cluster.now, [bytes(command)])).toBeGreaterThan(0));
    }
    cluster.act(0, (core) => core.flush(cluster.now));
    expect(sizes(cluster.mail)).toEqual([3, 3]);
  });

  test("appends are pipelined up to the window; what comes then waits, and travels together", () => {
    const cluster = led({ maxInflightMessages: 3 });
    for (let i = 0; i < 10; i++) cluster.propose(0, `x${i}`);
    expect(sizes(cluster.mail.filter(({ to }) => to === 1))).toEqual([1, 1, 1]);
    expect(progress(cluster, 1).inflightMessages).toBe(3);
    cluster.deliver({ to: 1 });
    cluster.deliver({ from: 1 });
    expect(sizes(cluster.mail.filter(({ to }) => to === 1))).toEqual([7]);
    cluster.deliverAll();
    expect(cluster.committed(0)).toHaveLength(10);
    expect(progress(cluster, 1)).toMatchObject({
      matchIndex: 10,
      nextIndex: 11,
      inflightMessages: 0,
      inflightBytes: 0,
    });
  });

  test("S25: bytes in flight are limited, but one entry may always go", () => {
    const cluster = led({ maxInflightBytes: 1000, maxAppendBytes: 400 });
    const command = "x".repeat(188); // 200 bytes with what an entry adds.
    for (let i = 0; i < 20; i++) cluster.propose(0, command);
    expect(sizes(cluster.mail.filter(({ to }) => to === 1))).toEqual([1, 1, 1, 1, 1]);
    expect(progress(cluster, 1).inflightBytes).toBe(1000);
    cluster.deliver({ to: 1 });
    cluster.deliver({ from: 1 });
    expect(progress(cluster, 1).inflightBytes).toBeLessThan(1400);
    expect(Math.max(...sizes(cluster.mail.filter(({ to }) => to === 1)))).toBe(2);
    cluster.deliverAll();
    const big = "y".repeat(100_000);
    cluster.propose(0, big, big);
    expect(sizes(cluster.mail.filter(({ to }) => to === 1))).toEqual([1]);
    cluster.deliverAll();
    expect(cluster.committed(2)).toHaveLength(21);
    expect(cluster.commitIndex(0)).toBe(22);
  });

  test("an idle group sends heartbeats that carry nothing", () => {
    const cluster = led();
    cluster.propose(0, "x");
    cluster.run(500);
    cluster.sent.length = 0;
    cluster.run(1000);
    expect(Math.max(...sizes(cluster.sent))).toBe(0);
  });
});

describe("losses", () => {
  test("a reported loss is made good at once, the next one at heartbeat pace", () => {
    const cluster = led();
    cluster.propose(0, "x");
    cluster.drop({ to: 2 });
    expect(cluster.lose({ to: 1 })).toHaveLength(1);
    expect(sizes(cluster.mail.filter(({ to }) => to === 1))).toEqual([1]);
    expect(cluster.lose({ to: 1 })).toHaveLength(1);
    expect(cluster.mail).toEqual([]);
    cluster.tick(0);
    expect(sizes(cluster.mail.filter(({ to }) => to === 1))).toEqual([1]);
    cluster.deliverAll();
    expect(cluster.committed(0)).toEqual(["x"]);
    // An answer makes it trust again.
    cluster.propose(0, "y");
    expect(cluster.lose({ to: 1 })).toHaveLength(1);
    expect(sizes(cluster.mail.filter(({ to }) => to === 1))).toEqual([1]);
  });

  test("mutation 39: a dead server gets no more than a message at each heartbeat and one more, however much is proposed", () => {
    const cluster = led();
    cluster.crash(2);
    for (let heartbeat = 0; heartbeat < 50; heartbeat++) {
      for (let i = 0; i < 20; i++) {
        cluster.propose(0, "x");
        cluster.lose({ to: 2 });
        cluster.deliverAll({ with: 1 });
      }
      cluster.tick(0);
    }
    // Until the first loss is known the window is open; then it is shut.
    expect(cluster.count({ to: 2 })).toBeLessThan(50 * 2 + 5);
    expect(cluster.commitIndex(0)).toBe(1000);
  });

  test("a follower that missed one message of many gets what is missing, and no more than twice", () => {
    const cluster = led();
    for (let i = 0; i < 10; i++) cluster.propose(0, `x${i}`);
    cluster.drop({ to: 2 });
    const [first, ...rest] = cluster.take({ to: 1 });
    for (const packet of rest) cluster.arrive(packet);
    expect(first).toBeDefined();
    cluster.deliverAll();
    expect(cluster.commitIndex(0)).toBe(10);
    expect(sizes(cluster.sent.filter(({ to }) => to === 1)).reduce((sum, size) => sum + size)).toBeLessThanOrEqual(30);
  });
});

describe("repeated and reordered messages (mutations 22 and 39: no storms)", () => {
  const COMMANDS = 100;

  function flood(config: Partial<RaftConfig>, disturb: (packets: Packet[]) => Packet[]): CoreCluster {
    const cluster = led(config);
    for (let i = 0; i < COMMANDS; i++) {
      cluster.propose(0, `x${i}`);
      if (i % 10 === 9) for (const packet of disturb(cluster.take())) cluster.arrive(packet);
    }
    for (let i = 0; i < 1000 && cluster.mail.length > 0; i++) {
      for (const packet of disturb(cluster.take())) cluster.arrive(packet);
    }
    expect(cluster.mail).toEqual([]);
    expect(cluster.commitIndex(0)).toBe(COMMANDS);
    for (const of of [1, 2]) expect(progress(cluster, of)).toMatchObject({ state: "replicate", matchIndex: COMMANDS });
    return cluster;
  }

  test("in order and whole: one message and one answer an append", () => {
    expect(flood({}, (packets) => packets).sent.length).toBe(COMMANDS * 4);
  });

  test("each message arrives twice: no message more is sent by the leader", () => {
    const cluster = flood({}, (packets) => packets.flatMap((packet) => [packet, packet]));
    expect(cluster.count({ from: 0 })).toBe(COMMANDS * 2);
  });

  test("everything arrives in reverse", () => {
    const cluster = flood({}, (packets) => packets.toReversed());
    expect(cluster.count({ from: 0 })).toBeLessThan(COMMANDS * 2 * 2);
  });

  test("reversed, twice, in a narrow window", () => {
    const cluster = flood({ maxInflightMessages: 4 }, (packets) =>
      packets.toReversed().flatMap((packet) => [packet, packet]),
    );
    expect(cluster.count({ from: 0 })).toBeLessThan(COMMANDS * 2 * 2);
  });

  test("old answers move nothing back", () => {
    const cluster = led();
    cluster.propose(0, "a");
    cluster.deliverAll();
    cluster.propose(0, "b");
    cluster.deliverAll();
    const { seq } = cluster.sent.find(({ from }) => from === 0)!;
    cluster.sent.length = 0;
    cluster.answer(0, 1, appendReply({ seq, index: 1 }));
    cluster.answer(0, 1, appendReply({ seq, success: false, index: 1 }));
    cluster.answer(0, 1, appendReply({ seq, success: false, index: 2 }));
    expect(progress(cluster, 1)).toMatchObject({ state: "replicate", matchIndex: 2, nextIndex: 3 });
    expect(cluster.sent).toEqual([]);
  });

  test("mutations 13 and 14: entries are taken only after an equal one, and a differing tail goes as a whole", () => {
    const disks = [{}, {}, { log: [1, 2, 2, 2] }];
    const cluster = new CoreCluster(3, { disks });
    const entries = entriesFrom(2, "3");
    expect(cluster.ask(2, appendEntries({ term: 3, prevLogIndex: 2, prevLogTerm: 1, entries }))).toMatchObject({
      success: false,
    });
    expect(cluster.logTerms(2)).toEqual([1, 2, 2, 2]);
    expect(cluster.ask(2, appendEntries({ term: 3, prevLogIndex: 1, prevLogTerm: 1, entries }))).toMatchObject({
      success: true,
      index: 2,
    });
    expect(cluster.logTerms(2)).toEqual([1, 3]);
    cluster.restart(2);
    expect(cluster.logTerms(2)).toEqual([1, 3]);
  });
});
