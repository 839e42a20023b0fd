import type { Acceptors } from "./acceptors.js";
import { compareBallots, highestBallot } from "./ballot.js";
import { METHODS, nameOf, type LookReply, type Proposal, type Sighting } from "./messages.js";

export interface Look {
  /** -1 where the highest version was asked for, and a quorum has voted for none. */
  readonly version: number;
  /** What was voted for last; null: a quorum has not voted, so nothing was chosen when the look began. */
  readonly proposal: Proposal | null;
  /** The proposal is chosen; or it is null. Otherwise it may be chosen or not: only Paxos can tell. */
  readonly isSettled: boolean;
}

/**
 * Looks at one register, or at the highest version of a key that anybody has voted for, without asking for promises: an
 * acceptor remembers nothing for it, so that reading creates no registers. Null where no quorum answered.
 *
 * What was chosen before it began has votes of a quorum, of which one is among those that answer; so it is never missed.
 * And a value is chosen for sure where one acceptor has learned that, or where a quorum has voted in the same ballot.
 */
export async function look(
  acceptors: Acceptors,
  { key, version }: { key: string; version?: number },
): Promise<Look | null> {
  const { quorum } = acceptors;
  const answers = await acceptors.askQuorum<LookReply>(
    METHODS.look,
    version === undefined ? { key } : { key, version },
  );
  const sightings = acceptors.untrimmed<Sighting>(nameOf({ key, version: version ?? -1 }), answers, false);
  if (sightings.length < quorum) return null;
  const highest = Math.max(...sightings.map((sighting) => sighting.version));
  const votes = sightings.filter((sighting) => sighting.version === highest);
  const ballot = highestBallot(votes.map(({ votedBallot }) => votedBallot));
  const last = votes.filter(({ votedBallot }) => compareBallots(votedBallot, ballot) === 0);
  const vote = (votes.find(({ isChosen }) => isChosen) ?? last[0]) as Sighting;
  const hasVote = vote.votedBallot.proposerId > 0;
  return {
    version: highest,
    proposal: hasVote ? { value: vote.votedValue, author: vote.author } : null,
    isSettled: !hasVote || vote.isChosen || last.length >= quorum,
  };
}
