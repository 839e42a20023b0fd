import type { Random } from "../../runtime/index.js";
import { APPEND, apply, DIFFERS, READ_VERSION, REMOVE, SWAP, WRITE } from "./model.js";
import type { Problem } from "./model.js";
import type { LinkedLists } from "./lists.js";
import { NEVER } from "./operations.js";
import { Placement } from "./placement.js";
import { findReaders } from "./readers.js";
import type { Readers } from "./readers.js";
import { ABSENT } from "./values.js";

/** `unknown`: the budget or the time was used up first. */
export type Verdict = "linearizable" | "not-linearizable" | "unknown";

/** How often the search looks whether its time is up, in nodes. A power of two. */
const NODES_PER_CLOCK_READ = 1024;

/**
 * Looks for an order of the steps of one key: Wing and Gong's search with Lowe's memory of configurations, iterative.
 *
 * A configuration is which steps are placed, and the state that they leave. The deadline is the first return among the
 * steps not placed: only what was called before it is enabled, that is, may be placed next. What keeps the search small,
 * and why it is sound:
 *
 * 1. Steps that never change the state, given their outcome, are placed as soon as they are enabled and legal: moved to
 *    here in any order that works, they disturb nobody. This is a property of the step, not of the state: a put of the
 *    value that the key holds already does not qualify, because it separates what comes before it from what follows.
 * 2. Steps that never return are optional: the search is over when all others are placed. Of two configurations that
 *    differ only in the optional steps placed, the one with fewer is as good: it can do all that the other can.
 * 3. Of two steps of one class (same effect, same outcome), the one called and returned first goes first: in any order
 *    that works they can swap places.
 * 4. Look-ahead: enabled observers, and the one that must return first, have to stay possible, see #isHopeful.
 * 5. Values that nobody ever observes are one value, see ValueTree.
 * 6. Puts and appends are lazy (not with versions, which count every write). One is placed for one of two reasons:
 *    somebody not yet placed can see what it leaves (#isWorthwhile), or it is at the deadline. Any other is unseen: in
 *    an order that works nothing observes the key between it and the next put. So it may as well stand right before
 *    that put: a put covers all puts and appends called before the deadline at which it is placed. A covered one that
 *    comes to the deadline may be placed there, without effect; one that no put covers is placed where it is, and is
 *    still unseen. Which of k unseen writes came first is never tried.
 * 7. A put together with all its readers can stand before a later put in the same way, see #placeClosed.
 *
 * The memory keeps 64 random bits of a configuration instead of the configuration. Two that agree by chance could hide
 * a solution, never invent one: confirm "not-linearizable" by a second search with other random bits.
 */
export class Search {
  /** Configurations tried so far. */
  nodes = 0;
  /** After "not-linearizable": no order gets past the return at this position. */
  stuckAt = -1;

  readonly #problem: Problem;
  readonly #at: Placement;
  /** Whether pruning 6 applies, and for pruning 7 what it needs to know. */
  readonly #lazy: boolean;
  readonly #readers: Readers | undefined;
  /** Some steps that change the state observe it too. */
  readonly #swaps: boolean;
  /** No lazy step that must return makes the key absent, so that unseen steps may stand before a removal, too. */
  readonly #removalsCover: boolean;

  // Choices not tried yet of all configurations on the way here, the next one last, with the states they lead to. A
  // choice is a step, or ~i for a covered step i that is placed without effect.
  readonly #choices: number[] = [];
  readonly #choiceStates: number[] = [];
  // Per configuration on the way here: where its choices begin, and what to go back to when they are used up.
  readonly #floor: number[] = [];
  readonly #oldLength: number[] = [];
  readonly #oldState: number[] = [];
  readonly #oldCovered: number[] = [];

  // For pruning 3: in which scan a class was met last; the least return and the first call among the steps met then.
  #scan = 0;
  readonly #classScan: Int32Array;
  readonly #classReturn: Int32Array;
  readonly #classCall: Int32Array;
  readonly #classOptional: Int32Array;

  constructor(problem: Problem, random: Random) {
    this.#problem = problem;
    this.#at = new Placement(problem, random);
    this.#lazy = !problem.states.versioned;
    this.#readers = this.#lazy && !problem.appends ? findReaders(problem) : undefined;
    this.#swaps = problem.kind.some((kind) => kind === SWAP || kind === REMOVE);
    const deletes = problem.result.some(
      (value, i) => value === ABSENT && problem.kind[i] === WRITE && problem.ret[i] !== NEVER,
    );
    this.#removalsCover = !deletes;
    this.#classScan = new Int32Array(problem.classes);
    this.#classReturn = new Int32Array(problem.classes);
    this.#classCall = new Int32Array(problem.classes);
    this.#classOptional = new Int32Array(problem.classes);
  }

  /** Searches until decided, until `budget` nodes are spent, or until `isExpired` says so. Call once. */
  run(budget: number, isExpired?: () => boolean): Verdict {
    const at = this.#at;
    this.#settle();
    if (at.isComplete()) return "linearizable";
    if (!this.#isHopeful()) return "not-linearizable";
    this.#open(at.trail.length, at.state, at.covered);
    while (this.#floor.length > 0) {
      if (this.#choices.length === this.#floor.at(-1)) {
        this.#close();
        continue;
      }
      if (++this.nodes > budget) return "unknown";
      if (isExpired && (this.nodes & (NODES_PER_CLOCK_READ - 1)) === 0 && isExpired()) return "unknown";
      const length = at.trail.length;
      const { state, covered } = at;
      this.#place(this.#choices.pop() as number, this.#choiceStates.pop() as number);
      if (at.isComplete()) return "linearizable";
      if (this.#isHopeful() && at.remember()) this.#open(length, state, covered);
      else at.undo(length, state, covered);
    }
    return "not-linearizable";
  }

  /** Places a choice, which leads to `state`, and then whatever needs no choice. */
  #place(choice: number, state: number): void {
    const at = this.#at;
    const i = choice < 0 ? ~choice : choice;
    const covers = choice >= 0 && this.#lazy && this.#covers(this.#problem.kind[i] as number);
    if (covers) at.covered = at.deadline();
    if (i < this.#problem.size) at.take(i);
    at.state = state;
    if (covers && this.#readers) this.#placeClosed(this.#readers);
    this.#settle();
  }

  /** Unseen steps may stand before a put, and before a removal, as long as they all leave something to remove. */
  #covers(kind: number): boolean {
    return kind === WRITE || (kind === REMOVE && this.#removalsCover);
  }

  /** Pruning 1: places the pure steps that are legal now. */
  #settle(): void {
    const at = this.#at;
    const { call } = this.#problem;
    const { next } = at.calls;
    let read = next[at.reads] as number;
    let deadline = at.deadline();
    for (;;) {
      while (read !== at.reads && (call[read] as number) < deadline) {
        const following = next[read] as number;
        if (apply(this.#problem, read, at.state) >= 0) at.take(read);
        read = following;
      }
      // What was placed may have been at the deadline: then more is enabled.
      const later = at.deadline();
      if (later === deadline) return;
      deadline = later;
    }
  }

  /**
   * Pruning 7, right after a put: a covered put stands before that one, together with the covered reads of its value,
   * if nothing else can see it. Then every step that sees it, in an order that works, can move there with it.
   */
  #placeClosed(readers: Readers): void {
    const at = this.#at;
    const { call, kind, result } = this.#problem;
    const { next } = at.calls;
    const { covered } = at;
    for (let i = next[at.writes] as number; i !== at.writes && (call[i] as number) < covered; i = next[i] as number) {
      if (kind[i] !== WRITE || (readers.last[i] as number) >= covered) continue;
      const value = result[i] as number;
      if (this.#swaps && this.#maySwap(value, readers.horizon[i] as number, i, true)) continue;
      at.take(i);
      for (let r = next[at.reads] as number; r !== at.reads && (call[r] as number) < covered; r = next[r] as number) {
        if (apply(this.#problem, r, value) >= 0) at.take(r);
      }
    }
  }

  /**
   * Pruning 4: an observer is hopeless once the key cannot become what it saw, and no write that leads there can be
   * placed before it returns. With versions it may be hopeless by its version, which only grows except through a deletion,
   * or by its value.
   */
  #isHopeful(): boolean {
    const { observers, seers } = this.#at;
    if (!this.#areHopeful(observers, !this.#lazy) || !this.#areHopeful(seers, false)) return false;
    this.stuckAt = Math.max(this.stuckAt, this.#at.deadline());
    return true;
  }

  #areHopeful({ next }: LinkedLists, byVersion: boolean): boolean {
    const at = this.#at;
    const { call, ret } = this.#problem;
    const deadline = at.deadline();
    const first = next[at.end] as number;
    for (let i = first; i !== at.end; i = next[i] as number) {
      if (i !== first && (call[i] as number) >= deadline) break;
      if (this.#canLeadTo(at.state, i, byVersion) || this.#maySupply(i, byVersion)) continue;
      this.stuckAt = Math.max(this.stuckAt, ret[i] as number);
      return false;
    }
    return true;
  }

  #canLeadTo(state: number, observer: number, byVersion: boolean): boolean {
    const { expected, kind, states, version } = this.#problem;
    if (!byVersion) return this.#canBecome(states.valueOf(state), expected[observer] as number);
    const distance = (version[observer] as number) - states.versionOf(state);
    if (distance !== 0 || kind[observer] !== READ_VERSION) return distance >= 0;
    return states.valueOf(state) === expected[observer];
  }

  #canBecome(from: number, to: number): boolean {
    return this.#problem.appends ? this.#problem.states.values.canBecome(from, to) : from === to;
  }

  /** Whether a step not placed, other than the observer itself, may reset the key in time to what leads to it. */
  #maySupply(observer: number, byVersion: boolean): boolean {
    const at = this.#at;
    const { call, ret, size, total } = this.#problem;
    const { next } = at.calls;
    const limit = ret[observer] as number;
    for (const list of [at.writes, at.optional]) {
      for (let i = next[list] as number; i !== list && (call[i] as number) < limit; i = next[i] as number) {
        if (i !== observer && this.#supplies(i, observer, byVersion)) return true;
      }
    }
    for (let i = size; i < total; i++) if (this.#supplies(i, observer, byVersion)) return true;
    return false;
  }

  #supplies(i: number, observer: number, byVersion: boolean): boolean {
    const result = this.#problem.result[i] as number;
    if (byVersion) return result === ABSENT;
    return result >= 0 && this.#canBecome(result, this.#problem.expected[observer] as number);
  }

  /** Starts on the choices of this configuration; the arguments are what to go back to after the last one. */
  #open(length: number, state: number, covered: number): void {
    this.#oldLength.push(length);
    this.#oldState.push(state);
    this.#oldCovered.push(covered);
    const floor = this.#choices.length;
    this.#floor.push(floor);
    // In order of promise: what must return soon and is seen, what must return now, what need not happen at all.
    this.#chooseWrites();
    this.#chooseOptional();
    for (let i = this.#problem.size; i < this.#problem.total; i++) this.#chooseUnneeded(i);
    for (let low = floor, high = this.#choices.length - 1; low < high; low++, high--) {
      this.#exchange(this.#choices, low, high);
      this.#exchange(this.#choiceStates, low, high);
    }
  }

  #close(): void {
    this.#floor.pop();
    this.#at.undo(this.#oldLength.pop() as number, this.#oldState.pop() as number, this.#oldCovered.pop() as number);
  }

  #exchange(list: number[], a: number, b: number): void {
    const value = list[a] as number;
    list[a] = list[b] as number;
    list[b] = value;
  }

  #choose(choice: number, state: number): void {
    this.#choices.push(choice);
    this.#choiceStates.push(state);
  }

  #isLazy(i: number): boolean {
    const kind = this.#problem.kind[i];
    return this.#lazy && (kind === WRITE || kind === APPEND);
  }

  /** The enabled steps that must return: those that are seen, first to return first; then the one at the deadline. */
  #chooseWrites(): void {
    const at = this.#at;
    const { call, ret, classOf } = this.#problem;
    const { next } = at.calls;
    const floor = this.#choices.length;
    const first = at.returns.next[at.end] as number;
    const deadline = ret[first] as number;
    const isCovered = this.#isLazy(first) && (call[first] as number) < at.covered;
    let unseen = -1;
    this.#scan += 2;
    for (let i = next[at.writes] as number; i !== at.writes && (call[i] as number) < deadline; i = next[i] as number) {
      // Pruning 3. A covered step cannot stand in for one that is not: the latter needs its place, the former does not.
      const scan = (call[i] as number) < at.covered ? this.#scan : this.#scan + 1;
      const id = classOf[i] as number;
      if ((this.#classScan[id] as number) < this.#scan) this.#classCall[id] = call[i] as number;
      if (this.#classScan[id] === scan && (this.#classReturn[id] as number) <= (ret[i] as number)) continue;
      this.#classScan[id] = scan;
      this.#classReturn[id] = ret[i] as number;

      const state = apply(this.#problem, i, at.state);
      if (state < 0) continue;
      if (!this.#isLazy(i) || this.#isWorthwhile(i, state, i === first && isCovered)) this.#choose(i, state);
      else if (i === first) unseen = state;
    }
    this.#sortByReturn(floor);
    if (isCovered) this.#choose(~first, at.state);
    else if (unseen >= 0) this.#choose(first, unseen);
  }

  #sortByReturn(floor: number): void {
    const { ret } = this.#problem;
    const choices = this.#choices;
    for (let end = floor + 1; end < choices.length; end++) {
      for (let i = end; i > floor; i--) {
        if ((ret[choices[i - 1] as number] as number) <= (ret[choices[i] as number] as number)) break;
        this.#exchange(choices, i - 1, i);
        this.#exchange(this.#choiceStates, i - 1, i);
      }
    }
  }

  /** The enabled steps that never return, where they are good for something. */
  #chooseOptional(): void {
    const at = this.#at;
    const { call, classOf } = this.#problem;
    const { next } = at.calls;
    const deadline = at.deadline();
    for (let i = next[at.optional] as number; i !== at.optional; i = next[i] as number) {
      if ((call[i] as number) >= deadline) break;
      // Pruning 3, against optional steps and against those that must return.
      const id = classOf[i] as number;
      if (this.#classOptional[id] === this.#scan) continue;
      this.#classOptional[id] = this.#scan;
      const isMet = (this.#classScan[id] as number) >= this.#scan;
      if (!isMet || (this.#classCall[id] as number) > (call[i] as number)) this.#chooseUnneeded(i);
    }
  }

  #chooseUnneeded(i: number): void {
    const state = apply(this.#problem, i, this.#at.state);
    // A put of the value that is there already may still be needed, to cover what came in between.
    if (state < 0 || (state === this.#at.state && this.#problem.kind[i] !== WRITE)) return;
    if (!this.#lazy || this.#isWorthwhile(i, state, false)) this.#choose(i, state);
  }

  /**
   * Pruning 6: whether an observer not placed yet may see what step x leaves, before the next put.
   *
   * Without appends what follows x is the observer itself, so it must be enabled already: while it is not, x can wait,
   * unless this is its last chance.
   */
  #isWorthwhile(x: number, state: number, isLastChance: boolean): boolean {
    if (this.#problem.appends || isLastChance) return this.#mayBeSeen(x, state);
    const at = this.#at;
    const { call } = this.#problem;
    const { next } = at.calls;
    const deadline = at.deadline();
    for (let i = next[at.reads] as number; i !== at.reads && (call[i] as number) < deadline; i = next[i] as number) {
      if (apply(this.#problem, i, state) >= 0) return true;
    }
    return this.#swaps && this.#maySwap(state, deadline, x, this.#removalsCount());
  }

  /** Whether a swap or removal not placed yet, other than x, called before `limit`, may happen to what `value` becomes. */
  #maySwap(value: number, limit: number, x: number, removalsCount: boolean): boolean {
    const at = this.#at;
    const { call, size, total } = this.#problem;
    const { next } = at.calls;
    for (const list of [at.writes, at.optional]) {
      for (let i = next[list] as number; i !== list && (call[i] as number) < limit; i = next[i] as number) {
        if (i !== x && this.#swapsFrom(i, value, removalsCount)) return true;
      }
    }
    for (let i = size; i < total; i++) if (i !== x && this.#swapsFrom(i, value, removalsCount)) return true;
    return false;
  }

  #swapsFrom(i: number, value: number, removalsCount: boolean): boolean {
    const { appends, expected, kind } = this.#problem;
    if (kind[i] === REMOVE) return removalsCount && (appends || value !== ABSENT);
    return kind[i] === SWAP && this.#canBecome(value, expected[i] as number);
  }

  /** A removal needs what x leaves only where the key is absent without it; else x may stand before it unseen. */
  #removalsCount(): boolean {
    return !this.#removalsCover || this.#at.state === ABSENT;
  }

  /** #isWorthwhile where x may grow before it is seen: whatever still becomes what an observer saw counts. */
  #mayBeSeen(x: number, state: number): boolean {
    const at = this.#at;
    const { call, expected, kind } = this.#problem;
    const { next } = at.calls;
    const horizon = this.#horizon(x, state);
    const first = at.observers.next[at.end] as number;
    if (first !== at.end && (call[first] as number) < horizon && this.#canBecome(state, expected[first] as number)) {
      return true;
    }
    for (let i = next[at.reads] as number; i !== at.reads && (call[i] as number) < horizon; i = next[i] as number) {
      if (kind[i] === DIFFERS || this.#canBecome(state, expected[i] as number)) return true;
    }
    return this.#swaps && this.#maySwap(state, horizon, x, this.#removalsCount());
  }

  /**
   * An observer of what x leaves is called before this position. By then the key is certainly overwritten: by a step
   * that must return and is not covered, or because the next observer saw something that is not to be had from x.
   */
  #horizon(x: number, state: number): number {
    const at = this.#at;
    const { call, expected, kind, ret } = this.#problem;
    const first = at.observers.next[at.end] as number;
    const isUnfit = first !== at.end && !this.#canBecome(state, expected[first] as number);
    const limit = isUnfit ? (ret[first] as number) : NEVER;
    const covered = this.#covers(kind[x] as number) ? at.deadline() : at.covered;
    const { next } = at.resets;
    for (let i = next[at.end] as number; i !== at.end && (ret[i] as number) < limit; i = next[i] as number) {
      if (i !== x && (kind[i] !== WRITE || (call[i] as number) >= covered)) return ret[i] as number;
    }
    return limit;
  }
}
