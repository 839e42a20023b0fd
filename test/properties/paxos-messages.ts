import * as fc from "fast-check";

import type { InstanceVote, Reply, Request } from "../../paxos/core/index.js";
import type { Entry } from "../../replica/core/index.js";
import { encode } from "../../runtime/index.js";

/** Small figures, so that they meet what a server holds; and now and then one that is far from everything. */
const figure = fc.oneof(
  { weight: 20, arbitrary: fc.nat(8) },
  { weight: 1, arbitrary: fc.oneof(fc.nat(2 ** 40), fc.constant(2 ** 47)) },
);
const atLeastOne = (drawn: number): number => Math.max(1, drawn);
const positive = figure.map(atLeastOne);
const command = fc.nat(3).map((value) => Uint8Array.from(encode(value)));

/** Of an author that is not above `ballot`. */
function entryUpTo(ballot: number): fc.Arbitrary<Entry> {
  return fc.record({
    term: fc.integer({ min: 1, max: Math.min(ballot, 8) }),
    type: fc.constantFrom(0, 1),
    data: command,
  });
}

const vote = positive.chain((ballot) => fc.record({ ballot: fc.constant(ballot), entry: entryUpTo(ballot) }));

/** In order of instance, each once, with holes. */
const votes: fc.Arbitrary<InstanceVote[]> = fc
  .array(
    fc.tuple(fc.oneof({ weight: 10, arbitrary: fc.integer({ min: 1, max: 2 }) }, fc.integer({ min: 1, max: 9 })), vote),
    {
      maxLength: 4,
    },
  )
  .map((drawn) => {
    let instance = 0;
    return drawn.map(([step, each]) => ({ instance: (instance += step), ...each }));
  });

/** Any figures in well-formed requests from one of `senders`: what gets past the checks at the door. */
export function anyRequest(senders: readonly number[]): fc.Arbitrary<Request> {
  const sender = fc.constantFrom(...senders);
  const prepare = fc.record({
    type: fc.constant("prepare"),
    ballot: positive,
    sender,
    seq: figure,
    from: positive,
    probe: fc.boolean(),
    handover: figure,
  });
  const accept = positive.chain((ballot) =>
    fc.record({
      type: fc.constant("accept"),
      ballot: fc.constant(ballot),
      sender,
      seq: figure,
      first: positive,
      commitIndex: figure,
      readContext: figure,
      entries: fc.array(entryUpTo(ballot), { maxLength: 4 }),
    }),
  );
  const learn = fc.record({
    type: fc.constant("learn"),
    sender,
    seq: figure,
    from: positive,
    snapshotIndex: figure,
    offset: figure,
  });
  const takeOver = fc.record({ type: fc.constant("takeOver"), ballot: positive, sender, seq: figure });
  return fc.oneof(prepare, accept, learn, takeOver);
}

/** Well-formed replies with figures drawn from `figure`. */
function replies(figure: fc.Arbitrary<number>): fc.Arbitrary<Reply> {
  const chunk = fc.record({
    index: figure.map(atLeastOne),
    term: figure,
    ballot: figure,
    offset: fc.oneof(fc.constant(0), figure),
    data: fc.uint8Array({ maxLength: 3 }),
    done: fc.boolean(),
  });
  return fc.oneof(
    fc.record({
      type: fc.constant("prepareReply"),
      ballot: figure,
      requestBallot: figure,
      probe: fc.boolean(),
      granted: fc.boolean(),
      commitIndex: figure,
      next: figure,
      votes,
    }),
    fc.record({
      type: fc.constant("acceptReply"),
      ballot: figure,
      seq: figure,
      readContext: figure,
      first: figure,
      count: figure,
      commitIndex: figure,
    }),
    fc.record({
      type: fc.constant("learnReply"),
      seq: figure,
      commitIndex: figure,
      chosen: votes,
      snapshot: fc.constant(null),
    }),
    fc.record({
      type: fc.constant("learnReply"),
      seq: figure,
      commitIndex: figure,
      chosen: fc.constant([]),
      snapshot: chunk,
    }),
    fc.record({ type: fc.constant("takeOverReply"), ballot: figure }),
  );
}

/** Any figures in well-formed replies. */
export const anyReply = replies(figure);
/** Figures that are near to what a server holds. */
export const nearReply = replies(fc.nat(8));
