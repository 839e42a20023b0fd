/**
 * The number of a round: "rnd" in the tutorial, the proposal number of "Paxos Made Simple". Ordered by `n`, then by
 * `proposerId`, so that two proposers never mean the same round unless they share an id, which phase 1 finds out.
 */
export interface Ballot {
  readonly n: number;
  readonly proposerId: number;
}

/** Before all ballots of proposers, whose ids begin at 1: nothing promised, nothing voted for. */
export const NO_BALLOT: Ballot = { n: 0, proposerId: 0 };

/** Below 0, 0 or above 0, as `a` is lower than `b`, equal or higher. */
export function compareBallots(a: Ballot, b: Ballot): number {
  return a.n !== b.n ? a.n - b.n : a.proposerId - b.proposerId;
}

export function highestBallot(ballots: readonly Ballot[]): Ballot {
  return ballots.reduce((highest, ballot) => (compareBallots(ballot, highest) > 0 ? ballot : highest), NO_BALLOT);
}
