import type { Mutant } from "./mutant.js";

const BARRIER = "raft/core/barrier.ts";
const LEADER = "raft/core/leader.ts";
const MACHINE = "kvraft/kv-machine.ts";
const READS = "replica/core/reads.ts";
const REQUESTER = "kvraft/requester.ts";
const EXPIRED = "if (!isRead(call.op!)) fail(call, new SessionExpiredError());";
const SENT = "request.wasSent = true;\n    const reply = await this.#ask(METHODS.request,";
const RSM = "kvraft/rsm.ts";
const SESSIONS = "kvraft/sessions.ts";
const STATE = "raft/core/state.ts";
const reads = ["test/raft-core/reads.test.ts", "test/stories/reads.test.ts"];
const store = ["test/kv-store.test.ts"];
const clerks = ["test/clerk-sessions.test.ts", "test/clerk.test.ts"];
const machine = ["test/rsm.test.ts"];

/** Reads that are linearizable without an entry in the log, and leases. */
export const readMutants: readonly Mutant[] = [
  {
    name: "leader-reads-locally",
    row: "29, S49",
    mistake: "a leader answers reads without asking whether it still leads",
    edits: [[BARRIER, "  if (hasLease(state)) {", "  if (state.isLeader()) {"]],
    scripts: reads,
    swarm: 3000,
  },
  {
    name: "any-server-reads-locally",
    row: "29",
    mistake: "whoever is asked answers reads from what it has applied",
    edits: [[RSM, "    await this.#log.readBarrier(options);\n", ""]],
    scripts: [...store, ...machine],
    swarm: 1000,
  },
  {
    name: "reads-before-the-first-commit",
    row: "37, S48",
    mistake: "a new leader answers reads before an entry of its term is committed",
    edits: [[BARRIER, "  if (state.log.termAt(state.commitIndex) !== state.term) return false;\n", ""]],
    scripts: reads,
    swarm: 1500,
  },
  {
    name: "reads-join-the-round-under-way",
    row: "37, S50",
    mistake: "a read is confirmed by answers to what was sent before it came",
    edits: [
      [
        READS,
        "    this.#waiting.push(read);",
        "    const round = this.#rounds.findLast(({ reads }) => reads.length > 0);\n    if (round === undefined) this.#waiting.push(read);\n    else (round.reads as number[]).push(read);",
      ],
    ],
    scripts: reads,
    note: "needs the old leader to be deposed between the two halves of one round trip, and a read that comes right then",
  },
  {
    name: "any-answer-confirms-reads",
    row: "37, S50",
    mistake: "any answer confirms the newest round, whatever round it answers",
    edits: [
      [
        LEADER,
        "if (message.readContext > progress.readContext) progress.readContext = message.readContext;",
        "progress.readContext = state.reads.context;",
      ],
    ],
    scripts: reads,
    note: "needs a leader that wakes up deposed, gets a read first, and only then the answers that were under way when it fell asleep",
  },
  {
    name: "read-not-waiting-for-apply",
    row: "37, S49",
    mistake: "a confirmed read is answered before the service has applied what was committed",
    edits: [
      [
        "replica/read-calls.ts",
        "if (index <= this.#channel.appliedIndex) this.calls.resolve(read, undefined);",
        "if (index >= 0) this.calls.resolve(read, undefined);",
      ],
    ],
    scripts: ["test/raft-driver-leadership.test.ts", ...store],
    swarm: 3000,
  },
  {
    name: "lease-from-the-answer",
    row: "37, S51",
    mistake: "a lease counts from when its confirmation came, not from when it was asked for",
    edits: [
      [
        BARRIER,
        "    for (const round of reads.confirm(context)) {",
        "    const confirmed = reads.confirm(context);\n    if (confirmed.length > 0) reads.confirmedStart = state.now;\n    for (const round of confirmed) {",
      ],
    ],
    scripts: reads,
    note: "a stale answer needs a round trip that is slow by a tenth of an election timeout, and a successor at the earliest moment",
  },
  {
    name: "lease-too-long",
    row: "37, S51",
    mistake: "a lease lasts as long as an election may take at most",
    edits: [[BARRIER, "state.config.electionTimeoutMinMs * LEASE_FRACTION", "state.config.electionTimeoutMaxMs"]],
    scripts: reads,
    note: "needs lease reads, a leader cut off from all but a reader, and a write to its successor within a part of an election timeout",
  },
  {
    name: "reads-join-a-lease-round",
    row: "37, S48",
    mistake: "a round that renews a lease answers the reads that wait too, before the term has committed anything",
    edits: [
      [READS, "index: 0, startedAt: now, reads: NO_READS", "index: 0, startedAt: now, reads: this.takeWaiting()"],
    ],
    scripts: reads,
    swarm: 6000,
  },
  {
    name: "lease-during-transfer",
    row: "S35",
    mistake: "a leader that hands over goes on answering reads from its lease",
    edits: [
      [
        BARRIER,
        "if (!state.config.leaseReads || state.leaseForfeited) return false;",
        "if (!state.config.leaseReads) return false;",
      ],
    ],
    scripts: reads,
    note: "needs lease reads, a transfer, and a reader that stays with the old leader for the few milliseconds before it learns",
  },
  {
    name: "restart-forgets-the-lease",
    row: "37, S51",
    mistake: "a server that restarts votes at once, though it may have promised a leader not to",
    edits: [[STATE, "    if (this.config.leaseReads && this.term > 0) this.lastLeaderContact = this.now;\n", ""]],
    scripts: reads,
    note: "needs lease reads, a voter that restarts within the lease, and a reader at the leader that was cut off",
  },
];

/** The service and its clients. */
export const serviceMutants: readonly Mutant[] = [
  {
    name: "no-dedup",
    row: "26",
    mistake: "a write that comes again is applied again",
    edits: [[MACHINE, "if (seq <= session.last) {", "if (seq < 0) {"]],
    scripts: [...store, ...clerks],
    swarm: 200,
    quick: true,
  },
  {
    name: "retry-under-a-new-number",
    row: "26, S61",
    mistake: "a client that asks again numbers its writes anew",
    edits: [
      [
        REQUESTER,
        "      default:\n        return request.live === 0;\n    }",
        "      default:\n        request.firstSeq = 0;\n        return request.live === 0;\n    }",
      ],
    ],
    scripts: clerks,
    swarm: 200,
    quick: true,
  },
  {
    name: "doubtful-write-in-a-new-session",
    row: "S61, S62",
    mistake: "a write whose session expired is sent in a new one although it may have happened",
    edits: [[REQUESTER, EXPIRED, "void call;"]],
    scripts: clerks,
    swarm: 1500,
  },
  {
    name: "expired-write-in-a-new-session",
    row: "S61, S62",
    mistake: "a write whose session expired is sent in a new one where it was sent but once: the network made a copy",
    edits: [
      [REQUESTER, "const NO_ANSWER =", "const again = new WeakSet();\nconst NO_ANSWER ="],
      [REQUESTER, SENT, `if (request.wasSent) again.add(request);\n    ${SENT}`],
      [REQUESTER, EXPIRED, EXPIRED.replace("!isRead", "again.has(request) && !isRead")],
    ],
    scripts: clerks,
    note: "needs a copy made by the network, two others that open sessions before it comes, and its answer to be the first",
  },
  {
    name: "refused-write-cannot-happen",
    row: "S61",
    mistake: "a caller is told that its write cannot happen because a server refused it: the network made a copy",
    edits: [
      [
        REQUESTER,
        "      default:\n        return request.live === 0;\n    }",
        "      default:\n        request.wasSent = reply === null;\n        return request.live === 0;\n    }",
      ],
    ],
    scripts: clerks,
    note: "needs a caller that gives up between the refusal and a copy of the same request, which another leader gets",
  },
  {
    name: "given-up-write-leaves-its-place",
    row: "26",
    mistake: "a write whose caller gave up is left out, and those behind it get its number",
    edits: [[REQUESTER, "  return !call.ended || !isRead(call.op!);", "  return !call.ended;"]],
    scripts: [...clerks, ...store],
    note: "needs a caller that gives up a write while it is under way, others behind it in the same request, and a copy of the first that comes late",
  },
  {
    name: "answer-of-another-write",
    row: "26",
    mistake: "a write that comes again gets the newest reply of its session, not its own",
    edits: [
      [
        SESSIONS,
        "return this.#replies[seq - 1 - this.#last + this.#replies.length] ?? null;",
        "return this.#replies.at(-1) ?? null;",
      ],
    ],
    scripts: [...store, ...clerks],
    note: "needs a repeated request of several writes whose replies differ",
  },
  {
    name: "waiters-by-index-alone",
    row: "31",
    mistake: "a call is answered by whatever entry comes to stand at its index, also after leadership was lost",
    edits: [
      [RSM, "    if (waiter.term !== term) return this.#reject(index, false);\n", ""],
      [
        RSM,
        "if (waiter.term !== term) this.#reject(index, true);",
        "if (waiter.term < 0) this.#reject(index, term > 0);",
      ],
      [RSM, "its entry was cut from this log.\n      this.#reject(index, true);", "its entry was cut from this log."],
    ],
    scripts: machine,
    swarm: 3000,
  },
  {
    name: "waiters-by-index",
    row: "31 (first half)",
    mistake: "a call is answered whatever the term of its entry",
    edits: [[RSM, "    if (waiter.term !== term) return this.#reject(index, false);\n", ""]],
    scripts: machine,
    note: "behind Raft nothing changes: the term that replaces an entry has released its caller before; only a log that does not announce terms shows it",
  },
  {
    name: "waiters-kept-after-step-down",
    row: "31 (second half)",
    mistake: "a call goes on waiting when a later term begins",
    edits: [
      [
        RSM,
        "if (waiter.term !== term) this.#reject(index, true);",
        "if (waiter.term < 0) this.#reject(index, term > 0);",
      ],
    ],
    scripts: machine,
    note: "no wrong answer, the terms still differ; a caller waits longer, and a Clerk asks elsewhere after a second",
  },
];
