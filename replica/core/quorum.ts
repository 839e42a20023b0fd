/**
 * Majorities: the two questions on which commitment and elections rest, as pure functions. Joint forms need both
 * majorities (§6), for the time of a membership change.
 */

type Voters = ReadonlySet<number> | readonly number[];

export type VoteResult = "won" | "lost" | "pending";

/**
 * The highest index that a majority of `voters` has stored. A voter without an entry in `acked` counts as 0. Without
 * voters nothing limits it: Infinity, so that an empty half of a joint configuration does not hold back the other.
 */
export function committedIndex(voters: Voters, acked: ReadonlyMap<number, number>): number {
  const stored: number[] = [];
  for (const voter of new Set(voters)) stored.push(acked.get(voter) ?? 0);
  return majorityValue(stored);
}

/** The largest value that a majority of `values` reaches; sorts `values`. Insertion sort: they are three to seven. */
export function majorityValue(values: number[]): number {
  if (values.length === 0) return Infinity;
  for (let i = 1; i < values.length; i++) {
    const value = values[i] as number;
    let j = i - 1;
    for (; j >= 0 && (values[j] as number) < value; j--) values[j + 1] = values[j] as number;
    values[j + 1] = value;
  }
  // Descending: the value at place floor(n/2) is reached by floor(n/2)+1 voters.
  return values[values.length >>> 1] as number;
}

export function jointCommittedIndex(
  incoming: ReadonlySet<number>,
  outgoing: ReadonlySet<number>,
  acked: ReadonlyMap<number, number>,
): number {
  return Math.min(committedIndex(incoming, acked), committedIndex(outgoing, acked));
}

/** An election without voters is won, for the same reason as above. */
export function voteResult(voters: Voters, votes: ReadonlyMap<number, boolean>): VoteResult {
  const unique = new Set(voters);
  let granted = 0;
  let open = 0;
  for (const voter of unique) {
    const vote = votes.get(voter);
    if (vote === undefined) open++;
    else if (vote) granted++;
  }
  const quorum = (unique.size >>> 1) + 1;
  if (unique.size === 0 || granted >= quorum) return "won";
  return granted + open >= quorum ? "pending" : "lost";
}

export function jointVoteResult(
  incoming: ReadonlySet<number>,
  outgoing: ReadonlySet<number>,
  votes: ReadonlyMap<number, boolean>,
): VoteResult {
  const results = [voteResult(incoming, votes), voteResult(outgoing, votes)];
  if (results.includes("lost")) return "lost";
  return results.includes("pending") ? "pending" : "won";
}
