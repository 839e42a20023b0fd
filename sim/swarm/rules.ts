/** The rules that a run may break, by what names them in the code; the texts are what reports say. */
export const RULES = {
  // Black box: what clients see.
  linearizable: "linearizability",
  undecided: "linearizability could not be decided",
  exactlyOnce: "each write happens once",
  liveness: "operations finish once a majority is healed",
  convergence: "healed servers catch up",
  hang: "the world does not stand still",
  storm: "no message storm",
  error: "no error escapes",
  invariant: "invariants inside the product hold",
  // White box, for Raft: figure 3 of the paper, and what it rests on.
  electionSafety: "Election Safety",
  electorate: "a leader has durable votes of a majority",
  oneVote: "one vote a term",
  leaderCompleteness: "Leader Completeness",
  leaderAppendOnly: "Leader Append-Only",
  logMatching: "Log Matching",
  stateMachineSafety: "State Machine Safety",
  committedDurable: "what is committed is durable on a majority",
  currentTermCommit: "only entries of the current term commit by counting",
  leadersCommit: "what a follower commits, a leader has committed",
  matchDurable: "matchIndex counts only what is durable",
  termsGrow: "terms only grow",
  // White box, for Paxos: "Paxos Made Simple", and what its acceptors must keep.
  oneValue: "at most one value is chosen for an instance",
  oneProposal: "one ballot, one value for an instance",
  ballotOwner: "a ballot belongs to one proposer, once",
  promisesGrow: "promises only grow",
  promiseKept: "no vote below a promise",
  votesStay: "a vote stays until another, or a snapshot, takes its place",
  promisedQuorum: "a leader has durable promises of a majority",
  votesTold: "a promise tells of all votes",
  chosenProposed: "a chosen value is proposed again, and no other",
  committedChosen: "what is committed is chosen",
  // White box, for both.
  saidDurable: "nothing is said before it is durable",
  commitGrows: "the commit index only grows",
  appliedGrows: "applied entries follow one another",
  stateEqual: "equal index, equal state",
  snapshotWhole: "snapshots arrive whole",
  recovery: "what was durable comes back",
  diskOrder: "writes become durable in order",
} as const;

export type Rule = keyof typeof RULES;
