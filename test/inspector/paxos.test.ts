import { beforeAll, describe, expect, test } from "vitest";

import { recordPlan } from "../../inspector/index.js";
import { chainOf } from "../../inspector/page/causal.js";
import { Run } from "../../inspector/page/run.js";
import { classOf, eventText, messageGist, messageParts } from "../../inspector/page/words.js";
import { EventKind, MESSAGE_KINDS } from "../../sim/index.js";
import { drawPlan } from "../../sim/swarm/index.js";

const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8];

const runs: Run[] = [];

beforeAll(async () => {
  for (const seed of SEEDS) runs.push(new Run((await recordPlan(drawPlan(seed, "paxos"))).record));
});

const PAXOS_KINDS = MESSAGE_KINDS.filter((name) => /^(Prepare|Accept|Learn|TakeOver)/.test(name));

/** How the story may tell of a message; of each form one comes up at least. */
const FORMS: Readonly<Record<string, readonly RegExp[]>> = {
  Prepare: [/^Prepare ballot \d+, from instance \d+$/, /^probe ballot \d+, from instance \d+$/],
  "Prepare reply": [
    /^(Prepare|probe) reply: granted, ballot \d+$/,
    /^Prepare reply: granted, with \d+ votes?( and more)?, ballot \d+$/,
    /^(Prepare|probe) reply: refused, ballot \d+$/,
  ],
  Accept: [/^Accept \d+(–\d+)? ballot \d+, commit \d+$/, /^heartbeat ballot \d+, commit \d+$/],
  "Accept reply": [
    /^Accept reply: votes for \d+(–\d+)?$/,
    /^heartbeat reply: ballot \d+$/,
    /^(Accept|heartbeat) reply: refused, ballot \d+$/,
  ],
  Learn: [/^Learn from \d+$/],
  "Learn reply": [
    /^Learn reply: \d+(–\d+)?, commit \d+$/,
    /^Learn reply: snapshot to \d+, \d+ bytes$/,
    /^Learn reply: nothing, commit \d+$/,
  ],
  TakeOver: [/^TakeOver$/],
  "TakeOver reply": [/^TakeOver reply$/],
};

describe("runs of Multi-Paxos", () => {
  test("their messages are told in words of the protocol, in each form at least once", () => {
    const seen = new Map<RegExp, number>();
    for (const run of runs) {
      for (const message of run.messages) {
        const name = MESSAGE_KINDS[message.kind] as string;
        expect(name).not.toMatch(/^other/);
        if (!PAXOS_KINDS.some((kind) => kind === name)) continue;
        const gist = messageGist(run, message);
        const form = FORMS[name]?.find((each) => each.test(gist));
        expect(form, gist).toBeDefined();
        if (form !== undefined) seen.set(form, (seen.get(form) ?? 0) + 1);
      }
    }
    const missing = Object.values(FORMS).flatMap((forms) => forms.filter((form) => !seen.has(form)));
    expect(missing).toEqual([]);
  });

  test("of every message each part has its name and its value", () => {
    for (const run of runs) {
      for (const message of run.messages) {
        const name = MESSAGE_KINDS[message.kind] as string;
        const parts = messageParts(run, message);
        expect(parts.length, name).toBe(message.content.length);
        for (const [part, value] of parts) expect(`${part}: ${value}`).not.toMatch(/undefined|NaN|object/);
      }
      for (let event = 0; event < run.length; event++) expect(eventText(run, event)).not.toMatch(/undefined|NaN|^$/);
    }
  });

  test("a promise shows the votes that it tells of", () => {
    const all = runs.flatMap((run) =>
      run.messages.flatMap((message) => {
        return MESSAGE_KINDS[message.kind] === "Prepare reply" ? messageParts(run, message) : [];
      }),
    );
    const votes = all.filter(([name, value]) => name === "votes" && value !== "none").map(([, value]) => value);
    expect(votes.length).toBeGreaterThan(0);
    for (const lines of votes) {
      for (const line of lines.split("\n")) expect(line).toMatch(/^\d+·t\d+ in ballot \d+ \S/);
    }
  });

  test("messages are told apart by colour as those of Raft are", () => {
    const classes = new Map<string, Set<string>>();
    for (const run of runs) {
      for (const message of run.messages) {
        const name = MESSAGE_KINDS[message.kind] as string;
        classes.set(name, (classes.get(name) ?? new Set()).add(classOf(run, message)));
      }
    }
    const sorted = (name: string): string[] => [...(classes.get(name) ?? [])].toSorted();
    expect(sorted("Prepare")).toEqual(["vote"]);
    expect(sorted("Prepare reply")).toEqual(["vote"]);
    expect(sorted("Accept")).toEqual(["append", "heartbeat"]);
    expect(sorted("Accept reply")).toEqual(["append", "heartbeat"]);
    expect(sorted("Learn")).toEqual(["append"]);
    expect(sorted("Learn reply")).toEqual(["append", "snapshot"]);
    expect(sorted("TakeOver")).toEqual(["vote"]);
    expect(sorted("Request")).toEqual(["client"]);
  });

  test("every answered write has a chain from its call over its votes to its answer", () => {
    let writes = 0;
    let replicated = 0;
    for (const run of runs) {
      for (const write of run.operations) {
        if (write.outcome !== "ok" || !["put", "append"].includes(write.f)) continue;
        writes++;
        const stages = new Set(chainOf(run, write).links.map(({ stage }) => stage));
        const needed = ["call", "append", "commit", "apply", "reply"];
        expect([...stages], `${write.f} ${write.key} ${write.argument}`).toEqual(expect.arrayContaining(needed));
        if (stages.has("replicate")) replicated++;
      }
    }
    expect(writes).toBeGreaterThan(20);
    expect(replicated).toBe(writes);
  });

  test("a read is confirmed by a round of the leader's messages", () => {
    const reads = runs.flatMap((run) =>
      run.operations
        .filter(({ f, outcome }) => f === "get" && outcome === "ok")
        .map((read) => chainOf(run, read).links.filter(({ stage }) => stage === "confirm").length),
    );
    expect(reads.length).toBeGreaterThan(10);
    // Those that a lease answers, or a round that was under way for others, have none of their own.
    expect(reads.filter((count) => count > 0).length).toBeGreaterThan(reads.length / 4);
  });

  test("elections can be jumped to", () => {
    for (const run of runs) {
      expect(run.marks.election.length).toBeGreaterThan(0);
      for (const event of run.marks.election) expect([EventKind.step, EventKind.start]).toContain(run.kind[event]);
    }
  });
});
