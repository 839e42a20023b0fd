import type { Mutant } from "./mutant.js";

const FOLLOWER = "raft/core/follower.ts";
const LEADER = "raft/core/leader.ts";
const MACHINE = "kvraft/kv-machine.ts";
const RSM = "kvraft/rsm.ts";
const SESSIONS = "kvraft/sessions.ts";
const snapshots = [
  "test/raft-core/snapshot.test.ts",
  "test/raft-core/reconcile.test.ts",
  "test/stories/snapshots.test.ts",
];
const store = ["test/kv-store.test.ts"];
const clerks = ["test/clerk-sessions.test.ts", "test/clerk.test.ts"];
const machine = ["test/rsm.test.ts"];

/** Snapshots and compaction. */
export const snapshotMutants: readonly Mutant[] = [
  {
    name: "append-skips-one-behind-the-snapshot",
    row: "23",
    mistake: "an append that reaches back into the snapshot loses the first entry behind it",
    edits: [
      [
        FOLLOWER,
        "Math.max(0, log.lastIncludedIndex - prevLogIndex));",
        "Math.max(0, log.lastIncludedIndex - prevLogIndex + 1));",
      ],
    ],
    scripts: snapshots,
    swarm: 200,
    blackBox: 200,
    quick: true,
  },
  {
    name: "compaction-drops-one-too-many",
    row: "24",
    mistake: "compaction takes the first entry behind the snapshot too",
    edits: [
      [
        "raft/core/log.ts",
        "this.#entries = this.#entries.slice(index - this.#lastIncludedIndex);",
        "this.#entries = this.#entries.slice(index - this.#lastIncludedIndex + 1);",
      ],
    ],
    scripts: snapshots,
    swarm: 200,
    blackBox: 200,
    quick: true,
  },
  {
    name: "older-snapshot-installed",
    row: "25",
    mistake: "a late snapshot replaces a state that is ahead of it",
    edits: [
      [
        FOLLOWER,
        "  if (lastIncludedIndex <= state.commitIndex) {",
        "  if (lastIncludedIndex <= state.log.lastIncludedIndex) {",
      ],
    ],
    scripts: snapshots,
  },
  {
    name: "snapshot-keeps-foreign-log",
    row: "S42",
    mistake: "behind an installed snapshot a log of another history stays",
    edits: [
      [
        FOLLOWER,
        "const extendsSnapshot = log.termAt(snapshot.index) === snapshot.term;",
        "const extendsSnapshot = log.termAt(snapshot.index) !== undefined;",
      ],
    ],
    scripts: snapshots,
    swarm: 3000,
  },
  {
    name: "chunks-of-two-leaders-mixed",
    row: "25",
    mistake: "chunks of snapshots of different leaders are put together",
    edits: [
      [
        FOLLOWER,
        "if (incoming === null || incoming.term !== term || incoming.lastIncludedIndex !== lastIncludedIndex) {",
        "if (incoming === null) {",
      ],
    ],
    scripts: snapshots,
    note: "needs two leaders within one transfer whose snapshots differ: equal ones are made at equal places",
  },
  {
    name: "chunk-resent-without-progress",
    row: "39",
    mistake: "a repeated answer to a chunk makes the leader send the next one again",
    edits: [
      [
        LEADER,
        "if (!isNews || message.offset > snapshot.data.length) return;",
        "if (message.offset > snapshot.data.length) return;",
      ],
    ],
    scripts: snapshots,
    note: "costs chunks sent twice; each is answered once, so nothing grows",
  },
  {
    name: "restored-before-stored",
    row: "6",
    mistake: "the service gets an installed snapshot before it is durable",
    edits: [
      [
        FOLLOWER,
        'state.effects.push({ type: "restore", after: state.lastWrite, snapshot });',
        'state.effects.push({ type: "restore", after: 0, snapshot });',
      ],
    ],
    scripts: snapshots,
    note: "needs a crash between the service taking over a snapshot and its write, and a reader in between",
  },
  {
    name: "snapshot-without-sessions",
    row: "27",
    mistake: "a snapshot leaves the sessions out",
    edits: [
      [
        MACHINE,
        "this.store.revision, this.sessions.toRows(), this.store.toRow()",
        "this.store.revision, [], this.store.toRow()",
      ],
    ],
    scripts: [...store, ...clerks],
    swarm: 200,
    blackBox: 200,
    quick: true,
  },
  {
    name: "snapshot-forgets-what-was-applied",
    row: "27",
    mistake: "a snapshot holds the sessions, but not which writes they have seen",
    edits: [[SESSIONS, "return [id, this.#last, ...this.#replies];", "return [id, 0];"]],
    scripts: [...store, ...clerks],
    swarm: 1000,
    blackBox: 1000,
  },
  {
    name: "sessions-not-restored",
    row: "28",
    mistake: "a server that restarts, or gets a snapshot, does not take over its sessions",
    edits: [[MACHINE, "    this.sessions.restore(state[2]);\n", ""]],
    scripts: [...store, ...clerks],
    swarm: 1000,
  },
  {
    name: "snapshot-forgotten-at-restart",
    row: "28",
    mistake: "a server that restarts begins with an empty state behind its snapshot",
    edits: [
      [RSM, "if (options.snapshot !== null) this.#restore(", "if (options.snapshot === undefined) this.#restore("],
    ],
    scripts: [...machine, ...clerks],
    swarm: 1000,
    blackBox: 1000,
  },
  {
    name: "restore-merges",
    row: "S43",
    mistake: "restoring a snapshot leaves keys that are not in it",
    edits: [
      [
        "kvraft/kv-store.ts",
        "  restore(revision: number, row: readonly (string | number)[]): void {\n    this.#items.clear();",
        "  restore(revision: number, row: readonly (string | number)[]): void {",
      ],
    ],
    scripts: store,
    swarm: 3000,
  },
  {
    name: "snapshot-named-one-too-low",
    row: "28, S47",
    mistake: "a snapshot holds an entry that is applied again after a restart",
    edits: [
      [
        RSM,
        "    this.#lastApplied = message.index;\n    if (this.#waiters.size > 0)",
        "    if (this.#waiters.size > 0)",
      ],
      [
        RSM,
        "    if (this.#maxRaftState > 0) this.#snapshotIfLarge();",
        "    if (this.#maxRaftState > 0) this.#snapshotIfLarge();\n    this.#lastApplied = message.index;",
      ],
    ],
    scripts: [...machine, ...clerks],
    swarm: 1000,
  },
  {
    name: "waiters-stranded-by-a-snapshot",
    row: "S39",
    mistake: "calls whose entry came within a snapshot wait for ever",
    edits: [
      [
        RSM,
        "    for (const index of this.#waiters.keys()) if (index <= message.index) this.#reject(index, true);\n",
        "",
      ],
    ],
    scripts: machine,
    note: "a Clerk asks elsewhere after a second, so from outside it is a delay",
  },
];
