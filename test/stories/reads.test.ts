import { expect, test } from "vitest";

import type { RaftConfig } from "../../raft/core/index.js";
import { Story } from "../harness/story.js";

/** Server 0 leads and has committed an entry of its term, which everybody knows. */
function serving(config: Partial<RaftConfig> = {}): Story {
  const story = Story.led(3, { config });
  story.commit(0, "first");
  story.sent.length = 0;
  return story;
}

// With leases a heartbeat opens a round of its own, which must not take such reads along.
for (const leaseReads of [false, true]) {
  const how = leaseReads ? "with leases" : "without leases";
  test(`S48: a new leader answers no read before an entry of its own term is committed, ${how}`, () => {
    // Leader 0 commits an entry; server 1 has it, and does not know that it is committed.
    const story = serving({ leaseReads });
    story.propose(0, "second");
    story.deliverAll();
    // Server 1 is elected, and asked at once.
    story.stepDown(0);
    story.elect(1);
    story.expectCommitIndex(1, 1);
    const read = story.read(1);
    // However many rounds confirm that it leads, it cannot know what is committed, and waits.
    for (let round = 0; round < 5; round++) {
      story.heartbeat(1);
      story.deliverAll();
      story.expectRead(read, "waiting");
    }
    // Its first own entry commits all that came before: the read sees it.
    story.commit(1, "own");
    story.expectRead(read, 3);
  });
}

test("S49: answers to what was sent before the read confirm nothing", () => {
  // Leader 0 sends heartbeats, and they arrive.
  const story = serving();
  story.heartbeat(0);
  story.deliver({ from: 0 });
  const answers = story.delay({ to: 0 });
  // Then a read comes in; another leader could have been elected since those heartbeats arrived.
  const read = story.read(0);
  story.drop();
  // Their answers come back from everybody: no quorum has confirmed this read yet.
  story.arriveLate(answers);
  story.expectRead(read, "waiting");
  // The next round does.
  story.heartbeat(0);
  story.deliverAll();
  story.expectRead(read, 1);
});

test("S49: with leases, answers to a round that only renews the lease and began before the read confirm nothing", () => {
  // The lease has run out when leader 0 sends its heartbeats; server 1 answers.
  const story = serving({ leaseReads: true });
  story.now += 460;
  story.heartbeat(0);
  story.deliver({ to: 1 });
  const answers = story.delay({ to: 0 });
  story.drop();
  // A read comes in between, and what is sent for it is lost.
  story.now += 10;
  const read = story.read(0);
  story.drop();
  // The answers to the heartbeats are older than the read.
  story.arriveLate(answers);
  story.expectRead(read, "waiting");
});

test("S50: a delayed answer to an earlier use of a read round does not confirm a later read", () => {
  // Leader 0 confirms a read with the answer of server 1; that of server 2 is slow.
  const story = serving();
  const first = story.read(0);
  story.deliver({ from: 0 });
  const [early] = story.delay({ from: 1 });
  const [slow] = story.delay({ from: 2 });
  story.arriveLate([early!]);
  story.expectRead(first, 1);
  // It is cut off; the others elect server 1, which commits another entry.
  story.isolate(0);
  story.silence();
  story.elect(1, [2]);
  story.propose(1, "new");
  story.carry(1, 2);
  story.expectCommitIndex(1, 2);
  // A second read comes to the old leader, then the slow answer, then the first one again.
  story.heal();
  const second = story.read(0);
  story.drop();
  story.arriveLate([slow!, early!]);
  // They were given before the new leader's entry, and confirm nothing.
  story.expectRead(second, "waiting");
});

test("S50: nor do answers to an earlier leadership of the same server", () => {
  // The answers to a read of leader 0 in term 1 are slow.
  const story = serving();
  story.read(0);
  story.deliver({ from: 0 });
  const slow = story.delay({ to: 0 });
  // Leadership goes to server 1 and comes back in term 3.
  story.stepDown(0);
  story.elect(1);
  story.stepDown(1);
  story.elect(0);
  story.commit(0, "again");
  // A read of term 3 waits, and the answers of term 1 arrive.
  const read = story.read(0);
  story.drop();
  story.arriveLate(slow);
  story.expectRead(read, "waiting");
});

test("S51: a lease counts from when the heartbeats were sent, and ends before the followers may elect another", () => {
  // Heartbeats are sent, and answered 90 ms later.
  const story = serving({ leaseReads: true });
  story.heartbeat(0);
  const sentAt = story.now;
  story.now += 90;
  story.deliverAll();
  // Just before nine tenths of the shortest election timeout have passed since the sending, a read costs nothing.
  story.now = sentAt + 449;
  story.expectRead(story.read(0), 1);
  // From then on it takes a round, although the answers are younger.
  story.now = sentAt + 450;
  const read = story.read(0);
  story.expectRead(read, "waiting");
  story.deliverAll();
  story.expectRead(read, 1);
});

test("S51: a leader that slept through its lease answers nothing from it", () => {
  // Leader 0 has a lease, and its process is stopped; server 1 is elected meanwhile, and commits.
  const story = serving({ leaseReads: true });
  story.heartbeat(0);
  story.deliverAll();
  story.isolate(0);
  story.silence();
  story.elect(1, [2]);
  story.propose(1, "new");
  story.carry(1, 2);
  // The process goes on, and before anything else it is asked to read.
  story.heal();
  story.drop();
  const read = story.read(0);
  story.expectRead(read, "waiting");
  // Its question who leads gets the answer that it does not.
  story.deliverAll();
  story.expectRead(read, "lost");
});

test("S51: a server that restarts keeps the promise that it may have given to a leader", () => {
  // Both followers of leader 0 answer its heartbeat, and restart.
  const story = serving({ leaseReads: true });
  story.heartbeat(0);
  story.deliverAll();
  const heardAt = story.now;
  story.restart(1);
  story.restart(2);
  story.isolate(0);
  // While the lease still holds, one of them wants to be elected at once, and is not.
  story.now = heardAt + 440;
  story.core(1).state.electionDeadline = story.now;
  story.standForElection(1);
  story.carry(1, 2);
  expect(story.core(1).state.role).not.toBe("leader");
  // So the leader is right to answer from its lease.
  story.expectRead(story.read(0), 1);
});

test("S35: who has ordered another to take over has no lease for the rest of the term, also if that fails", () => {
  // Leader 0 has a lease, orders server 1 to take over, and the order is slow.
  const story = serving({ leaseReads: true });
  story.heartbeat(0);
  story.deliverAll();
  story.expectRead(story.read(0), 1);
  story.act(0, (core) => void core.transfer(story.now, 1));
  const order = story.delay({ type: "timeoutNow" });
  // The transfer is given up, and heartbeats go on being answered.
  story.until(
    () => story.transfers.length > 0,
    () => {
      story.heartbeat(0);
      story.drop({ type: "timeoutNow" });
      story.deliverAll();
    },
  );
  // A read takes a round all the same: the order may still arrive, past everybody's protection of the leader.
  story.drop();
  const read = story.read(0);
  story.expectRead(read, "waiting");
  story.drop();
  // It does arrive: server 1 is elected and commits, and the old leader still has not answered.
  story.arriveLate(order);
  story.carry(1, 2);
  story.propose(1, "new");
  story.carry(1, 2);
  story.expectCommitIndex(1, 2);
  story.expectRead(read, "waiting");
});

test("S52: a server that restarts does not answer from before what it has shown", () => {
  // A server on its own has committed three entries, and answered a read at the third.
  const story = Story.led(1);
  story.commit(0, "a", "b", "c");
  story.expectRead(story.read(0), 3);
  // It crashes, comes back, and leads at once, without knowing what was committed.
  story.crash(0);
  story.restart(0);
  story.elect(0);
  story.expectCommitIndex(0, 0);
  // A read waits until an entry of its new term is committed, and with it all that it had shown.
  const read = story.read(0);
  story.expectRead(read, "waiting");
  story.commit(0, "d");
  story.expectRead(read, 4);
});
