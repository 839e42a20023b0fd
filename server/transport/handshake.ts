import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";

import { decode, DecodeError, encode } from "../../runtime/index.js";
import { FrameError, RefusedError } from "./errors.js";
import type { RefusalReason } from "./errors.js";
import { clip, inWords } from "./text.js";

/**
 * Two nodes that do not speak the same version do not talk. Raise it with every change that an older node would
 * misunderstand; only the first two fields of `hello` and of `challenge`, and `refused`, must stay as they are.
 */
export const PROTOCOL_VERSION = 1;
const MAGIC = "kvraft";
const NONCE_BYTES = 32;
const MAX_NAME_LENGTH = 256;
const MAX_QUOTED_LENGTH = 60;

export type Role = "peer" | "client";
/** What proves who one is, apart from TLS. */
type Proving = "secret" | "none";

/** What the calling side says first. */
export interface Hello {
  readonly clusterId: string;
  readonly role: Role;
  /** "" for a client. */
  readonly nodeId: string;
  /** The node that the caller believes to call; "" for any. */
  readonly expectNodeId: string;
  readonly proving: Proving;
  /** The largest reply that it takes. */
  readonly maxFrameBytes: number;
  readonly nonce: Uint8Array;
  /** The consensus algorithm of a peer. Those who do not say come from a time when there was one. */
  readonly engine: string;
}

export const FIRST_ENGINE = "raft";

/** What the called side answers. */
export interface Challenge {
  readonly clusterId: string;
  readonly nodeId: string;
  readonly proving: Proving;
  readonly nonce: Uint8Array;
}

/** What the called side says last. */
export interface Welcome {
  readonly proof: Uint8Array;
  readonly groups: readonly string[];
  /** "host:port" under which others should call this node; "" where it is not known. */
  readonly advertised: string;
  /** The largest request that it takes. */
  readonly maxFrameBytes: number;
  /** It closes connections that are silent for so long. */
  readonly idleMs: number;
}

export function makeNonce(): Uint8Array {
  return randomBytes(NONCE_BYTES);
}

/** A secret of its own for clients keeps them from posing as peers. */
export type Secret = string | Uint8Array | { readonly peer: string | Uint8Array; readonly client: string | Uint8Array };

export function secretOf(secret: Secret, role: Role): string | Uint8Array {
  return typeof secret === "string" || secret instanceof Uint8Array ? secret : secret[role];
}

/**
 * HMAC-SHA256 over who proves and the exact bytes of hello and challenge, in which are both nonces, both names and the
 * role: it is worth nothing in another handshake, in the other direction, or for another role. The secret is never sent.
 */
export function prove(
  secret: string | Uint8Array,
  who: "caller" | "called",
  hello: Uint8Array,
  challenge: Uint8Array,
): Uint8Array {
  const hmac = createHmac("sha256", secret).update(`${MAGIC} ${PROTOCOL_VERSION} ${who} ${hello.length}\n`);
  return hmac.update(hello).update(challenge).digest();
}

export function isSameProof(expected: Uint8Array, proof: Uint8Array): boolean {
  return proof.length === expected.length && timingSafeEqual(proof, expected);
}

export function encodeHello(hello: Hello): Uint8Array {
  const { clusterId, role, nodeId, expectNodeId, proving, maxFrameBytes, nonce, engine } = hello;
  const names = [clusterId, role, nodeId, expectNodeId, proving];
  return encode([MAGIC, PROTOCOL_VERSION, ...names, maxFrameBytes, nonce, engine]);
}

/** @throws FrameError for what is no hello at all; RefusedError for another version or an unknown role. */
export function decodeHello(body: Uint8Array): Hello {
  const fields = tuple("hello", body);
  if (fields[0] !== MAGIC) throw new FrameError("the caller does not speak this protocol");
  checkVersion(fields[1], "the caller");
  const role = fields[3];
  if (role !== "peer" && role !== "client") {
    throw new RefusedError("role", `the role must be "peer" or "client", not ${inWords(role, MAX_QUOTED_LENGTH)}`);
  }
  return {
    clusterId: name(fields, 2),
    role,
    nodeId: name(fields, 4),
    expectNodeId: name(fields, 5),
    proving: provingAt(fields, 6),
    maxFrameBytes: size(fields, 7),
    nonce: nonceAt(fields, 8),
    engine: fields.length > 9 ? name(fields, 9) : FIRST_ENGINE,
  };
}

export function encodeChallenge({ clusterId, nodeId, proving, nonce }: Challenge): Uint8Array {
  return encode([MAGIC, PROTOCOL_VERSION, clusterId, nodeId, proving, nonce]);
}

/** @throws FrameError for what is no challenge at all; RefusedError for another version. */
export function decodeChallenge(body: Uint8Array): Challenge {
  const fields = tuple("challenge", body);
  if (fields[0] !== MAGIC) throw new FrameError("the server does not speak this protocol");
  checkVersion(fields[1], "the server");
  return {
    clusterId: name(fields, 2),
    nodeId: name(fields, 3),
    proving: provingAt(fields, 4),
    nonce: nonceAt(fields, 5),
  };
}

export function encodeWelcome(welcome: Welcome): Uint8Array {
  const { proof, groups, advertised, maxFrameBytes, idleMs } = welcome;
  return encode([proof, groups, advertised, maxFrameBytes, idleMs]);
}

export function decodeWelcome(body: Uint8Array): Welcome {
  const fields = tuple("welcome", body);
  const [proof, groups] = fields;
  if (!(proof instanceof Uint8Array)) throw new FrameError("a welcome has no proof");
  if (!Array.isArray(groups) || !groups.every((group) => typeof group === "string")) {
    throw new FrameError("a welcome has no list of groups");
  }
  return { proof, groups, advertised: name(fields, 2), maxFrameBytes: size(fields, 3), idleMs: size(fields, 4) };
}

/** The words for one side having a secret and the other none. */
export function secretMismatch(calledHasOne: boolean): string {
  return calledHasOne
    ? "the called node wants a shared secret, and the caller has none; give it the cluster's secret"
    : "the caller has a shared secret, and the called node has none; give it the cluster's secret";
}

const REASONS: readonly string[] = [
  "version",
  "cluster",
  "role",
  "node",
  "engine",
  "auth",
  "busy",
] satisfies RefusalReason[];
const MAX_REFUSAL_LENGTH = 1000;

export function encodeRefusal(error: RefusedError): Uint8Array {
  return encode([error.reason, clip(error.message, MAX_REFUSAL_LENGTH)]);
}

export function decodeRefusal(body: Uint8Array, who: string): RefusedError {
  const [reason, message] = tuple("refused", body);
  const known = typeof reason === "string" && REASONS.includes(reason) ? (reason as RefusalReason) : "version";
  return new RefusedError(known, `${who} refuses: ${inWords(message, MAX_REFUSAL_LENGTH)}`);
}

/** Bytes of the other side: everything about them may be wrong. */
function tuple(what: string, body: Uint8Array): readonly unknown[] {
  let value: unknown;
  try {
    value = decode(body);
  } catch (cause) {
    if (cause instanceof DecodeError) throw new FrameError(`a ${what} that does not decode`, { cause });
    throw cause;
  }
  if (!Array.isArray(value)) throw new FrameError(`a ${what} must be an array`);
  return value;
}

function checkVersion(version: unknown, who: string): void {
  if (version === PROTOCOL_VERSION) return;
  const theirs = inWords(version, MAX_QUOTED_LENGTH);
  throw new RefusedError(
    "version",
    `${who} speaks protocol version ${theirs}, the other side ${PROTOCOL_VERSION}; run the same release on both`,
  );
}

function name(fields: readonly unknown[], at: number): string {
  const value = fields[at];
  if (typeof value !== "string" || value.length > MAX_NAME_LENGTH) {
    throw new FrameError(`field ${at} of a handshake must be a name of at most ${MAX_NAME_LENGTH} characters`);
  }
  return value;
}

function size(fields: readonly unknown[], at: number): number {
  const value = fields[at];
  if (typeof value !== "number" || !(value > 0)) throw new FrameError(`field ${at} of a handshake must be above 0`);
  return value;
}

function provingAt(fields: readonly unknown[], at: number): Proving {
  const value = fields[at];
  if (value !== "secret" && value !== "none") throw new FrameError(`field ${at} of a handshake is unknown`);
  return value;
}

function nonceAt(fields: readonly unknown[], at: number): Uint8Array {
  const value = fields[at];
  if (!(value instanceof Uint8Array) || value.length !== NONCE_BYTES) {
    throw new FrameError(`field ${at} of a handshake must be ${NONCE_BYTES} random bytes`);
  }
  return value;
}
