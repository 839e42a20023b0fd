import * as fc from "fast-check";

import type { Entry, Reply, Request } from "../../raft/core/index.js";
import { encode } from "../../runtime/index.js";

/** Small figures, so that they meet what a server holds; and now and then one that is far from everything. */
const figure = fc.oneof(
  { weight: 20, arbitrary: fc.nat(8) },
  // The last is the most that gets past the door.
  { weight: 1, arbitrary: fc.oneof(fc.nat(2 ** 40), fc.constant(2 ** 47)) },
);
const data = fc.uint8Array({ maxLength: 3 });

/** A leader is trusted with what its entries mean: their bytes were checked where the command came in. */
const command = fc.nat(3).map((value) => Uint8Array.from(encode(value)));

/** Terms as they may stand in a log: none before `lowest`, none after the sender's. */
function entriesOf(lowest: number, senderTerm: number): fc.Arbitrary<Entry[]> {
  const entry = fc.record({ step: fc.nat(2), type: fc.constantFrom(0, 1), data: command });
  return fc.array(entry, { maxLength: 4 }).map((drawn) => {
    let term = lowest;
    return drawn.map(({ step, type, data }): Entry => ({
      term: (term = Math.min(term + step, senderTerm)),
      type,
      data,
    }));
  });
}

/** Any figures in well-formed requests from one of `senders`: what gets past the checks at the door. */
export function anyRequest(senders: readonly number[]): fc.Arbitrary<Request> {
  const sender = fc.constantFrom(...senders);
  const requestVote = fc.record({
    type: fc.constant("requestVote"),
    term: figure,
    candidate: sender,
    seq: figure,
    lastLogIndex: figure,
    lastLogTerm: figure,
    preVote: fc.boolean(),
    transfer: fc.boolean(),
  });
  const appendEntries = fc.tuple(figure, figure).chain(([a, b]) => {
    const [prevLogTerm, term] = [Math.min(a, b), Math.max(a, b)];
    return fc.record({
      type: fc.constant("appendEntries"),
      term: fc.constant(term),
      leader: sender,
      seq: figure,
      prevLogIndex: figure,
      prevLogTerm: fc.constant(prevLogTerm),
      leaderCommit: figure,
      readContext: figure,
      entries: entriesOf(prevLogTerm, term),
    });
  });
  const installSnapshot = fc.tuple(figure, figure).chain(([a, b]) =>
    fc.record({
      type: fc.constant("installSnapshot"),
      term: fc.constant(Math.max(a, b)),
      leader: sender,
      seq: figure,
      lastIncludedIndex: figure,
      lastIncludedTerm: fc.constant(Math.min(a, b)),
      offset: fc.oneof(fc.constant(0), figure),
      data,
      done: fc.boolean(),
    }),
  );
  const timeoutNow = fc.record({ type: fc.constant("timeoutNow"), term: figure, leader: sender, seq: figure });
  return fc.oneof(requestVote, appendEntries, installSnapshot, timeoutNow);
}

/** Any figures in well-formed replies. */
export const anyReply: fc.Arbitrary<Reply> = fc.oneof(
  fc.record({
    type: fc.constant("requestVoteReply"),
    term: figure,
    requestTerm: figure,
    preVote: fc.boolean(),
    granted: fc.boolean(),
  }),
  fc.boolean().chain((success) =>
    fc.record({
      type: fc.constant("appendEntriesReply"),
      term: figure,
      seq: figure,
      readContext: figure,
      success: fc.constant(success),
      index: figure,
      // A success has no hints.
      hintIndex: success ? fc.constant(0) : figure,
      hintTerm: success ? fc.constant(0) : figure,
    }),
  ),
  fc.record({
    type: fc.constant("installSnapshotReply"),
    term: figure,
    seq: figure,
    lastIncludedIndex: figure,
    offset: figure,
    done: fc.boolean(),
  }),
  fc.record({ type: fc.constant("timeoutNowReply"), term: figure }),
);

/** What no field of any message can be. */
export const nonsense: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom(
    -1,
    0.5,
    NaN,
    Infinity,
    -Infinity,
    2 ** 47 + 1,
    Number.MAX_SAFE_INTEGER,
    2 ** 60,
    "1",
    "",
    null,
    undefined,
  ),
  fc.string(),
  fc.object(),
  fc.integer({ max: -1 }),
);
