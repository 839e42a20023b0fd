import { NEVER } from "./operations.js";
import type { Operation } from "./operations.js";
import { ABSENT, ValueTree } from "./values.js";

// What an operation does once its outcome is known. The first four never change the state.
/** The key holds `expected`. */
export const READ = 0;
/** The key holds `expected` at `version`. */
export const READ_VERSION = 1;
/** The key does not hold `expected`: a cas that did not swap. */
export const DIFFERS = 2;
/** The key is at `version`: a putif that was refused. */
export const AT_VERSION = 3;
/** The key comes to hold `value`, whatever it held: a put, or a delete of which nobody knows whether it found the key. */
export const WRITE = 4;
/** `value` is appended; creates the key. */
export const APPEND = 5;
/** Where the key holds `expected` it comes to hold `value`; nothing else may be. */
export const SWAP = 6;
/** The key exists, and is deleted. */
export const REMOVE = 7;
/** Where the key is at `version` it comes to hold `value`; nothing else may be. */
export const PUT_IF = 8;

export const isPure = (kind: number): boolean => kind <= AT_VERSION;
export const countsVersions = (kind: number): boolean =>
  kind === READ_VERSION || kind === AT_VERSION || kind === PUT_IF;

/** Version that no state has: makes a step impossible. */
const NO_VERSION = -1;

/** An operation as the search sees it. */
export interface Step {
  readonly operation: Operation;
  readonly kind: number;
  readonly call: number;
  /** NEVER: the step is optional. */
  readonly ret: number;
  readonly expected: string | null;
  readonly value: string | null;
  readonly version: number;
}

interface StepFields {
  readonly expected?: string | null;
  readonly value?: string | null;
  readonly version?: number;
}

function makeStep(
  operation: Operation,
  kind: number,
  { expected = null, value = null, version = 0 }: StepFields,
): Step {
  const ret = operation.outcome === "ok" || operation.outcome === "fail" ? operation.ret : NEVER;
  return { operation, kind, call: operation.call, ret, expected, value, version };
}

function putIf(operation: Operation): Step {
  const { value, version } = operation.input as { value: string; version: number };
  if (operation.outcome !== "ok") return makeStep(operation, PUT_IF, { value, version });
  const output = operation.output as { ok: boolean; version: number };
  if (!output.ok) {
    return makeStep(operation, AT_VERSION, { version: output.version === version ? NO_VERSION : output.version });
  }
  return output.version === version + 1
    ? makeStep(operation, PUT_IF, { value, version })
    : makeStep(operation, AT_VERSION, { version: NO_VERSION });
}

/** The step of an operation; none where it cannot have an effect: it failed, or was a read that nobody saw. */
export function stepOf(operation: Operation): Step | undefined {
  const { f, input, output, outcome } = operation;
  const isKnown = outcome === "ok";
  if (outcome === "fail" && f !== "cas") return undefined;
  switch (f) {
    case "get":
      return isKnown ? makeStep(operation, READ, { expected: output as string | null }) : undefined;
    case "read": {
      if (!isKnown) return undefined;
      const read = output as { value: string; version: number } | null;
      return makeStep(operation, READ_VERSION, { expected: read?.value ?? null, version: read?.version ?? 0 });
    }
    case "put":
      return makeStep(operation, WRITE, { value: input as string | null });
    case "append":
      return makeStep(operation, APPEND, { value: input as string });
    case "cas": {
      const [expected, value] = input as readonly [string | null, string | null];
      return outcome === "fail"
        ? makeStep(operation, DIFFERS, { expected })
        : makeStep(operation, SWAP, { expected, value });
    }
    case "delete":
      if (isKnown && output === false) return makeStep(operation, READ, {});
      return makeStep(operation, isKnown && output === true ? REMOVE : WRITE, {});
    case "putif":
      return putIf(operation);
  }
}

/** What a key holds when a search begins. */
export interface InitialValue {
  readonly value: string | null;
  readonly version: number;
}

/**
 * The states of one key as small numbers. Without versioned steps a state is a value. With them it is a pair of value
 * and version, where all versions that nothing mentions any more count as one.
 */
export class States {
  readonly values = new ValueTree();
  readonly versioned: boolean;
  readonly #topVersion: number;
  readonly #value: number[] = [];
  readonly #version: number[] = [];
  readonly #ids: Map<number, number>[] = [];

  constructor(steps: readonly Step[]) {
    let top = 0;
    this.versioned = false;
    for (const step of steps) {
      if (countsVersions(step.kind)) {
        this.versioned = true;
        top = Math.max(top, step.version);
      }
      const observes = step.kind <= DIFFERS || step.kind === SWAP;
      if (observes && step.expected !== null) this.values.add(step.expected);
    }
    this.values.freeze();
    this.#topVersion = top + 1;
  }

  valueOf(state: number): number {
    return this.versioned ? (this.#value[state] as number) : state;
  }

  versionOf(state: number): number {
    return this.#version[state] as number;
  }

  /** The state after a write that leaves `value`, from `state`; creation starts at version 1. */
  after(state: number, value: number): number {
    if (!this.versioned) return value;
    return this.at(value, value === ABSENT ? 0 : (this.#version[state] as number) + 1);
  }

  at(value: number, version: number): number {
    if (!this.versioned) return value;
    const capped = Math.min(version, this.#topVersion);
    const ids = (this.#ids[value] ??= new Map<number, number>());
    let id = ids.get(capped);
    if (id === undefined) {
      id = this.#value.length;
      ids.set(capped, id);
      this.#value.push(value);
      this.#version.push(capped);
    }
    return id;
  }
}

/** The steps on one key, ready for a search: step i is element i of every array. */
export interface Problem {
  /** Steps [0, size) happen once or, where they never return, at most once, in order of call. */
  readonly size: number;
  /** Steps [size, total) may happen at any time, any number of times: see shrink.ts. */
  readonly total: number;
  readonly kind: Uint8Array;
  readonly call: Int32Array;
  readonly ret: Int32Array;
  /** Value ids; -1 where the kind has none. */
  readonly expected: Int32Array;
  readonly result: Int32Array;
  readonly version: Float64Array;
  readonly piece: readonly string[];
  /** Steps of one class have the same effect and outcome. */
  readonly classOf: Int32Array;
  readonly classes: number;
  readonly appends: boolean;
  readonly states: States;
  readonly initial: number;
}

/** `steps` in order of call. */
export function compile(steps: readonly Step[], free: readonly Step[], initial: InitialValue): Problem {
  const all = free.length === 0 ? steps : [...steps, ...free];
  const states = new States(all);
  const total = all.length;
  const problem = {
    size: steps.length,
    total,
    kind: new Uint8Array(total),
    call: new Int32Array(total),
    ret: new Int32Array(total),
    expected: new Int32Array(total).fill(-1),
    result: new Int32Array(total).fill(-1),
    version: new Float64Array(total),
    piece: new Array<string>(total),
    classOf: new Int32Array(total),
    classes: 0,
    appends: false,
    states,
    initial: states.at(states.values.locate(initial.value), initial.version),
  };
  const classes = new Map<string, number>();
  for (let i = 0; i < total; i++) {
    const step = all[i] as Step;
    const same = !states.versioned && step.kind === SWAP && step.expected === step.value && step.ret !== NEVER;
    problem.kind[i] = same ? READ : step.kind;
    problem.call[i] = step.call;
    problem.ret[i] = step.ret;
    problem.version[i] = step.version;
    problem.piece[i] = step.kind === APPEND ? (step.value as string) : "";
    problem.appends ||= step.kind === APPEND;
    if (step.kind <= DIFFERS || step.kind === SWAP) problem.expected[i] = states.values.locate(step.expected);
    if (isPure(step.kind)) continue;
    if (step.kind !== APPEND) problem.result[i] = states.values.locate(step.value);
    const name = `${step.kind},${problem.expected[i]},${problem.result[i]},${step.version},${problem.piece[i]}`;
    let id = classes.get(name);
    if (id === undefined) classes.set(name, (id = classes.size));
    problem.classOf[i] = id;
  }
  problem.classes = classes.size;
  return problem;
}

/** The state that step i leaves behind, or -1 where it cannot happen in `state`. */
export function apply(problem: Problem, i: number, state: number): number {
  const { states } = problem;
  const result = problem.result[i] as number;
  switch (problem.kind[i]) {
    case READ:
      return states.valueOf(state) === problem.expected[i] ? state : -1;
    case READ_VERSION:
      return states.valueOf(state) === problem.expected[i] && states.versionOf(state) === problem.version[i]
        ? state
        : -1;
    case DIFFERS:
      return states.valueOf(state) === problem.expected[i] ? -1 : state;
    case AT_VERSION:
      return states.versionOf(state) === problem.version[i] ? state : -1;
    case WRITE:
      return states.after(state, result);
    case APPEND:
      return states.after(state, states.values.append(states.valueOf(state), problem.piece[i] as string));
    case SWAP:
      return states.valueOf(state) === problem.expected[i] ? states.after(state, result) : -1;
    case REMOVE:
      return states.valueOf(state) === ABSENT ? -1 : states.after(state, ABSENT);
    default:
      return states.versionOf(state) === problem.version[i] ? states.after(state, result) : -1;
  }
}
