import type { AcceptorProgress } from "./acceptor-progress.js";
import type { PaxosState } from "./state.js";

/** Clocks may differ in rate by a tenth before a lease is wrong. */
const LEASE_FRACTION = 0.9;

const readContext = (acceptor: AcceptorProgress): number => acceptor.readContext;

/**
 * Opens a round for the waiting reads: a majority must answer in this leader's ballot, so none has promised a higher one,
 * and no other leader can have chosen anything. True where there is a round now: the caller must see that every acceptor
 * gets a message.
 */
export function openReadRound(state: PaxosState): boolean {
  const { reads } = state;
  if (!reads.hasWaiting || reads.isRoundOpen) return false;
  // What phase 1 found may have been chosen and acknowledged under an earlier leader.
  if (state.commitIndex < state.recoveredTo) return false;
  if (hasLease(state)) {
    state.effects.push({ type: "readReady", reads: reads.takeWaiting(), index: state.commitIndex });
    return false;
  }
  reads.begin(state.commitIndex, state.now);
  return true;
}

/** Releases the reads of every round that a majority has confirmed. */
export function confirmReads(state: PaxosState): void {
  const { reads } = state;
  if (reads.hasRounds) {
    const context = state.configuration.majority(reads.context, state.acceptors, readContext);
    for (const round of reads.confirm(context)) {
      if (round.reads.length > 0) state.effects.push({ type: "readReady", reads: round.reads, index: round.index });
    }
  }
  if (reads.hasWaiting && !reads.isRoundOpen) state.needsFlush = true;
}

/** Counted from when the confirming messages were sent: so long acceptors refuse to promise anybody else. */
function hasLease(state: PaxosState): boolean {
  if (!state.config.leaseReads || state.leaseForfeited) return false;
  return state.now - state.reads.confirmedStart < state.config.electionTimeoutMinMs * LEASE_FRACTION;
}
