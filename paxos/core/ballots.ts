/**
 * A ballot (n, proposerId) as one number, n * proposers + proposerId: the same order, and it fits where Raft has its term,
 * in messages, logs and answers to clients. No two proposers share one. 0 is lower than all: nothing was promised yet.
 */
export function ballotOf(n: number, proposerId: number, proposers: number): number {
  return n * proposers + proposerId;
}

export function proposerOf(ballot: number, proposers: number): number {
  return ballot % proposers;
}

/** The lowest ballot of `proposerId` above `seen`'s round. */
export function nextBallot(seen: number, proposerId: number, proposers: number): number {
  return ballotOf(Math.floor(seen / proposers) + 1, proposerId, proposers);
}
