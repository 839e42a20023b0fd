import type { AcceptorState } from "./acceptor.js";
import type { Ballot } from "./ballot.js";

/** What one instance of Paxos decides: the value of `key` at `version`, for ever. */
export interface Register {
  readonly key: string;
  /** A whole number from 0 on. */
  readonly version: number;
}

/** A value, and the ballot under which it was first proposed. */
export interface Proposal {
  readonly value: unknown;
  readonly author: Ballot;
}

/** The service of an acceptor. */
export const METHODS = {
  /** Register and `ballot`: asks for a promise (phase 1a). */
  prepare: "Acceptor.Prepare",
  /** Register, `ballot`, `value`, `author`: asks for a vote (phase 2a). */
  accept: "Acceptor.Accept",
  /** Register and `ballot`: a quorum has voted in this ballot. Nobody waits for the answer. */
  learn: "Acceptor.Learn",
  /** Register, or `key` alone for the highest version that the acceptor has voted for: changes nothing. */
  look: "Acceptor.Look",
  /** `key`: all versions that the acceptor has voted for: changes nothing. */
  versions: "Acceptor.Versions",
  /** `key`, `below`: asks to drop lower versions, for ever. */
  trim: "Acceptor.Trim",
} as const;

export type Method = (typeof METHODS)[keyof typeof METHODS];

/** The state of the register before the request; or that it was trimmed: then nothing has happened. */
export type PrepareReply = AcceptorState | Trimmed;

export type AcceptReply = { readonly lastBallot: Ballot } | Trimmed;

export interface Trimmed {
  /** Versions of the key below this one were dropped. */
  readonly trimmedBelow: number;
}

export interface Sighting {
  /** The version that was looked at; -1 where the highest was asked for and there is none. */
  readonly version: number;
  /** NO_BALLOT: no vote. */
  readonly votedBallot: Ballot;
  readonly votedValue: unknown;
  readonly author: Ballot;
  /** The acceptor has learned that what it voted for is chosen. */
  readonly isChosen: boolean;
}

export type LookReply = Sighting | Trimmed;

/** Without the values. */
export interface VersionsReply {
  /** Lower versions were trimmed. */
  readonly floor: number;
  readonly versions: readonly Pick<Sighting, "version" | "votedBallot" | "isChosen">[];
}

/** How a register is called in messages for people. */
export function nameOf({ key, version }: Register): string {
  return `version ${version} of ${JSON.stringify(key)}`;
}
