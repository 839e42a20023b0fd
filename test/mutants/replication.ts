import type { Mutant } from "./mutant.js";

const FOLLOWER = "raft/core/follower.ts";
const LEADER = "raft/core/leader.ts";
const LOG = "raft/core/log.ts";
const QUORUM = "replica/core/quorum.ts";
const STATE = "raft/core/state.ts";

const commits = ["test/raft-core/commit.test.ts", "test/stories/replication.test.ts", "test/stories/disk.test.ts"];
const replication = [
  "test/raft-core/replication.test.ts",
  "test/raft-core/reconcile.test.ts",
  "test/stories/replication.test.ts",
];

/** The log, what counts as stored, and what as committed. */
export const logMutants: readonly Mutant[] = [
  {
    name: "old-terms-commit-by-counting",
    row: "1, S12",
    mistake: "figure 8: an entry of an earlier term is committed once a majority holds it",
    edits: [
      [
        LEADER,
        "if (index <= state.commitIndex || state.log.termAt(index) !== state.term) return;",
        "if (index <= state.commitIndex) return;",
      ],
    ],
    scripts: commits,
    swarm: 200,
  },
  {
    name: "old-terms-commit-by-counting-no-op-dropped",
    row: "1",
    mistake: "figure 8, and leaders begin without an entry of their own",
    edits: [
      [
        LEADER,
        "if (index <= state.commitIndex || state.log.termAt(index) !== state.term) return;",
        "if (index <= state.commitIndex) return;",
      ],
      ["kvraft/server.ts", "noopOnElection: true", "noopOnElection: false"],
    ],
    scripts: commits,
    swarm: 200,
  },
  {
    name: "log-not-stored",
    row: "5",
    mistake: "entries are written nowhere",
    edits: [[STATE, "this.#persist(null, false, firstIndex, entries);", "this.#persist(null, false, 0, NO_ENTRIES);"]],
    scripts: commits,
    swarm: 200,
    blackBox: 200,
    quick: true,
  },
  {
    name: "append-told-before-stored",
    row: "6, S21",
    mistake: "entries are acknowledged before they are durable",
    edits: [
      [
        STATE,
        'this.effects.push({ type: "reply", after: this.lastWrite,',
        'this.effects.push({ type: "reply", after: message.type === "appendEntriesReply" ? 0 : this.lastWrite,',
      ],
    ],
    scripts: commits,
    swarm: 200,
    quick: true,
  },
  {
    name: "duplicate-told-before-stored",
    row: "7",
    mistake:
      "an answer waits for the writes of its own message only: a duplicate or heartbeat speaks of entries too early",
    edits: [
      [
        STATE,
        'this.effects.push({ type: "reply", after: this.lastWrite,',
        'this.effects.push({ type: "reply", after: this.effects.some(({ type }) => type === "persist") ? this.lastWrite : 0,',
      ],
    ],
    scripts: commits,
    swarm: 200,
  },
  {
    name: "always-truncates",
    row: "12, S13",
    mistake: "an append cuts off what follows its last entry: a late one takes away what was acknowledged since",
    edits: [
      [
        FOLLOWER,
        "if (skip === entries.length) return;",
        [
          "if (skip === entries.length) {",
          "    const cut = Math.max(prevLogIndex + skip, state.commitIndex) + 1;",
          "    if (cut > log.lastIndex) return;",
          "    log.truncateFrom(cut);",
          "    return state.persistEntries(cut, []);",
          "  }",
        ].join("\n"),
      ],
    ],
    scripts: replication,
    swarm: 200,
    blackBox: 200,
    quick: true,
  },
  {
    name: "previous-term-not-compared",
    row: "13",
    mistake: "an append fits wherever there is an entry before it, whatever its term",
    edits: [
      [
        FOLLOWER,
        "if (prevLogIndex >= log.lastIncludedIndex && log.termAt(prevLogIndex) !== prevLogTerm) {",
        "if (prevLogIndex > log.lastIndex) {",
      ],
    ],
    scripts: replication,
    swarm: 1500,
    blackBox: 1500,
  },
  {
    name: "conflict-keeps-tail",
    row: "14",
    mistake: "entries that differ are replaced one by one, what stands behind them stays",
    edits: [
      [
        FOLLOWER,
        "    log.truncateFrom(firstIndex);",
        [
          "    const behind = prevLogIndex + 1 + entries.length;",
          "    if (behind <= log.lastIndex) entries = [...entries, ...log.slice(behind, log.lastIndex, Infinity)];",
          "    log.truncateFrom(firstIndex);",
        ].join("\n"),
      ],
    ],
    scripts: replication,
    swarm: 1000,
  },
  {
    name: "commit-beyond-the-message",
    row: "15",
    mistake: "a follower commits what the leader has committed, also entries that it holds from another leader",
    edits: [
      [
        FOLLOWER,
        "state.advanceCommit(Math.min(message.leaderCommit, lastNew));",
        "state.advanceCommit(Math.min(message.leaderCommit, log.lastIndex));",
      ],
    ],
    scripts: commits,
    swarm: 1500,
    blackBox: 1500,
  },
  {
    name: "commit-by-a-minority",
    row: "16",
    mistake: "an entry counts as committed on one server too few",
    edits: [
      [
        QUORUM,
        "return values[values.length >>> 1] as number;",
        "return values[Math.max(0, (values.length >>> 1) - 1)] as number;",
      ],
    ],
    scripts: commits,
    swarm: 200,
    blackBox: 1000,
    quick: true,
  },
  {
    name: "deposed-leader-obeyed",
    row: "17",
    mistake: "messages of a leader of an earlier term are followed",
    edits: [
      [FOLLOWER, "  if (term < state.term) return false;\n", ""],
      [FOLLOWER, "state.becomeFollower(term, leader);", "state.becomeFollower(Math.max(term, state.term), leader);"],
    ],
    scripts: ["test/raft-core/election.test.ts", ...replication],
    swarm: 1000,
  },
  {
    name: "answers-count-for-everything-sent",
    row: "18",
    mistake: "an answer counts for all entries that the leader has by now",
    edits: [
      [
        LEADER,
        "if (message.success) onMatch(state, progress, message.index);",
        "if (message.success) onMatch(state, progress, state.log.lastIndex);",
      ],
    ],
    scripts: commits,
    swarm: 200,
    blackBox: 200,
    quick: true,
  },
  {
    name: "heartbeat-vouches-for-the-tail",
    row: "S14",
    mistake: "a follower answers a heartbeat with the end of its log, which may be another leader's",
    edits: [[FOLLOWER, "    index: lastNew,", "    index: log.lastIndex,"]],
    scripts: commits,
    swarm: 1500,
  },
  {
    name: "counts-kept-from-an-earlier-leadership",
    row: "20",
    mistake: "a server that leads again goes on with what its followers held when it led before",
    edits: [
      [
        STATE,
        "  seqBeforeLeading = 0;",
        "  seqBeforeLeading = 0;\n  readonly formerMatch = new Map<number, number>();",
      ],
      [
        STATE,
        "    this.followers = [];",
        "    for (const { id, matchIndex } of this.followers) this.formerMatch.set(id, matchIndex);\n    this.followers = [];",
      ],
      [
        LEADER,
        "  if (state.config.noopOnElection) appendAsLeader",
        [
          "  for (const progress of state.followers) {",
          "    progress.matchIndex = Math.min(state.formerMatch.get(progress.id) ?? 0, state.log.lastIndex);",
          "  }",
          "  if (state.config.noopOnElection) appendAsLeader",
        ].join("\n"),
      ],
    ],
    scripts: commits,
    note: "needs a server that leads twice and a follower that was cut back in between; a script does that in a few steps",
  },
  {
    name: "answers-of-an-earlier-leadership",
    row: "21",
    mistake: "answers to what was sent in an earlier term are taken for answers of this one",
    edits: [
      [
        LEADER,
        "if (!state.isLeader() || message.term < state.term) return undefined;",
        "if (!state.isLeader()) return undefined;",
      ],
      [LEADER, "  if (message.seq <= state.seqBeforeLeading) return undefined;\n", ""],
    ],
    scripts: [...commits, ...replication],
    note: "needs an answer that comes a whole leadership late, to the same server, of a follower that was cut back since",
  },
  {
    name: "stale-refusal-rewinds",
    row: "S15",
    mistake: "a refusal that is out of date moves nextIndex back",
    edits: [
      [LEADER, '  if (message.index <= progress.matchIndex || progress.state === "snapshot") return;\n', ""],
      [LEADER, '  if (progress.state === "probe" && message.index !== progress.nextIndex - 1) return;\n', ""],
    ],
    scripts: replication,
    note: "harmless to the log: matchIndex holds nextIndex up, and nobody cuts off what is committed; it costs messages sent twice",
  },
  {
    name: "match-goes-back",
    row: "22",
    mistake: "matchIndex follows an answer that is out of date",
    edits: [
      [
        "raft/core/progress.ts",
        "if (index <= this.matchIndex) return false;",
        "if (index === this.matchIndex) return false;",
      ],
    ],
    scripts: [...replication],
    swarm: 200,
  },
  {
    name: "own-log-counts-before-stored",
    row: "S53",
    mistake: "the leader counts its own entries before they are durable",
    edits: [
      [LEADER, "state.configuration.majority(state.durableIndex,", "state.configuration.majority(state.log.lastIndex,"],
    ],
    scripts: commits,
    swarm: 200,
  },
  {
    name: "late-write-counts-for-its-successor",
    row: "S18",
    mistake: "the end of a write makes durable what has replaced its entries since (ABA)",
    edits: [
      [
        STATE,
        "    for (const pending of this.#pendingAppends) pending.lastIndex = Math.min(pending.lastIndex, firstIndex - 1);\n",
        "",
      ],
    ],
    scripts: commits,
    note: "needs a leader whose own entries were replaced while they were on their way to its disk, and that leads again before the replacement is on it",
  },
  {
    name: "durable-index-survives-truncation",
    row: "S18",
    mistake: "what replaces durable entries counts as durable at once",
    edits: [[STATE, "    if (this.durableIndex >= firstIndex) this.durableIndex = firstIndex - 1;\n", ""]],
    scripts: commits,
    note: "needs a server that leads right after it was cut back, before its disk has caught up",
  },
  {
    name: "ack-before-commit",
    row: "30",
    mistake: "the leader commits what it alone has stored",
    edits: [
      [
        LEADER,
        "const index = state.configuration.majority(state.durableIndex, state.followers, matchIndex);",
        "const index = state.durableIndex;",
      ],
    ],
    scripts: commits,
    swarm: 200,
    blackBox: 200,
    quick: true,
  },
  {
    name: "unsorted-majority",
    row: "S17",
    mistake: "the quorum is read from an order that is no longer sorted",
    edits: [
      [
        QUORUM,
        "for (; j >= 0 && (values[j] as number) < value; j--)",
        "for (; j >= 1 && (values[j] as number) < value; j--)",
      ],
    ],
    scripts: commits,
    swarm: 200,
  },
  {
    name: "backs-off-one-by-one",
    row: "S22",
    mistake: "after a refusal the leader steps back by a single entry",
    edits: [
      [
        LEADER,
        "progress.becomeProbe(Math.min(match, message.hintIndex, message.index - 1) + 1);",
        "progress.becomeProbe(message.index);",
      ],
    ],
    scripts: ["test/transcripts/transcripts.test.ts"],
    note: "costs time only: a round trip for each entry that differs",
  },
  {
    name: "full-window-never-moves",
    row: "S23",
    mistake: "a window of messages that were all lost is waited for",
    edits: [
      [
        LEADER,
        "if (isOverdue || progress.failures > 0) retreat(progress);",
        "if (progress.failures > 0) retreat(progress);",
      ],
    ],
    scripts: replication,
    swarm: 3000,
  },
  {
    name: "resends-without-progress",
    row: "39",
    mistake: "each answer is followed by another message, whether it told anything or not",
    edits: [
      [
        LEADER,
        "  else onMismatch(state, progress, message);\n  sendAppends(state, progress);",
        "  else onMismatch(state, progress, message);\n  if (!sendAppends(state, progress)) sendHeartbeat(state, progress);",
      ],
    ],
    scripts: replication,
    swarm: 200,
    quick: true,
  },
  {
    name: "dead-server-stormed",
    row: "39",
    mistake: "what goes unanswered is sent again at once, each time",
    edits: [[LEADER, "if (progress.failures++ > 0) return;", "progress.failures++;"]],
    scripts: replication,
    note: "a silent server costs one message for each that the network gives up, which is far from a storm of events",
  },
  {
    name: "log-shared-with-storage",
    row: "40",
    mistake: "the log and the storage work on one array",
    edits: [[LOG, "this.#entries = [...entries];", "this.#entries = entries as Entry[];"]],
    scripts: [...commits, "test/raft-core/pure.test.ts"],
    note: "the log on the disk gives its array away; only the storage in memory of the labs keeps it",
  },
  {
    name: "message-shares-the-log",
    row: "40",
    mistake: "a message carries the log's own array, which goes on changing",
    edits: [
      [
        LOG,
        "return this.#entries.slice(start, stop);",
        "return start === 0 && stop === this.#entries.length ? this.#entries : this.#entries.slice(start, stop);",
      ],
    ],
    scripts: [...commits, "test/raft-core/pure.test.ts"],
    note: "the driver encodes a message before the log changes; only who keeps messages, as the tests of the core do, sees it",
  },
];
