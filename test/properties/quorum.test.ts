import * as fc from "fast-check";
import { expect, test } from "vitest";

import { Configuration } from "../../replica/core/configuration.js";
import { committedIndex, jointCommittedIndex, jointVoteResult, voteResult } from "../../raft/core/index.js";
import { holds } from "./property.js";

const ids = fc.array(fc.nat(8), { maxLength: 9 });
const idSet = ids.map((list) => new Set(list));
const acks = fc.array(fc.tuple(fc.nat(8), fc.nat(20)), { maxLength: 12 }).map((list) => new Map(list));
const ballots = fc.array(fc.tuple(fc.nat(8), fc.boolean()), { maxLength: 12 }).map((list) => new Map(list));

/** By the definition: the highest index that more than half of the voters have reached. */
function committedByCounting(voters: ReadonlySet<number>, acked: ReadonlyMap<number, number>): number {
  if (voters.size === 0) return Infinity;
  for (let index = 20; index > 0; index--) {
    const holders = [...voters].filter((voter) => (acked.get(voter) ?? 0) >= index).length;
    if (holders * 2 > voters.size) return index;
  }
  return 0;
}

function voteByCounting(voters: ReadonlySet<number>, votes: ReadonlyMap<number, boolean>): string {
  const granted = [...voters].filter((voter) => votes.get(voter) === true).length;
  const refused = [...voters].filter((voter) => votes.get(voter) === false).length;
  if (voters.size === 0 || granted * 2 > voters.size) return "won";
  return (voters.size - refused) * 2 > voters.size ? "pending" : "lost";
}

test("committedIndex is the highest index that a majority holds, for sets and for arrays with repetitions", () => {
  holds(
    fc.property(ids, acks, (voters, acked) => {
      const expected = committedByCounting(new Set(voters), acked);
      return committedIndex(voters, acked) === expected && committedIndex(new Set(voters), acked) === expected;
    }),
    1000,
  );
});

test("voteResult is won, lost or still open as counting says", () => {
  holds(
    fc.property(ids, ballots, (voters, votes) => {
      const expected = voteByCounting(new Set(voters), votes);
      return voteResult(voters, votes) === expected && voteResult(new Set(voters), votes) === expected;
    }),
    1000,
  );
});

test("joint forms need both majorities (§6)", () => {
  holds(
    fc.property(idSet, idSet, acks, ballots, (incoming, outgoing, acked, votes) => {
      const index = Math.min(committedByCounting(incoming, acked), committedByCounting(outgoing, acked));
      const results = [voteByCounting(incoming, votes), voteByCounting(outgoing, votes)];
      const vote = ["lost", "pending", "won"].find((result) => results.includes(result));
      return (
        jointCommittedIndex(incoming, outgoing, acked) === index && jointVoteResult(incoming, outgoing, votes) === vote
      );
    }),
    1000,
  );
});

test("what is decided stays decided: a further vote or acknowledgement takes nothing back", () => {
  holds(
    fc.property(idSet, idSet, acks, ballots, fc.nat(8), fc.nat(20), (incoming, outgoing, acked, votes, id, index) => {
      const more = new Map(acked).set(id, Math.max(index, acked.get(id) ?? 0));
      const before = jointCommittedIndex(incoming, outgoing, acked);
      expect(jointCommittedIndex(incoming, outgoing, more)).toBeGreaterThanOrEqual(before);
      const decided = jointVoteResult(incoming, outgoing, votes);
      if (decided === "pending" || votes.has(id)) return;
      expect(jointVoteResult(incoming, outgoing, new Map(votes).set(id, index % 2 === 0))).toBe(decided);
    }),
    1000,
  );
});

test("a configuration finds the value that a majority reaches, with its own figure among the others'", () => {
  holds(
    fc.property(
      fc.integer({ min: 1, max: 9 }),
      fc.array(fc.nat(20), { minLength: 9, maxLength: 9 }),
      (size, values) => {
        const voters = Array.from({ length: size }, (_, id) => id);
        const acked = new Map(voters.map((id) => [id, values[id]!]));
        const configuration = new Configuration(voters, 0);
        const value = configuration.majority(values[0]!, configuration.others, (id) => values[id]!);
        expect(value).toBe(committedByCounting(new Set(voters), acked));
      },
    ),
    500,
  );
});
