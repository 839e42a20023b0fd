import { CommandKind, OpKind, type Command, type Results } from "../../kvraft/index.js";
import type { Entry, RaftEffect, RaftRequest, RaftState } from "../../raft/index.js";
import type { Mark, PaxosMark } from "./marks.js";
import type { WorldEventOf, WorldObserver } from "./observer.js";
import type { Plan } from "./types.js";

/** What coverage remembers of one server. */
interface Seen {
  isOn: boolean;
  role: string;
  term: number;
  /** Terms in which this life has led. */
  led: number;
  writesUnderWay: number;
  entriesUnderWay: number;
  /** A vote that is on its way to the disk. */
  voteUnderWay: boolean;
  snapshotIndex: number;
  /** The log as it was written: terms by index. */
  terms: number[];
  /** How much of an incoming snapshot is there. */
  received: number;
  /** The last term of its own in which it committed something. */
  committedIn: number;
  commitIndex: number;
  lastSeq: Map<number, number>;
}

const newSeen = (): Seen => ({
  isOn: false,
  role: "follower",
  term: 0,
  led: 0,
  writesUnderWay: 0,
  entriesUnderWay: 0,
  voteUnderWay: false,
  snapshotIndex: 0,
  terms: [],
  received: 0,
  committedIn: 0,
  commitIndex: 0,
  lastSeq: new Map(),
});

/** Counts the faults that struck and the rare states that were reached. */
export class Coverage implements WorldObserver {
  readonly #counts = new Map<string, number>();
  readonly #seen: Seen[];
  readonly #majority: number;
  /** By term: who stood. */
  readonly #candidates = new Map<number, number>();
  readonly #evictable: boolean;
  #down: number;
  /** The last entry that opened a session, and how many did. */
  #lastRegistered = 0;
  #registered = 0;
  /** By session and number of the first write: the entry that brought it first. */
  readonly #requests = new Map<number, number>();
  readonly #repeated = new Set<number>();

  constructor({ servers, kv }: Plan) {
    this.#seen = Array.from({ length: servers }, newSeen);
    this.#majority = (servers >>> 1) + 1;
    this.#down = servers;
    this.#evictable = kv.maxSessions < 100;
  }

  /** `fault.<kind>` for each fault class that struck, and the marks of `MARKS`. */
  counts(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#counts].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  mark(mark: Mark | PaxosMark): void {
    this.#counts.set(mark, (this.#counts.get(mark) ?? 0) + 1);
  }

  // ---- the world ----------------------------------------------------------------------------------------------------------

  faultBegan({ fault }: WorldEventOf<"faultBegan">): void {
    const kind = fault.kind === "hook" ? `fault.hook.${fault.hook}` : `fault.${fault.kind}`;
    this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + 1);
  }

  started({ server, stored, tornBytes }: WorldEventOf<"started">): void {
    const before = this.#at(server);
    const lastIndex = (stored.snapshot?.index ?? 0) + stored.entries.length;
    if (tornBytes > 0) this.mark("tornTail");
    if (stored.snapshot !== null) this.mark("recoveredSnapshot");
    if ((stored.snapshot?.index ?? 0) < before.snapshotIndex) this.mark("snapshotNotKept");
    if (before.writesUnderWay > 0) this.mark(lastIndex < before.entriesUnderWay ? "lostUnsynced" : "keptUnsynced");
    const seen = { ...newSeen(), isOn: true, term: stored.hardState.term, commitIndex: stored.snapshot?.index ?? 0 };
    const base = (stored.snapshot?.index ?? 0) + 1;
    for (const [i, { term }] of stored.entries.entries()) seen.terms[base + i] = term;
    this.#seen[server] = seen;
    this.#down--;
  }

  crashed({ server, why }: WorldEventOf<"crashed">): void {
    const seen = this.#at(server);
    if (why === "disk") this.mark("diskFailed");
    if (seen.voteUnderWay) this.mark("voteLost");
    if (!seen.isOn) return;
    seen.isOn = false;
    seen.role = "follower";
    this.#down++;
    const up = this.#seen.length - this.#down;
    if (up === 0) this.mark("allDown");
    if (up < this.#majority) this.mark("noMajorityUp");
  }

  paused({ server }: WorldEventOf<"paused">): void {
    if (this.#at(server).role === "leader") this.mark("leaderPaused");
  }

  diskHealth({ health }: WorldEventOf<"diskHealth">): void {
    if (health === "full") this.mark("diskFullWait");
  }

  writing({ server, write }: WorldEventOf<"writing">): void {
    const seen = this.#at(server);
    seen.writesUnderWay++;
    if (write.entries.length > 0) seen.entriesUnderWay = write.firstIndex + write.entries.length - 1;
    if (write.hardState !== null && write.hardState.votedFor !== null) seen.voteUnderWay = true;
  }

  durable({ server, write }: WorldEventOf<"durable">): void {
    const seen = this.#at(server);
    seen.writesUnderWay--;
    if (write.hardState !== null) seen.voteUnderWay = false;
    if (write.snapshot !== null) seen.snapshotIndex = write.snapshot.index;
  }

  returned({ end }: WorldEventOf<"returned">): void {
    if (end.type === "info") this.mark("gaveUp");
    else if (end.type === "fail") this.mark("gaveUpUnsent");
  }

  // ---- the service --------------------------------------------------------------------------------------------------------

  applied({ index, command, results }: WorldEventOf<"applied">): void {
    this.#sessionMarks(index, command, results);
    if (command[0] !== CommandKind.request || results === null) return;
    const [, session, firstSeq, slots] = command;
    const key = session * 8192 + firstSeq;
    if (!slots.some((slot) => slot === null || slot[0] !== OpKind.read)) return;
    const first = this.#requests.get(key);
    if (first === undefined) this.#requests.set(key, index);
    else if (first !== index && !this.#repeated.has(index)) {
      this.#repeated.add(index);
      this.mark("duplicateSuppressed");
    }
  }

  #sessionMarks(index: number, command: Command, results: Results): void {
    if (command[0] === CommandKind.request && results === null) this.mark("sessionExpired");
    if (!this.#evictable || command[0] !== CommandKind.register || index <= this.#lastRegistered) return;
    this.#lastRegistered = index;
    this.#registered++;
    if (this.#registered > command[1]) this.mark("sessionEvicted");
  }

  // ---- Raft ---------------------------------------------------------------------------------------------------------------

  stepped(event: WorldEventOf<"stepped">): void {
    const { server, input, effects, state } = event;
    const seen = this.#at(server);
    if (state.role !== seen.role || state.term !== seen.term) this.#roleMarks(seen, event);
    if (input.type === "request") this.#requestMarks(server, input.message, effects, state);
    else if (input.type === "reply") this.#replyMarks(seen, event);
    else if (input.type === "read" && state.log.termAt(state.commitIndex) !== state.term) {
      this.mark("readWaitedForNoop");
    }
    if (effects.length > 0) this.#effectMarks(seen, event);
  }

  #roleMarks(seen: Seen, { server, input, state }: WorldEventOf<"stepped">): void {
    const { role, term } = state;
    if (role === "candidate" && term > seen.term) {
      if ((this.#candidates.get(term) ?? server) !== server) this.mark("splitVote");
      this.#candidates.set(term, server);
      if (state.campaignIsTransfer) this.mark("transferCampaign");
    }
    if (role === "leader" && seen.role !== "leader") {
      this.mark("electionWon");
      if (seen.led > 0) this.mark("reelected");
      seen.led = term;
      if (this.#seen.some((other) => other !== seen && other.isOn && other.role === "leader")) this.mark("twoLeaders");
    }
    if (seen.role === "leader" && role !== "leader") {
      if (input.type === "tick") this.mark("checkQuorumStepDown");
      else if (term > seen.term) this.mark("deposedByTerm");
    }
    if (seen.role === "precandidate" && role === "follower") this.mark("preVoteLost");
    if (seen.role === "candidate" && role === "follower") {
      this.mark(term === seen.term && state.leader !== null ? "candidateFollowed" : "electionLost");
    }
    seen.role = role;
    seen.term = term;
  }

  #requestMarks(server: number, message: RaftRequest, effects: readonly RaftEffect[], state: RaftState): void {
    if (message.type === "requestVote") return this.#voteMarks(message, effects, state);
    if (message.term < state.term) this.mark("oldAppend");
    else if (message.type === "installSnapshot") this.#chunkMarks(this.#at(server), message, effects);
    else if (message.type === "appendEntries" && message.entries.length > 0) {
      if (!effects.some((effect) => effect.type === "persist")) this.mark("repeatedAppend");
    }
  }

  #voteMarks(
    message: RaftRequest & { type: "requestVote" },
    effects: readonly RaftEffect[],
    { log, term }: RaftState,
  ): void {
    for (const effect of effects) {
      if (effect.type !== "reply" || effect.message.type !== "requestVoteReply" || effect.message.granted) continue;
      if (!log.isUpToDate(message.lastLogIndex, message.lastLogTerm)) this.mark("voteRefusedLog");
      else if (message.term > term) this.mark("voteRefusedSticky");
    }
  }

  #chunkMarks(seen: Seen, message: RaftRequest & { type: "installSnapshot" }, effects: readonly RaftEffect[]): void {
    const isInstalled = effects.some((effect) => effect.type === "restore");
    if (isInstalled) this.mark("snapshotInstalled");
    if (isInstalled && message.offset > 0) this.mark("snapshotChunked");
    if (message.offset === 0 && seen.received > 0 && !message.done) this.mark("snapshotRestart");
    seen.received = isInstalled ? 0 : message.offset + message.data.length;
    for (const effect of effects) {
      if (effect.type !== "reply" || effect.message.type !== "installSnapshotReply") continue;
      if (effect.message.done && !isInstalled) this.mark("snapshotStale");
    }
  }

  #replyMarks(seen: Seen, { input, state }: WorldEventOf<"stepped">): void {
    if (input.type !== "reply") return;
    const { message } = input;
    if (message.term < state.term) this.mark("oldReply");
    if (message.type === "appendEntriesReply" && !message.success && seen.role === "leader") this.mark("mismatch");
    const progress = state.progressOf(input.from);
    if (progress === undefined || message.type !== "appendEntriesReply") return;
    if (progress.state === "replicate" && progress.inflightMessages >= state.config.maxInflightMessages) {
      this.mark("windowFull");
    }
    if (progress.state === "snapshot" && progress.matchIndex === 0 && !message.success) this.mark("behindCompaction");
  }

  #effectMarks(seen: Seen, { input, effects, state }: WorldEventOf<"stepped">): void {
    for (const effect of effects) {
      switch (effect.type) {
        case "persist":
          if (effect.snapshot !== null) this.mark(effect.discardLog ? "snapshotReplacedLog" : "snapshotTaken");
          if (effect.firstIndex > 0) this.#truncationMarks(seen, effect.firstIndex, effect.entries);
          break;
        case "commit":
          if (state.role === "leader") this.#commitMarks(seen, seen.commitIndex, effect.index, state);
          seen.commitIndex = effect.index;
          break;
        case "readLost":
          this.mark("readLost");
          break;
        case "readReady":
          if (input.type === "flush" && state.config.leaseReads) this.mark("readByLease");
          if (effect.reads.length > 1) this.mark("readBatch");
          break;
        case "transfer":
          this.mark(effect.ok ? "transferDone" : "transferFailed");
          break;
        default:
      }
    }
    if (input.type === "unanswered" && effects.length > 0) this.mark("retreat");
  }

  #truncationMarks(seen: Seen, firstIndex: number, entries: readonly Entry[]): void {
    const { terms } = seen;
    if (firstIndex < terms.length) {
      this.mark("conflictTruncation");
      if (seen.led > 0) this.mark("leaderLostWrites");
      if (terms[firstIndex] !== terms.at(-1)) this.mark("truncationOverTerms");
      terms.length = firstIndex;
    }
    for (let i = 0; i < entries.length; i++) terms[firstIndex + i] = (entries[i] as Entry).term;
  }

  #commitMarks(seen: Seen, before: number, index: number, { term, durableIndex }: RaftState): void {
    if (index > durableIndex) this.mark("commitWithoutLeaderDisk");
    if (seen.committedIn === term) return;
    seen.committedIn = term;
    const first = seen.terms[before + 1];
    // The first is the no-op of this term where nothing was left to commit.
    if (first !== undefined && first !== term) this.mark("commitOfOldTerm");
  }

  #at(server: number): Seen {
    return this.#seen[server] as Seen;
  }
}
