import type { Mutant } from "./mutant.js";

const ACCEPTOR = "paxos/core/acceptor.ts";
const BARRIER = "paxos/core/barrier.ts";
const COMMIT = "paxos/core/commit.ts";
const LEADER = "paxos/core/leader.ts";
const LEARNER = "paxos/core/learner.ts";
const PREPARE = "paxos/core/prepare.ts";
const STATE = "paxos/core/state.ts";

const acceptor = ["test/paxos/acceptor.test.ts"];
const proposer = ["test/paxos/log-proposer.test.ts"];

const phase1: readonly Mutant[] = [
  {
    name: "paxos-promise-not-stored",
    row: "Paxos",
    mistake: "an acceptor does not write its promises down",
    edits: [
      [
        STATE,
        "const hardState = this.#promiseChanged ? { term: this.term, votedFor: null } : null;",
        "const hardState = null;",
      ],
    ],
    scripts: acceptor,
    swarm: 100,
    quick: true,
  },
  {
    name: "paxos-promise-told-before-stored",
    row: "Paxos",
    mistake: "a promise is told before it is durable",
    edits: [
      [
        STATE,
        'this.effects.push({ type: "reply", after: this.lastWrite,',
        'this.effects.push({ type: "reply", after: message.type === "prepareReply" ? 0 : this.lastWrite,',
      ],
    ],
    scripts: acceptor,
    swarm: 100,
    quick: true,
  },
  {
    name: "paxos-own-promise-before-stored",
    row: "Paxos",
    mistake: "a proposer counts its own promise, and asks for others, before it is durable",
    edits: [[PREPARE, "state.ownPromiseWrite = state.lastWrite;", "state.ownPromiseWrite = 0;"]],
    swarm: 100,
  },
  {
    name: "paxos-ballot-used-again",
    row: "Paxos",
    mistake: "a server that restarts takes its promise from its last vote, and uses a ballot again",
    edits: [[STATE, "this.term = promised;", "this.term = stored.entries.at(-1)?.term ?? 0;"]],
    scripts: acceptor,
    swarm: 200,
  },
  {
    name: "paxos-promises-of-a-minority",
    row: "Paxos",
    mistake: "phase 1 ends with one promise too few",
    edits: [
      [
        PREPARE,
        "const result = state.configuration.voteResult(state.promises);",
        'const result = [...state.promises.values()].filter(Boolean).length >= state.majority - 1 ? "won" : "pending";',
      ],
    ],
    scripts: proposer,
    swarm: 100,
  },
  {
    name: "paxos-lower-ballot-adopted",
    row: "Paxos",
    mistake: "of the votes in an instance that of the lowest ballot is proposed again",
    edits: [[PREPARE, "known.ballot < ballot", "known.ballot > ballot"]],
    scripts: proposer,
    swarm: 1000,
  },
  {
    name: "paxos-noop-over-a-vote",
    row: "Paxos",
    mistake: "a new leader puts a value of its own into instances that have votes",
    edits: [[LEADER, "entries.push(adopted.get(i)?.entry ?? noop);", "entries.push(noop);"]],
    scripts: proposer,
    swarm: 100,
    quick: true,
  },
  {
    name: "paxos-hole-not-filled",
    row: "Paxos",
    mistake: "a hole is closed by what stands behind it",
    edits: [
      [
        LEADER,
        "entries.push(adopted.get(i)?.entry ?? noop);",
        "if (adopted.has(i)) entries.push(adopted.get(i).entry);",
      ],
    ],
    scripts: proposer,
    note: "holes with votes behind them come up in one seed of two hundred",
  },
  {
    name: "paxos-votes-not-told",
    row: "Paxos",
    mistake: "a promise tells of the last vote alone",
    edits: [
      [ACCEPTOR, "const from = Math.max(message.from, state.commitIndex + 1);", "const from = state.log.lastIndex;"],
    ],
    scripts: acceptor,
    swarm: 200,
  },
  {
    name: "paxos-first-part-is-enough",
    row: "Paxos",
    mistake: "a promise counts before all of its votes are there",
    edits: [[PREPARE, "if (message.next !== 0) {", "if (message.next < 0) {"]],
    scripts: proposer,
    swarm: 1000,
  },
  {
    name: "paxos-part-remembered",
    row: "Paxos",
    mistake: "how far a promise in parts had come outlives its ballot",
    edits: [[PREPARE, "  state.promises.clear();\n  state.missingFrom.clear();\n", "  state.promises.clear();\n"]],
    scripts: proposer,
    note: "no wrong answer: a server that asks from too early is refused; one seed of twenty-five thousand shows it",
  },
];

const phase2: readonly Mutant[] = [
  {
    name: "paxos-accept-without-ballot-check",
    row: "Paxos",
    mistake: "an acceptor votes whatever it has promised",
    edits: [[ACCEPTOR, "const isAccepted = ballot >= state.term;", "const isAccepted = true;"]],
    scripts: acceptor,
    swarm: 200,
    quick: true,
  },
  {
    name: "paxos-vote-not-stored",
    row: "Paxos",
    mistake: "an acceptor does not write its votes down",
    edits: [[ACCEPTOR, "state.persistVotes(votes);", ""]],
    scripts: acceptor,
    swarm: 100,
  },
  {
    name: "paxos-vote-told-before-stored",
    row: "Paxos",
    mistake: "a vote is told before it is durable",
    edits: [
      [
        STATE,
        'this.effects.push({ type: "reply", after: this.lastWrite,',
        'this.effects.push({ type: "reply", after: message.type === "acceptReply" ? 0 : this.lastWrite,',
      ],
    ],
    scripts: acceptor,
    swarm: 100,
    quick: true,
  },
  {
    name: "paxos-own-vote-before-stored",
    row: "Paxos",
    mistake: "a leader counts its own vote before it is durable",
    edits: [
      [
        LEADER,
        "state.awaitOwnVotes(first, first + entries.length - 1);",
        "countVotes(state, state.me, first, first + entries.length - 1);",
      ],
    ],
    scripts: proposer,
    swarm: 100,
  },
  {
    name: "paxos-chosen-by-a-minority",
    row: "Paxos",
    mistake: "phase 2 ends with one vote too few",
    edits: [[COMMIT, ">= majority)", ">= majority - 1)"]],
    scripts: proposer,
    swarm: 100,
    blackBox: 1000,
  },
  {
    name: "paxos-answers-of-an-earlier-ballot",
    row: "Paxos",
    mistake: "votes in an earlier ballot of the same proposer count in this one",
    edits: [
      [LEADER, "if (!state.isLeader() || message.ballot < state.term) return;", "if (!state.isLeader()) return;"],
    ],
    scripts: proposer,
    note: "the same proposer must lead twice, and an answer be late by all that is in between",
  },
  {
    name: "paxos-own-votes-of-an-earlier-leadership",
    row: "Paxos",
    mistake: "own votes of an earlier leadership count in this one, once they are durable",
    edits: [[STATE, "    this.#pendingVotes.length = 0;\n", ""]],
    scripts: proposer,
    note: "the same server must lead twice, with a disk that is slow in between; one seed of several thousand",
  },
  {
    name: "paxos-refusal-counts",
    row: "Paxos",
    mistake: "a refusal counts as a vote where it names the ballot in which the leader came back",
    edits: [[ACCEPTOR, "count: isAccepted ? entries.length : 0,", "count: entries.length,"]],
    scripts: acceptor,
    note: "an accept must be late by two changes of leader, and the first leader be the third",
  },
  {
    name: "paxos-refused-leader-goes-on",
    row: "Paxos",
    mistake: "a leader takes a refusal for a vote",
    edits: [
      [ACCEPTOR, "count: isAccepted ? entries.length : 0,", "count: entries.length,"],
      [LEADER, "if (message.ballot > state.term) {", "if (message.ballot < 0) {"],
    ],
    scripts: proposer,
    swarm: 200,
  },
];

const learning: readonly Mutant[] = [
  {
    name: "paxos-old-vote-taken-for-chosen",
    row: "Paxos",
    mistake: "a learner takes its vote of an earlier ballot for what the leader says is chosen",
    edits: [[LEARNER, "state.log.voteAt(index + 1)?.ballot === ballot", "state.log.voteAt(index + 1) !== undefined"]],
    scripts: acceptor,
    swarm: 500,
  },
  {
    name: "paxos-votes-taught-as-chosen",
    row: "Paxos",
    mistake: "a server that is asked for chosen values tells of its votes",
    edits: [[LEARNER, "log.votesFrom(message.from, commitIndex, ", "log.votesFrom(message.from, log.lastIndex, "]],
    swarm: 200,
  },
  {
    name: "paxos-snapshot-drops-votes",
    row: "Paxos",
    mistake: "with a snapshot the votes beyond it are not written once more",
    edits: [[STATE, "records.push(encodeVote(writer, vote));", ""]],
    scripts: acceptor,
    swarm: 200,
    quick: true,
  },
  {
    name: "paxos-foreign-snapshot-not-kept",
    row: "Paxos",
    mistake: "storage is told of a snapshot from another server as of one whose values it has",
    edits: [[LEARNER, "state.persistSnapshot(snapshot, true);", "state.persistSnapshot(snapshot, false);"]],
    scripts: acceptor,
    note: "a crash must come between the answer of the storage and the end of the snapshot's own write",
  },
  {
    name: "paxos-reads-without-quorum",
    row: "Paxos",
    mistake: "a leader answers reads without asking whether it still leads",
    edits: [[BARRIER, "if (hasLease(state)) {", "if (state.isLeader()) {"]],
    swarm: 1000,
  },
  {
    name: "paxos-restart-forgets-the-lease",
    row: "37, S51",
    mistake: "an acceptor that restarts promises at once, though its leader may read under a lease",
    edits: [[STATE, "    if (this.config.leaseReads && promised > 0) this.lastLeaderContact = this.now;\n", ""]],
    scripts: acceptor,
    note: "needs lease reads, an acceptor that restarts within the lease, and a reader at the leader that was cut off",
  },
];

/** Multi-Paxos: promises, votes, and what is learned of them. Its swarm runs on that engine. */
export const paxosMutants: readonly Mutant[] = [...phase1, ...phase2, ...learning].map((mutant) => ({
  ...mutant,
  engine: "paxos",
}));
