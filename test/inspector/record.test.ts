import { crc32 } from "node:zlib";

import { describe, expect, test } from "vitest";

import { inspectorHtml, InspectorMissingError, recordPlan } from "../../inspector/index.js";
import { chainOf } from "../../inspector/page/causal.js";
import { Run } from "../../inspector/page/run.js";
import * as pageGuard from "../../inspector/page/shims/guard.js";
import * as pageDisk from "../../inspector/page/shims/node-disk.js";
import { Buffer as PageBuffer } from "../../inspector/page/shims/buffer.js";
import { crc32 as pageCrc32 } from "../../inspector/page/shims/zlib.js";
import { States } from "../../inspector/page/state.js";
import { eventText, fateOf } from "../../inspector/page/words.js";
import type { StoredState } from "../../raft/index.js";
import { SeededRandom } from "../../runtime/index.js";
import * as disk from "../../server/storage/node-disk.js";
import * as guard from "../../sim/guard.js";
import { checkRecord, findIllegal, RecordError, type HistoryEvent, type RunRecord } from "../../sim/index.js";
import { drawPlan, runPlan, type WorldObserver } from "../../sim/swarm/index.js";
import { longRecord, smallRecord } from "./records.js";

/** What a server of a run held, as a person would check it. */
interface Truth {
  readonly seq: number;
  readonly server: number;
  readonly figures: unknown;
}

/** Looks at the servers themselves now and then, past all recording. */
function watchTruth(truths: Truth[]): WorldObserver {
  const stored = new Map<number, StoredState>();
  return {
    started: ({ server, stored: found }) => void stored.set(server, found),
    stepped: ({ seq, server, state }) => {
      if (seq % 7 !== 0) return;
      const { log, role, term, commitIndex, durableIndex, votedFor } = state;
      const terms = Array.from({ length: log.lastIndex - log.lastIncludedIndex }, (_, i) =>
        log.termAt(log.lastIncludedIndex + 1 + i),
      );
      const figures = { role, term, commitIndex, durableIndex, votedFor, first: log.lastIncludedIndex, terms };
      truths.push({ seq, server, figures });
    },
  };
}

function shownAt(run: Run, states: States, seq: number, server: number): unknown {
  // The state after all that has this number, or the last one before.
  let event = run.eventOfSeq(seq + 1);
  if ((run.seq[event] as number) > seq) event--;
  const state = states.at(event)[server]!;
  return {
    role: ["follower", "precandidate", "candidate", "leader"][state.role],
    term: state.term,
    commitIndex: state.commit,
    durableIndex: state.durable,
    votedFor: state.votedFor < 0 ? null : state.votedFor,
    first: state.snapshotIndex,
    terms: state.log.map((entry) => run.entryTerm(entry)),
  };
}

describe("a record", () => {
  test.each([1, 2, 3, 4])(
    "of seed %i shows every server as it was, at any moment, after a trip through JSON",
    async (seed) => {
      const plan = drawPlan(seed);
      const truths: Truth[] = [];
      const plain = await runPlan(plan, { observers: [watchTruth(truths)] });
      const { record, outcome } = await recordPlan(plan);
      expect(outcome).toEqual(plain);
      expect(record.hash).toBe(plain.hash);
      const run = new Run(JSON.parse(JSON.stringify(record)));
      const states = new States(run);
      expect(truths.length).toBeGreaterThan(20);
      const random = new SeededRandom(seed);
      for (let i = 0; i < 200; i++) {
        const truth = truths[random.int(0, truths.length - 1)]!;
        expect(shownAt(run, states, truth.seq, truth.server), `seq ${truth.seq}`).toEqual(truth.figures);
      }
      expect(run.operations).toHaveLength(outcome.operations);
      for (let event = 0; event < run.length; event++) expect(eventText(run, event)).not.toBe("");
    },
  );

  test("holds the same stores on all servers that have applied the same", async () => {
    const { record, outcome } = await recordPlan(drawPlan(2));
    expect(outcome.ok).toBe(true);
    const run = new Run(record);
    const states = new States(run).at(run.length - 1);
    const core = drawPlan(2).core.servers.map((server) => states[server]!);
    expect(core[0]!.store.size).toBeGreaterThan(0);
    for (const state of core) expect([...state.store].sort()).toEqual([...core[0]!.store].sort());
  });

  test("of another format, version or length is refused with a word on what to do", () => {
    const good = smallRecord();
    expect(() => checkRecord(good)).not.toThrow();
    const bad: [unknown, RegExp][] = [
      [null, /no recorded run/],
      [{ format: "other" }, /no recorded run/],
      [{ ...good, version: 2 }, /version 2 .* record it again/],
      [{ ...good, events: { ...good.events, time: [1] } }, /damaged: column "time"/],
      [{ ...good, events: { ...good.events, data: undefined } }, /damaged: column "data"/],
    ];
    for (const [record, words] of bad) {
      expect(() => checkRecord(record)).toThrow(RecordError);
      expect(() => checkRecord(record)).toThrow(words);
    }
  });

  test("an empty run can be read", () => {
    const nothing = { kind: [], time: [], seq: [], a: [], b: [], data: [] };
    const run = new Run({ ...smallRecord(), events: nothing } satisfies RunRecord);
    expect(run.endMs).toBe(0);
    expect(new States(run).at(0)).toHaveLength(3);
  });

  test("takes at most 60 bytes an event", () => {
    const record = longRecord(20_000);
    expect(JSON.stringify(record).length / record.events.kind.length).toBeLessThan(60);
  });
});

describe("of a recorded run", () => {
  test("messages know their fate, and an operation its chain", () => {
    const run = new Run(smallRecord());
    expect(run.messages.map((message) => fateOf(run, message))).toEqual([
      "delivered at 0.020 s, after 10.0 ms",
      "delivered at 0.040 s, after 20.0 ms",
      "lost at 0.040 s: loss",
      "delivered at 0.060 s, after 20.0 ms",
      "delivered at 0.090 s, after 30.0 ms",
    ]);
    const chain = chainOf(run, run.operations[0]!);
    expect(chain.links.map(({ stage, text }) => `${stage}: ${text}`)).toEqual([
      "call: c0 calls",
      "call: request to S0",
      "call: S0 has the request",
      "append: S0 appends it as entry 1·t1",
      "replicate: S0 sends it to S1",
      "replicate: S0 sends it to S2",
      "replicate: the message of S0 to S2 is lost",
      "replicate: S1 stores it as entry 1·t1",
      "commit: S0 commits it",
      "apply: S0 applies it",
      "reply: S0 answers",
      "reply: c0 has its answer",
    ]);
    expect(chain.messages.size).toBe(5);
  });

  test("every answered write of a run has a chain from its call to its commit", async () => {
    let count = 0;
    for (const seed of [1, 2, 3, 4]) {
      const run = new Run((await recordPlan(drawPlan(seed))).record);
      for (const write of run.operations) {
        if (write.outcome !== "ok" || !["put", "append"].includes(write.f)) continue;
        count++;
        const stages = new Set(chainOf(run, write).links.map(({ stage }) => stage));
        expect([...stages], `seed ${seed}: ${write.f} ${write.key} ${write.argument}`).toEqual(
          expect.arrayContaining(["call", "append", "commit", "apply", "reply"]),
        );
      }
    }
    expect(count).toBeGreaterThan(10);
  });

  test("the operation that fits nowhere is found, and those that contradict it", () => {
    const event = (process: number, type: "invoke" | "ok", f: "put" | "get", time: number, value?: string | null) =>
      ({ process, type, f, key: "x", time, value }) as HistoryEvent;
    const history = [
      event(0, "invoke", "put", 1, "a"),
      event(0, "ok", "put", 2),
      event(1, "invoke", "get", 3),
      event(1, "ok", "get", 4, null),
    ];
    expect(findIllegal(history, [70, 80])).toMatchObject({ operation: 80, others: [70] });
    expect(findIllegal(history.slice(0, 3), [70, 80])).toBeNull();
  });
});

describe("the page's own form of what Node has", () => {
  test("crc32 and Buffer do the same", () => {
    const random = new SeededRandom(1);
    for (let round = 0; round < 50; round++) {
      const bytes = Uint8Array.from({ length: random.int(8, 200) }, () => random.int(0, 255));
      expect(pageCrc32(bytes)).toBe(crc32(bytes));
      expect(pageCrc32(bytes.subarray(4), pageCrc32(bytes.subarray(0, 4)))).toBe(crc32(bytes));
      const [page, node] = [PageBuffer.from(bytes), Buffer.from(bytes)];
      expect(page.readUInt32LE(2)).toBe(node.readUInt32LE(2));
      expect(page.readUIntLE(1, 6)).toBe(node.readUIntLE(1, 6));
      page.writeUInt32LE(0xfedcba98, 3);
      node.writeUInt32LE(0xfedcba98, 3);
      page.writeUIntLE(2 ** 47 + round, 0, 6);
      node.writeUIntLE(2 ** 47 + round, 0, 6);
      expect([...PageBuffer.concat([page, page.subarray(2)])]).toEqual([...Buffer.concat([node, node.subarray(2)])]);
      expect(page.equals(node)).toBe(true);
      expect((page.subarray(1) as PageBuffer).equals(node)).toBe(false);
    }
    expect([...PageBuffer.from("kvräft")]).toEqual([...Buffer.from("kvräft")]);
    const whole = new ArrayBuffer(8);
    PageBuffer.from(whole, 2, 4)[0] = 7;
    expect(new Uint8Array(whole)[2]).toBe(7);
  });

  test("tasks run in their order, each after all promises have settled", async () => {
    const { process: pageProcess, setImmediate: pageImmediate } = await import("../../inspector/page/shims/globals.js");
    const order: string[] = [];
    await new Promise<void>((resolve) => {
      pageProcess.nextTick(() => {
        order.push("first task");
        let hops = Promise.resolve();
        for (let i = 0; i < 100; i++) hops = hops.then(() => {});
        void hops.then(() => order.push("its promises"));
        pageImmediate(() => order.push("third task"));
        pageImmediate(resolve);
      });
      pageImmediate(() => order.push("second task"));
      order.push("the present");
    });
    expect(order).toEqual(["the present", "first task", "its promises", "second task", "third task"]);
  });

  test("modules that a page cannot have are stood in for name by name", () => {
    expect(Object.keys(pageGuard).toSorted()).toEqual(Object.keys(guard).toSorted());
    expect(Object.keys(pageDisk)).toEqual(Object.keys(disk));
    expect(() => pageDisk.nodeDisk()).toThrow("a page has no disk");
    const before = Date.now;
    pageGuard.installGuard();
    expect(Date.now).toBe(before);
    pageGuard.uninstallGuard();
  });
});

describe("the page", () => {
  const template = '<a><script type="application/json" id="record"></script></a>';

  test("holds its record as JSON whose texts cannot end the element that it stands in", () => {
    const record = smallRecord("</script><!--<script>\u2028");
    const html = inspectorHtml(record, template);
    const inner = html.slice(html.indexOf('id="record">') + 12, html.lastIndexOf("</script>"));
    expect(inner).not.toContain("<");
    expect(JSON.parse(inner)).toEqual(record);
  });

  test("a template without a place for a record is refused", () => {
    expect(() => inspectorHtml(smallRecord(), "<html>")).toThrow(InspectorMissingError);
  });
});
