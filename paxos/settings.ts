import { decode, encode, InvalidArgumentError } from "../runtime/index.js";
import type { Random, Runtime } from "../runtime/index.js";
import type { ClientEnd } from "../labrpc/index.js";
import type { Ballot } from "./ballot.js";
import type { Register } from "./messages.js";

export interface ProposerOptions {
  readonly register: Register;
  /** All acceptors of the system. */
  readonly acceptors: readonly ClientEnd[];
  readonly runtime: Runtime;
  /** Its first ballot. Default: n = 0, and a `proposerId` from 1 to 2^48 by chance. */
  readonly ballot?: Partial<Ballot>;
  /** Default: a majority of the acceptors. */
  readonly quorum?: number;
}

export function checkKey(key: string): void {
  if (typeof key !== "string" || !(key as string & { isWellFormed(): boolean }).isWellFormed()) {
    throw new InvalidArgumentError("a key must be a string, without half a surrogate pair");
  }
}

/** Versions count from 0, so that the store can choose the next one, and `-1` can stand for none. */
export function checkVersion(name: string, version: number): void {
  if (!Number.isSafeInteger(version) || version < 0) {
    throw new InvalidArgumentError(`${name} must be a whole number from 0 to 2^53 - 1, not ${String(version)}`);
  }
}

export function checkRegister({ key, version }: Register): void {
  checkKey(key);
  checkVersion("version", version);
}

/**
 * A value as it travels: within a message, which takes one level of what `encode` can carry.
 * @throws InvalidArgumentError for undefined, EncodeError for what cannot be carried.
 */
export function encodeValue(value: unknown): Uint8Array {
  if (value === undefined) throw new InvalidArgumentError("a value cannot be undefined; null is one");
  return encode({ value }, "arguments");
}

export function copyOf(value: unknown): unknown {
  return (decode(encodeValue(value)) as { value: unknown }).value;
}

/** Chance keeps the ids of two proposers apart that were never told of each other. */
export function drawProposerId(random: Random): number {
  return random.int(1, 2 ** 48);
}

export function checkProposerId(id: number): number {
  if (Number.isSafeInteger(id) && id > 0) return id;
  throw new InvalidArgumentError(`a proposer's id must be a whole number from 1 on, not ${String(id)}`);
}
