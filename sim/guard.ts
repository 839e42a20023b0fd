import nodeCrypto from "node:crypto";
import { syncBuiltinESMExports } from "node:module";
import nodeTimers from "node:timers";
import timersPromises from "node:timers/promises";

import { KvraftError } from "../runtime/index.js";

/** Code inside a simulation asked the real world for time or chance. Code `NOT_DETERMINISTIC`. */
export class SimulationGuardError extends KvraftError {
  constructor(name: string, instead: string) {
    super("NOT_DETERMINISTIC", `${name} inside a simulation would make its run unrepeatable; use ${instead} instead`);
  }
}

type Callable = (...args: unknown[]) => unknown;

const CLOCK = "runtime.clock.now()";
const TIMER = "runtime.clock.setTimeout(fn, ms) or runtime.clock.sleep(ms)";
const RANDOM = "runtime.random.next() or runtime.random.int(lo, hi)";
const DEADLINE = "an AbortController and runtime.clock.setTimeout(fn, ms)";

const RealDate = Date;

/** Whose property is forbidden, how a person calls it, and what to use instead. */
const FORBIDDEN: readonly (readonly [holder: object, key: string, name: string, instead: string])[] = [
  [RealDate, "now", "Date.now()", CLOCK],
  [performance, "now", "performance.now()", CLOCK],
  [process, "hrtime", "process.hrtime()", CLOCK],
  [process, "uptime", "process.uptime()", CLOCK],
  [Math, "random", "Math.random()", RANDOM],
  [globalThis.crypto, "randomUUID", "crypto.randomUUID()", RANDOM],
  [globalThis.crypto, "getRandomValues", "crypto.getRandomValues()", RANDOM],
  ...["randomUUID", "randomBytes", "randomInt", "randomFill", "randomFillSync", "getRandomValues"].map(
    (key) => [nodeCrypto, key, `crypto.${key}()`, RANDOM] as const,
  ),
  ...["setTimeout", "setInterval", "setImmediate"].flatMap((key) =>
    [globalThis, nodeTimers, timersPromises].map((holder) => [holder, key, `${key}()`, TIMER] as const),
  ),
  [timersPromises.scheduler, "wait", "scheduler.wait()", TIMER],
  [AbortSignal, "timeout", "AbortSignal.timeout()", DEADLINE],
];

/** vitest reads the clock and sets timers to report a console.log or the result of an expect. */
const TEST_RUNNER = /\/node_modules\/(?:vitest|@vitest\/[^/]+)\//;
/** p-retry notes when it began, for a limit that it is not given (maxRetryTime): what it reads changes nothing. */
const TEST_RUNNER_OR_RETRY = /\/node_modules\/(?:vitest|@vitest\/[^/]+|p-retry)\//;

/** One forbidden property: puts a stub that throws in its place, and gives the place back. */
class Patch {
  readonly #holder: object;
  readonly #key: string;
  readonly #stub: Callable;
  #original: PropertyDescriptor | undefined;
  #fallback: Callable;

  constructor(holder: object, key: string, name: string, instead: string) {
    this.#holder = holder;
    this.#key = key;
    this.#fallback = Reflect.get(holder, key) as Callable;
    const allowed = holder === performance ? TEST_RUNNER_OR_RETRY : TEST_RUNNER;
    const stub = (...args: unknown[]): unknown => {
      if (isUp && !isCalledBy(allowed, stub)) throw new SimulationGuardError(name, instead);
      return Reflect.apply(this.#fallback, holder, args);
    };
    this.#stub = stub;
    if (key === "hrtime") {
      const bigint = (): unknown => {
        if (isUp && !isCalledBy(TEST_RUNNER, bigint)) {
          throw new SimulationGuardError("process.hrtime.bigint()", instead);
        }
        return (this.#fallback as unknown as { bigint: Callable }).bigint();
      };
      Object.assign(stub, { bigint });
    }
  }

  install(): void {
    this.#original = Reflect.getOwnPropertyDescriptor(this.#holder, this.#key);
    this.#fallback = Reflect.get(this.#holder, this.#key) as Callable;
    const enumerable = this.#original?.enumerable ?? false;
    Reflect.defineProperty(this.#holder, this.#key, {
      value: this.#stub,
      configurable: true,
      writable: true,
      enumerable,
    });
  }

  uninstall(): void {
    if (this.#original) Reflect.defineProperty(this.#holder, this.#key, this.#original);
    else Reflect.deleteProperty(this.#holder, this.#key);
  }
}

const patches = FORBIDDEN.map((entry) => new Patch(...entry));

function constructDate(target: DateConstructor, args: unknown[], newTarget: Callable): Date {
  if (isUp && args.length === 0 && !isCalledBy(TEST_RUNNER, constructDate)) {
    throw new SimulationGuardError("new Date()", CLOCK);
  }
  return Reflect.construct(target, args, newTarget === (GuardedDate as unknown) ? target : newTarget) as Date;
}

function callDate(target: DateConstructor): string {
  if (isUp && !isCalledBy(TEST_RUNNER, callDate)) throw new SimulationGuardError("Date()", CLOCK);
  return target();
}

/** A Date that cannot say what time it is: `new Date(0)` works, `new Date()` and `Date()` do not. */
const GuardedDate: DateConstructor = new Proxy(RealDate, { construct: constructDate, apply: callDate });

let dateBefore: DateConstructor = RealDate;

/** Code of a simulation is running. */
let isUp = false;
/** The stubs are in their places. */
let isInPlace = false;
let isKept = false;

/**
 * Makes the forbidden globals throw, until `uninstallGuard`. Worlds do this around each slice of their run, within which
 * nothing but their own code runs; so other code of the process, other worlds and the test runner never notice.
 */
export function installGuard(): void {
  isUp = true;
  if (isInPlace) return;
  isInPlace = true;
  for (const patch of patches) patch.install();
  dateBefore = globalThis.Date;
  globalThis.Date = GuardedDate;
  // `import { randomUUID } from "node:crypto"` sees the change as well.
  syncBuiltinESMExports();
}

export function uninstallGuard(): void {
  isUp = false;
  if (isKept) return;
  isInPlace = false;
  for (const patch of patches) patch.uninstall();
  globalThis.Date = dateBefore;
  syncBuiltinESMExports();
}

/**
 * For a thread that only runs simulations, one after the other: the stubs stay in their places from now on, and between
 * two slices let everything through. To put them there each time takes as long as a hundred events.
 */
export function keepGuard(): void {
  isKept = true;
}

/** Whether code from `paths` called `stub`; frames of Node between the two do not count. Without a caller: no. */
function isCalledBy(paths: RegExp, stub: (...args: never[]) => unknown): boolean {
  // Nearly always the first frame tells; the others cost ten times as much.
  const caller = callerOf(stub, 1) ?? callerOf(stub, Error.stackTraceLimit);
  return caller !== undefined && paths.test(caller);
}

/** The file of the nearest frame that is not of Node or of V8 itself. */
function callerOf(stub: (...args: never[]) => unknown, depth: number): string | undefined {
  const holder: { stack?: unknown } = {};
  const { stackTraceLimit, prepareStackTrace } = Error;
  Error.stackTraceLimit = depth;
  // Files alone: to find lines and columns, and to write them down, takes most of the time.
  Error.prepareStackTrace = filesOf;
  Error.captureStackTrace(holder, stub);
  const files = holder.stack as (string | undefined)[];
  Error.stackTraceLimit = stackTraceLimit;
  Error.prepareStackTrace = prepareStackTrace;
  return files.find((file) => file !== undefined);
}

function filesOf(_error: Error, frames: readonly NodeJS.CallSite[]): (string | undefined)[] {
  return frames.map((frame) => {
    // Code that was made from a string belongs to whoever made it, and is nobody whom the guard lets through.
    const file = frame.isEval() ? frame.getEvalOrigin() : frame.getFileName();
    return file === null || file === undefined || file.startsWith("node:") ? undefined : file;
  });
}
