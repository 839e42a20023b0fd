import type { PaxosState } from "./state.js";

/** Server `id` has voted, durably, in these instances. Each is chosen by its own majority, in whatever order. */
export function countVotes(state: PaxosState, id: number, first: number, last: number): void {
  const { acks } = state;
  for (let i = Math.max(first, state.commitIndex + 1); i <= last; i++) acks.set(i, (acks.get(i) ?? 0) | (1 << id));
  maybeCommit(state);
}

/** Instances are committed in order, once chosen, and once their values are here. */
export function maybeCommit(state: PaxosState): void {
  const { acks, chosenBefore, log, majority } = state;
  let index = state.commitIndex;
  while (index < log.lastIndex && index >= chosenBefore && bits(acks.get(index + 1) ?? 0) >= majority) {
    index++;
    acks.delete(index);
  }
  if (index > state.commitIndex) state.advanceCommit(index);
}

function bits(mask: number): number {
  let count = 0;
  for (let rest = mask; rest !== 0; rest &= rest - 1) count++;
  return count;
}
