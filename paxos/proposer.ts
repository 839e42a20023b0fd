import { assert, forkRandom, InvalidArgumentError } from "../runtime/index.js";
import type { CallOptions, Random, Runtime } from "../runtime/index.js";
import type { ClientEnd } from "../labrpc/index.js";
import type { AcceptorState } from "./acceptor.js";
import { Acceptors } from "./acceptors.js";
import { compareBallots, highestBallot, type Ballot } from "./ballot.js";
import { look } from "./look.js";
import { METHODS, nameOf, type Proposal, type Register } from "./messages.js";
import {
  checkProposerId,
  checkRegister,
  copyOf,
  drawProposerId,
  encodeValue,
  type ProposerOptions,
} from "./settings.js";
import { Backoff, withinLimits } from "./waiting.js";

/** `ok`: a quorum went along. `highest`: the highest ballot that an acceptor knew before; a next try must be higher. */
export interface Phase {
  readonly ok: boolean;
  readonly highest: Ballot;
}

/** `found`: of all votes that the quorum had cast, the one in the highest ballot. It may be chosen: no other may be proposed. */
export interface Phase1 extends Phase {
  readonly found: Proposal | null;
}

export interface Outcome {
  /** What is chosen for the register, for ever. */
  readonly value: unknown;
  /** Whether this call proposed it; not, where somebody else proposed an equal value. */
  readonly ours: boolean;
}

/** What `finish` is to propose; `author` null: in its caller's own name. */
interface Own {
  readonly value: unknown;
  readonly author: Ballot | null;
}

/** The proposer of one register, for one caller at a time. `phase1` and `phase2` are the steps, `runPaxos` is the whole. */
export class Proposer {
  readonly register: Register;
  readonly #acceptors: Acceptors;
  readonly #runtime: Runtime;
  readonly #random: Random;
  #ballot: Ballot;
  /** A quorum has promised this ballot. `value`, encoded, is the only one to propose under it; null while it is free. */
  #promised: { readonly ballot: Ballot; value: Uint8Array | null; author: Ballot | null } | null = null;
  #hasProposed = false;
  #isBusy = false;

  /** @throws InvalidArgumentError for a wrong register, quorum, ballot, or no acceptors. */
  constructor({ register, acceptors, runtime, ballot = {}, quorum }: ProposerOptions) {
    checkRegister(register);
    this.register = { key: register.key, version: register.version };
    this.#acceptors = new Acceptors(acceptors, runtime.clock, quorum);
    this.#runtime = runtime;
    this.#random = forkRandom(runtime.random, "proposer");
    const { n = 0, proposerId = drawProposerId(this.#random) } = ballot;
    if (!Number.isSafeInteger(n)) throw new InvalidArgumentError(`n must be a whole number, not ${String(n)}`);
    this.#ballot = { n, proposerId: checkProposerId(proposerId) };
  }

  get ballot(): Ballot {
    return this.#ballot;
  }

  /** Whether a value of its own may have reached an acceptor. */
  get hasProposed(): boolean {
    return this.#hasProposed;
  }

  /** Goes on with the lowest ballot of its own that is higher than `seen` and than the present one. */
  outbid(seen: Ballot): void {
    const { n } = highestBallot([seen, this.#ballot]);
    assert(Number.isSafeInteger(n + 1), () => `the ballots of ${nameOf(this.register)} are used up`);
    this.#ballot = { ...this.#ballot, n: n + 1 };
  }

  /** Phase 1: asks for promises, and learns what may have been chosen. */
  async phase1(ends?: readonly ClientEnd[]): Promise<Phase1> {
    const ballot = this.#ballot;
    const isPromise = ({ lastBallot }: AcceptorState): boolean => compareBallots(ballot, lastBallot) > 0;
    const replies = await this.#acceptors.askToAgree(
      METHODS.prepare,
      { ...this.register, ballot },
      isPromise,
      this.#hasProposed,
      ends,
    );
    const promises = replies.filter(isPromise);
    const highest = highestBallot(replies.map(({ lastBallot }) => lastBallot));
    if (promises.length < this.#acceptors.quorum) return { ok: false, highest, found: null };
    const last = promises.reduce((a, b) => (compareBallots(b.votedBallot, a.votedBallot) > 0 ? b : a));
    const found = last.votedBallot.proposerId === 0 ? null : { value: last.votedValue, author: last.author };
    this.#promised = { ballot, value: found && encodeValue(found.value), author: found && found.author };
    return { ok: true, highest, found };
  }

  /**
   * Phase 2: asks for votes. With a quorum of them the value is chosen.
   * @throws InvalidArgumentError where no quorum has promised this ballot to this proposer, or the ballot is for another
   * value: one that phase 1 found, or that was proposed under it before. A ballot is used again only to finish its value.
   */
  async phase2(value: unknown, ends?: readonly ClientEnd[], author = this.#ballot): Promise<Phase> {
    const promised = this.#promised;
    const ballot = this.#ballot;
    if (promised?.ballot !== ballot) throw new InvalidArgumentError("phase 2 needs a phase 1 that reached a quorum");
    const bytes = encodeValue(value);
    promised.value ??= bytes;
    promised.author ??= author;
    if (Buffer.compare(promised.value, bytes) !== 0) {
      throw new InvalidArgumentError("this ballot is for another value: propose what phase 1 found, or outbid it");
    }
    const isVote = ({ lastBallot }: Known): boolean => compareBallots(ballot, lastBallot) >= 0;
    const request = { ...this.register, ballot, value, author: promised.author };
    const replies = await this.#acceptors.askToAgree(METHODS.accept, request, isVote, this.#hasProposed, ends);
    const ok = replies.filter(isVote).length >= this.#acceptors.quorum;
    return { ok, highest: highestBallot(replies.map(({ lastBallot }) => lastBallot)) };
  }

  /**
   * With a value: gets one chosen, this one unless another may be chosen already, and returns what is chosen. Without:
   * reads; finishes what another proposer may have left half-done, and returns null where nothing was chosen when it began.
   * Tries until it is done, or a limit is met.
   * @throws TimeoutError, AbortError (whose `maybeApplied` says whether the value may be chosen, now or later),
   * TrimmedError, QuorumFailedError, EncodeError.
   */
  runPaxos(value: unknown, options?: CallOptions): Promise<Outcome>;
  runPaxos(value?: undefined, options?: CallOptions): Promise<Outcome | null>;
  runPaxos(value?: unknown, options: CallOptions = {}): Promise<Outcome | null> {
    return this.finish(value === undefined ? null : { value, author: null }, options);
  }

  /** `runPaxos` for a proposal: with an author, on behalf of somebody who got a vote for it. */
  async finish(own: Own | null, options: CallOptions = {}): Promise<Outcome | null> {
    // A copy: what its caller does to the value meanwhile does not change what is proposed.
    const copy = own && { value: copyOf(own.value), author: own.author };
    if (this.#isBusy) throw new InvalidArgumentError("a proposer carries on one call at a time: make one for each");
    this.#hasProposed = false;
    const what = `${own === null ? "reading" : "writing"} ${nameOf(this.register)}`;
    const maybeApplied = (): boolean => this.#hasProposed;
    return withinLimits(this.#runtime.clock, what, options, maybeApplied, (signal) => {
      this.#isBusy = true;
      return this.#run(copy, signal).finally(() => (this.#isBusy = false));
    });
  }

  async #run(own: Own | null, signal: AbortSignal): Promise<Outcome | null> {
    const backoff = new Backoff(this.#runtime.clock, this.#random);
    /** Ballots under which the value was proposed as this call's own. */
    const authored: Ballot[] = [];
    for (; ; await backoff.wait(signal)) {
      signal.throwIfAborted();
      if (own === null) {
        const seen = await look(this.#acceptors, this.register);
        if (seen?.isSettled) return seen.proposal && { value: seen.proposal.value, ours: false };
        if (seen === null) continue;
        signal.throwIfAborted();
      }
      const promises = await this.phase1();
      signal.throwIfAborted();
      if (!promises.ok) {
        this.outbid(promises.highest);
        continue;
      }
      if (promises.found === null && own === null) return null;
      if (promises.found === null && own?.author === null) {
        authored.push(this.#ballot);
        this.#hasProposed = true;
      }
      const { value, author } = promises.found ?? (own as Own);
      const votes = await this.phase2(value, undefined, author ?? this.#ballot);
      if (votes.ok) {
        this.#acceptors.tell(METHODS.learn, { ...this.register, ballot: this.#ballot });
        return { value, ours: authored.some((ballot) => compareBallots(ballot, author ?? this.#ballot) === 0) };
      }
      this.outbid(votes.highest);
    }
  }
}

/** In each answer: the highest ballot that the acceptor had promised or voted in before. */
type Known = Pick<AcceptorState, "lastBallot">;
