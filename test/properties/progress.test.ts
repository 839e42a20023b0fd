import * as fc from "fast-check";
import { expect, test } from "vitest";

import { Progress } from "../../raft/core/progress.js";
import { holds } from "./property.js";

const SNAPSHOT = { index: 5, term: 1, data: new Uint8Array(3) };

/** What a leader does with what it knows of one follower. Indices are relative, so that all of them make sense. */
type Step =
  | { readonly type: "send"; readonly entries: number; readonly bytes: number }
  | { readonly type: "acknowledge"; readonly share: number }
  | { readonly type: "replicate" | "snapshot" | "forget" }
  | { readonly type: "probe"; readonly at: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ type: fc.constant("send"), entries: fc.nat(3), bytes: fc.nat(60) }) },
  // Of what was ever sent; 0 is an answer from long ago.
  { weight: 4, arbitrary: fc.record({ type: fc.constant("acknowledge"), share: fc.integer({ min: 0, max: 4 }) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constantFrom("replicate", "snapshot", "forget") }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("probe"), at: fc.nat(30) }) },
);

interface Sent {
  readonly seq: number;
  readonly lastIndex: number;
  readonly bytes: number;
  readonly at: number;
}

test("the window: never more under way than allowed, matchIndex < nextIndex, and matchIndex never falls", () => {
  const limits = fc.record({ messages: fc.integer({ min: 1, max: 5 }), bytes: fc.integer({ min: 1, max: 150 }) });
  holds(
    fc.property(limits, fc.array(step, { maxLength: 60 }), fc.nat(10), (limit, steps, logEnd) => {
      const progress = new Progress(1, logEnd + 1, 0);
      let inflight: Sent[] = [];
      let farthest = logEnd;
      for (const [now, { type, ...rest }] of steps.entries()) {
        const { matchIndex } = progress;
        const fields = rest as { entries: number; bytes: number; share: number; at: number };
        switch (type) {
          case "send": {
            const messages = progress.state === "replicate" ? limit.messages : 1;
            const bytes = inflight.reduce((sum, sent) => sum + sent.bytes, 0);
            const isFree = inflight.length < messages && (inflight.length === 0 || bytes < limit.bytes);
            expect(progress.canSend(limit.messages, limit.bytes)).toBe(isFree);
            if (!isFree) break;
            const lastIndex = progress.state === "snapshot" ? SNAPSHOT.index : progress.nextIndex - 1 + fields.entries;
            progress.sent(now, lastIndex, fields.bytes, now);
            inflight.push({ seq: now, lastIndex, bytes: fields.bytes, at: now });
            farthest = Math.max(farthest, lastIndex);
            if (progress.state === "replicate") expect(progress.nextIndex).toBeGreaterThan(lastIndex);
            break;
          }
          case "acknowledge": {
            const index = Math.floor((farthest * fields.share) / 4);
            expect(progress.acknowledge(index)).toBe(index > matchIndex);
            // Answers come in the order of sending, as a rule; one answer confirms all that were sent before it.
            while (inflight.length > 0 && inflight[0]!.lastIndex <= index) inflight.shift();
            expect(progress.matchIndex).toBe(Math.max(matchIndex, index));
            break;
          }
          case "probe":
            progress.becomeProbe(fields.at);
            expect(progress.nextIndex).toBe(Math.max(fields.at, matchIndex + 1));
            inflight = [];
            break;
          case "replicate":
            progress.becomeReplicate();
            expect(progress.nextIndex).toBe(matchIndex + 1);
            inflight = [];
            break;
          case "snapshot":
            progress.becomeSnapshot(SNAPSHOT);
            expect(progress).toMatchObject({ state: "snapshot", offset: 0 });
            inflight = [];
            break;
          case "forget":
            progress.forgetInflight();
            inflight = [];
            break;
        }
        expect(progress.matchIndex).toBeGreaterThanOrEqual(matchIndex);
        expect(progress.nextIndex).toBeGreaterThan(progress.matchIndex);
        expect(progress.inflightMessages).toBe(inflight.length);
        expect(progress.inflightMessages).toBeLessThanOrEqual(limit.messages);
        expect(progress.inflightBytes).toBe(inflight.reduce((sum, sent) => sum + sent.bytes, 0));
        // The last one may go beyond the limit, or one that is larger than all of it could never be sent.
        const before = inflight.slice(0, -1).reduce((sum, sent) => sum + sent.bytes, 0);
        expect(before).toBeLessThan(limit.bytes);
        expect(progress.oldestSentAt).toBe(inflight[0]?.at ?? Infinity);
        for (let seq = 0; seq <= now; seq++) {
          expect(progress.isInflight(seq)).toBe(inflight.some((sent) => sent.seq === seq));
        }
        expect(progress.snapshot === null).toBe(progress.state !== "snapshot");
      }
    }),
    200,
  );
});
