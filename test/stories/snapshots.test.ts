import { expect, test } from "vitest";

import { Network } from "../../labrpc/index.js";
import { makeRaft, Persister, type Raft } from "../../raft/index.js";
import { simulate } from "../../sim/index.js";
import { bytes, installSnapshot } from "../harness/core-messages.js";
import { append, logStory, register, remove, write } from "../harness/log-story.js";
import { track } from "../harness/service-cluster.js";
import { entry, snapshotAt, storageStory } from "../harness/storage-story.js";
import { Story } from "../harness/story.js";

test(
  "S39: a snapshot that passes the entry of a waiting call releases the call",
  logStory(async (story) => {
    // Two clients wait for entries 1 and 2 of this server.
    const passed = track(story.rsm.submit(register()));
    const beyond = track(story.rsm.submit(register()));
    // A snapshot arrives which contains entry 1, or whatever stands at that place: its result is nowhere to be had.
    const donor = story.startFrom(story.machine.snapshot());
    donor.log.deliver({ type: "command", index: 1, term: 1, command: register() });
    await story.settled();
    story.log.deliver({ type: "snapshot", index: 1, term: 1, snapshot: donor.machine.snapshot() });
    await story.settled();
    // The first client is told that it may have happened; the second goes on waiting.
    expect(passed.error).toMatchObject({ code: "LEADERSHIP_LOST", maybeApplied: true });
    expect(beyond.settled).toBe(false);
    // Entry 2 commits, and answers it: the group has not stopped.
    story.log.commit(2);
    await story.settled();
    expect(beyond.value).toEqual([2]);
    expect(story.failures).toEqual([]);
  }),
);

test("S40: a leader that has nothing but its snapshot brings an empty follower up to it", () => {
  // Leader 0 has committed with server 2 and put its whole log into a snapshot; server 1 has nothing.
  const story = new Story(3);
  story.elect(0, [2]);
  story.propose(0, "a", "b", "c");
  story.carry(0, 2);
  story.drop();
  story.compact(0);
  story.expectLog(0, "");
  // It restarts, and leads again: it knows nothing about server 1, and has no entry to probe with.
  story.restart(0);
  story.elect(0, [2]);
  // Server 1 gets the snapshot, which ends at exactly the leader's last index.
  story.until(
    () => story.appliedIndex(1) === 3,
    () => {
      story.heartbeat(0);
      story.deliverAll();
    },
  );
  expect(story.count({ type: "installSnapshot" })).toBeGreaterThan(0);
  // The leader looks for nothing any more: the next entry goes out at once, and is answered.
  expect(story.core(0).state.progressOf(1)).toMatchObject({ state: "replicate", matchIndex: 3 });
  story.propose(0, "d");
  story.carry(0, 1);
  story.expectCommitted(0, "d");
});

test(
  "S41: a snapshot that is asked for while another is being written is written too",
  storageStory(
    async (story) => {
      // The log holds three entries; writing the snapshot up to the first takes long.
      story.append(1, "a".repeat(2000), "b".repeat(2000), "c".repeat(2000));
      await story.settled();
      story.save({ snapshot: snapshotAt(1, "one") });
      story.disk.holdSyncs();
      await story.settled();
      // Meanwhile the next one comes, up to the third, and after that the server is quiet.
      story.save({ snapshot: snapshotAt(3, "three") });
      await story.settled();
      story.disk.releaseSyncs();
      await story.settled();
      // The second is on the disk and has replaced the first, without anything that had to come after it.
      expect(story.storage.stats()).toMatchObject({ snapshotIndex: 3 });
      expect(story.disk.names.filter((name) => name.includes("snap"))).toHaveLength(1);
      // With the next entry the log moves on to a new file, and the old one, which the snapshot covers, goes.
      story.append(4, "d");
      await story.settled();
      story.save({ snapshot: snapshotAt(4, "four") });
      await story.settled();
      expect(story.storage.stats()).toMatchObject({ segments: 1, snapshotIndex: 4 });
      expect(story.storage.stats().logBytes).toBeLessThan(2000);
    },
    { segmentBytes: 4096 },
  ),
);

test("S42: a snapshot that claims another term for what is committed is not adopted", () => {
  // Server 1 knows that three entries of term 1 are committed.
  const story = Story.led();
  story.commit(0, "a", "b", "c");
  story.expectCommitIndex(1, 3);
  // A snapshot arrives that ends with the second, or the third, and says it is of term 2.
  for (const lastIncludedIndex of [2, 3]) {
    const claim = { leader: 2, term: 2, lastIncludedIndex, lastIncludedTerm: 2, data: bytes("another history") };
    story.ask(1, installSnapshot(claim));
    // Nothing of it is taken: not the state, not the term of the entry, not a byte on the disk.
    story.expectCommitted(1, "a", "b", "c");
    story.expectLog(1, "1x3");
  }
  expect(story.restores).toBe(0);
  story.restart(1);
  story.expectLog(1, "1x3");
});

test(
  "S43: an installed snapshot replaces the state, so what was deleted does not come back",
  logStory(async (story) => {
    // One server has applied two writes, then falls behind.
    story.log.deliver({ type: "command", index: 1, term: 1, command: register() });
    story.log.deliver({ type: "command", index: 2, term: 1, command: write(1, 1, append("gone", "x")) });
    story.log.deliver({ type: "command", index: 3, term: 1, command: write(1, 2, append("kept", "x")) });
    await story.settled();
    // The others delete a key, end with another client, and take a snapshot.
    const other = story.startFrom(story.machine.snapshot());
    other.log.deliver({ type: "command", index: 4, term: 1, command: write(1, 3, remove("gone")) });
    other.log.deliver({ type: "command", index: 5, term: 1, command: register(1) });
    await story.settled();
    // It is given that snapshot, and has neither the key nor the old client's session.
    story.log.deliver({ type: "snapshot", index: 5, term: 1, snapshot: other.machine.snapshot() });
    await story.settled();
    expect([story.value("gone"), story.value("kept")]).toEqual([null, "x"]);
    expect(story.machine.snapshot()).toEqual(other.machine.snapshot());
    expect(story.machine.sessions.size).toBe(1);
  }),
);

test(
  "S44: a server that cannot restore a snapshot stops, and applies nothing on top of what it had",
  logStory(async (story) => {
    // A server has one session, and is given a damaged snapshot and then the entries behind it.
    story.log.deliver({ type: "command", index: 1, term: 1, command: register() });
    story.log.deliver({ type: "snapshot", index: 5, term: 1, snapshot: new Uint8Array([0xc1]) });
    story.log.deliver({ type: "command", index: 6, term: 1, command: write(1, 1, append("k", "x")) });
    await story.settled();
    // It ends there and says why: the entry behind the snapshot is not applied to the state before it.
    expect(story.failures).toMatchObject([{ code: "STATE_MACHINE" }]);
    expect(story.value("k")).toBeNull();
    expect(story.log.killed).toBe(true);
    // Whoever asks it is told, not left waiting.
    await expect(story.rsm.submit(register())).rejects.toBe(story.failures[0]);
  }),
);

test("S45: a crash at any step of an installed snapshot leaves the old state or the new one", async () => {
  for (const survives of [true, false]) {
    let outcomes = "";
    for (let steps = 0; !outcomes.endsWith("acknowledged"); steps++) {
      await storageStory(async (story) => {
        // The log holds four entries of term 1, which the snapshot up to (3, term 2) contradicts.
        story.append(1, "a", "b", "c", "d");
        await story.settled();
        // The snapshot is installed in place of all of them; the power goes after so many operations of the disk.
        story.disk.endPowerAfter(steps);
        const install = story.save({ snapshot: snapshotAt(3, "abc", 2), discardLog: true });
        await story.settled();
        story.disk.losePower(() => survives, survives);
        await story.start();
        // The server finds the old log without the snapshot, or the snapshot without the old log, and goes on from there.
        const { snapshot } = story.storage.load();
        expect(story.found).toEqual(snapshot === null ? ["a", "b", "c", "d"] : []);
        if (install.settled) expect(snapshot).toMatchObject({ index: 3, term: 2 });
        story.save({ firstIndex: snapshot === null ? 5 : 4, entries: [entry("next", 2)] });
        await story.settled();
        story.disk.losePower(() => false, false);
        await story.start();
        expect(story.found.at(-1)).toBe("next");
        outcomes += snapshot === null ? "old " : install.settled ? "acknowledged" : "new ";
      })();
    }
    expect(outcomes).toMatch(/^(old ){3,}(new )+acknowledged$/);
  }
});

test("S46: two snapshots in quick succession, of which neither is on the disk yet", () => {
  // Three commands are committed, by the followers' disks: that of the leader is slow. A fourth is on its way.
  const story = Story.led();
  story.holdDisk(0);
  story.propose(0, "a", "b", "c");
  story.deliverAll();
  story.expectCommitIndex(0, 3);
  story.propose(0, "d");
  // Its service takes a snapshot up to the first, and at once another up to the third.
  story.act(0, (core) => core.compact(story.now, 1, bytes("a")));
  story.act(0, (core) => core.compact(story.now, 3, bytes("abc")));
  // After each of the four writes it may crash: nothing that was written is lost, in the log or in a snapshot.
  for (let kept = 0; kept <= story.heldWrites(0).length; kept++) {
    const disk = story.disk(0).copy();
    for (const held of story.heldWrites(0).slice(0, kept)) disk.write(held, () => {});
    const { snapshot, entries } = disk.load();
    expect((snapshot?.index ?? 0) + entries.length).toBe([0, 3, 4, 4, 4][kept]);
  }
  // When all are done, it has the second snapshot, and the entry behind it.
  story.releaseDisk(0);
  story.restart(0);
  expect(story.core(0).state.log).toMatchObject({ lastIncludedIndex: 3, lastIndex: 4 });
  expect(story.disk(0).load().snapshot?.data).toEqual(bytes("abc"));
});

test(
  "S47: state and applied index are one: after a restart nothing is skipped and nothing applied twice",
  logStory(async (story) => {
    // The log has become large when entry 3 is applied; entry 4 is committed too, but not applied yet.
    story.log.deliver({ type: "command", index: 1, term: 1, command: register() });
    story.log.deliver({ type: "command", index: 2, term: 1, command: write(1, 1, append("k", "a")) });
    await story.settled();
    story.log.bytes = 1000;
    const last = write(1, 2, append("k", "b"));
    story.log.deliver({ type: "command", index: 3, term: 1, command: last });
    story.log.deliver({ type: "command", index: 4, term: 1, command: write(1, 3, append("k", "c")) });
    await story.settled();
    // The snapshot says that it goes up to 3, and holds exactly what is applied up to there.
    const [taken] = story.log.snapshots;
    expect(taken!.index).toBe(3);
    const restarted = story.startFrom(taken!.snapshot);
    expect(restarted.value("k")).toBe("ab");
    // The log goes on with entry 4, and both servers have the same state, byte for byte.
    restarted.log.deliver({ type: "command", index: 4, term: 1, command: write(1, 3, append("k", "c")) });
    await story.settled();
    expect(restarted.value("k")).toBe("abc");
    expect(restarted.machine.snapshot()).toEqual(story.machine.snapshot());
  }, 1000),
);

test("S47: a service that is slow takes snapshots of what it has applied, not of what is committed", () =>
  simulate({ seed: 1 }, async (runtime) => {
    const start = async (persister: Persister): Promise<Raft> => {
      const raft = makeRaft({ peers: [new Network(runtime).makeEnd("itself")], me: 0, persister, runtime });
      await new Promise<void>((resolve) => raft.onStateChange(() => raft.getState().isLeader && resolve()));
      return raft;
    };
    // Five commands are committed on a server, and its service has taken two of them from applyCh.
    const persister = new Persister();
    const raft = await start(persister);
    for (const command of ["a", "b", "c", "d", "e"]) raft.start(command);
    const service = raft.applyCh[Symbol.asyncIterator]();
    expect((await service.next()).value).toMatchObject({ index: 1, command: "a" });
    expect((await service.next()).value).toMatchObject({ index: 2, command: "b" });
    expect(raft.status().commitIndex).toBe(5);
    // It can take a snapshot of these two; one of what is merely committed is refused.
    raft.snapshot(2, bytes("ab"));
    expect(() => raft.snapshot(5, bytes("abcde"))).toThrow(/ahead of applyCh/);
    // After a crash the service has "ab", and the next thing that it is given is the third command.
    raft.kill();
    const restarted = await start(persister.copy());
    restarted.start("f");
    expect((await restarted.applyCh[Symbol.asyncIterator]().next()).value).toMatchObject({ index: 3, command: "c" });
    restarted.kill();
  }));
