import type { InstanceVote, PaxosEffect, PaxosReply, PaxosRequest, PaxosState, Vote } from "../../paxos/index.js";
import type { Entry } from "../../replica/index.js";
import { equalBytes } from "./hash.js";
import type { WorldEventOf, WorldObserver } from "./observer.js";
import { DurableVotes, votesIn } from "./paxos-votes.js";
import type { Rule } from "./rules.js";
import { ServiceOracle } from "./service-oracle.js";

/** What was proposed for one instance in one ballot, and who has ever had a durable vote for it, a bit each. */
interface Proposal {
  readonly entry: Entry;
  voters: number;
}

/** What is remembered of one server's present life. */
interface Life {
  readonly number: number;
  term: number;
  commitIndex: number;
  /** The ballot in which it leads; 0 while it does not. */
  leads: number;
}

/**
 * Checks after each event what must hold between all acceptors, counted on what is durable, also on those that are down:
 * "Paxos Made Simple" §2, and that promises, votes and learned values rest on disks and not on beliefs. A value is chosen
 * once a majority has ever had durable votes for it in one ballot, whatever they voted later. Each check looks only at what
 * the event has changed.
 */
export class PaxosOracle implements WorldObserver {
  readonly #disks: readonly DurableVotes[];
  readonly #fail: (rule: Rule, message: string) => void;
  readonly #majority: number;
  readonly #lives: Life[];
  /** By instance, then by ballot. */
  readonly #proposals: Map<number, Proposal>[] = [];
  /** By instance: the value, and the lowest ballot in which it was chosen. */
  readonly #chosen: (Vote | undefined)[] = [];
  /** By ballot: who has ever promised it durably, a bit each. */
  readonly #promises = new Map<number, number>();
  /** By ballot: the life of the server that has proposed in it. */
  readonly #users = new Map<number, string>();
  /** By server: requests in which it has voted, and whose answers have not left yet. */
  readonly #accepted: readonly Set<number>[];
  readonly #service: ServiceOracle;

  constructor(servers: number, fail: (rule: Rule, message: string) => void) {
    this.#fail = fail;
    this.#majority = (servers >>> 1) + 1;
    const each = Array.from({ length: servers }, (_, i) => i);
    this.#disks = each.map(() => new DurableVotes());
    this.#lives = each.map(() => ({ number: 0, term: 0, commitIndex: 0, leads: 0 }));
    this.#accepted = each.map(() => new Set());
    this.#service = new ServiceOracle(servers, fail, (index) => this.#chosen[index]?.entry);
  }

  // ---- lives and disks ----------------------------------------------------------------------------------------------------

  started({ server, life, stored }: WorldEventOf<"started">): void {
    const disk = this.#disk(server);
    const before = disk.promised;
    const { fresh, lost } = disk.recover(stored);
    if (lost !== null) this.#fail("recovery", `server ${server} restarts with ${lost}`);
    const { chosen, lastIncludedIndex, lastIncludedTerm, promised, votes } = disk;
    if (promised < before) {
      this.#fail("promisesGrow", `server ${server} restarts with promise ${promised} instead of ${before}`);
    }
    this.#lives[server] = { number: life, term: promised, commitIndex: chosen, leads: 0 };
    this.#accepted[server]?.clear();
    this.#promise(server, promised);
    for (const vote of fresh) this.#vote(server, vote);
    for (let i = lastIncludedIndex + 1; i <= chosen; i++)
      this.#checkChosen(server, i, votes.get(i)?.entry, "restarts with");
    const { snapshot } = stored;
    this.#service.begin(server, snapshot && { ...snapshot, index: lastIncludedIndex, term: lastIncludedTerm });
  }

  writing({ server, write }: WorldEventOf<"writing">): void {
    this.#disk(server).write(write);
    for (const vote of votesIn(write.entries)) this.#propose(vote, `server ${server} votes for`);
  }

  durable({ server, write }: WorldEventOf<"durable">): void {
    const disk = this.#disk(server);
    const { promised } = disk;
    const kept = disk.acknowledge(write);
    if (kept === null) {
      return this.#fail("diskOrder", `server ${server}: write ${write.write} became durable before an earlier one`);
    }
    if (kept.lost !== null) this.#fail("votesStay", `server ${server} writes down a snapshot, and finds ${kept.lost}`);
    if (write.hardState !== null) {
      const { term } = write.hardState;
      if (term < promised) this.#fail("promisesGrow", `server ${server} goes from promise ${promised} to ${term}`);
      this.#promise(server, term);
    }
    for (const vote of kept.fresh) {
      const { ballot, entry, instance } = vote;
      // A learner writes down what is chosen, in whatever ballot; and a snapshot makes it write down its votes again.
      const isKnown = this.#hasVoted(server, instance, ballot) || isSame(this.#chosen[instance]?.entry, entry);
      if (ballot < promised && !isKnown) {
        this.#fail(
          "promiseKept",
          `server ${server} votes in ballot ${ballot} of instance ${instance}, promised is ${promised}`,
        );
      }
      this.#vote(server, vote);
    }
  }

  #promise(server: number, ballot: number): void {
    this.#promises.set(ballot, (this.#promises.get(ballot) ?? 0) | (1 << server));
  }

  /** P2c: below a chosen value's ballot anything may have been proposed; above it, nothing else. */
  #propose({ ballot, entry, instance }: InstanceVote, who: string): Proposal {
    const proposals = (this.#proposals[instance] ??= new Map());
    let proposal = proposals.get(ballot);
    if (proposal === undefined) {
      proposal = { entry, voters: 0 };
      proposals.set(ballot, proposal);
    } else if (!isSame(proposal.entry, entry)) {
      this.#fail("oneProposal", `${who} another value in ballot ${ballot} of instance ${instance} than others know`);
    }
    const chosen = this.#chosen[instance];
    if (chosen !== undefined && chosen.ballot <= ballot && !isSame(chosen.entry, entry)) {
      this.#fail(
        "chosenProposed",
        `${who} another value in ballot ${ballot} of instance ${instance} than was chosen in ballot ${chosen.ballot}`,
      );
    }
    return proposal;
  }

  #vote(server: number, vote: InstanceVote): void {
    const { ballot, entry, instance } = vote;
    const proposal = this.#propose(vote, `server ${server} has voted for`);
    proposal.voters |= 1 << server;
    if (bits(proposal.voters) < this.#majority) return;
    const known = this.#chosen[instance];
    if (known !== undefined && !isSame(known.entry, entry)) {
      return this.#fail(
        "oneValue",
        `instance ${instance}: author ${known.entry.term}'s value was chosen in ballot ${known.ballot}, ` +
          `author ${entry.term}'s in ballot ${ballot}`,
      );
    }
    if (known !== undefined && known.ballot <= ballot) return;
    this.#chosen[instance] = { ballot, entry };
    for (const [other, { entry: value }] of this.#proposals[instance] as Map<number, Proposal>) {
      if (other > ballot && !isSame(value, entry)) {
        this.#fail(
          "chosenProposed",
          `instance ${instance}: ballot ${other} has another value than ballot ${ballot}, in which one is chosen`,
        );
      }
    }
  }

  #hasVoted(server: number, instance: number, ballot: number): boolean {
    const voters = this.#proposals[instance]?.get(ballot)?.voters ?? 0;
    return (voters & (1 << server)) !== 0;
  }

  // ---- steps --------------------------------------------------------------------------------------------------------------

  paxosStepped({ server, input, effects, state }: WorldEventOf<"paxosStepped">): void {
    const life = this.#life(server);
    const { term, commitIndex, role } = state;
    if (term < life.term) this.#fail("promisesGrow", `server ${server} goes from promise ${life.term} to ${term}`);
    life.term = term;
    if (input.type === "request") this.#checkAnswers(server, input.request, input.message, effects);
    if (role !== "leader") life.leads = 0;
    else if (life.leads !== term) {
      life.leads = term;
      this.#checkNewLeader(server, state);
    }
    if (commitIndex !== life.commitIndex) this.#checkCommit(server, life, state);
  }

  #checkAnswers(server: number, request: number, message: PaxosRequest, effects: readonly PaxosEffect[]): void {
    if (message.type !== "accept" && message.type !== "prepare") return;
    for (const effect of effects) {
      if (effect.type !== "reply" || effect.request !== request) continue;
      const answer = effect.message;
      if (answer.type === "acceptReply" && message.type === "accept" && answer.ballot === message.ballot) {
        this.#accepted[server]?.add(request);
      } else if (answer.type === "prepareReply" && message.type === "prepare" && answer.granted && !answer.probe) {
        this.#checkVotesTold(server, message.ballot, message.from, answer);
      }
    }
  }

  /** Phase 1b: all votes in lower ballots, beyond what the acceptor knows to be chosen. */
  #checkVotesTold(
    server: number,
    ballot: number,
    from: number,
    { commitIndex, next, votes }: PaxosReply & { type: "prepareReply" },
  ): void {
    const told = new Map(votes.map((vote) => [vote.instance, vote.ballot]));
    for (const [instance, vote] of this.#disk(server).votes) {
      if (vote.ballot >= ballot || instance < from || instance <= commitIndex) continue;
      if (next !== 0 && instance >= next) continue;
      if ((told.get(instance) ?? 0) < vote.ballot) {
        this.#fail(
          "votesTold",
          `server ${server} promises ballot ${ballot} without its vote of ballot ${vote.ballot} in instance ${instance}`,
        );
      }
    }
  }

  #checkNewLeader(server: number, state: PaxosState): void {
    const { chosenBefore, commitIndex, log, term } = state;
    this.#use(server, term);
    const promises = bits(this.#promises.get(term) ?? 0);
    if (promises < this.#majority) {
      this.#fail("promisedQuorum", `server ${server} leads in ballot ${term} with ${promises} durable promises`);
    }
    for (let i = commitIndex + 1; i <= chosenBefore; i++) {
      if (this.#chosen[i] === undefined) {
        this.#fail("committedChosen", `leader ${server} of ballot ${term} takes instance ${i} for chosen`);
      }
    }
    for (let i = Math.max(commitIndex, chosenBefore) + 1; i < this.#chosen.length; i++) {
      const chosen = this.#chosen[i];
      if (chosen === undefined || chosen.ballot >= term || isSame(log.voteAt(i)?.entry, chosen.entry)) continue;
      this.#fail("chosenProposed", `leader ${server} of ballot ${term} lacks the value chosen in instance ${i}`);
    }
  }

  /** Ballots are made of the proposer's id, so only that may use them; and after a restart it must not use one again. */
  #use(server: number, ballot: number): void {
    const owner = ballot % this.#disks.length;
    const user = `server ${server} in its life ${this.#life(server).number}`;
    const known = this.#users.get(ballot) ?? user;
    this.#users.set(ballot, known);
    if (owner !== server) this.#fail("ballotOwner", `server ${server} proposes in ballot ${ballot}, server ${owner}'s`);
    if (known !== user) this.#fail("ballotOwner", `${user} uses ballot ${ballot} of ${known}`);
  }

  #checkCommit(server: number, life: Life, { commitIndex, log }: PaxosState): void {
    const before = life.commitIndex;
    life.commitIndex = commitIndex;
    if (commitIndex < before) return this.#fail("commitGrows", `server ${server}: from ${before} to ${commitIndex}`);
    for (let index = before + 1; index <= commitIndex; index++) {
      if (index > log.lastIncludedIndex) this.#checkChosen(server, index, log.entryAt(index), "commits");
    }
    if (this.#chosen[commitIndex] === undefined) {
      this.#fail("committedChosen", `server ${server} commits instance ${commitIndex}, where nothing is chosen`);
    }
  }

  #checkChosen(server: number, instance: number, own: Entry | undefined, does: string): void {
    const chosen = this.#chosen[instance]?.entry;
    if (chosen !== undefined && isSame(own, chosen)) return;
    const what = chosen === undefined ? "nothing is chosen" : `author ${chosen.term}'s is chosen`;
    this.#fail(
      "committedChosen",
      `server ${server} ${does} author ${own?.term ?? 0}'s value in instance ${instance}, where ${what}`,
    );
  }

  // ---- what is said -------------------------------------------------------------------------------------------------------

  paxosReleased({ server, effect }: WorldEventOf<"paxosReleased">): void {
    if (effect.type === "send") this.#checkRequest(server, effect.message);
    else if (effect.type === "reply") this.#checkReply(server, effect.request, effect.message);
  }

  #checkRequest(server: number, message: PaxosRequest): void {
    const { type } = message;
    if (type === "prepare" && message.probe) return;
    if (type !== "prepare" && type !== "accept") return;
    const { ballot } = message;
    this.#checkSaid(server, type, ballot);
    this.#use(server, ballot);
    if (type === "prepare") return;
    for (const [i, entry] of message.entries.entries()) {
      this.#propose({ ballot, entry, instance: message.first + i }, `leader ${server} proposes`);
    }
  }

  #checkReply(server: number, request: number, message: PaxosReply): void {
    if (message.type === "learnReply") {
      for (const { entry, instance } of message.chosen) {
        if (isSame(this.#chosen[instance]?.entry, entry)) continue;
        this.#fail("committedChosen", `server ${server} tells of a value in instance ${instance} that is not chosen`);
      }
      return;
    }
    this.#checkSaid(server, message.type, message.ballot);
    if (message.type !== "acceptReply" || this.#accepted[server]?.delete(request) !== true) return;
    for (let i = message.first; i < message.first + message.count; i++) {
      // A server that knows what is chosen need not vote for it once more.
      if (this.#chosen[i] !== undefined || this.#hasVoted(server, i, message.ballot)) continue;
      this.#fail(
        "saidDurable",
        `server ${server} answers to have voted in ballot ${message.ballot} of instance ${i}; that is not durable`,
      );
    }
  }

  #checkSaid(server: number, what: string, ballot: number): void {
    const { promised } = this.#disk(server);
    if (ballot > promised) {
      this.#fail("saidDurable", `server ${server} sends ${what} of ballot ${ballot}; durable is promise ${promised}`);
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

  #disk(server: number): DurableVotes {
    return this.#disks[server] as DurableVotes;
  }

  #life(server: number): Life {
    return this.#lives[server] as Life;
  }
}

/** The author's ballot names the command among those of an instance; its bytes prove it. */
function isSame(a: Entry | undefined, b: Entry): boolean {
  if (a === b) return true;
  return a !== undefined && a.term === b.term && a.type === b.type && equalBytes(a.data, b.data);
}

function bits(mask: number): number {
  let count = 0;
  for (let rest = mask; rest !== 0; rest &= rest - 1) count++;
  return count;
}
