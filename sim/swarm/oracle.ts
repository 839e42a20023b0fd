import type { Entry, RaftEffect, RaftReply, RaftRequest, RaftState } from "../../raft/index.js";
import { DurableState } from "./durable.js";
import { equalBytes } from "./hash.js";
import type { WorldEventOf, WorldObserver } from "./observer.js";
import type { Rule } from "./rules.js";
import { ServiceOracle } from "./service-oracle.js";

interface KnownEntry {
  readonly term: number;
  readonly type: number;
  readonly data: Uint8Array;
  /** Of the entry before it; undefined until it is known. */
  previousTerm: number | undefined;
}

interface Committed {
  readonly term: number;
  /** The term of the leader that committed it first. */
  readonly inTerm: number;
}

/** What is remembered of one server's present life. */
interface Life {
  term: number;
  commitIndex: number;
  /** The term in which it leads; 0 while it does not. */
  leads: number;
  lastIndex: number;
  state: RaftState | null;
}

const newLife = (): Life => ({ term: 0, commitIndex: 0, leads: 0, lastIndex: 0, state: null });

/**
 * Checks after each event what must hold between all servers, counted on what is durable, also on those that are down:
 * figure 3 of the paper, and that votes, acknowledgements and commitment rest on disks and not on beliefs. The independent
 * source of the rules is the TLA+ specification of Raft. Each check looks only at what the event has changed.
 */
export class Oracle implements WorldObserver {
  readonly #disks: readonly DurableState[];
  readonly #fail: (rule: Rule, message: string) => void;
  readonly #majority: number;
  readonly #lives: Life[];
  readonly #leaders = new Map<number, number>();
  /** By term * 16 + voter: to whom a vote has gone out. */
  readonly #votes = new Map<number, number>();
  /** By server: whom it answers, for votes that were granted and have not left yet. */
  readonly #askers: readonly Map<number, number>[];
  readonly #entries: KnownEntry[][] = [];
  readonly #committed: Committed[] = [];
  readonly #service: ServiceOracle;

  constructor(servers: number, fail: (rule: Rule, message: string) => void) {
    this.#fail = fail;
    this.#majority = (servers >>> 1) + 1;
    const each = Array.from({ length: servers }, (_, i) => i);
    this.#disks = each.map(() => new DurableState());
    this.#lives = each.map(newLife);
    this.#askers = each.map(() => new Map());
    this.#service = new ServiceOracle(servers, fail, (index) => {
      const committed = this.#committed[index - 1];
      return committed && this.#known(index, committed.term);
    });
  }

  /** The highest index that any leader has committed. */
  get maxCommitted(): number {
    return this.#committed.length;
  }

  // ---- lives --------------------------------------------------------------------------------------------------------------

  started({ server, stored }: WorldEventOf<"started">): void {
    const durable = this.#durable(server);
    const before = durable.hardState.term;
    const problem = durable.recover(stored);
    if (problem !== null) this.#fail("recovery", `server ${server} restarts with ${problem}`);
    if (stored.hardState.term < before) this.#fail("termsGrow", `server ${server} restarts in an earlier term`);
    const life = newLife();
    const base = stored.snapshot?.index ?? 0;
    life.term = stored.hardState.term;
    life.commitIndex = base;
    life.lastIndex = base + stored.entries.length;
    this.#lives[server] = life;
    this.#askers[server]?.clear();
    this.#checkEntries(server, base + 1, stored.entries, stored.snapshot?.term);
    this.#service.begin(server, stored.snapshot);
  }

  // ---- disks --------------------------------------------------------------------------------------------------------------

  writing({ server, write }: WorldEventOf<"writing">): void {
    this.#durable(server).pending.push(write);
    const { firstIndex, entries } = write;
    if (firstIndex === 0) return;
    const { state } = this.#life(server);
    this.#checkEntries(server, firstIndex, entries, state?.log.termAt(firstIndex - 1));
    if (state !== null) this.#checkOverwrite(server, firstIndex, entries, state);
  }

  /** Written over by a leader that has not heard of it: not even to memory may it get. */
  #checkOverwrite(server: number, firstIndex: number, entries: readonly Entry[], state: RaftState): void {
    const end = Math.min(entries.length, this.#committed.length + 1 - firstIndex);
    for (let i = 0; i < end; i++) {
      const { term, inTerm } = this.#committed[firstIndex - 1 + i] as Committed;
      const own = (entries[i] as Entry).term;
      // A server of an earlier term may still be told what its leader of that term thinks.
      if (own !== term && inTerm <= state.term) {
        this.#fail(
          "leaderCompleteness",
          `server ${server} writes (${firstIndex + i}, term ${own}) over the committed entry of term ${term}`,
        );
      }
    }
  }

  durable({ server, write }: WorldEventOf<"durable">): void {
    const durable = this.#durable(server);
    const cutFrom = write.firstIndex === 0 ? Infinity : write.firstIndex;
    const cutTo = Math.min(durable.lastIndex, this.#committed.length);
    const held: number[] = [];
    for (let index = cutFrom; index <= cutTo; index++) {
      if (durable.terms[index] === (this.#committed[index - 1] as Committed).term) held.push(index);
    }
    if (!durable.acknowledge(write)) {
      this.#fail("diskOrder", `server ${server}: write ${write.write} became durable before an earlier one`);
    }
    for (const index of held) {
      const { term, inTerm } = this.#committed[index - 1] as Committed;
      // In an earlier term than that of the commit this server was none of the majority: its leader of then may cut.
      if (durable.terms[index] !== term && inTerm <= durable.hardState.term) {
        this.#fail(
          "committedDurable",
          `server ${server} cuts the committed entry (${index}, term ${term}) off its disk`,
        );
        return;
      }
    }
  }

  /** Log Matching: an index and a term name one entry, and one history before it. */
  #checkEntries(server: number, firstIndex: number, entries: readonly Entry[], before: number | undefined): void {
    let previousTerm = before;
    for (let i = 0; i < entries.length; i++) {
      const { term, type, data } = entries[i] as Entry;
      const index = firstIndex + i;
      const known = this.#known(index, term);
      if (known === undefined) {
        (this.#entries[index] ??= []).push({ term, type, data, previousTerm });
      } else {
        if (known.type !== type || !equalBytes(known.data, data)) {
          this.#fail("logMatching", `server ${server} has another entry (${index}, term ${term}) than others`);
        }
        known.previousTerm ??= previousTerm;
        if (previousTerm !== undefined && known.previousTerm !== previousTerm) {
          const was = known.previousTerm;
          this.#fail(
            "logMatching",
            `(${index}, term ${term}) follows term ${was}, on server ${server} ${previousTerm}`,
          );
        }
      }
      previousTerm = term;
    }
  }

  #known(index: number, term: number): KnownEntry | undefined {
    const list = this.#entries[index];
    if (list !== undefined) for (const entry of list) if (entry.term === term) return entry;
    return undefined;
  }

  // ---- steps --------------------------------------------------------------------------------------------------------------

  stepped({ server, input, effects, state }: WorldEventOf<"stepped">): void {
    const life = this.#life(server);
    life.state = state;
    const { term, commitIndex, log } = state;
    if (term < life.term) this.#fail("termsGrow", `server ${server} goes from term ${life.term} to ${term}`);
    life.term = term;
    if (input.type === "request" && input.message.type === "requestVote" && !input.message.preVote) {
      this.#noteAsker(server, input.request, input.message.candidate, effects);
    }
    if (state.role === "leader") this.#checkLeader(server, life, state, input.type === "reply" ? input.from : -1);
    else life.leads = 0;
    const { lastIndex } = log;
    life.lastIndex = lastIndex;
    if (commitIndex !== life.commitIndex) this.#checkCommit(server, life, state);
  }

  #noteAsker(server: number, request: number, candidate: number, effects: readonly RaftEffect[]): void {
    for (const effect of effects) {
      if (effect.type !== "reply" || effect.request !== request) continue;
      if (effect.message.type === "requestVoteReply" && effect.message.granted) {
        this.#askers[server]?.set(request, candidate);
      }
    }
  }

  #checkLeader(server: number, life: Life, state: RaftState, from: number): void {
    const { term, log } = state;
    if (life.leads !== term) this.#checkNewLeader(server, state);
    else if (log.lastIndex < life.lastIndex) this.#fail("leaderAppendOnly", `leader ${server} shortened its log`);
    life.leads = term;
    if (from < 0) return;
    const matchIndex = state.progressOf(from)?.matchIndex ?? 0;
    // Only until the follower hears of a later leader, which may cut off what it held.
    if (matchIndex === 0 || matchIndex < log.lastIncludedIndex || this.#durable(from).hardState.term > term) return;
    if (!this.#durable(from).holds(matchIndex, log.termAt(matchIndex) ?? -1)) {
      this.#fail("matchDurable", `leader ${server} of term ${term} counts on server ${from} up to ${matchIndex}`);
    }
  }

  #checkNewLeader(server: number, state: RaftState): void {
    const { term, log } = state;
    const other = this.#leaders.get(term) ?? server;
    if (other !== server) this.#fail("electionSafety", `servers ${other} and ${server} both lead term ${term}`);
    this.#leaders.set(term, server);
    let votes = 0;
    for (const [voter, { hardState }] of this.#disks.entries()) {
      const isOwn = voter === server && hardState.term === term && hardState.votedFor === server;
      if (isOwn || this.#votes.get(term * 16 + voter) === server) votes++;
    }
    if (votes < this.#majority) {
      this.#fail("electorate", `server ${server} leads term ${term} with ${votes} durable votes`);
    }
    let index = this.#committed.length;
    while (index > 0 && (this.#committed[index - 1] as Committed).inTerm >= term) index--;
    if (index > log.lastIncludedIndex && log.termAt(index) !== (this.#committed[index - 1] as Committed).term) {
      this.#fail("leaderCompleteness", `leader ${server} of term ${term} lacks the committed entry ${index}`);
    }
  }

  #checkCommit(server: number, life: Life, state: RaftState): void {
    const { term, commitIndex, log, role } = state;
    const before = life.commitIndex;
    life.commitIndex = commitIndex;
    if (commitIndex < before) return this.#fail("commitGrows", `server ${server}: from ${before} to ${commitIndex}`);
    if (commitIndex > this.#committed.length) {
      const own = log.termAt(commitIndex);
      if (role !== "leader") {
        return this.#fail("leadersCommit", `server ${server} commits ${commitIndex}, which no leader has committed`);
      }
      if (own !== term) {
        this.#fail("currentTermCommit", `leader ${server} of term ${term} commits (${commitIndex}, term ${own})`);
      }
      this.#checkQuorum(server, commitIndex, own ?? -1);
    }
    for (let index = Math.max(before + 1, log.lastIncludedIndex); index <= commitIndex; index++) {
      const own = log.termAt(index);
      if (index === 0 || own === undefined) continue;
      const known = this.#committed[index - 1];
      if (known === undefined) this.#committed[index - 1] = { term: own, inTerm: term };
      else if (known.term !== own) {
        this.#fail("stateMachineSafety", `server ${server} commits (${index}, term ${own}), others term ${known.term}`);
      }
    }
  }

  #checkQuorum(server: number, index: number, term: number): void {
    let holders = 0;
    for (const durable of this.#disks) if (durable.holds(index, term)) holders++;
    if (holders < this.#majority) {
      this.#fail(
        "committedDurable",
        `leader ${server} commits (${index}, term ${term}), durable on ${holders} servers`,
      );
    }
  }

  // ---- what is said -------------------------------------------------------------------------------------------------------

  released({ server, effect, state }: WorldEventOf<"released">): void {
    // Requests and replies apart: V8 knows by heart where a field is in up to four kinds of objects, but not in eight.
    if (effect.type === "send") this.#checkRequest(server, effect.message);
    else if (effect.type === "reply") this.#checkReply(server, effect.request, effect.message, state);
  }

  #checkRequest(server: number, message: RaftRequest): void {
    const { type, term } = message;
    if (type === "requestVote" && message.preVote) return;
    this.#checkSaid(server, type, term);
    if (type === "requestVote") this.#vote(server, term, server);
  }

  #checkReply(server: number, request: number, message: RaftReply, state: RaftState): void {
    const { type, term } = message;
    this.#checkSaid(server, type, term);
    if (type === "requestVoteReply" && message.granted && !message.preVote) {
      const candidate = this.#askers[server]?.get(request);
      this.#askers[server]?.delete(request);
      if (candidate !== undefined) this.#vote(server, message.requestTerm, candidate);
    } else if (type === "appendEntriesReply" && message.success && term === this.#durable(server).hardState.term) {
      this.#checkAcknowledged(server, message.index, state);
    }
  }

  #checkSaid(server: number, type: string, term: number): void {
    const durable = this.#durable(server).hardState.term;
    if (term > durable) {
      this.#fail("saidDurable", `server ${server} sends ${type} of term ${term}; durable is term ${durable}`);
    }
  }

  #vote(voter: number, term: number, candidate: number): void {
    const key = term * 16 + voter;
    const earlier = this.#votes.get(key) ?? candidate;
    this.#votes.set(key, candidate);
    if (earlier !== candidate) {
      this.#fail("oneVote", `server ${voter} votes for ${earlier} and for ${candidate} in term ${term}`);
    }
    const { hardState } = this.#durable(voter);
    if (hardState.term > term || (hardState.term === term && hardState.votedFor === candidate)) return;
    const { term: durableTerm, votedFor } = hardState;
    this.#fail(
      "saidDurable",
      `server ${voter} votes for ${candidate} in term ${term}; durable is term ${durableTerm}, vote ${votedFor}`,
    );
  }

  #checkAcknowledged(server: number, index: number, { log, term }: RaftState): void {
    // What a later leader has replaced since was there when it counted.
    if (index <= log.lastIncludedIndex || term !== this.#durable(server).hardState.term) return;
    if (!this.#durable(server).holds(index, log.termAt(index) ?? -1)) {
      this.#fail("saidDurable", `server ${server} acknowledges entries up to ${index} that are not durable`);
    }
  }

  // ---- the service --------------------------------------------------------------------------------------------------------

  applied(event: WorldEventOf<"applied">): void {
    this.#service.applied(event);
  }

  snapshotTaken(event: WorldEventOf<"snapshotTaken">): void {
    this.#service.snapshotTaken(event);
  }

  snapshotRestored(event: WorldEventOf<"snapshotRestored">): void {
    this.#service.snapshotRestored(event);
  }

  stateHash(event: WorldEventOf<"stateHash">): void {
    this.#service.stateHash(event);
  }

  #durable(server: number): DurableState {
    return this.#disks[server] as DurableState;
  }

  #life(server: number): Life {
    return this.#lives[server] as Life;
  }
}
