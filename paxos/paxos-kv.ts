import { forkRandom, InvalidArgumentError } from "../runtime/index.js";
import type { CallOptions, Random, Runtime } from "../runtime/index.js";
import type { ClientEnd } from "../labrpc/index.js";
import { Acceptors } from "./acceptors.js";
import { TrimmedError } from "./errors.js";
import { look, type Look } from "./look.js";
import { METHODS, type Method, type VersionsReply } from "./messages.js";
import { Proposer, type Outcome } from "./proposer.js";
import {
  checkKey,
  checkProposerId,
  checkRegister,
  checkVersion,
  copyOf,
  drawProposerId,
  encodeValue,
} from "./settings.js";
import { Backoff, withinLimits } from "./waiting.js";

export interface PaxosKVOptions {
  readonly runtime: Runtime;
  /** Of its ballots; from 1 on. Default: by chance. Stores that share one are safe, but stand in each other's way. */
  readonly proposerId?: number;
  /** Default: a majority of the acceptors. */
  readonly quorum?: number;
}

export interface Versioned {
  readonly version: number;
  readonly value: unknown;
}

/**
 * A store of registers: a version of a key has no value at first, and keeps for ever the first that it gets. Values are
 * plain data (see `encode`), null included, but not undefined.
 *
 * All calls retry until a quorum of acceptors has answered; `signal` and `timeoutMs` end them sooner, with AbortError or
 * TimeoutError. They throw InvalidArgumentError for a key that is no string or a version that is no whole number from 0
 * on (the model allowed negative ones; then there would be no first), EncodeError for values that cannot be carried,
 * QuorumFailedError where acceptors answer with errors, TrimmedError for versions that were dropped.
 */
export interface PaxosKV {
  /** Gives a version its value, if it has none yet. `value`: what it has now; `ours`: whether this call gave it. */
  set(key: string, version: number, value: unknown, options?: CallOptions): Promise<Outcome>;
  /** Null where the version has no value. Linearizable; an attempt that another store left half-done is finished. */
  get(key: string, version: number, options?: CallOptions): Promise<Versioned | null>;
  /**
   * Writes the version after the latest one, 0 where there is none, and returns which. It is higher than every version
   * that had a value when the call began, and two puts never get the same. A TrimmedError says that others have written
   * and dropped the version while votes for this value were asked for: it may have been the one that was dropped.
   */
  put(key: string, value: unknown, options?: CallOptions): Promise<number>;
  /** The highest version that has a value; null where none has. Linearizable. */
  latest(key: string, options?: CallOptions): Promise<Versioned | null>;
  /**
   * The versions that have values, in ascending order: all that had one when the call began, and none that has none when
   * it ends.
   */
  versions(key: string, options?: CallOptions): Promise<number[]>;
  /**
   * Drops all versions lower than `below`, for ever: whoever writes or reads one after this gets a TrimmedError.
   * @throws InvalidArgumentError where no version from `below` on has a value: the latest must stay.
   */
  trim(key: string, below: number, options?: CallOptions): Promise<void>;
}

/** @throws InvalidArgumentError for no acceptors, a wrong quorum or id. */
export function makePaxosKV(acceptors: readonly ClientEnd[], options: PaxosKVOptions): PaxosKV {
  return new Store(acceptors, options);
}

class Store implements PaxosKV {
  readonly #ends: readonly ClientEnd[];
  readonly #acceptors: Acceptors;
  readonly #runtime: Runtime;
  readonly #random: Random;
  readonly #proposerId: number;

  constructor(ends: readonly ClientEnd[], { runtime, proposerId, quorum }: PaxosKVOptions) {
    this.#acceptors = new Acceptors(ends, runtime.clock, quorum);
    this.#ends = [...ends];
    this.#random = forkRandom(runtime.random, "paxos-kv");
    this.#runtime = { clock: runtime.clock, random: this.#random };
    this.#proposerId = checkProposerId(proposerId ?? drawProposerId(this.#random));
  }

  async set(key: string, version: number, value: unknown, options: CallOptions = {}): Promise<Outcome> {
    encodeValue(value);
    return this.#proposer(key, version).runPaxos(value, options);
  }

  async get(key: string, version: number, options: CallOptions = {}): Promise<Versioned | null> {
    const outcome = await this.#proposer(key, version).runPaxos(undefined, options);
    return outcome && { version, value: outcome.value };
  }

  async put(key: string, value: unknown, options: CallOptions = {}): Promise<number> {
    checkKey(key);
    const copy = copyOf(value);
    let proposer: Proposer | null = null;
    const maybeApplied = (): boolean => proposer?.hasProposed ?? false;
    return withinLimits(
      this.#runtime.clock,
      `putting ${JSON.stringify(key)}`,
      options,
      maybeApplied,
      async (signal) => {
        for (;;) {
          // The latest is settled first: versions that are put have no gaps, so the next one is higher than all.
          const top = await this.#look(key, signal);
          if (top.proposal !== null && (await this.#settle(key, top, signal)) === null) continue;
          const version = top.version + 1;
          if (!Number.isSafeInteger(version)) {
            throw new InvalidArgumentError(
              `${JSON.stringify(key)} has the highest version that there is, and no next one`,
            );
          }
          proposer = this.#proposer(key, version);
          const outcome = await orTrimmed(proposer.runPaxos(copy, { signal }));
          if (outcome?.ours) return version;
          proposer = null;
        }
      },
    );
  }

  async latest(key: string, options: CallOptions = {}): Promise<Versioned | null> {
    checkKey(key);
    return withinLimits(this.#runtime.clock, `reading ${JSON.stringify(key)}`, options, NEVER, (signal) =>
      this.#latest(key, signal),
    );
  }

  async versions(key: string, options: CallOptions = {}): Promise<number[]> {
    checkKey(key);
    const what = `listing the versions of ${JSON.stringify(key)}`;
    return withinLimits(this.#runtime.clock, what, options, NEVER, (signal) => this.#versions(key, signal));
  }

  async trim(key: string, below: number, options: CallOptions = {}): Promise<void> {
    checkKey(key);
    checkVersion("below", below);
    let isSent = false;
    const what = `trimming ${JSON.stringify(key)}`;
    return withinLimits(
      this.#runtime.clock,
      what,
      options,
      () => isSent,
      async (signal) => {
        const latest = await this.#latest(key, signal);
        if (latest === null || latest.version < below) {
          const kept = latest === null ? "it has none" : `its latest is ${latest.version}`;
          throw new InvalidArgumentError(`${what} below ${below} would leave no version of it: ${kept}`);
        }
        isSent = true;
        await this.#askQuorum(METHODS.trim, { key, below }, signal);
      },
    );
  }

  #proposer(key: string, version: number): Proposer {
    const register = { key, version };
    checkRegister(register);
    const { quorum } = this.#acceptors;
    const ballot = { proposerId: this.#proposerId };
    return new Proposer({ register, acceptors: this.#ends, runtime: this.#runtime, ballot, quorum });
  }

  /**
   * The latest version at the moment when the last look began: it had its value already, for the look before it or a
   * repair had settled that; and no higher one had, for a quorum would have shown it. One look is not enough: while it is
   * under way, a higher version may be chosen first and this one after it.
   */
  async #latest(key: string, signal: AbortSignal): Promise<Versioned | null> {
    let settled: Versioned | null = null;
    for (;;) {
      const top = await this.#look(key, signal);
      if (top.proposal === null || (settled !== null && top.version <= settled.version)) return settled;
      settled = (await this.#settle(key, top, signal)) ?? settled;
    }
  }

  /** Finishes what a look saw, unless that is chosen for sure. Null where the version was trimmed meanwhile. */
  async #settle(key: string, { version, proposal, isSettled }: Look, signal: AbortSignal): Promise<Versioned | null> {
    if (isSettled) return { version, value: proposal?.value };
    const outcome = await orTrimmed(this.#proposer(key, version).finish(proposal, { signal }));
    return outcome && { version, value: outcome.value };
  }

  async #look(key: string, signal: AbortSignal): Promise<Look> {
    const backoff = this.#backoff();
    for (; ; await backoff.wait(signal)) {
      signal.throwIfAborted();
      const seen = await look(this.#acceptors, { key });
      if (seen !== null) return seen;
    }
  }

  async #versions(key: string, signal: AbortSignal): Promise<number[]> {
    const replies = await this.#askQuorum<VersionsReply>(METHODS.versions, { key }, signal);
    const floor = Math.max(...replies.map((reply) => reply.floor));
    const seen = new Map<number, boolean>();
    for (const { version, isChosen } of replies.flatMap(({ versions }) => versions)) {
      if (version >= floor) seen.set(version, isChosen || (seen.get(version) ?? false));
    }
    const found: number[] = [];
    for (const [version, isChosen] of [...seen].sort(([a], [b]) => a - b)) {
      const isKnown = isChosen || (await orTrimmed(this.#proposer(key, version).runPaxos(undefined, { signal })));
      if (isKnown) found.push(version);
    }
    return found;
  }

  async #askQuorum<Reply>(
    method: Method,
    args: { key: string; below?: number },
    signal: AbortSignal,
  ): Promise<readonly Reply[]> {
    const backoff = this.#backoff();
    for (; ; await backoff.wait(signal)) {
      signal.throwIfAborted();
      const answers = await this.#acceptors.askQuorum<Reply>(method, args);
      const replies = this.#acceptors.untrimmed<Reply>(JSON.stringify(args.key), answers, false);
      if (replies.length >= this.#acceptors.quorum) return replies;
    }
  }

  #backoff(): Backoff {
    return new Backoff(this.#runtime.clock, this.#random);
  }
}

/** Null where the register was trimmed, and nothing of this call can have been chosen in it. */
function orTrimmed(outcome: Promise<Outcome | null>): Promise<Outcome | null> {
  return outcome.catch((error: unknown) => {
    if (error instanceof TrimmedError && !error.maybeApplied) return null;
    throw error;
  });
}

const NEVER = (): boolean => false;
