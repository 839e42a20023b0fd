import { expect, test } from "vitest";

import type { RequestVoteReply } from "../../raft/core/index.js";
import { requestVote, terms } from "../harness/core-messages.js";
import { groupStory } from "../harness/group-cluster.js";
import { eventually } from "../harness/service-cluster.js";
import { logs, Story } from "../harness/story.js";

const NO_PREVOTE = { config: { preVote: false } };

test("S01: a crash between term and vote: they reach the disk together or not at all", () => {
  for (const reachedDisk of [0, 1]) {
    // The disk of server 0 is slow when server 1 asks it for its vote in term 5.
    const story = new Story(3);
    story.holdDisk(0);
    story.ask(0, requestVote({ term: 5, candidate: 1 }));
    // It crashes after none or one of its writes, and comes back.
    story.crash(0, reachedDisk);
    story.restart(0);
    // It knows nothing of term 5, or the term and the vote.
    const { term, votedFor } = story.core(0).state;
    expect({ term, votedFor }).toEqual(reachedDisk === 0 ? { term: 0, votedFor: null } : { term: 5, votedFor: 1 });
    // Server 2 gets the vote of term 5 only where server 1 cannot have it.
    const reply = story.ask(0, requestVote({ term: 5, candidate: 2 })) as RequestVoteReply;
    expect(reply.granted).toBe(reachedDisk === 0);
  }
});

test("S02: after a restart of all servers the terms go on where they were", () => {
  // Three servers with equal logs have come to term 7, and all of them restart at once.
  const log = { log: terms("5x42"), term: 7 };
  const story = new Story(3, { disks: [log, log, log] });
  story.crashAll();
  story.restartAll();
  // Server 0 wins, in a term that is new, and commits an entry with server 2 alone.
  story.elect(0, [2]);
  story.expectLeads(0, 8);
  story.propose(0, "new");
  story.carry(0, 2);
  // Server 1, which knows terms 5 and 7 only, stands with the shorter log: nobody takes it for the newer one.
  story.drop();
  story.silence();
  story.standForElection(1);
  expect(story.votes([...story.deliver({ from: 1, to: 2 }), ...story.deliver({ from: 2, to: 1 })])).toEqual([false]);
  story.expectCommitIndex(0, 43);
});

test("S03: a candidate that becomes follower within its term keeps the vote that it gave itself", () => {
  const story = new Story(5, { ...NO_PREVOTE, disks: logs("1", "1x2", "1x2", "1x2", "1x2") });
  // Servers 0 and 4 stand in term 2; what 0 sends is lost, and what 4 asks of 0 is slow.
  story.standForElection(0);
  story.drop();
  story.standForElection(4);
  const slow = story.delay({ from: 4, to: 0 });
  story.drop();
  // Server 1 wins term 2 with servers 2 and 3, and its heartbeat, which does not match, makes 0 a follower.
  story.standForElection(1);
  story.carry(1, 2, 3);
  story.expectLeads(1, 2);
  story.deliver({ from: 1, to: 0 });
  story.expectFollows(0, 1, 2);
  story.drop();
  // When nobody protects that leader any more, the question of server 4 arrives. There is no vote left to give.
  story.silence();
  story.arriveLate(slow);
  expect(story.votes(story.deliver({ from: 0, to: 4 }))).toEqual([false]);
});

test("S04: a long log in an old term and a short log in a new term do not block each other", () => {
  const story = new Story(3, { disks: [{ log: terms("1x5"), term: 1 }, { log: terms("1x2"), term: 7 }, { term: 7 }] });
  story.crash(2);
  // Server 1 cannot win: its log is too short. The pre-vote leaves server 0 in its old term.
  story.standForElection(1);
  story.carry(1, 0);
  story.expectFollows(0, null, 1);
  // Server 0 cannot win either, but the refusal brings it the term.
  story.standForElection(0);
  story.carry(0, 1);
  story.expectFollows(0, null, 7);
  // At the next attempt it wins, and its log is everybody's.
  story.standForElection(0);
  story.carry(0, 1);
  story.expectLeads(0, 8);
  story.expectLog(1, "1x5");
});

test("S06: of two logs the one with the later last term is newer, also where it is shorter", () => {
  // Of three servers one is gone; the others end with (3, term 2) and (2, term 3).
  const story = new Story(3, { disks: logs("1 2x2", "1 3", "") });
  story.crash(2);
  // The longer log does not win.
  story.standForElection(0);
  story.carry(0, 1);
  expect(story.core(0).state.role).not.toBe("leader");
  // The later one does, and so there is a leader at all.
  story.standForElection(1);
  story.carry(1, 0);
  expect(story.leader()).toBe(1);
  story.expectLog(0, "1 3");
});

test("S07: pre-vote answers that come after the election is won start no second one", () => {
  // Server 0 asks four others; all would vote for it, and two answers make it candidate of term 1.
  const story = new Story(5);
  story.standForElection(0);
  story.deliver({ from: 0 });
  const answers = story.delay({ to: 0 });
  story.arriveLate(answers.slice(0, 2));
  expect(story.core(0).state).toMatchObject({ role: "candidate", term: 1 });
  // The other two arrive: they are no votes, and no reason for another campaign.
  story.arriveLate(answers.slice(2));
  expect(story.core(0).state).toMatchObject({ role: "candidate", term: 1 });
  // It wins; all four arrive once more, and it goes on leading term 1.
  story.deliverAll();
  story.arriveLate(answers);
  story.deliverAll();
  story.expectLeads(0, 1);
  for (const n of [1, 2, 3, 4]) story.expectFollows(n, 0, 1);
});

test("S08: from a refusal a server learns the term, not that it leads it", () => {
  // In term 3 servers 1 and 2 voted for server 0 and took its entries; then server 0 lost all that it had.
  const voter = { log: terms("1x2 3"), term: 3, votedFor: 0 };
  const story = new Story(3, { disks: [{}, voter, voter] });
  // It asks to be elected in term 1 and is told of term 3, in which it once led.
  story.standForElection(0);
  story.carry(0, 1, 2);
  // That term is all that it takes from the answers.
  story.expectFollows(0, null, 3);
  expect(story.core(0).state.votedFor).toBeNull();
  // Without the log it wins no later term either; server 1 does, and gives it its entries back.
  story.standForElection(0);
  story.carry(0, 1, 2);
  expect(story.leader()).toBeNull();
  story.elect(1);
  story.expectLog(0, "1x2 3");
});

test("S09: two servers that reach only the third take no turns at deposing each other", () => {
  // The link between servers 0 and 2 is cut both ways; both reach server 1, and 0 leads.
  const story = Story.led();
  story.cut(0, 2);
  story.cut(2, 0);
  // For a minute of the cluster all timers run and everything else arrives.
  story.run(60_000);
  // Server 2 had its try at most once: there is a leader, and the term has not grown.
  expect(story.leader()).not.toBeNull();
  expect(Math.max(...story.all.map((n) => story.core(n).state.term))).toBeLessThanOrEqual(2);
});

test("S09: a server that can send but not receive deposes nobody", () => {
  // Nothing reaches server 2 any more; what it sends arrives.
  const story = Story.led();
  story.cut(0, 2);
  story.cut(1, 2);
  // It stands for election again and again.
  for (let attempt = 0; attempt < 10; attempt++) {
    story.run(300);
    story.standForElection(2);
    expect(story.deliver({ from: 2 })).not.toEqual([]);
  }
  // Those who hear from their leader refuse, and keep their term.
  story.expectLeads(0, 1);
  story.expectFollows(1, 0, 1);
});

test("S09: a leader that can send but not receive gives up", () => {
  // Nothing reaches leader 0 any more; its heartbeats arrive, and hold the others back.
  const story = Story.led();
  story.cut(1, 0);
  story.cut(2, 0);
  const cutAt = story.now;
  // It steps down when it has had no answer from a majority for an election timeout (check-quorum).
  story.until(
    () => !story.core(0).state.isLeader(),
    () => story.run(10),
  );
  expect(story.now - cutAt).toBeLessThanOrEqual(story.config.electionTimeoutMaxMs + story.config.heartbeatMs + 10);
  // Then another is elected, and commits.
  story.run(5000);
  const next = story.leader()!;
  expect(next).not.toBe(0);
  story.propose(next, "after");
  story.run(500);
  story.expectCommitted(next, "after");
});

test("S10: a deposed leader appends nothing in the term that deposed it", () => {
  // Leader 0 of term 1 has taken a command and not yet sent it.
  const story = Story.led();
  story.act(0, (core) => void core.propose(story.now, [new Uint8Array(1)]));
  // Another leader's heartbeat of term 2 comes in between.
  story.drop();
  story.elect(1, [2]);
  story.deliver({ from: 1, to: 0 });
  story.expectFollows(0, 1, 2);
  // What it does now, sending what it took or taking another command, it does not do as a leader of term 2.
  story.sent.length = 0;
  story.act(0, (core) => core.flush(story.now));
  expect(story.propose(0, "second")).toBe(0);
  expect(story.count({ from: 0, type: "appendEntries" })).toBe(0);
  story.expectLog(0, "1");
  // The entry of term 2 at that place is the new leader's alone.
  story.commit(1, "other");
  for (const n of [0, 1, 2]) story.expectCommitted(n, "other");
});

test(
  "S11: a leader whose disk hangs, and whose heartbeats go on, gives leadership away",
  groupStory(async (cluster, leader, clerk) => {
    // No sync of the leader's disk ends any more; a write comes, which the two others can store without it.
    cluster.disks[leader]!.holdSyncs();
    const { term } = cluster.groups[leader]!.status();
    const hungAt = cluster.runtime.clock.now();
    await clerk.append("k", "b");
    // Its heartbeats go on, so nobody deposes it; it must notice by itself, within two election timeouts.
    const others = [0, 1, 2].filter((n) => n !== leader);
    await eventually(cluster.runtime, () => !cluster.groups[leader]!.isLeader);
    expect(cluster.runtime.clock.now() - hungAt).toBeLessThanOrEqual(2000);
    // One of the others leads, and the group goes on.
    expect(await cluster.leader(others)).not.toBe(leader);
    await clerk.append("k", "c");
    // It happens once: while the disk hangs on for a minute, the term stays where it is.
    const termOfOthers = cluster.groups[others[0]!]!.status().term;
    await cluster.pass(60_000);
    expect(cluster.groups[others[0]!]!.status().term).toBe(termOfOthers);
    expect(termOfOthers - term).toBeLessThanOrEqual(2);
    // When the disk goes on, so does that server, with everything.
    cluster.disks[leader]!.releaseSyncs();
    await eventually(cluster.runtime, () => cluster.groups[leader]!.status().store!.revision === 3);
    expect(cluster.failures).toEqual([]);
  }),
);

test("S35: writes during a transfer of leadership are refused, and a late order to take over wins nothing", () => {
  // Leader 0 orders server 1 to take over, and the order is slow.
  const story = Story.led();
  story.commit(0, "before");
  story.act(0, (core) => expect(core.transfer(story.now, 1)).toBe(true));
  const order = story.delay({ type: "timeoutNow" });
  // Meanwhile it takes no command: it might be lost with its leadership.
  expect(story.propose(0, "meanwhile")).toBe(0);
  // It gives the transfer up after an election timeout and goes on.
  story.until(
    () => story.transfers.length > 0,
    () => {
      story.tick(0);
      story.drop({ type: "timeoutNow" });
      story.deliverAll();
    },
  );
  story.propose(0, "after");
  story.carry(0, 2);
  story.drop();
  // The order arrives now: server 1 stands, and is refused, for it lacks what was committed since.
  story.arriveLate(order);
  story.carry(1, 2);
  expect(story.core(1).state.role).not.toBe("leader");
  // Whoever is elected next has both.
  story.run(5000);
  story.commit(story.leader()!, "last");
  story.expectCommitted(1, "before", "after", "last");
});
