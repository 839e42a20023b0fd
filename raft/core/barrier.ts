import type { Progress } from "./progress.js";
import type { RaftState } from "./state.js";

/** Clocks may differ in rate by a tenth before a lease is wrong (dissertation §6.4.1 asks for a bound on drift). */
const LEASE_FRACTION = 0.9;

const readContext = (progress: Progress): number => progress.readContext;

/**
 * Opens a round for the waiting reads. True where there is one now: the caller must see that every follower gets a
 * message. False while a round is under way (they share the next), and where none is needed or possible yet.
 */
export function openReadRound(state: RaftState): boolean {
  const { reads } = state;
  if (!reads.hasWaiting || reads.isRoundOpen) return false;
  // S48: until an entry of this term is committed the leader may not know the latest commit of earlier terms.
  if (state.log.termAt(state.commitIndex) !== state.term) return false;
  if (hasLease(state)) {
    state.effects.push({ type: "readReady", reads: reads.takeWaiting(), index: state.commitIndex });
    return false;
  }
  reads.begin(state.commitIndex, state.now);
  return true;
}

/** Releases the reads of every round that a majority has confirmed. */
export function confirmReads(state: RaftState): void {
  const { reads } = state;
  if (reads.hasRounds) {
    const context = state.configuration.majority(reads.context, state.followers, readContext);
    for (const round of reads.confirm(context)) {
      if (round.reads.length > 0) state.effects.push({ type: "readReady", reads: round.reads, index: round.index });
    }
  }
  if (reads.hasWaiting && !reads.isRoundOpen) state.needsFlush = true;
}

/** Counted from when the confirming messages were sent; none while leadership may be on its way to another (S51, S35). */
function hasLease(state: RaftState): boolean {
  if (!state.config.leaseReads || state.leaseForfeited) return false;
  return state.now - state.reads.confirmedStart < state.config.electionTimeoutMinMs * LEASE_FRACTION;
}
