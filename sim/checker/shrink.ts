import { SeededRandom } from "../../runtime/index.js";
import { compile, countsVersions, isPure, PUT_IF, READ, READ_VERSION, REMOVE, SWAP, WRITE } from "./model.js";
import type { InitialValue, Step } from "./model.js";
import { NEVER } from "./operations.js";
import { Search } from "./search.js";

/** More operations than this a person does not read. */
const MOST_SHOWN = 10;
/** Nodes for one question while shrinking, and for all of them: beyond, what is found so far must do. */
const NODES_PER_TRIAL = 50_000;
const NODES_IN_ALL = 500_000;
/** Nodes for the question whether one operation alone is impossible, with all writes free: each node tries them all. */
const NODES_ALONE = 200;

const ABSENT_KEY: InitialValue = { value: null, version: 0 };

interface Anchor {
  readonly step: Step;
  readonly initial: InitialValue;
}

/** Why a history is not linearizable, as few operations as could be found. */
export interface Counterexample {
  /** In order of call, at most ten. */
  readonly steps: readonly Step[];
  /** The step that fits nowhere: before it returned, the history was linearizable. */
  readonly culprit: Step;
  /** The step from which the key's value is known; without it the key begins absent. */
  readonly anchor: Step | undefined;
  /** How many writes, not among the steps, were allowed to happen at any time, any number of times: it did not help. */
  readonly freed: number;
  /** How many steps that belong to the contradiction are left out because they would be too many. */
  readonly omitted: number;
}

/**
 * Shrinks the history of one key that is not linearizable.
 *
 * Dropping operations at will would be dishonest: without the put that a read depends on, any history is wrong. Every
 * change made here is a relaxation, so that what remains impossible proves that the whole was impossible:
 *
 * - Cut after a return: what is open then has an unknown outcome.
 * - Start at an anchor, a step after which the key's value is known. What returned before it was called is done with.
 *   What ran at the same time may come after it or not at all.
 * - Drop a step that never changes the state.
 * - Free a write: it may happen at any time, any number of times, or never. A freed write explains whatever it could
 *   have explained, and need not be shown.
 */
export class Shrinker {
  readonly #isExpired: (() => boolean) | undefined;
  #nodesLeft = NODES_IN_ALL;

  constructor(isExpired: (() => boolean) | undefined) {
    this.#isExpired = isExpired;
  }

  /** `stuckAt`: a return that no order of the steps gets past. */
  shrink(steps: readonly Step[], stuckAt: number): Counterexample {
    const end = this.#firstImpossibleReturn(steps, stuckAt);
    const prefix = cut(steps, end);
    const culprit = prefix.find((step) => step.ret === end) as Step;
    const writes = prefix.filter((step) => step !== culprit && !isPure(step.kind));
    if (this.#isImpossible([culprit], writes, ABSENT_KEY, NODES_ALONE)) {
      return { steps: [culprit], culprit, anchor: undefined, freed: writes.length, omitted: 0 };
    }
    const anchor = this.#latestAnchor(prefix, culprit);
    const { kept, freed } = anchor
      ? this.#reduce(since(prefix, anchor.step), culprit, anchor.initial)
      : this.#reduce(prefix, culprit, ABSENT_KEY);
    const ends = anchor ? [anchor.step, culprit] : [culprit];
    const others = kept.filter((step) => step !== culprit);
    const shown = [...ends, ...others.slice(Math.max(0, others.length - (MOST_SHOWN - ends.length)))];
    shown.sort((a, b) => a.call - b.call);
    const omitted = ends.length + others.length - shown.length;
    return { steps: shown, culprit, anchor: anchor?.step, freed, omitted };
  }

  #isImpossible(
    steps: readonly Step[],
    free: readonly Step[],
    initial: InitialValue,
    nodes = NODES_PER_TRIAL,
  ): boolean {
    const budget = Math.min(nodes, this.#nodesLeft);
    if (budget <= 0) return false;
    const search = new Search(compile(steps, free, initial), new SeededRandom(1));
    const verdict = search.run(budget, this.#isExpired);
    // Setting up a search costs as much as some nodes.
    this.#nodesLeft -= search.nodes + (steps.length >> 3);
    return verdict === "not-linearizable";
  }

  /** The search may have looked ahead, so steps back from where it was stuck, ever faster, and then bisects. */
  #firstImpossibleReturn(steps: readonly Step[], stuckAt: number): number {
    const returns = steps.flatMap((step) => (step.ret <= stuckAt ? [step.ret] : [])).sort((a, b) => a - b);
    const isImpossible = (i: number): boolean => this.#isImpossible(cut(steps, returns[i] as number), [], ABSENT_KEY);
    let bad = returns.length - 1;
    let good = -1;
    for (let stride = 1; good < bad - 1; stride *= 2) {
      const i = Math.max(good + 1, bad - stride);
      if (!isImpossible(i)) {
        good = i;
        break;
      }
      bad = i;
    }
    while (good < bad - 1) {
      const middle = (good + bad) >> 1;
      if (isImpossible(middle)) bad = middle;
      else good = middle;
    }
    return returns[bad] as number;
  }

  /** The latest step from which on the rest is impossible already. */
  #latestAnchor(prefix: readonly Step[], culprit: Step): Anchor | undefined {
    const versioned = prefix.some((step) => countsVersions(step.kind));
    const anchors = prefix.flatMap((step) => {
      const initial = step.ret < culprit.call ? valueAfter(step, versioned) : undefined;
      return initial ? [{ step, initial }] : [];
    });
    anchors.sort((a, b) => b.step.ret - a.step.ret);
    // The last 32 one by one, then at growing distances: the windows get longer and with them the trials.
    for (let i = 0; i < anchors.length; i += i < 32 ? 1 : i >> 2) {
      const anchor = anchors[i] as Anchor;
      if (this.#isImpossible(since(prefix, anchor.step), [], anchor.initial)) return anchor;
    }
    return undefined;
  }

  /** Drops and frees, first in large pieces, then one by one. */
  #reduce(
    steps: readonly Step[],
    culprit: Step,
    initial: InitialValue,
  ): { readonly kept: readonly Step[]; readonly freed: number } {
    let kept = [...steps];
    let free: Step[] = [];
    for (let piece = kept.length >> 1; ; piece >>= 1) {
      piece = Math.max(1, piece);
      const before = kept.length;
      for (let start = 0; start < kept.length;) {
        const isKept = (step: Step, i: number): boolean => i < start || i >= start + piece || step === culprit;
        const rest = kept.filter(isKept);
        const removed = kept.filter((step, i) => !isKept(step, i));
        const nowFree = [...free, ...removed.filter((step) => !isPure(step.kind))];
        if (removed.length > 0 && this.#isImpossible(rest, nowFree, initial)) {
          kept = rest;
          free = nowFree;
        } else {
          start += piece;
        }
      }
      // What one removal made superfluous may stand before it.
      if (piece === 1 && kept.length === before) return { kept, freed: free.length };
    }
  }
}

/** The history as it was known when the return at `end` came in. */
function cut(steps: readonly Step[], end: number): Step[] {
  return steps.flatMap((step) => {
    if (step.call > end) return [];
    if (step.ret <= end) return [step];
    return isPure(step.kind) ? [] : [{ ...step, ret: NEVER }];
  });
}

/** What may come after the anchor. */
function since(steps: readonly Step[], anchor: Step): Step[] {
  return steps.flatMap((step) => {
    if (step === anchor || step.ret < anchor.call) return [];
    if (step.call > anchor.ret) return [step];
    return isPure(step.kind) ? [] : [{ ...step, ret: NEVER }];
  });
}

/** What the key certainly holds right after a step, if the step tells: with versions it has to tell the version. */
function valueAfter(step: Step, versioned: boolean): InitialValue | undefined {
  if (step.ret === NEVER) return undefined;
  if (step.kind === READ_VERSION) return { value: step.expected, version: step.version };
  if (step.kind === PUT_IF) return { value: step.value, version: step.version + 1 };
  let value: string | null;
  if (step.kind === READ) value = step.expected;
  else if (step.kind === WRITE || step.kind === SWAP || step.kind === REMOVE) value = step.value;
  else return undefined;
  return versioned && value !== null ? undefined : { value, version: 0 };
}
