import type { Random } from "../../runtime/index.js";
import { ConfigSet } from "./config-set.js";
import { LinkedLists } from "./lists.js";
import { countsVersions, isPure, READ, READ_VERSION, REMOVE, SWAP, WRITE } from "./model.js";
import type { Problem } from "./model.js";
import { NEVER } from "./operations.js";

/** So many optional steps at most are compared as sets: each costs every remembered configuration a bit. */
const MAX_BITS = 512;

// Which of the lists by return a step is in.
const MUST_RETURN = 1;
const OBSERVER = 2;
const RESET = 4;
const SEER = 8;

/** Spreads a small number over 32 bits; different numbers stay different. */
function mix(value: number): number {
  let h = Math.imul(value ^ (value >>> 16), 0x21f0aaad);
  h = Math.imul(h ^ (h >>> 15), 0x735a2d97);
  return h ^ (h >>> 15);
}

/**
 * Where a search stands: which steps are placed, what the key holds after them, how far writes are covered (see
 * Search), and which configurations were met before. Steps are placed and taken back in the manner of a stack.
 */
export class Placement {
  state: number;
  /** Puts and appends called before this position are covered. */
  covered = 0;
  /** Placed steps, in the order in which they were. */
  readonly trail: number[] = [];

  // Steps not placed, in order of call: pure ones, others that must return, and optional ones. A list ends at its head.
  readonly calls: LinkedLists;
  readonly reads: number;
  readonly writes: number;
  readonly optional: number;
  // Steps not placed that must return, in order of return: all; those that need a certain value (with versions: a
  // certain version); with versions, those that need a certain value as well; those that overwrite the key whatever
  // comes (not with versions). Each list ends at `end`.
  readonly returns: LinkedLists;
  readonly observers: LinkedLists;
  readonly seers: LinkedLists;
  readonly resets: LinkedLists;
  readonly end: number;

  readonly #problem: Problem;
  readonly #role: Uint8Array;
  readonly #seen: ConfigSet;
  /** The optional steps that are placed, one bit each; those beyond MAX_BITS are part of the key instead. */
  readonly #used: Int32Array;
  readonly #bitOf: Int32Array;
  // Zobrist keys: a configuration's is the exclusive or of those of its steps, and of one for the state.
  #high = 0;
  #low = 0;
  readonly #highOf: Int32Array;
  readonly #lowOf: Int32Array;
  readonly #salt: number;

  constructor(problem: Problem, random: Random) {
    const { kind, ret, size } = problem;
    this.#problem = problem;
    this.state = problem.initial;
    this.calls = new LinkedLists(size, 3);
    [this.reads, this.writes, this.optional] = [size, size + 1, size + 2];
    this.returns = new LinkedLists(size, 1);
    this.observers = new LinkedLists(size, 1);
    this.seers = new LinkedLists(size, 1);
    this.resets = new LinkedLists(size, 1);
    this.end = size;
    this.#role = new Uint8Array(size);
    this.#bitOf = new Int32Array(size).fill(-1);
    let optional = 0;
    for (let i = 0; i < size; i++) {
      const isOptional = ret[i] === NEVER;
      this.calls.append(isPure(kind[i] as number) ? this.reads : isOptional ? this.optional : this.writes, i);
      if (isOptional && optional < MAX_BITS) this.#bitOf[i] = optional++;
    }
    this.#listReturns();
    this.#used = new Int32Array(Math.ceil(optional / 32));
    this.#seen = new ConfigSet(this.#used.length);
    const bits = (): number => random.int(0, 2 ** 32 - 1) | 0;
    this.#salt = bits();
    this.#highOf = Int32Array.from({ length: size }, bits);
    this.#lowOf = Int32Array.from({ length: size }, bits);
  }

  #listReturns(): void {
    const { kind, ret, size, states } = this.#problem;
    const byReturn = Array.from({ length: size }, (_, i) => i).filter((i) => ret[i] !== NEVER);
    byReturn.sort((a, b) => (ret[a] as number) - (ret[b] as number));
    for (const i of byReturn) {
      const k = kind[i] as number;
      const isObserver = states.versioned ? countsVersions(k) : k === READ || k === SWAP;
      const isSeer = states.versioned && (k === READ || k === READ_VERSION);
      const isReset = !states.versioned && (k === WRITE || k === SWAP || k === REMOVE);
      this.#role[i] = MUST_RETURN | (isObserver ? OBSERVER : 0) | (isReset ? RESET : 0) | (isSeer ? SEER : 0);
      this.returns.append(this.end, i);
      if (isObserver) this.observers.append(this.end, i);
      if (isSeer) this.seers.append(this.end, i);
      if (isReset) this.resets.append(this.end, i);
    }
  }

  /** Whether every step that must happen has. */
  isComplete(): boolean {
    return this.returns.next[this.end] === this.end;
  }

  /** Position of the first return among the steps not placed: what is called later cannot be next. */
  deadline(): number {
    const first = this.returns.next[this.end] as number;
    return first === this.end ? NEVER : (this.#problem.ret[first] as number);
  }

  take(i: number): void {
    this.calls.unlink(i);
    const role = this.#role[i] as number;
    if (role & MUST_RETURN) this.returns.unlink(i);
    if (role & OBSERVER) this.observers.unlink(i);
    if (role & SEER) this.seers.unlink(i);
    if (role & RESET) this.resets.unlink(i);
    this.#toggle(i);
    this.trail.push(i);
  }

  /** Goes back to when the trail was `length` long. */
  undo(length: number, state: number, covered: number): void {
    while (this.trail.length > length) {
      const i = this.trail.pop() as number;
      this.calls.relink(i);
      const role = this.#role[i] as number;
      if (role & MUST_RETURN) this.returns.relink(i);
      if (role & OBSERVER) this.observers.relink(i);
      if (role & SEER) this.seers.relink(i);
      if (role & RESET) this.resets.relink(i);
      this.#toggle(i);
    }
    this.state = state;
    this.covered = covered;
  }

  #toggle(i: number): void {
    const bit = this.#bitOf[i] as number;
    if (bit >= 0) {
      this.#used[bit >> 5] = (this.#used[bit >> 5] as number) ^ (1 << (bit & 31));
    } else {
      this.#high ^= this.#highOf[i] as number;
      this.#low ^= this.#lowOf[i] as number;
    }
  }

  /** Adds the present configuration to the memory; false where one as good or better was there. */
  remember(): boolean {
    const { call } = this.#problem;
    const { next } = this.calls;
    // How far the coverage reaches matters only as far as it reaches steps.
    let lastCovered = 0;
    for (let i = next[this.writes] as number; i !== this.writes; i = next[i] as number) {
      if ((call[i] as number) >= this.covered) break;
      lastCovered = i + 1;
    }
    const state = mix(this.state ^ this.#salt);
    return this.#seen.add(this.#high ^ state, this.#low ^ mix(state), lastCovered, this.#used);
  }
}
