import type { Mutant } from "./mutant.js";

const ELECTION = "raft/core/election.ts";
const FOLLOWER = "raft/core/follower.ts";
const LEADER = "raft/core/leader.ts";
const LOG = "raft/core/log.ts";
const QUORUM = "replica/core/quorum.ts";
const STATE = "raft/core/state.ts";

const elections = [
  "test/raft-core/election.test.ts",
  "test/raft-core/prevote.test.ts",
  "test/stories/elections.test.ts",
];

/** Votes, terms and roles. */
export const electionMutants: readonly Mutant[] = [
  {
    name: "vote-not-stored",
    row: "2",
    mistake: "the term is written down, whom it was given to is not",
    edits: [[STATE, "{ term: this.term, votedFor: this.votedFor }", "{ term: this.term, votedFor: null }"]],
    scripts: elections,
    swarm: 200,
  },
  {
    name: "vote-told-before-stored",
    row: "3",
    mistake: "a vote is told before it is durable",
    edits: [
      [
        STATE,
        'this.effects.push({ type: "reply", after: this.lastWrite,',
        'this.effects.push({ type: "reply", after: message.type === "requestVoteReply" ? 0 : this.lastWrite,',
      ],
    ],
    scripts: elections,
    swarm: 200,
    quick: true,
  },
  {
    name: "term-forgotten",
    row: "4, S02",
    mistake: "a server that restarts takes its term from the end of its log",
    edits: [[STATE, "this.term = stored.hardState.term;", "this.term = this.log.lastTerm;"]],
    scripts: elections,
    swarm: 200,
    quick: true,
  },
  {
    name: "own-vote-before-stored",
    row: "S53",
    mistake: "a candidate counts its own vote, and asks for others, before it is durable",
    edits: [
      [ELECTION, "state.ownVoteWrite = state.lastWrite;", "state.ownVoteWrite = 0;"],
      [
        ELECTION,
        'state.setRole("candidate", null);',
        'state.setRole("candidate", null);\n  state.votes.set(state.me, true);',
      ],
    ],
    scripts: elections,
    swarm: 200,
  },
  {
    name: "any-log-gets-votes",
    row: "9",
    mistake: "votes are given whatever the candidate's log holds",
    edits: [
      [
        ELECTION,
        "const upToDate = state.log.isUpToDate(message.lastLogIndex, message.lastLogTerm);",
        "const upToDate = true;",
      ],
    ],
    scripts: elections,
    swarm: 200,
    blackBox: 1000,
  },
  {
    name: "longer-log-wins",
    row: "10",
    mistake: "the longer log is the newer one, whatever its terms",
    edits: [
      [
        LOG,
        "return lastTerm !== this.lastTerm ? lastTerm > this.lastTerm : lastIndex >= this.lastIndex;",
        "return lastIndex >= this.lastIndex;",
      ],
    ],
    scripts: elections,
    swarm: 1500,
    blackBox: 1500,
  },
  {
    name: "newer-and-longer-log-wins",
    row: "S06",
    mistake: "a log must be ahead by its term and by its length: nobody may be able to win",
    edits: [
      [
        LOG,
        "return lastTerm !== this.lastTerm ? lastTerm > this.lastTerm : lastIndex >= this.lastIndex;",
        "return lastTerm >= this.lastTerm && lastIndex >= this.lastIndex;",
      ],
    ],
    scripts: elections,
    note: "liveness only: nobody wins where the one log is longer and the other newer, and chance rarely leaves exactly those two in the healed majority",
  },
  {
    name: "two-votes-in-a-term",
    row: "11",
    mistake: "a vote is given although another candidate has it",
    edits: [
      [
        ELECTION,
        "return upToDate && (state.votedFor === null || state.votedFor === message.candidate);",
        "return upToDate;",
      ],
    ],
    scripts: elections,
    swarm: 200,
    blackBox: 200,
    quick: true,
  },
  {
    name: "vote-dropped-on-step-down",
    row: "S03",
    mistake: "a candidate that steps down within its term forgets that it voted",
    edits: [
      [
        STATE,
        'if (this.role !== "follower") this.resetElectionTimer();',
        'if (this.role !== "follower") {\n      this.votedFor = null;\n      this.resetElectionTimer();\n    }',
      ],
    ],
    scripts: elections,
    swarm: 1500,
  },
  {
    name: "votes-of-a-minority",
    row: "16",
    mistake: "an election is won with one vote too few",
    edits: [[QUORUM, "const quorum = (unique.size >>> 1) + 1;", "const quorum = unique.size >>> 1;"]],
    scripts: elections,
    swarm: 200,
    blackBox: 200,
    quick: true,
  },
  {
    name: "votes-of-an-earlier-term",
    row: "19",
    mistake: "answers to an earlier campaign count in the present one",
    edits: [
      [
        ELECTION,
        "if (state.role !== asked || message.requestTerm !== askedTerm) return;",
        "if (state.role !== asked) return;",
      ],
    ],
    scripts: elections,
    swarm: 200,
  },
  {
    name: "no-random-timeouts",
    row: "32",
    mistake: "all servers wait equally long before they stand for election",
    edits: [
      [
        STATE,
        "this.electionDeadline = this.now + min + this.random.next() * (max - min);",
        "this.electionDeadline = this.now + min;",
      ],
    ],
    scripts: elections,
    swarm: 1000,
  },
  {
    name: "denied-votes-reset-the-timer",
    row: "33",
    mistake: "any question for a vote puts the own candidacy off, also one that is denied",
    edits: [
      [
        ELECTION,
        "const granted = decideVote(state, message);",
        "const granted = decideVote(state, message);\n  state.resetElectionTimer();",
      ],
    ],
    scripts: elections,
    swarm: 1000,
  },
  {
    name: "deposed-leader-resets-the-timer",
    row: "33",
    mistake: "messages of a leader of an earlier term put the own candidacy off",
    edits: [
      [
        FOLLOWER,
        "if (term < state.term) return false;",
        "state.resetElectionTimer();\n  if (term < state.term) return false;",
      ],
    ],
    scripts: elections,
    note: "liveness only: while a deposed leader goes on sending for ever elections are slow, but checked leadership ends that",
  },
  {
    name: "later-term-in-answers-ignored",
    row: "34",
    mistake: "a leader or candidate that is told of a later term goes on as before",
    edits: [
      [
        LEADER,
        "  if (message.term > state.term) {\n    state.becomeFollower(message.term, null);\n    return undefined;",
        "  if (message.term > state.term) {\n    return undefined;",
      ],
      [
        ELECTION,
        "without it a server with a shorter log could block an election.\n    state.becomeFollower(message.term, null);",
        "without it a server with a shorter log could block an election.",
      ],
    ],
    scripts: elections,
    swarm: 1000,
  },
  {
    name: "leader-not-protected",
    row: "S09",
    mistake: "who hears from a leader votes for another all the same",
    edits: [[ELECTION, "  if (!message.transfer && leaderIsAlive(state)) return false;\n", ""]],
    scripts: elections,
    note: "liveness only: a server that comes back deposes a leader once, which chance hardly ever repeats until nothing gets done",
  },
  {
    name: "no-check-quorum",
    row: "S09",
    mistake: "a leader that reaches nobody goes on leading",
    edits: [
      [
        "raft/core/core.ts",
        "if (state.config.checkQuorum && !hasQuorumContact(state)) {",
        "if (false as boolean && !hasQuorumContact(state)) {",
      ],
    ],
    scripts: elections,
    swarm: 3000,
  },
];
