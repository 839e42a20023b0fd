import type { Ballot } from "./ballot.js";
import { METHODS, type Method } from "./messages.js";

type Fields = Readonly<Record<string, unknown>>;

/**
 * Whether `reply` is an answer to `method`. What answers may be something else than an acceptor, or an acceptor of another
 * version: that counts as an error of its own, and must not bring down who asked.
 */
export function isReplyTo(method: Method, reply: unknown): boolean {
  if (typeof reply !== "object" || reply === null) return false;
  const fields = reply as Fields;
  if (method !== METHODS.versions && fields["trimmedBelow"] !== undefined) return isVersion(fields["trimmedBelow"]);
  switch (method) {
    case METHODS.prepare:
      return isBallot(fields["lastBallot"]) && isBallot(fields["votedBallot"]) && isVote(fields);
    case METHODS.accept:
      return isBallot(fields["lastBallot"]);
    case METHODS.look:
      return isSighting(fields) && isVote(fields);
    case METHODS.versions: {
      const { floor, versions } = fields;
      return isVersion(floor) && Array.isArray(versions) && versions.every(isSighting);
    }
    default:
      return true;
  }
}

function isVote({ author, votedValue }: Fields): boolean {
  return isBallot(author) && votedValue !== undefined;
}

function isSighting(fields: unknown): boolean {
  const { isChosen, version, votedBallot } = (fields ?? {}) as Fields;
  return (version === -1 || isVersion(version)) && isBallot(votedBallot) && typeof isChosen === "boolean";
}

/** NO_BALLOT is one. */
function isBallot(value: unknown): boolean {
  const { n, proposerId } = (value ?? {}) as Partial<Ballot>;
  return Number.isSafeInteger(n) && isVersion(proposerId);
}

function isVersion(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
