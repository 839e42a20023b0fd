import type { InstanceVote, PaxosReply, PaxosRequest, PaxosState, Vote } from "../../paxos/index.js";
import { EntryType } from "../../replica/index.js";
import type { PaxosMark } from "./marks.js";
import type { WorldEventOf, WorldObserver } from "./observer.js";
import { votesIn } from "./paxos-votes.js";

type Stepped = WorldEventOf<"paxosStepped">;

/** What coverage remembers of one server. */
interface Seen {
  isOn: boolean;
  role: string;
  term: number;
  /** The ballot in which this life has led last. */
  led: number;
  commitIndex: number;
  promiseUnderWay: boolean;
  /** Its votes as they were handed to the storage, by instance. */
  readonly votes: Map<number, Vote>;
  /** Its own votes up to here are durable. */
  durableTo: number;
  learnFrom: number | null;
  /** The snapshot that is arriving. */
  incoming: object | null;
}

const newSeen = (): Seen => ({
  ...{ isOn: false, role: "follower", term: 0, led: 0, commitIndex: 0, promiseUnderWay: false },
  ...{ votes: new Map<number, Vote>(), durableTo: 0, learnFrom: null, incoming: null },
});

/** Counts the rare states of Paxos that a run reaches. */
export class PaxosCoverage implements WorldObserver {
  readonly #mark: (mark: PaxosMark) => void;
  readonly #seen: Seen[];
  readonly #majority: number;

  constructor(servers: number, mark: (mark: PaxosMark) => void) {
    this.#mark = mark;
    this.#seen = Array.from({ length: servers }, newSeen);
    this.#majority = (servers >>> 1) + 1;
  }

  started({ server, stored }: WorldEventOf<"started">): void {
    const seen = { ...newSeen(), isOn: true, term: stored.hardState.term };
    for (const { instance, ...vote } of votesIn(stored.entries)) seen.votes.set(instance, vote);
    this.#seen[server] = seen;
  }

  crashed({ server }: WorldEventOf<"crashed">): void {
    const seen = this.#at(server);
    if (seen.promiseUnderWay) this.#mark("promiseLost");
    seen.isOn = false;
    seen.role = "follower";
  }

  paused({ server }: WorldEventOf<"paused">): void {
    if (this.#at(server).role === "leader") this.#mark("leaderPaused");
  }

  writing({ server, write }: WorldEventOf<"writing">): void {
    const seen = this.#at(server);
    if (write.hardState !== null) seen.promiseUnderWay = true;
    for (const vote of votesIn(write.entries)) this.#voteMarks(seen, vote);
  }

  durable({ server, write }: WorldEventOf<"durable">): void {
    const seen = this.#at(server);
    if (write.hardState !== null) seen.promiseUnderWay = false;
    for (const { instance } of votesIn(write.entries)) if (instance > seen.durableTo) seen.durableTo = instance;
  }

  #voteMarks({ led, votes }: Seen, { ballot, entry, instance }: InstanceVote): void {
    const before = votes.get(instance);
    votes.set(instance, { ballot, entry });
    if (before === undefined || before.ballot === ballot) return;
    const isSame = before.entry.term === entry.term;
    this.#mark(isSame ? "voteRepeated" : "voteOverwritten");
    if (!isSame && before.ballot === led) this.#mark("leaderLostWrites");
  }

  // ---- steps --------------------------------------------------------------------------------------------------------------

  paxosStepped(event: Stepped): void {
    const { server, input, state } = event;
    const seen = this.#at(server);
    if (state.role !== seen.role || state.term !== seen.term) this.#roleMarks(seen, event);
    if (input.type === "request") this.#requestMarks(input.message, event);
    else if (input.type === "reply") this.#replyMarks(seen, input.from, input.message, event);
    else if (input.type === "read" && state.commitIndex < state.recoveredTo) this.#mark("readWaitedForPhase1");
    if (event.effects.length > 0) this.#effectMarks(seen, event);
    if (state.learnFrom !== seen.learnFrom) {
      if (input.type === "unanswered" || (input.type === "reply" && input.message.type === "learnReply")) {
        this.#mark("learnedElsewhere");
      }
      seen.learnFrom = state.learnFrom;
    }
    seen.incoming = state.incomingSnapshot;
    seen.commitIndex = state.commitIndex;
  }

  #roleMarks(seen: Seen, { input, state }: Stepped): void {
    const { role, term } = state;
    const others = this.#seen.filter((other) => other !== seen && other.isOn);
    if (role === "candidate" && term > seen.term) {
      if (others.some((other) => other.role === "candidate")) this.#mark("duelingProposers");
      if (state.handover !== 0) this.#mark("takeOverAsked");
    }
    if (role === "leader" && seen.role !== "leader") {
      this.#mark("phase1Won");
      if (seen.led > 0) this.#mark("reelected");
      if (others.some((other) => other.role === "leader")) this.#mark("twoLeaders");
      this.#takeOverMarks(seen, state);
      seen.led = term;
    }
    if (seen.role === "leader" && role !== "leader") {
      if (term > seen.term) this.#mark("deposedByBallot");
      else if (input.type === "tick") this.#mark("checkQuorumStepDown");
    }
    if (seen.role === "candidate" && role === "follower") this.#mark("phase1Lost");
    seen.role = role;
    seen.term = term;
  }

  /** What the new leader proposes first. */
  #takeOverMarks({ votes }: Seen, { chosenBefore, commitIndex, log, recoveredTo, term }: PaxosState): void {
    if (commitIndex < chosenBefore) this.#mark("leaderLearns");
    for (let i = chosenBefore + 1; i <= recoveredTo; i++) {
      const entry = log.voteAt(i)?.entry;
      if (entry === undefined) continue;
      if (entry.term === term && entry.type === EntryType.noop) this.#mark("holeFilled");
      else if (entry.term < term) {
        this.#mark("valueAdopted");
        if (votes.get(i)?.entry.term !== entry.term) this.#mark("valueOfOthersAdopted");
      }
    }
  }

  #requestMarks(message: PaxosRequest, { effects, state }: Stepped): void {
    const isWritten = effects.some((effect) => effect.type === "persist");
    if (message.type === "accept") {
      if (message.ballot < state.term) return this.#mark("acceptRefused");
      if (message.entries.length > 0 && !isWritten) this.#mark("acceptRepeated");
      if (effects.some((effect) => effect.type === "persist" && effect.hardState !== null)) {
        this.#mark("acceptUnprepared");
      }
      const next = state.log.voteAt(state.commitIndex + 1);
      if (message.commitIndex > state.commitIndex && next !== undefined) this.#mark("oldVoteNotTaken");
    } else if (message.type === "prepare") {
      for (const effect of effects) {
        if (effect.type === "reply" && effect.message.type === "prepareReply") {
          this.#promiseMarks(message, effect.message, state, isWritten);
        }
      }
    }
  }

  #promiseMarks(
    { ballot, from, probe }: PaxosRequest & { type: "prepare" },
    { granted, next }: PaxosReply & { type: "prepareReply" },
    { log, term }: PaxosState,
    isWritten: boolean,
  ): void {
    if (!granted && probe) {
      this.#mark(ballot > term && from <= log.lastIncludedIndex ? "probeRefusedGone" : "probeRefused");
    } else if (!granted) this.#mark(ballot < term ? "promiseRefusedOld" : "promiseRefusedSticky");
    else if (!probe && !isWritten) this.#mark("promiseRepeated");
    if (next !== 0) this.#mark("promiseInParts");
  }

  #replyMarks(seen: Seen, from: number, message: PaxosReply, { effects, state }: Stepped): void {
    if (message.type === "learnReply") {
      if (state.commitIndex > seen.commitIndex && message.snapshot === null) this.#mark("learnedRange");
      if (message.snapshot?.offset === 0 && seen.incoming !== null) this.#mark("snapshotRestart");
      if (effects.some((effect) => effect.type === "restore")) {
        this.#mark("snapshotInstalled");
        if ((message.snapshot?.offset ?? 0) > 0) this.#mark("snapshotChunked");
      }
      return;
    }
    if (message.ballot < state.term) this.#mark("oldReply");
    if (message.type === "prepareReply") {
      const isOfUse = message.granted && !message.probe && state.role === "candidate";
      if (isOfUse && message.commitIndex > state.commitIndex) this.#mark("candidateBehind");
    } else if (message.type === "acceptReply" && state.isLeader()) {
      const acceptor = state.acceptor(from);
      if (acceptor !== undefined && acceptor.inflightMessages >= state.config.maxInflightMessages) {
        this.#mark("windowFull");
      }
      if (isChosen(state.acks.get(state.commitIndex + 2) ?? 0, this.#majority)) this.#mark("chosenOutOfOrder");
    }
  }

  #effectMarks(seen: Seen, { input, effects, state }: Stepped): void {
    for (const effect of effects) {
      switch (effect.type) {
        case "persist":
          if (effect.snapshot === null || input.type !== "compact") break;
          this.#mark("snapshotTaken");
          if (state.log.lastIndex > state.log.lastIncludedIndex) this.#mark("snapshotWithVotes");
          break;
        case "commit":
          if (state.isLeader() && effect.index > Math.max(seen.durableTo, state.chosenBefore)) {
            this.#mark("commitWithoutLeaderDisk");
          }
          break;
        case "readLost":
          this.#mark("readLost");
          break;
        case "readReady":
          if (input.type === "flush" && state.config.leaseReads) this.#mark("readByLease");
          if (effect.reads.length > 1) this.#mark("readBatch");
          break;
        case "transfer":
          this.#mark(effect.ok ? "transferDone" : "transferFailed");
          break;
        default:
      }
    }
    if (input.type === "unanswered" && state.isLeader()) this.#mark("retreat");
  }

  #at(server: number): Seen {
    return this.#seen[server] as Seen;
  }
}

function isChosen(voters: number, majority: number): boolean {
  let count = 0;
  for (let rest = voters; rest !== 0; rest &= rest - 1) count++;
  return count >= majority;
}
