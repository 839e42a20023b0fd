import { compareBallots, NO_BALLOT, type Ballot } from "./ballot.js";

/** All that an acceptor knows of one register. It must survive a crash: an acceptor that forgets breaks its word. */
export interface AcceptorState {
  /** "last_rnd": it has promised to take part in no round below this one. */
  readonly lastBallot: Ballot;
  /** "vrnd": the round of its last vote; NO_BALLOT where it has not voted. */
  readonly votedBallot: Ballot;
  /** "v": what it voted for. */
  readonly votedValue: unknown;
  /** The ballot under which that value was first proposed: equal values of two writers stay distinct. */
  readonly author: Ballot;
}

/**
 * The acceptor of one register. Each answer is what it knew before: the proposer sees from `lastBallot` whether the
 * acceptor went along. State is replaced, never changed in place, so an answer does not change later.
 */
export class Acceptor {
  #state: AcceptorState = { lastBallot: NO_BALLOT, votedBallot: NO_BALLOT, votedValue: null, author: NO_BALLOT };

  constructor(state?: AcceptorState) {
    if (state) this.#state = state;
  }

  get state(): AcceptorState {
    return this.#state;
  }

  /**
   * Phase 1b. Promises if `ballot` is higher than all before. Higher, not equal: each ballot is promised once, so of two
   * proposers that share an id at most one gets a ballot past a quorum, and only that one may propose a value under it.
   */
  prepare(ballot: Ballot): AcceptorState {
    const before = this.#state;
    if (compareBallots(ballot, before.lastBallot) > 0) this.#state = { ...before, lastBallot: { ...ballot } };
    return { ...before };
  }

  /**
   * Phase 2b. Votes unless it has promised a higher ballot. It need not have promised this one: that a quorum has is
   * enough, and the vote is a promise as well.
   */
  accept(ballot: Ballot, votedValue: unknown, author = ballot): Ballot {
    const { lastBallot } = this.#state;
    if (compareBallots(ballot, lastBallot) >= 0) {
      this.#state = { lastBallot: { ...ballot }, votedBallot: { ...ballot }, votedValue, author: { ...author } };
    }
    return { ...lastBallot };
  }
}
