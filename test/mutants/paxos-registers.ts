import type { Mutant } from "./mutant.js";

const ACCEPTOR = "paxos/acceptor.ts";
const ACCEPTORS = "paxos/acceptors.ts";
const LOOK = "paxos/look.ts";
const PROPOSER = "paxos/proposer.ts";
const SERVICE = "paxos/service.ts";
const STORE = "paxos/acceptor-store.ts";
const KV = "paxos/paxos-kv.ts";

const tutorial = ["test/paxos/tutorial.test.ts"];
const acceptors = ["test/paxos/proposer.test.ts"];
const stores = ["test/paxos/paxos-kv.test.ts"];

/** Single-decree Paxos. */
export const registerMutants: readonly Mutant[] = [
  {
    name: "vote-without-ballot-check",
    row: "vote",
    mistake: "an acceptor votes whatever it has promised",
    edits: [[ACCEPTOR, "if (compareBallots(ballot, lastBallot) >= 0) {", "if (ballot !== lastBallot) {"]],
    scripts: tutorial,
    registers: 200,
    quick: true,
  },
  {
    name: "promise-not-stored",
    row: "durable",
    mistake: "a promise is in memory only",
    edits: [
      [
        STORE,
        'if (acceptor.state !== state) this.#keep(register, acceptor, { kind: "promise", ...register, ballot });',
        "if (acceptor.state !== state) this.#put(register, acceptor);",
      ],
    ],
    scripts: acceptors,
    registers: 200,
    quick: true,
  },
  {
    name: "paxos-vote-not-stored",
    row: "durable",
    mistake: "a vote is in memory only",
    edits: [
      [
        STORE,
        'if (acceptor.state !== state) this.#keep(register, acceptor, { kind: "vote", ...register, ballot, value, author });',
        "if (acceptor.state !== state) this.#put(register, acceptor);",
      ],
    ],
    scripts: acceptors,
    registers: 200,
    quick: true,
  },
  {
    name: "lower-vote-adopted",
    row: "adopt",
    mistake: "of the votes that phase 1 finds the one in the lowest ballot is adopted",
    edits: [
      [
        PROPOSER,
        "(a, b) => (compareBallots(b.votedBallot, a.votedBallot) > 0 ? b : a)",
        "(a, b) => (b.votedBallot.n > 0 && compareBallots(b.votedBallot, a.votedBallot) < 0 ? b : a)",
      ],
    ],
    scripts: tutorial,
    registers: 1000,
  },
  {
    name: "own-value-proposed-anyway",
    row: "adopt",
    mistake: "a writer proposes its own value, whatever phase 1 found",
    edits: [
      [
        PROPOSER,
        "this.#promised = { ballot, value: found && encodeValue(found.value), author: found && found.author };",
        "this.#promised = { ballot, value: null, author: null };",
      ],
      [PROPOSER, "= promises.found ?? (own as Own)", "= own ?? (promises.found as Own)"],
    ],
    scripts: tutorial,
    registers: 200,
    quick: true,
  },
  {
    name: "quorum-of-a-minority",
    row: "quorum",
    mistake: "a quorum is one acceptor too few",
    edits: [
      [ACCEPTORS, "quorum = Math.floor(ends.length / 2) + 1)", "quorum = Math.floor(ends.length / 2))"],
      [ACCEPTORS, " || 2 * quorum <= ends.length)", ")"],
    ],
    scripts: tutorial,
    registers: 200,
    quick: true,
  },
  {
    name: "answer-before-stored",
    row: "durable",
    mistake: "an acceptor answers before what it says is durable",
    edits: [[STORE, "    await this.#lastWrite;\n", ""]],
    scripts: acceptors,
    registers: 200,
    quick: true,
  },
  {
    name: "ballot-promised-twice",
    row: "one ballot",
    mistake: "a ballot is promised again, also to another proposer with the same id",
    edits: [
      [
        ACCEPTOR,
        "if (compareBallots(ballot, before.lastBallot) > 0)",
        "if (compareBallots(ballot, before.lastBallot) >= 0)",
      ],
      [PROPOSER, "compareBallots(ballot, lastBallot) > 0", "compareBallots(ballot, lastBallot) >= 0"],
    ],
    scripts: tutorial,
    registers: 500,
  },
  {
    name: "last-refusal-counts",
    row: "next ballot",
    mistake: "not the highest ballot that was seen is returned, but the last one",
    edits: [
      [
        PROPOSER,
        "const highest = highestBallot(replies.map(({ lastBallot }) => lastBallot));",
        "const highest = (replies.at(-1) ?? { lastBallot: ballot }).lastBallot;",
      ],
    ],
    scripts: acceptors,
    note: "costs rounds, and nothing else",
  },
  {
    name: "lost-reply-counts",
    row: "lost reply",
    mistake: "the network's null is taken for an answer",
    edits: [[ACCEPTORS, "if (reply !== null) replies.push(reply);", "replies.push(reply as Reply);"]],
    scripts: acceptors,
    registers: 200,
    quick: true,
  },
  {
    name: "vote-of-one-is-chosen",
    row: "learn",
    mistake: "a read takes the vote of a single acceptor for what is chosen",
    edits: [[LOOK, "vote.isChosen || last.length >= quorum", "vote.isChosen || last.length > 0"]],
    scripts: acceptors,
    registers: 500,
  },
  {
    name: "learned-whatever-was-voted",
    row: "learn",
    mistake: "an acceptor takes what it voted for long ago for what it is told is chosen",
    edits: [[STORE, "if (state && compareBallots(state.votedBallot, ballot) >= 0)", "if (state)"]],
    scripts: stores,
    registers: 1500,
  },
  {
    name: "no-means-maybe",
    row: "S62",
    mistake: "a write that may be chosen ends with an error that says no",
    edits: [[PROPOSER, "        this.#hasProposed = true;\n", ""]],
    scripts: acceptors,
    registers: 500,
  },
  {
    name: "trim-forgotten",
    row: "trim",
    mistake: "a snapshot forgets that versions were dropped: they can be decided again",
    edits: [[STORE, "return { key, trimmedBelow, registers };", "return { key, trimmedBelow: 0, registers };"]],
    registers: 500,
  },
  {
    name: "latest-after-one-look",
    row: "latest",
    mistake: "the latest version is what one look shows",
    edits: [
      [KV, "settled = (await this.#settle(key, top, signal)) ?? settled;", "return this.#settle(key, top, signal);"],
    ],
    scripts: stores,
    note: "needs two versions that are chosen in the wrong order while a third looks",
  },
  {
    name: "message-half-checked",
    row: "message",
    mistake: "the ballot of a message is not looked at",
    edits: [
      [
        SERVICE,
        "if (Number.isSafeInteger(n) && Number.isSafeInteger(proposerId) && proposerId > 0)",
        "if (n !== null)",
      ],
    ],
    scripts: acceptors,
    note: "no caller of the swarm sends nonsense",
  },
];
