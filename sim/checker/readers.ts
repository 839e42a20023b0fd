import { DIFFERS, READ, REMOVE, SWAP, WRITE } from "./model.js";
import type { Problem } from "./model.js";
import { NEVER } from "./operations.js";

/** How many of the ascending numbers are below `limit`. */
function countBelow(numbers: ArrayLike<number>, count: number, limit: number): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((numbers[middle] as number) < limit) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** For every put of a problem without appends and versions, what may still see it. */
export interface Readers {
  /** Whatever sees what put i leaves is called before this position: by then another put must have come after it. */
  readonly horizon: Int32Array;
  /** The last call before the horizon of a read of that value, or of a cas that failed on another; -1: there is none. */
  readonly last: Int32Array;
}

export function findReaders(problem: Problem): Readers {
  const { call, expected, kind, result, ret, size } = problem;
  const horizon = new Int32Array(size);
  const last = new Int32Array(size).fill(-1);
  // The first return among the overwriting steps from step i on.
  const firstReturn = new Int32Array(size + 1).fill(NEVER);
  for (let i = size - 1; i >= 0; i--) {
    const overwrites = kind[i] === WRITE || kind[i] === SWAP || kind[i] === REMOVE;
    firstReturn[i] = Math.min(firstReturn[i + 1] as number, overwrites ? (ret[i] as number) : NEVER);
  }
  const readsOf = new Map<number, number[]>();
  const refusals: number[] = [];
  for (let i = 0; i < size; i++) {
    if (kind[i] === DIFFERS) refusals.push(call[i] as number);
    if (kind[i] !== READ) continue;
    const calls = readsOf.get(expected[i] as number);
    if (calls) calls.push(call[i] as number);
    else readsOf.set(expected[i] as number, [call[i] as number]);
  }
  for (let i = 0; i < size; i++) {
    if (kind[i] !== WRITE) continue;
    // Steps called after i returned come after it; the first of them to return ends the time of i's value.
    const limit = firstReturn[countBelow(call, size, ret[i] as number)] as number;
    horizon[i] = limit;
    for (const calls of [readsOf.get(result[i] as number), refusals]) {
      const before = calls ? countBelow(calls, calls.length, limit) : 0;
      if (before > 0) last[i] = Math.max(last[i] as number, (calls as number[])[before - 1] as number);
    }
  }
  return { horizon, last };
}
