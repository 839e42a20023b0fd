import { expect, test } from "vitest";

import { TimeoutError } from "../../runtime/index.js";
import { clerkStory } from "../harness/clerk-story.js";
import { append, logStory, register, write } from "../harness/log-story.js";
import { track } from "../harness/service-cluster.js";

test("S61: an append whose reply is lost is sent again, and happens once", () =>
  clerkStory(1, {}, async ({ clerk, tap }) => {
    // A client has a session, and the reply to its next append is lost.
    await clerk.put("k", "a");
    tap.loseNextReply();
    await clerk.append("k", "b");
    // It was sent more than once, with the same number.
    expect(tap.requests.filter((slots) => JSON.stringify(slots).includes('"b"')).length).toBeGreaterThan(1);
    // It happened once: the servers knew the number.
    expect(await clerk.get("k")).toBe("ab");
  }));

test("S61: so does a conditional put, and the answer is that of the first time", () =>
  clerkStory(1, {}, async ({ clerk, tap }) => {
    // A client creates a key under the condition that there is none, and the reply is lost.
    await clerk.put("other", "a");
    tap.loseNextReply();
    const created = await clerk.putIf("lock", "mine", 0);
    // Carried out again it would find the key there, and say that somebody else has it.
    expect(created).toEqual({ ok: true, version: 1 });
    expect(await clerk.read("lock")).toEqual({ value: "mine", version: 1 });
  }));

test(
  "S62: who is told that a write failed is told whether it may have happened",
  logStory(async (story) => {
    // A command is in the log of a leader, and a later term begins before it is committed.
    const open = track(story.rsm.submit(register()));
    story.log.become(false, 2);
    await story.settled();
    // Nobody knows yet what becomes of it, and that is the answer; then it does commit.
    expect(open.error).toMatchObject({ code: "LEADERSHIP_LOST", maybeApplied: true });
    story.log.commit(1);
    await story.settled();
    expect(story.machine.sessions.size).toBe(1);
    // Another one finds its place taken by a command of another term: that is a definite no.
    story.log.become(true, 3);
    const replaced = track(story.rsm.submit(register()));
    story.log.deliver({ type: "command", index: 2, term: 2, command: register() });
    await story.settled();
    expect(replaced.error).toMatchObject({ code: "LEADERSHIP_LOST", maybeApplied: false });
    // And a server that does not lead proposes nothing at all.
    story.log.become(false, 3);
    await expect(story.rsm.submit(register())).rejects.toMatchObject({ code: "NOT_LEADER" });
    expect(story.log.entries).toHaveLength(2);
  }),
);

test("S62: a client that gave up is told so too, and its write is found afterwards", () =>
  clerkStory(1, {}, async ({ clerk, tap }) => {
    // No reply of a write reaches the client, and it gives up after a second.
    await clerk.put("k", "a");
    tap.onReply = (reply, { method }) => (method === "KVServer.Request" ? null : reply);
    const error: unknown = await clerk.append("k", "b", { timeoutMs: 1000 }).catch((reason: unknown) => reason);
    // The error does not say that nothing happened, for it did.
    expect(error).toBeInstanceOf(TimeoutError);
    expect(error).toMatchObject({ maybeApplied: true });
    tap.onReply = (reply) => reply;
    expect(await clerk.get("k")).toBe("ab");
    // A write that was never sent has certainly not happened.
    const unsent = await clerk.append("k", "c", { timeoutMs: 0 }).catch((reason: unknown) => reason);
    expect(unsent).toMatchObject({ code: "TIMEOUT", maybeApplied: false });
    expect(await clerk.get("k")).toBe("ab");
  }));

test(
  "S65: what is applied is not proposed again",
  logStory(async (story) => {
    // A leader takes a command, and it commits.
    const submitted = track(story.rsm.submit(register()));
    story.log.commit(1);
    await story.settled();
    expect(submitted.value).toEqual([1]);
    // A follower's commands are applied here as well, each once.
    story.log.become(true, 2);
    story.log.entries.push({ term: 2, command: write(1, 1, append("k", "x")) });
    story.log.commit(2);
    await story.settled();
    expect(story.value("k")).toBe("x");
    // The log has these two entries and no more.
    expect(story.log.entries).toHaveLength(2);
  }),
);

test(
  "S66: a registration that arrives again after its session was dropped does not bring the session back",
  logStory(async ({ log, machine, settled, value }) => {
    let index = 0;
    const apply = (command: ReturnType<typeof register>): void =>
      log.deliver({ type: "command", index: ++index, term: 1, command });
    // A client registers and writes; there is room for one client, and another registers.
    apply(register(1));
    apply(write(1, 1, append("k", "a")));
    apply(register(1));
    await settled();
    expect(machine.sessions.use(1)).toBeUndefined();
    // The network delivers the first registration once more: that opens a session of its own.
    apply(register(1));
    await settled();
    expect(machine.sessions.toRows().map(([id]) => id)).toEqual([4]);
    // The first client's write, delivered once more as well, finds no session and does nothing.
    apply(write(1, 1, append("k", "a")));
    await settled();
    expect(value("k")).toBe("a");
  }),
);
