import { InvalidArgumentError } from "../runtime/index.js";
import { makeService, type Service } from "../labrpc/index.js";
import { BadMessageError, type Storage } from "../replica/index.js";
import { AcceptorStore, type AcceptorStats } from "./acceptor-store.js";
import type { Ballot } from "./ballot.js";
import type { Proposal, Register } from "./messages.js";
import { checkKey, checkVersion } from "./settings.js";

export interface AcceptorOptions {
  /** Of its own: a `Persister`, or what `openStorage` gives. Promises and votes are there before they are told. */
  readonly storage: Storage;
  /** Bytes of journal from which on a snapshot takes its place. From 1 on, default 1 MiB. */
  readonly snapshotFrom?: number;
}

/** One acceptor of all registers. */
export interface AcceptorServer {
  /** Register it on a labrpc Server; its name is "Acceptor". */
  readonly service: Service;
  stats(): AcceptorStats;
}

type Args = Readonly<Record<string, unknown>>;

/**
 * Starts an acceptor on what its storage holds. It has nothing to close but the storage, which is its caller's. After a
 * failed write it answers each call with an error (STORAGE_FAILED).
 */
export function startAcceptor({ storage, snapshotFrom = 1 << 20 }: AcceptorOptions): AcceptorServer {
  if (!(snapshotFrom >= 1)) {
    throw new InvalidArgumentError(`snapshotFrom must be a number of bytes from 1 on, not ${String(snapshotFrom)}`);
  }
  const store = new AcceptorStore(storage, snapshotFrom);
  const service = makeService("Acceptor", {
    Prepare: (args: unknown) => store.prepare(...checked(args, (from) => [registerOf(from), ballotOf(from, "ballot")])),
    Accept: (args: unknown) =>
      store.accept(...checked(args, (from) => [registerOf(from), ballotOf(from, "ballot"), proposalOf(from)])),
    Learn: (args: unknown) => {
      store.learn(...checked(args, (from) => [registerOf(from), ballotOf(from, "ballot")]));
      return DONE;
    },
    Look: (args: unknown) =>
      store.look(...checked(args, (from) => [keyOf(from), "version" in from ? numberOf(from, "version") : undefined])),
    Versions: (args: unknown) => store.versions(...checked(args, (from) => [keyOf(from)])),
    Trim: async (args: unknown) => {
      await store.trim(...checked(args, (from) => [keyOf(from), numberOf(from, "below")]));
      return DONE;
    },
  });
  return { service, stats: () => store.stats() };
}

const DONE = { done: true };

/** Looks at all of a message before anything is done: what is not of this protocol changes nothing. */
function checked<const T>(args: unknown, read: (args: Args) => T): T {
  try {
    if (typeof args !== "object" || args === null) throw new InvalidArgumentError("the arguments must be an object");
    return read(args as Args);
  } catch (error) {
    throw new BadMessageError(`the acceptor did not act on this message: ${(error as Error).message}`);
  }
}

function keyOf({ key }: Args): string {
  checkKey(key as string);
  return key as string;
}

function numberOf(args: Args, name: string): number {
  checkVersion(name, args[name] as number);
  return args[name] as number;
}

function registerOf(args: Args): Register {
  return { key: keyOf(args), version: numberOf(args, "version") };
}

function ballotOf(args: Args, name: string): Ballot {
  const { n, proposerId } = (args[name] ?? {}) as Ballot;
  if (Number.isSafeInteger(n) && Number.isSafeInteger(proposerId) && proposerId > 0) return { n, proposerId };
  throw new InvalidArgumentError(`${name} must have a whole number n, and a proposerId from 1 on`);
}

function proposalOf(args: Args): Proposal {
  if (!("value" in args)) throw new InvalidArgumentError("there must be a value");
  return { value: args["value"], author: ballotOf(args, "author") };
}
