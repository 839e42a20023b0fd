import { expect, test } from "vitest";

import { groupStory } from "../harness/group-cluster.js";
import { eventually } from "../harness/service-cluster.js";
import { FIRST_SEGMENT, snapshotAt, storageStory } from "../harness/storage-story.js";
import { Story } from "../harness/story.js";

test("S53: a server on its own acknowledges nothing that is not on its disk", () => {
  // Its disk is slow when two commands come.
  const story = Story.led(1);
  story.holdDisk(0);
  story.propose(0, "a");
  story.propose(0, "b");
  // It is a majority, but its log in memory does not count.
  story.expectCommitIndex(0, 0);
  // Each command is committed when its own write is done.
  story.releaseDisk(0, 1);
  story.expectCommitted(0, "a");
  // A crash takes the second, of which nobody was told.
  story.crash(0);
  story.restart(0);
  story.expectLog(0, "1");
});

test("S53: nor does a candidate count its own vote before it is on its disk", () => {
  // The disk is slow when a server on its own stands for election, in term 1 and, some time later, in term 2.
  const story = new Story(1, { config: { preVote: false } });
  story.holdDisk(0);
  story.standForElection(0);
  // One vote would be enough; but after a crash it might give another in the same term.
  expect(story.core(0).state).toMatchObject({ role: "candidate", term: 1 });
  story.standForElection(0);
  // The write of its vote in term 1 is done, which is none in term 2.
  story.releaseDisk(0, 1);
  expect(story.core(0).state).toMatchObject({ role: "candidate", term: 2 });
  // It leads when the vote of term 2 is written.
  story.releaseDisk(0);
  story.expectLeads(0, 2);
});

test(
  "S54: of two records that were not synced only the second reaches the disk: that is a torn end, and no damage",
  storageStory(
    async (story) => {
      // The first entry is durable; the next two, a record each, wait for their sync.
      story.append(1, "a");
      await story.settled();
      const end = story.disk.size(FIRST_SEGMENT);
      story.disk.holdSyncs();
      const lost = story.append(2, "b", "c");
      await story.settled();
      const middle = (end + story.disk.size(FIRST_SEGMENT)) / 2;
      // The power goes: the disk has written the second record, and a hole where the first should be.
      story.disk.losePower(({ path, position }) => path === FIRST_SEGMENT && position >= middle, false);
      // The server starts all the same, with what was acknowledged, and says what it has cut off.
      await story.start();
      expect(story.found).toEqual(["a"]);
      expect(story.storage.recovery.cut).toMatchObject({ file: FIRST_SEGMENT, offset: end });
      expect(lost.settled).toBe(false);
      // What it writes there now stays, and nothing of the old end comes back behind it.
      story.append(2, "B");
      await story.settled();
      story.disk.losePower(() => false, false);
      await story.start();
      expect(story.found).toEqual(["a", "B"]);
    },
    { recordBytes: 1 },
  ),
);

test(
  "S55: files that were made and renamed are still there after the power was lost",
  storageStory(
    async (story) => {
      // The log goes on in a second file, and there is a snapshot: three files were made under other names and renamed.
      const [first, second, third] = [story.append(1, "a".repeat(2000)), story.append(2, "b"), story.append(3, "c")];
      await story.settled();
      story.save({ snapshot: snapshotAt(2, "ab") });
      await story.settled();
      const fourth = story.append(4, "d");
      await story.settled();
      expect([first, second, third, fourth].every(({ settled }) => settled)).toBe(true);
      // The power goes: what was not synced is gone, and names that were not are as they were before.
      story.disk.losePower(() => false, false);
      await story.start();
      // Everything that was acknowledged is there, and nothing is there under an unfinished name.
      expect(story.storage.load().snapshot).toMatchObject({ index: 2 });
      expect(story.found).toEqual(["c", "d"]);
      expect(story.disk.names.every((name) => /\/(wal-\d+\.log|snapshot-\d+\.snap|\d+\.snap)$/.test(name))).toBe(true);
    },
    { segmentBytes: 1024 },
  ),
);

test(
  "S56: an unsynced end that became garbage, with a length beyond all measure, is cut off",
  storageStory(async (story) => {
    // One entry is durable, another is being written.
    story.append(1, "a");
    await story.settled();
    const end = story.disk.size(FIRST_SEGMENT);
    story.disk.holdSyncs();
    story.append(2, "b");
    await story.settled();
    // The power goes; where the record should begin there is garbage, which says that four gigabytes follow.
    story.disk.losePower(() => false, false);
    story.disk.scribble(FIRST_SEGMENT, end, new Uint8Array(100).fill(0xff));
    // The server starts with the first entry, and cuts the garbage off.
    await story.start();
    expect(story.found).toEqual(["a"]);
    expect(story.storage.recovery.cut).toMatchObject({ offset: end, bytes: 100 });
    expect(story.disk.size(FIRST_SEGMENT)).toBe(end);
  }),
);

test(
  "S57: nothing is acknowledged whose sync is still to come",
  storageStory(async (story) => {
    // An entry is written, and the sync takes for ever.
    story.disk.holdSyncs();
    const write = story.append(1, "a");
    await story.settled();
    expect(story.disk.heldSyncs).toBe(1);
    // Nobody is told that it is done, and after a loss of power it is not there.
    expect(write.settled).toBe(false);
    story.disk.losePower(() => false, false);
    await story.start();
    expect(story.found).toEqual([]);
    // Written again and synced, it is acknowledged, and survives.
    const again = story.append(1, "a");
    await story.settled();
    expect(again).toMatchObject({ settled: true });
    expect(again.error).toBeUndefined();
    story.disk.losePower(() => false, false);
    await story.start();
    expect(story.found).toEqual(["a"]);
  }),
);

test(
  "S58: a flipped bit in the middle of the log, or in the snapshot, is refused and never cut away",
  storageStory(async (story) => {
    // Three entries are durable, and a snapshot holds the first.
    for (const [i, text] of ["1111", "2222", "3333"].entries()) {
      story.append(i + 1, text);
      await story.settled();
    }
    story.save({ snapshot: snapshotAt(1, "one") });
    await story.settled();
    const snapshot = story.disk.names.find((name) => name.endsWith(".snap"))!;
    for (const [path, text] of [
      [FIRST_SEGMENT, "2222"],
      [snapshot, "one"],
    ] as const) {
      // Of one of them a bit flips; good records stand behind it.
      story.disk.losePower(() => true, true);
      const position = story.disk.content(path).indexOf(text);
      story.disk.flipBit(path, position);
      const damaged = story.disk.content(path);
      // The server does not start, names the file, and leaves it as it is.
      await expect(story.start()).rejects.toMatchObject({ code: "CORRUPT_LOG", file: path });
      expect(story.disk.content(path)).toEqual(damaged);
      // With the bit put right it starts with everything.
      story.disk.flipBit(path, position);
      await story.start();
      expect(story.found).toEqual(["2222", "3333"]);
    }
  }),
);

test(
  "S59: a full disk costs a server leadership, not its life: its store stays, and it goes on when there is space",
  groupStory(async (cluster, leader, clerk) => {
    // The leader's disk is full when a write comes; the two others store it.
    cluster.disks[leader]!.isFull = true;
    await clerk.append("k", "b");
    // It gives leadership away, and does not wait for its writes to take suspiciously long: they will not succeed.
    const others = [0, 1, 2].filter((n) => n !== leader);
    await eventually(cluster.runtime, () => !cluster.groups[leader]!.isLeader, 500);
    const next = await cluster.leader(others);
    await clerk.append("k", "c");
    // It has not stopped: it says that its disk is full, and its store is still there.
    expect(cluster.failures).toEqual([]);
    expect(cluster.groups[leader]!.status()).toMatchObject({ failure: null, disk: { health: "full" } });
    expect(cluster.groups[leader]!.status().store).toMatchObject({ keys: 1 });
    // With space it goes on without a restart, and makes a majority with the new leader alone.
    cluster.disks[leader]!.isFull = false;
    await eventually(cluster.runtime, () => cluster.groups[leader]!.status().disk!.health === "ok");
    cluster.cutOff(others.find((n) => n !== next)!);
    await clerk.append("k", "d");
    expect(await clerk.get("k")).toBe("abcd");
  }),
);

test(
  "S60: a server that lost committed entries to damage elects nobody and is not elected",
  storageStory(async (disk) => {
    // Servers 0 and 1 have committed three entries, of which server 2 has none; what 0 has is also on this disk.
    const cluster = Story.led();
    for (const [i, command] of ["a", "b", "c"].entries()) {
      cluster.propose(0, command);
      cluster.carry(0, 1);
      disk.save({ hardState: i === 0 ? { term: 1, votedFor: 0 } : null, firstIndex: i + 1, ...entriesOf(cluster, i) });
      await disk.settled();
    }
    cluster.expectCommitIndex(0, 3);
    // All crash, and the record of the second entry is damaged: the log could be cut off after the first.
    cluster.crashAll();
    disk.disk.losePower(() => true, true);
    disk.disk.flipBit(FIRST_SEGMENT, disk.disk.content(FIRST_SEGMENT).indexOf("b", 56));
    // Server 0 refuses to start with a shorter log, so it does not vote for server 2, which has none.
    await expect(disk.start()).rejects.toMatchObject({ code: "CORRUPT_LOG" });
    cluster.restart(2);
    cluster.silence();
    for (let attempt = 0; attempt < 3; attempt++) {
      cluster.standForElection(2);
      cluster.deliverAll();
    }
    expect(cluster.leader()).toBeNull();
    // Server 1 comes back and is elected, with all three entries.
    cluster.restart(1);
    cluster.elect(1, [2]);
    cluster.commit(1, "d");
    cluster.expectCommitted(2, "a", "b", "c", "d");
  }),
);

/** What server 0 has stored as its entry number `i`, counted from 0. */
function entriesOf(cluster: Story, i: number): { entries: ReturnType<ReturnType<Story["disk"]>["load"]>["entries"] } {
  return {
    entries: cluster
      .disk(0)
      .load()
      .entries.slice(i, i + 1),
  };
}
