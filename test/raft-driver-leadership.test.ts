import { describe, expect, test } from "vitest";

import { KilledError, NotLeaderError, TransferError } from "../raft/index.js";
import { AbortError, InvalidArgumentError, TimeoutError } from "../runtime/index.js";
import { DriverCluster, story } from "./harness/driver-cluster.js";

const NOT_LEADING = { index: -1, isLeader: false };

describe("readBarrier", () => {
  test(
    "resolves once everything committed before it is applied here",
    story(async (cluster, leader) => {
      const node = cluster.nodes[leader]!;
      let resume = (): void => {};
      const gate = new Promise<void>((resolve) => (resume = resolve));
      node.onMessage = (message) => (message.index === 2 ? gate : undefined);
      for (const command of ["a", "b", "c"]) node.raft.start(command);
      await cluster.until(() => node.raft.status().commitIndex === 3);
      let isReady = false;
      const barrier = node.raft.readBarrier().then(() => (isReady = true));
      await cluster.runtime.clock.sleep(1000);
      expect(isReady).toBe(false);
      resume();
      await barrier;
      expect(node.raft.status().appliedIndex).toBeGreaterThanOrEqual(3);
      // Nothing to wait for: at once.
      await node.raft.readBarrier({ timeoutMs: 1 });
    }),
  );

  test(
    "many in one turn share a round",
    story(async (cluster, leader, runtime) => {
      cluster.rafts[leader]!.start("a");
      await cluster.until(() => cluster.nodes.every((node) => node.applied.length === 1));
      await runtime.clock.sleep(1);
      const before = cluster.network.getTotalCount();
      await Promise.all(Array.from({ length: 100 }, () => cluster.rafts[leader]!.readBarrier()));
      expect(cluster.network.getTotalCount() - before).toBe(2);
    }),
  );

  test(
    "elsewhere it rejects with a hint, and at kill or at the loss of leadership too",
    story(async (cluster, leader) => {
      const error = await cluster.rafts[(leader + 1) % 3]!.readBarrier().catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(NotLeaderError);
      expect(error).toMatchObject({ code: "NOT_LEADER", leader });
      const raft = cluster.rafts[leader]!;
      cluster.connect(leader, false);
      await expect(raft.readBarrier()).rejects.toThrow(NotLeaderError);
      cluster.connect(leader, true);
      const next = await cluster.leader();
      const waiting = cluster.rafts[next]!.readBarrier();
      cluster.kill(next);
      await expect(waiting).rejects.toThrow(NotLeaderError);
      await expect(cluster.rafts[next]!.readBarrier()).rejects.toThrow(NotLeaderError);
    }),
  );

  test(
    "its limits end it, and only sensible ones are taken",
    story(async (cluster, leader, runtime) => {
      const raft = cluster.rafts[leader]!;
      cluster.connect(leader, false);
      const startedAt = runtime.clock.now();
      await expect(raft.readBarrier({ timeoutMs: 50 })).rejects.toThrow(TimeoutError);
      expect(runtime.clock.now() - startedAt).toBe(50);
      const controller = new AbortController();
      const waiting = raft.readBarrier({ signal: controller.signal, timeoutMs: 100 });
      const reason = new Error("changed my mind");
      controller.abort(reason);
      const error = await waiting.catch((caught: unknown) => caught);
      expect(error).toBeInstanceOf(AbortError);
      expect(error).toMatchObject({ code: "ABORTED", cause: reason });
      for (const timeoutMs of [NaN, -1]) {
        await expect(raft.readBarrier({ timeoutMs })).rejects.toThrow(InvalidArgumentError);
      }
      const later = raft.readBarrier({ timeoutMs: Infinity });
      raft.kill();
      await expect(later).rejects.toThrow(NotLeaderError);
    }),
  );

  test(
    "a signal that is aborted already sends nothing",
    story(async (cluster, leader, runtime) => {
      cluster.rafts[leader]!.start("a");
      await cluster.until(() => cluster.nodes.every((node) => node.applied.length === 1));
      await runtime.clock.sleep(1);
      const before = cluster.network.getTotalCount();
      const signal = AbortSignal.abort();
      await expect(cluster.rafts[leader]!.readBarrier({ signal })).rejects.toThrow(AbortError);
      await expect(cluster.rafts[leader]!.transferLeadership(undefined, { signal })).rejects.toThrow(AbortError);
      await runtime.clock.sleep(0);
      expect(cluster.network.getTotalCount()).toBe(before);
      expect(cluster.rafts[leader]!.start("b").isLeader).toBe(true);
    }),
  );
});

describe("leadership", () => {
  test(
    "transferLeadership hands over to the one that is named, without a pause",
    story(async (cluster, leader, runtime) => {
      const target = (leader + 1) % 3;
      const startedAt = runtime.clock.now();
      await cluster.rafts[leader]!.transferLeadership(target);
      await cluster.until(() => cluster.rafts[target]!.getState().isLeader);
      expect(runtime.clock.now() - startedAt).toBeLessThan(50);
      await cluster.rafts[target]!.transferLeadership(target);
      expect(cluster.rafts[target]!.getState().isLeader).toBe(true);
      await cluster.rafts[target]!.transferLeadership();
      expect(await cluster.leader()).not.toBe(target);
    }),
  );

  test(
    "a transfer that cannot be is an error that says why",
    story(async (cluster, leader, runtime) => {
      const raft = cluster.rafts[leader]!;
      const target = (leader + 1) % 3;
      await expect(cluster.rafts[target]!.transferLeadership()).rejects.toThrow(NotLeaderError);
      await expect(raft.transferLeadership(7)).rejects.toThrow(InvalidArgumentError);
      expect(raft.start("taken all the same").isLeader).toBe(true);
      cluster.kill(target);
      const startedAt = runtime.clock.now();
      const first = raft.transferLeadership(target);
      expect(raft.start("refused meanwhile")).toMatchObject(NOT_LEADING);
      const second = raft.transferLeadership(target);
      await expect(first).rejects.toThrow("another transfer took its place");
      await expect(second).rejects.toThrow(TransferError);
      expect(runtime.clock.now() - startedAt).toBe(1000);
      expect(raft.start("taken again").isLeader).toBe(true);
      const limited = await raft.transferLeadership(target, { timeoutMs: 5 }).catch((error: unknown) => error);
      // The request is on its way: it may still happen.
      expect(limited).toBeInstanceOf(TimeoutError);
      expect(limited).toMatchObject({ maybeApplied: true });
      const killed = raft.transferLeadership(target);
      raft.kill();
      await expect(killed).rejects.toThrow(KilledError);
      const alone = new DriverCluster(runtime, 1);
      await alone.leader();
      await expect(alone.rafts[0]!.transferLeadership()).rejects.toThrow("no other server");
    }),
  );

  test(
    "stepDown makes another one lead",
    story(async (cluster, leader) => {
      cluster.rafts[leader]!.stepDown();
      expect(cluster.rafts[leader]!.getState().isLeader).toBe(false);
      await cluster.until(() => cluster.rafts.some((raft) => raft.getState().isLeader));
      expect(await cluster.leader()).not.toBe(leader);
    }),
  );

  test(
    "onStateChange tells of every new term and leader, and of the end",
    story(async (cluster, leader) => {
      const raft = cluster.rafts[leader]!;
      const seen: string[] = [];
      raft.onStateChange(() => seen.push(`${raft.getState().term} ${raft.getState().isLeader} ${raft.leaderHint()}`));
      let ignored = 0;
      raft.onStateChange(() => ignored++)();
      const { term } = raft.getState();
      const target = (leader + 1) % 3;
      await raft.transferLeadership(target);
      await cluster.leader();
      raft.kill();
      expect(seen.at(0)).toBe(`${term + 1} false null`);
      expect(seen.at(-2)).toBe(`${term + 1} false ${target}`);
      expect(seen.at(-1)).toBe(`${term + 1} false null`);
      expect(ignored).toBe(0);
    }),
  );

  test(
    "status() is plain data with a row for each follower",
    story(async (cluster, leader) => {
      cluster.rafts[leader]!.start("a");
      await cluster.until(() => cluster.nodes.every((node) => node.applied.length === 1));
      const status = cluster.rafts[leader]!.status();
      const { term } = cluster.rafts[leader]!.getState();
      const row = {
        state: "replicate",
        matchIndex: 1,
        nextIndex: 2,
        inflightMessages: 0,
        inflightBytes: 0,
        active: true,
        hasStored: true,
      };
      expect(structuredClone(status)).toEqual({
        id: leader,
        role: "leader",
        term,
        votedFor: leader,
        leader,
        commitIndex: 1,
        appliedIndex: 1,
        durableIndex: 1,
        lastIncludedIndex: 0,
        lastIncludedTerm: 0,
        lastIndex: 1,
        lastTerm: term,
        killed: false,
        isSettled: true,
        followers: [0, 1, 2].filter((id) => id !== leader).map((id) => ({ id, ...row })),
      });
      const follower = cluster.rafts[(leader + 1) % 3]!;
      expect(follower.status()).toMatchObject({ role: "follower", leader, followers: [] });
      follower.kill();
      expect(follower.status().killed).toBe(true);
      await cluster.runtime.clock.sleep(1000);
      expect(
        cluster.rafts[leader]!.status()
          .followers.map(({ active }) => active)
          .toSorted(),
      ).toEqual([false, true]);
    }),
  );
});
