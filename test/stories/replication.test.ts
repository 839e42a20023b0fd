import { expect, test } from "vitest";

import { RefusedMessageError } from "../../raft/core/index.js";
import { appendEntries, entriesFrom, terms } from "../harness/core-messages.js";
import { logs, Story } from "../harness/story.js";

test("S12: figure 8: an entry of an earlier term is not committed by counting", () => {
  // (a) Server 0 leads term 2 and brings its entry to server 1 only, then crashes.
  const story = new Story(5, { disks: logs("1", "1", "1", "1", "1") });
  story.elect(0);
  story.propose(0, "two");
  story.deliver({ to: 1 });
  story.drop();
  story.crash(0);
  // (b) Server 4 wins term 3 with servers 2 and 3, appends, and crashes before anybody hears of it.
  story.elect(4, [2, 3]);
  story.propose(4, "three");
  story.drop();
  story.crash(4);
  // (c) Server 0 comes back, wins term 4, and brings its entry of term 2 to a majority: 0, 1 and 2.
  story.restart(0);
  story.elect(0, [1, 2]);
  for (let i = 0; i < 3; i++) {
    story.heartbeat(0);
    story.carry(0, 1, 2);
  }
  story.expectLeads(0, 4);
  for (const n of [0, 1, 2]) story.expectLog(n, "1 2");
  // That commits nothing, for (d): it crashes, server 4 is elected by 1, 2 and 3, and overwrites that entry everywhere.
  story.expectCommitIndex(0, 0);
  story.crash(0);
  story.drop();
  story.restart(4);
  story.elect(4, [1, 2, 3]);
  story.commit(4, "five");
  for (const n of [1, 2, 3, 4]) story.expectLog(n, "1 3 5");
  story.expectCommitIndex(1, 3);
});

test("S13: a shorter append that arrives late cuts nothing off", () => {
  // Leader 0 sends one entry to server 1, and the message is slow; it is sent again with two more.
  const story = Story.led();
  story.propose(0, "a");
  const slow = story.delay({ from: 0, to: 1 });
  story.propose(0, "b", "c");
  story.arriveLate(slow);
  story.carry(0, 1);
  // Server 1 has acknowledged three entries, and with them they are committed.
  story.expectMatch(0, 1, 3);
  story.expectCommitIndex(0, 3);
  // The slow message arrives once more: it ends after the first entry, and that is no reason to cut off the others.
  story.arriveLate(slow);
  story.expectLog(1, "1x3");
});

test("S14: a follower's answer to a heartbeat vouches for nothing beyond the heartbeat", () => {
  // Server 1 has a tail of an old leader, (3, term 2) and (4, term 2), which nobody else has.
  const story = new Story(3, { disks: logs("1x2", "1x2 2x2", "1x2") });
  story.elect(0, [2]);
  story.drop();
  // The new leader appends entries 3 and 4 of its own; nothing of them arrives anywhere.
  story.propose(0, "x", "y");
  story.drop();
  // An empty heartbeat reaches server 1 and succeeds: both have the entries in front of it.
  story.heartbeat(0);
  const heartbeats = story.deliver({ to: 1 });
  expect(heartbeats.map(({ message }) => message)).toMatchObject([{ entries: [] }]);
  story.deliver({ from: 1 });
  // The leader must not take the length of that log for its match: it counts nothing, and commits nothing.
  expect(story.core(0).state.progressOf(1)!.matchIndex).toBeLessThanOrEqual(2);
  story.expectCommitIndex(0, 0);
  // The entries are sent again in time, and then they are counted.
  story.run(500);
  story.expectLog(1, "1x2 3x2");
  story.expectCommitIndex(0, 4);
});

test("S15: a refusal of what was sent in an earlier leadership does not rewind the follower", () => {
  // Leader 0 has committed three entries everywhere, and put them into a snapshot; a heartbeat to server 1 is slow.
  const story = Story.led();
  story.commit(0, "a", "b", "c");
  story.compact(0);
  story.heartbeat(0);
  const slow = story.delay({ to: 1 });
  // Leadership goes to server 2 and comes back; server 1 hears of the new term before the slow message arrives.
  story.stepDown(0);
  story.elect(2, [1]);
  story.stepDown(2);
  story.drop();
  story.elect(0, [2]);
  story.drop();
  story.ask(1, appendEntries({ term: 3, leader: 0, prevLogIndex: 9, prevLogTerm: 1 }));
  story.drop();
  // It refuses the message of term 1, in an answer of term 3.
  story.arriveLate(slow);
  expect(story.mail.map(({ message }) => message)).toMatchObject([{ term: 3, success: false, index: 3 }]);
  // Leader 0 does not take that for an answer to what it sent in term 3: it sends nothing from far back.
  story.deliver();
  expect(story.core(0).state.progressOf(1)).toMatchObject({ state: "probe", nextIndex: 4 });
  expect(story.mail).toEqual([]);
});

test("S15: whoever asks, a follower cuts off nothing that is committed", () => {
  // Server 1 knows that two entries are committed.
  const story = Story.led();
  story.commit(0, "a", "b");
  story.expectCommitIndex(1, 2);
  // A message of a later term would put another entry in the place of the second one.
  const overwrite = appendEntries({
    term: 2,
    leader: 2,
    prevLogIndex: 1,
    prevLogTerm: 1,
    entries: entriesFrom(2, "2"),
  });
  expect(() => story.ask(1, overwrite)).toThrow(RefusedMessageError);
  // It is refused loudly, and what is committed is still there, on the disk too.
  story.expectCommitted(1, "a", "b");
  story.restart(1);
  story.expectLog(1, "1x2");
});

test("S17: a voter that is ahead already and advances does not lift the commit index", () => {
  // Of five servers, leader 0 and server 1 have six entries, the others one.
  const story = Story.led(5);
  story.propose(0, "a");
  story.deliverAll();
  story.propose(0, "b", "c", "d", "e", "f");
  story.carry(0, 1);
  story.expectMatch(0, 1, 6);
  // That commits no more than the first: two of five are no majority.
  story.expectCommitIndex(0, 1);
  // Server 1 advances further; what the majority has is the same as before.
  story.propose(0, "g");
  story.carry(0, 1);
  story.expectCommitIndex(0, 1);
  // The third server makes the majority.
  story.carry(0, 3);
  story.expectCommitIndex(0, 7);
});

test("S18: the completed write of an entry that was replaced meanwhile makes nothing durable", () => {
  // Three leaders in turn write to places 1 and 2 of server 0, faster than its disk.
  const story = new Story(3);
  story.holdDisk(0);
  for (const [term, leader] of [
    [1, 1],
    [2, 2],
    [3, 1],
  ] as const) {
    story.ask(0, appendEntries({ term, leader, entries: entriesFrom(1, `${term}x2`) }));
  }
  expect(story.heldWrites(0)).toHaveLength(3);
  // The first write is done, then the second: neither is what stands there now.
  for (const durableIndex of [0, 0, 2]) {
    story.releaseDisk(0, 1);
    expect(story.core(0).state.durableIndex).toBe(durableIndex);
  }
  // Only the third leader is answered that its entries are there.
  const answers = story.mail.map(({ message }) => message);
  expect(answers.filter(({ term }) => term === 3)).toMatchObject([{ success: true, index: 2 }]);
});

test("S19: of two writes the completion of the first comes last, and takes nothing back", () => {
  // A server on its own has two commands on their way to the disk.
  const story = Story.led(1);
  story.holdDisk(0);
  story.propose(0, "a");
  story.propose(0, "b");
  const [first, second] = story.heldWrites(0).map(({ write }) => write);
  // The disk says that everything up to the second is done; then, late, that the first is.
  story.releaseDisk(0);
  story.act(0, (core) => core.step(story.now, { type: "persisted", write: first! }));
  // What is durable stays so: both are committed, and so is the next.
  expect(story.core(0).state).toMatchObject({ durableWrite: second, durableIndex: 2 });
  story.propose(0, "c");
  story.expectCommitted(0, "a", "b", "c");
});

test("S20: an entry is never on the disk without its term", () => {
  for (const reachedDisk of [0, 1]) {
    // Server 2 is sent an entry of term 5, and crashes after none or one of its writes.
    const story = new Story(3);
    story.holdDisk(2);
    story.ask(2, appendEntries({ term: 5, leader: 0, entries: entriesFrom(1, "5") }));
    story.crash(2, reachedDisk);
    story.restart(2);
    story.expectLog(2, reachedDisk === 0 ? "" : "5");
    expect(story.core(2).state.term).toBe(reachedDisk === 0 ? 0 : 5);
    // A leader of term 1 puts its own entry there only where that of term 5 never was.
    const old = story.ask(2, appendEntries({ term: 1, leader: 1, entries: entriesFrom(1, "1") }));
    expect(old).toMatchObject({ success: reachedDisk === 0 });
    story.expectLog(2, reachedDisk === 0 ? "1" : "5");
  }
});

test("S21: an append is acknowledged only when it is on the disk", () => {
  // Server 2 hears nothing, and the disk of server 1 is slow.
  const story = Story.led();
  story.holdDisk(1);
  story.propose(0, "x");
  story.drop({ to: 2 });
  // The append arrives at server 1, twice; nothing is said and nothing committed before the write is done.
  const [append] = story.delay({ to: 1 });
  story.arriveLate([append!, append!]);
  story.carry(0, 1);
  story.expectCommitIndex(0, 0);
  expect(story.count({ from: 1 })).toBe(0);
  // Server 1 crashes, and comes back without the entry: nobody was promised it.
  story.crash(1);
  story.restart(1);
  story.expectLog(1, "");
  // Sent again and written, it is committed.
  story.run(500);
  story.expectCommitted(0, "x");
});

test("S22: a hundred thousand entries that differ are skipped by whole terms", () => {
  // Behind ten common entries leader 0 and server 1 have 100,000 each, from six leaders in turn: none is the same.
  const mine = { log: terms("1x10 3x40000 5x30000 7x30000"), term: 7 };
  const other = { log: terms("1x10 2x30000 4x30000 6x40000"), term: 7 };
  const config = { maxAppendBytes: 1 << 26, maxInflightBytes: 1 << 27 };
  const story = new Story(3, { config, disks: [mine, other, mine] });
  story.elect(0, [2]);
  story.propose(0, "new");
  story.carry(0, 2);
  story.drop({ to: 2 });
  // Append by append they look for the place where their logs agree, entry 10.
  let roundTrips = 0;
  while (story.core(0).state.progressOf(1)!.matchIndex === 0) {
    if (story.mail.length === 0) story.heartbeat(0);
    story.deliver({ from: 0, to: 1 });
    story.deliver({ from: 1, to: 0 });
    // That takes no more round trips than there are terms, and one for the entries.
    expect(++roundTrips).toBeLessThanOrEqual(7);
  }
  // Then everything of server 1 behind that place goes.
  expect(story.core(0).state.progressOf(1)!.matchIndex).toBe(100_011);
  expect(story.logTerms(1).join(" ") === story.logTerms(0).join(" ")).toBe(true);
});

test("S23: a window of appends that are all lost, silently, moves again", () => {
  // The window is four messages wide, ten commands come, and everything on its way is lost; nobody is told.
  const story = Story.led(3, { config: { maxInflightMessages: 4 } });
  for (let i = 1; i <= 10; i++) story.propose(0, `x${i}`);
  story.drop();
  const lostAt = story.now;
  // Heartbeats go on, and what gets no answer for half an election timeout is sent again.
  story.until(
    () => story.commitIndex(0) === 10,
    () => {
      story.heartbeat(0);
      story.deliverAll();
    },
  );
  expect(story.now - lostAt).toBeLessThanOrEqual(350);
});

test("S24: a commit index beyond the follower's log commits what is there, and brings nobody down", () => {
  // Leader 0 commits ten entries with server 2; server 1 has none of them.
  const story = Story.led();
  story.drop();
  for (let i = 1; i <= 10; i++) story.propose(0, `x${i}`);
  story.carry(0, 2);
  story.drop();
  story.expectCommitIndex(0, 10);
  // A heartbeat tells it that ten are committed.
  story.heartbeat(0);
  const [heartbeat] = story.deliver({ to: 1 });
  expect(heartbeat!.message).toMatchObject({ leaderCommit: 10, prevLogIndex: 0, entries: [] });
  // It goes on with none, and then, with the entries, has all ten.
  story.expectCommitIndex(1, 0);
  story.run(500);
  story.expectCommitIndex(1, 10);
});

test("S25: what is on its way to a slow follower is bounded in messages and in bytes", () => {
  // Server 1 takes everything and answers nothing for a while; a thousand commands of 100 bytes come in.
  const config = { maxInflightMessages: 8, maxInflightBytes: 1000, maxAppendBytes: 500 };
  const story = Story.led(3, { config });
  for (let i = 0; i < 1000; i++) {
    story.propose(0, "x".repeat(100));
    story.carry(0, 2);
  }
  // All are committed without it, and what was sent to it is no more than its window and one message.
  story.expectCommitIndex(0, 1000);
  const bytesTo1 = story.mail.flatMap(({ to, message }) =>
    to === 1 && message.type === "appendEntries" ? message.entries.map(({ data }) => data.length) : [],
  );
  expect(bytesTo1.length).toBeGreaterThan(0);
  expect(bytesTo1.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(1500);
  expect(story.core(0).state.progressOf(1)!.inflightMessages).toBeLessThanOrEqual(8);
  // When it answers, it gets the rest, in the same small portions.
  story.until(
    () => story.commitIndex(1) === 1000,
    () => {
      story.heartbeat(0);
      story.deliverAll();
    },
  );
});
