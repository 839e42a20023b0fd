/** Rare states that a run may reach. A sweep shows by how many seeds each was; one that never was tells of a blind spot. */
export const MARKS = {
  // Elections.
  preVoteLost: "a pre-vote was lost",
  electionWon: "a leader was elected",
  electionLost: "a campaign was lost to another candidate's term or a refusal",
  splitVote: "two candidates of one term",
  reelected: "a server became leader again in a later term",
  voteRefusedSticky: "a vote was refused because a leader is alive",
  voteRefusedLog: "a vote was refused because the candidate's log is behind",
  checkQuorumStepDown: "a leader that reached no majority stepped down",
  deposedByTerm: "a leader learned of a later term",
  candidateFollowed: "a candidate found that another leads its term",
  transferCampaign: "a server stood at the leader's request",
  transferDone: "leadership was handed over",
  transferFailed: "a handover failed",
  // Replication.
  conflictTruncation: "a follower cut conflicting entries off",
  truncationOverTerms: "entries of more than one term were cut off at once",
  mismatch: "an append did not fit the follower's log",
  oldAppend: "an append of an earlier term came late",
  oldReply: "a reply of an earlier term came late",
  repeatedAppend: "an append brought only what was there already",
  windowFull: "a follower's window was full",
  retreat: "what was in flight was given up and probed for anew",
  commitOfOldTerm: "a new leader committed entries of earlier terms",
  leaderLostWrites: "a leader's entries were cut off after it lost its place",
  commitWithoutLeaderDisk: "an entry was committed before it was durable on its leader",
  // Snapshots.
  snapshotTaken: "a snapshot was taken",
  snapshotInstalled: "a follower installed a snapshot",
  snapshotReplacedLog: "an installed snapshot replaced a log that does not go on from it",
  snapshotChunked: "a snapshot travelled in several chunks",
  snapshotStale: "a snapshot came that was not needed any more",
  snapshotRestart: "a snapshot's transfer began anew",
  behindCompaction: "a new leader needed a snapshot for a follower at once",
  // Reads and clients.
  readWaitedForNoop: "a read waited for the first commit of the term",
  readLost: "a read was lost with leadership",
  readByLease: "a read was answered by lease",
  readBatch: "one round confirmed several reads",
  duplicateSuppressed: "a write arrived again and was not carried out again",
  sessionExpired: "a write met an expired session",
  sessionEvicted: "a session was dropped for want of room",
  gaveUp: "a client gave up an operation that may have happened",
  gaveUpUnsent: "a client gave up an operation that did not happen",
  // Disks and processes.
  tornTail: "recovery cut off a torn end of the log",
  lostUnsynced: "recovery found less than was under way",
  keptUnsynced: "recovery found more than was acknowledged",
  snapshotNotKept: "recovery found an older snapshot than the last that was taken",
  recoveredSnapshot: "a server started from a snapshot",
  voteLost: "a crash took a vote that was not durable yet",
  diskFullWait: "a server waited for space",
  diskFailed: "a disk failure ended a server",
  allDown: "all servers were down at once",
  noMajorityUp: "no majority was up",
  leaderPaused: "a leader slept",
  twoLeaders: "two servers believed that they lead, in different terms",
} as const;

export type Mark = keyof typeof MARKS;

/** Those of them that Paxos can reach too: in its words a term is a ballot. */
const SHARED = [
  ...(["readLost", "readByLease", "readBatch", "duplicateSuppressed", "sessionExpired", "sessionEvicted"] as const),
  ...(["gaveUp", "gaveUpUnsent", "checkQuorumStepDown", "reelected", "leaderPaused", "twoLeaders"] as const),
  ...(["transferDone", "transferFailed", "windowFull", "retreat", "oldReply", "commitWithoutLeaderDisk"] as const),
  ...(["snapshotTaken", "snapshotInstalled", "snapshotChunked", "snapshotRestart", "leaderLostWrites"] as const),
  ...(["tornTail", "lostUnsynced", "keptUnsynced", "snapshotNotKept", "recoveredSnapshot", "diskFullWait"] as const),
  ...(["diskFailed", "allDown", "noMajorityUp"] as const),
] satisfies readonly Mark[];

const PAXOS_OWN = {
  // Phase 1.
  probeRefused: "a server asked whether it could take over, and was refused",
  probeRefusedGone: "a probe was refused because the asker would first need a snapshot",
  promiseRefusedSticky: "a promise was refused because a leader is alive",
  promiseRefusedOld: "a promise was refused because a higher ballot was promised",
  promiseRepeated: "a ballot was promised once more",
  promiseInParts: "a promise told of so many votes that it took several messages",
  duelingProposers: "two servers stood at once",
  phase1Won: "a server took over for the whole log",
  phase1Lost: "a server that stood learned of a higher ballot, or was refused",
  takeOverAsked: "a server stood at the leader's request",
  candidateBehind: "a server that stood found that acceptors know more to be chosen",
  leaderLearns: "a leader took over while it still had to learn what was chosen",
  holeFilled: "a hole was filled with a no-op",
  valueAdopted: "a leader proposed the value of an earlier ballot again",
  valueOfOthersAdopted: "the value was one that the leader had not voted for itself",
  // Phase 2.
  acceptRefused: "an acceptor refused a vote in a lower ballot than it has promised",
  acceptUnprepared: "an acceptor voted in a ballot that it was not asked to promise before",
  acceptRepeated: "an accept brought only what was voted for already",
  voteOverwritten: "a vote gave way to another value's of a higher ballot",
  voteRepeated: "a vote gave way to the same value's of a higher ballot",
  chosenOutOfOrder: "an instance was chosen before one in front of it",
  deposedByBallot: "a leader learned of a higher ballot",
  // Learning.
  oldVoteNotTaken: "a learner did not take its vote of an earlier ballot for what was chosen",
  learnedRange: "a server learned a range of chosen values",
  learnedElsewhere: "a question was put to another server",
  snapshotWithVotes: "a snapshot was taken while there were votes beyond it",
  // Reads and disks.
  readWaitedForPhase1: "a read waited until what phase 1 had found was chosen",
  promiseLost: "a crash took a promise that was not durable yet",
} as const;

export type PaxosMark = keyof typeof PAXOS_OWN | (typeof SHARED)[number];

/** The same for Paxos. */
export const PAXOS_MARKS: Readonly<Record<string, string>> = {
  ...PAXOS_OWN,
  ...Object.fromEntries(SHARED.map((name) => [name, MARKS[name]])),
};
