import { describe, expect, test } from "vitest";

import type { RaftEffect, RaftInput, RaftState, StorageWrite, StoredState } from "../../raft/index.js";
import { Oracle } from "../../sim/swarm/oracle.js";
import type { Rule } from "../../sim/swarm/rules.js";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const entry = (term: number, text = `t${term}`) => ({ term, type: 0 as const, data: bytes(text) });
const NO_WRITE = { type: "persist", hardState: null, snapshot: null, discardLog: false, firstIndex: 0, entries: [] };

/** The part of a core's state that an oracle looks at. */
function state(term: number, log: readonly number[], more: Partial<Record<keyof RaftState, unknown>> = {}): RaftState {
  const view = {
    term,
    role: "follower",
    commitIndex: 0,
    votedFor: null,
    progressOf: () => undefined,
    log: {
      lastIndex: log.length,
      lastIncludedIndex: 0,
      termAt: (index: number) => (index === 0 ? 0 : log[index - 1]),
    },
    ...more,
  };
  return view as unknown as RaftState;
}

/** Three servers, and an oracle that is told a story. */
class Story {
  readonly broken: Rule[] = [];
  readonly oracle = new Oracle(3, (rule) => void this.broken.push(rule));
  #seq = 0;
  #writes = 0;

  constructor() {
    for (const server of [0, 1, 2]) this.start(server);
  }

  #event(what: object): never {
    return { seq: ++this.#seq, atMs: this.#seq, ...what } as never;
  }

  start(server: number, stored: Partial<StoredState> = {}): this {
    const found = { hardState: { term: 0, votedFor: null }, snapshot: null, entries: [], ...stored };
    this.oracle.started(this.#event({ server, life: 1, stored: found, tornBytes: 0 }));
    return this;
  }

  step(server: number, now: RaftState, input: RaftInput = { type: "tick" }, effects: readonly RaftEffect[] = []): this {
    this.oracle.stepped(this.#event({ server, input, effects, state: now }));
    return this;
  }

  write(server: number, what: Partial<StorageWrite>): StorageWrite {
    const write = { ...NO_WRITE, write: ++this.#writes, ...what } as StorageWrite;
    this.oracle.writing(this.#event({ server, write }));
    return write;
  }

  store(server: number, what: Partial<StorageWrite>): this {
    const write = this.write(server, what);
    this.oracle.durable(this.#event({ server, write }));
    return this;
  }

  durable(server: number, write: StorageWrite): this {
    this.oracle.durable(this.#event({ server, write }));
    return this;
  }

  say(server: number, effect: object, now: RaftState = state(1, [])): this {
    this.oracle.released(this.#event({ server, effect, state: now }));
    return this;
  }

  apply(server: number, index: number, term: number, results: readonly number[] = [1]): this {
    this.oracle.applied(this.#event({ server, index, term, command: [], results }));
    return this;
  }

  /** Server 0 is elected in `term` by its own vote and that of server 1. */
  elect(term: number, log: readonly number[] = []): this {
    for (const server of [0, 1]) this.store(server, { hardState: { term, votedFor: 0 } });
    this.grant(1, term, 0);
    return this.step(0, state(term, log, { role: "leader" }));
  }

  grant(voter: number, term: number, candidate: number): this {
    const message = { type: "requestVoteReply", term, requestTerm: term, preVote: false, granted: true } as const;
    const request = { type: "requestVote", term, candidate, preVote: false } as never;
    const reply = { type: "reply", after: 0, request: term, message } as const;
    this.step(voter, state(term, []), { type: "request", request: term, message: request }, [reply]);
    return this.say(voter, reply);
  }

  /** All agree on `count` entries of term 1, committed by server 0. */
  agree(count: number): this {
    const log = Array.from({ length: count }, () => 1);
    this.elect(1, log);
    for (const server of [0, 1, 2]) this.store(server, { firstIndex: 1, entries: log.map((t, i) => entry(t, `${i}`)) });
    return this.step(0, state(1, log, { role: "leader", commitIndex: count }));
  }
}

/** Each rule, and a story that breaks it and no rule before it. */
const STORIES: readonly (readonly [Rule, (story: Story) => unknown])[] = [
  [
    "electionSafety",
    (story) => {
      story.elect(1);
      story.store(2, { hardState: { term: 1, votedFor: 2 } });
      story.step(2, state(1, [], { role: "leader" }));
    },
  ],
  ["electorate", (story) => story.step(0, state(1, [], { role: "leader" }))],
  [
    "oneVote",
    (story) => {
      story.store(1, { hardState: { term: 1, votedFor: 0 } }).grant(1, 1, 0);
      story.grant(1, 1, 2);
    },
  ],
  [
    "leaderCompleteness",
    (story) => {
      story.agree(2);
      for (const server of [1, 2]) story.store(server, { hardState: { term: 2, votedFor: 2 } });
      story.grant(1, 2, 2).step(2, state(2, [1], { role: "leader" }));
    },
  ],
  [
    "leaderCompleteness",
    (story) => {
      story.agree(2);
      story.step(2, state(2, [1, 2])).write(2, { firstIndex: 2, entries: [entry(2)] });
    },
  ],
  ["leaderAppendOnly", (story) => story.elect(1, [1, 1]).step(0, state(1, [1], { role: "leader" }))],
  [
    "logMatching",
    (story) => {
      story.write(0, { firstIndex: 1, entries: [entry(1, "a")] });
      story.write(1, { firstIndex: 1, entries: [entry(1, "b")] });
    },
  ],
  [
    "logMatching",
    (story) => {
      story.step(0, state(2, [1, 2])).write(0, { firstIndex: 1, entries: [entry(1), entry(2)] });
      story.step(1, state(2, [2, 2])).write(1, { firstIndex: 1, entries: [entry(2), entry(2)] });
    },
  ],
  ["stateMachineSafety", (story) => story.agree(1).apply(1, 1, 2)],
  ["stateMachineSafety", (story) => story.agree(1).step(1, state(2, [2], { commitIndex: 1 }))],
  [
    "committedDurable",
    (story) => {
      story.elect(1, [1]).store(0, { firstIndex: 1, entries: [entry(1)] });
      story.step(0, state(1, [1], { role: "leader", commitIndex: 1 }));
    },
  ],
  ["committedDurable", (story) => story.agree(2).store(1, { firstIndex: 2, entries: [] })],
  [
    "currentTermCommit",
    (story) => {
      for (const server of [0, 1]) story.store(server, { firstIndex: 1, entries: [entry(1)] });
      story.elect(2, [1]).step(0, state(2, [1], { role: "leader", commitIndex: 1 }));
    },
  ],
  ["leadersCommit", (story) => story.agree(1).step(1, state(1, [1, 1], { commitIndex: 2 }))],
  [
    "matchDurable",
    (story) => {
      const progressOf = (): unknown => ({ matchIndex: 1 });
      story.elect(1, [1]);
      story.step(0, state(1, [1], { role: "leader", progressOf }), { type: "reply", from: 1 } as never);
    },
  ],
  ["saidDurable", (story) => story.say(0, { type: "send", message: { type: "appendEntries", term: 1 } })],
  ["saidDurable", (story) => story.store(1, { hardState: { term: 1, votedFor: null } }).grant(1, 1, 0)],
  [
    "saidDurable",
    (story) => {
      const message = { type: "appendEntriesReply", term: 1, success: true, index: 1 };
      story.store(1, { hardState: { term: 1, votedFor: null } }).say(1, { type: "reply", message }, state(1, [1]));
    },
  ],
  ["termsGrow", (story) => story.step(0, state(2, [])).step(0, state(1, []))],
  ["commitGrows", (story) => story.agree(2).step(0, state(1, [1, 1], { role: "leader", commitIndex: 1 }))],
  ["appliedGrows", (story) => story.agree(2).apply(1, 1, 1).apply(1, 1, 1)],
  ["appliedGrows", (story) => story.agree(2).apply(1, 2, 1)],
  ["stateEqual", (story) => story.agree(1).apply(0, 1, 1, [1]).apply(1, 1, 1, [2])],
  [
    "stateEqual",
    (story) => {
      story.oracle.stateHash({ server: 0, index: 1, hash: 1 } as never);
      story.oracle.stateHash({ server: 1, index: 1, hash: 2 } as never);
    },
  ],
  [
    "snapshotWhole",
    (story) => {
      story.agree(1).apply(0, 1, 1);
      story.oracle.snapshotTaken({ server: 0, index: 1, bytes: bytes("state") } as never);
      story.oracle.snapshotRestored({ server: 1, index: 1, bytes: bytes("other") } as never);
    },
  ],
  [
    "recovery",
    (story) => story.store(0, { firstIndex: 1, entries: [entry(1), entry(1, "2")] }).start(0, { entries: [entry(1)] }),
  ],
  [
    "recovery",
    (story) =>
      story.store(0, { hardState: { term: 1, votedFor: 2 } }).start(0, { hardState: { term: 1, votedFor: null } }),
  ],
  [
    "diskOrder",
    (story) => {
      story.write(0, { firstIndex: 1, entries: [entry(1)] });
      story.durable(0, story.write(0, { firstIndex: 2, entries: [entry(1)] }));
    },
  ],
];

describe("the oracles", () => {
  for (const [rule, tell] of STORIES) {
    test(`${rule}: a story that breaks it is found out`, () => {
      const story = new Story();
      tell(story);
      expect(story.broken[0]).toBe(rule);
    });
  }

  test("a healthy story breaks nothing", () => {
    const story = new Story().agree(3);
    for (const server of [0, 1, 2]) {
      if (server > 0) story.step(server, state(1, [1, 1, 1], { commitIndex: 3 }));
      for (const index of [1, 2, 3]) story.apply(server, index, 1);
    }
    expect(story.broken).toEqual([]);
  });

  test("a leader of an earlier term may have a server cut what others have committed since", () => {
    const story = new Story().elect(1, [1]);
    for (const server of [0, 1, 2]) story.store(server, { firstIndex: 1, entries: [entry(1)] });
    story.elect(3, [1]);
    for (const server of [0, 1]) story.store(server, { firstIndex: 2, entries: [entry(3)] });
    story.step(0, state(3, [1, 3], { role: "leader", commitIndex: 2 }));
    story.store(2, { hardState: { term: 2, votedFor: null }, firstIndex: 1, entries: [entry(2)] });
    expect(story.broken).toEqual([]);
    story.store(1, { firstIndex: 2, entries: [] });
    expect(story.broken).toEqual(["committedDurable"]);
  });

  test("recovery may find a first part of what was under way, and nothing else", () => {
    const begin = (): Story => {
      const story = new Story().store(0, { firstIndex: 1, entries: [entry(1)] });
      story.write(0, { hardState: { term: 2, votedFor: 1 }, firstIndex: 2, entries: [entry(2), entry(2, "3")] });
      story.write(0, { firstIndex: 2, entries: [entry(3)] });
      return story;
    };
    const old = { term: 0, votedFor: null };
    const now = { term: 2, votedFor: 1 };
    const fine: Partial<StoredState>[] = [
      { hardState: old, entries: [entry(1)] },
      { hardState: now, entries: [entry(1), entry(2)] },
      { hardState: now, entries: [entry(1), entry(2), entry(2, "3")] },
      { hardState: now, entries: [entry(1), entry(3)] },
    ];
    for (const stored of fine) expect(begin().start(0, stored).broken).toEqual([]);
    const wrong: Partial<StoredState>[] = [
      { hardState: old, entries: [] },
      { hardState: now, entries: [entry(1), entry(3), entry(3, "4")] },
      { hardState: now, entries: [entry(1), entry(2), entry(3)] },
      { hardState: { term: 2, votedFor: 2 }, entries: [entry(1)] },
    ];
    for (const stored of wrong) expect(begin().start(0, stored).broken[0]).toBe("recovery");
  });
});
