import type { PersistEffect, RaftCore, Reply, Request, Snapshot } from "../../raft/core/index.js";
import type { Persister } from "../../replica/persister.js";
import type { ClusterOracle } from "./stepped-engine.js";

/** What the oracle sees of one server: its core while it runs, and what is durable of it in any case. */
export interface Witness {
  readonly core: RaftCore | null;
  readonly disk: Persister;
}

interface CommittedEntry {
  readonly term: number;
  /** The term of the leader that committed it first. */
  readonly inTerm: number;
}

interface Life {
  term: number;
  commitIndex: number;
  /** The term in which it leads; 0 while it does not. */
  leads: number;
  lastIndex: number;
}

/** A broken promise of Raft. The message says which one and between whom. */
export class InvariantBroken extends Error {
  constructor(invariant: string, message: string) {
    super(`${invariant}: ${message}`);
    this.name = "InvariantBroken";
  }
}

function check(condition: boolean, invariant: string, message: () => string): void {
  if (!condition) throw new InvariantBroken(invariant, message());
}

/**
 * Watches a cluster of cores from outside and checks figure 3 of the paper after every step, and that every promise
 * (vote, acknowledgement, commitment) rests on what is durable, counted on the disks and not on what the cores believe.
 */
export class CoreOracle implements ClusterOracle<Request | Reply> {
  readonly #witnesses: readonly Witness[];
  readonly #majority: number;
  readonly #lives: Life[];
  readonly #leaders = new Map<number, number>();
  /** Candidate by term and voter: votes that left their server. */
  readonly #votes = new Map<string, number>();
  /** By index and term: the entry's bytes and the term before it (Log Matching). */
  readonly #entries = new Map<number, { data: Uint8Array; previousTerm: number }>();
  readonly #committed: CommittedEntry[] = [];
  readonly #snapshots = new Map<number, Uint8Array[]>();

  constructor(witnesses: readonly Witness[]) {
    this.#witnesses = witnesses;
    this.#majority = (witnesses.length >>> 1) + 1;
    this.#lives = witnesses.map(() => ({ term: 0, commitIndex: 0, leads: 0, lastIndex: 0 }));
  }

  /** The highest index that any server has ever committed. */
  get maxCommitted(): number {
    return this.#committed.length;
  }

  started(n: number): void {
    const { core } = this.#witnesses[n]!;
    const { term, commitIndex, log } = core!.state;
    check(term >= this.#durableTerm(n), "terms survive", () => `server ${n} restarts in term ${term}`);
    const life = this.#lives[n]!;
    // What was not durable yet is forgotten; what was said of it is checked where it is said.
    life.term = term;
    life.commitIndex = commitIndex;
    life.leads = 0;
    life.lastIndex = log.lastIndex;
  }

  /** Called with every write before it is carried out. */
  persisting(n: number, effect: PersistEffect): void {
    const { log } = this.#witnesses[n]!.core!.state;
    let previousTerm = effect.firstIndex > 0 ? log.termAt(effect.firstIndex - 1) : undefined;
    for (const [i, { term, data }] of effect.entries.entries()) {
      const index = effect.firstIndex + i;
      this.#logMatching(index, term, data, previousTerm);
      const committed = this.#committed[index - 1];
      // Written over by a leader that has not heard of it: not even to memory may it get.
      check(
        committed === undefined || committed.term === term || committed.inTerm > term,
        "Leader Completeness",
        () => `server ${n} writes (${index}, term ${term}) over committed (${index}, term ${committed?.term})`,
      );
      previousTerm = term;
    }
  }

  /** What a server is given at its first start. */
  stored(snapshot: Snapshot | null, entries: readonly { term: number; data: Uint8Array }[]): void {
    let { index, term: previousTerm } = snapshot ?? { index: 0, term: 0 };
    if (snapshot !== null) {
      this.#committed[index - 1] = { term: previousTerm, inTerm: previousTerm };
      this.compacting(snapshot);
    }
    for (const { term, data } of entries) {
      this.#logMatching(++index, term, data, previousTerm);
      previousTerm = term;
    }
  }

  #logMatching(index: number, term: number, data: Uint8Array, previousTerm: number | undefined): void {
    const key = index * 1e6 + term;
    const known = this.#entries.get(key);
    if (known === undefined) {
      if (previousTerm !== undefined) this.#entries.set(key, { data, previousTerm });
      return;
    }
    check(equalBytes(known.data, data), "Log Matching", () => `two entries (${index}, term ${term})`);
    check(
      previousTerm === undefined || known.previousTerm === previousTerm,
      "Log Matching",
      () => `(${index}, term ${term}) follows term ${known.previousTerm} and term ${previousTerm}`,
    );
  }

  /** A message leaves server `n`; `asker` is whom a reply goes to. */
  sending(n: number, message: Request | Reply, asker: number | null): void {
    const isPreVote = message.type === "requestVote" && message.preVote;
    check(
      isPreVote || message.term <= this.#durableTerm(n),
      "nothing is said before it is durable",
      () => `server ${n} sends ${message.type} of term ${message.term}, durable is ${this.#durableTerm(n)}`,
    );
    if (message.type === "requestVote" && !message.preVote) this.#vote(n, message.term, n);
    if (message.type === "requestVoteReply" && !message.preVote && message.granted) {
      this.#vote(n, message.requestTerm, asker!);
    }
  }

  #vote(voter: number, term: number, candidate: number): void {
    const key = `${term}/${voter}`;
    const earlier = this.#votes.get(key) ?? candidate;
    check(
      earlier === candidate,
      "one vote a term",
      () => `server ${voter} votes for ${earlier} and ${candidate} in term ${term}`,
    );
    this.#votes.set(key, candidate);
    const { hardState } = this.#witnesses[voter]!.disk.load();
    check(
      hardState.term > term || hardState.votedFor === candidate,
      "a vote is durable before it is given",
      () => `server ${voter} votes for ${candidate} in term ${term}, durable is ${JSON.stringify(hardState)}`,
    );
  }

  /** The service of server `n` applies the entry at `index`. */
  applying(n: number, index: number, term: number): void {
    check(
      this.#committed[index - 1]?.term === term,
      "State Machine Safety",
      () =>
        `server ${n} applies (${index}, term ${term}), committed is (${index}, term ${this.#committed[index - 1]?.term})`,
    );
  }

  compacting(snapshot: Snapshot): void {
    const known = this.#snapshots.get(snapshot.index) ?? [];
    this.#snapshots.set(snapshot.index, [...known, snapshot.data]);
  }

  restoring(n: number, snapshot: Snapshot, appliedIndex: number): void {
    const { index, term, data } = snapshot;
    check(index > appliedIndex, "applied never goes back", () => `server ${n}: from ${appliedIndex} to ${index}`);
    this.applying(n, index, term);
    check(
      this.#snapshots.get(index)?.some((known) => equalBytes(known, data)) ?? false,
      "snapshots arrive whole",
      () => `server ${n} restores ${data.length} bytes at ${index} that nobody put there`,
    );
  }

  /** After every step of server `n`. */
  stepped(n: number): void {
    const { core } = this.#witnesses[n]!;
    if (core === null) return;
    const life = this.#lives[n]!;
    const { term, commitIndex, log, role } = core.state;
    check(term >= life.term, "terms only grow", () => `server ${n}: from ${life.term} to ${term}`);
    life.term = term;
    if (role === "leader") this.#checkLeader(n, core, life);
    else life.leads = 0;
    life.lastIndex = log.lastIndex;
    check(
      commitIndex === life.commitIndex,
      "commitment is announced",
      () => `server ${n}: ${commitIndex}, announced ${life.commitIndex}`,
    );
    this.#checkDurableIndex(n, core);
  }

  /** Server `n` lets its service apply up to `index`. */
  committing(n: number, index: number): void {
    const core = this.#witnesses[n]!.core!;
    const life = this.#lives[n]!;
    const { log } = core.state;
    check(index > life.commitIndex, "commit only grows", () => `server ${n}: from ${life.commitIndex} to ${index}`);
    check(index <= log.lastIndex, "commit is within the log", () => `server ${n}: ${index} of ${log.lastIndex}`);
    this.#checkCommit(n, core, life.commitIndex);
    life.commitIndex = index;
  }

  #checkLeader(n: number, core: RaftCore, life: Life): void {
    const { term, log, followers } = core.state;
    if (life.leads !== term) this.#checkNewLeader(n, core);
    else check(log.lastIndex >= life.lastIndex, "Leader Append-Only", () => `server ${n} shortened its log`);
    life.leads = term;
    for (const { id, matchIndex, nextIndex } of followers) {
      check(matchIndex < nextIndex, "matchIndex < nextIndex", () => `${n} of ${id}: ${matchIndex}, ${nextIndex}`);
      // Only as long as the follower has heard of no later leader, which might have cut off what it held.
      if (matchIndex === 0 || matchIndex < log.lastIncludedIndex || this.#durableTerm(id) > term) continue;
      check(
        this.#isDurable(id, matchIndex, log.termAt(matchIndex)!),
        "matchIndex is durable",
        () => `leader ${n} of term ${term} counts on server ${id} up to ${matchIndex}`,
      );
    }
  }

  #checkNewLeader(n: number, core: RaftCore): void {
    const { term, log } = core.state;
    const other = this.#leaders.get(term) ?? n;
    check(other === n, "Election Safety", () => `servers ${other} and ${n} lead term ${term}`);
    this.#leaders.set(term, n);
    let votes = 0;
    for (const [voter, { disk }] of this.#witnesses.entries()) {
      const { hardState } = disk.load();
      const own = voter === n && hardState.term === term && hardState.votedFor === n;
      if (own || this.#votes.get(`${term}/${voter}`) === n) votes++;
    }
    check(votes >= this.#majority, "a majority elects", () => `server ${n} leads term ${term} with ${votes} votes`);
    let index = this.#committed.length;
    while (index > 0 && this.#committed[index - 1]!.inTerm >= term) index--;
    check(
      index <= log.lastIncludedIndex || log.termAt(index) === this.#committed[index - 1]!.term,
      "Leader Completeness",
      () => `leader ${n} of term ${term} lacks committed entry ${index}`,
    );
  }

  #checkCommit(n: number, core: RaftCore, before: number): void {
    const { term, commitIndex, log, role } = core.state;
    if (commitIndex > this.#committed.length) {
      check(role === "leader", "leaders commit", () => `server ${n} commits ${commitIndex}, which no leader committed`);
      check(
        log.termAt(commitIndex) === term,
        "only entries of the current term commit by counting (figure 8)",
        () => `leader ${n} of term ${term} commits (${commitIndex}, term ${log.termAt(commitIndex)})`,
      );
      const holders = this.#witnesses.filter((_, id) => this.#isDurable(id, commitIndex, term)).length;
      check(
        holders >= this.#majority,
        "a majority of the disks hold what is committed",
        () => `leader ${n} of term ${term} commits ${commitIndex}; it is durable on ${holders}`,
      );
    }
    for (let index = Math.max(before + 1, log.lastIncludedIndex); index <= commitIndex; index++) {
      const entryTerm = log.termAt(index)!;
      const known = this.#committed[index - 1];
      check(
        known === undefined || known.term === entryTerm,
        "State Machine Safety",
        () => `server ${n} commits (${index}, term ${entryTerm}), another (${index}, term ${known?.term})`,
      );
      if (known === undefined && index > 0) this.#committed[index - 1] = { term: entryTerm, inTerm: term };
    }
  }

  /** What a core believes to be durable is on its disk. */
  #checkDurableIndex(n: number, core: RaftCore): void {
    const { durableIndex, log } = core.state;
    if (durableIndex <= log.lastIncludedIndex) return;
    check(
      this.#isDurable(n, durableIndex, log.termAt(durableIndex) ?? -1),
      "durableIndex is durable",
      () => `server ${n} believes in ${durableIndex}`,
    );
  }

  #isDurable(n: number, index: number, term: number): boolean {
    const { snapshot, entries } = this.#witnesses[n]!.disk.load();
    const base = snapshot?.index ?? 0;
    return index <= base || entries[index - base - 1]?.term === term;
  }

  #durableTerm(n: number): number {
    return this.#witnesses[n]!.disk.load().hardState.term;
  }
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a === b || (a.length === b.length && a.every((byte, i) => byte === b[i]));
}
