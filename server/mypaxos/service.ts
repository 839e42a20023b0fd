import { InvalidArgumentError, KvraftError } from "../../runtime/index.js";
import { makeService } from "../../labrpc/index.js";
import type { Service } from "../../labrpc/index.js";
import { StateMachineError } from "../../kvraft/index.js";
import type { Rsm } from "../../kvraft/index.js";
import type { NodeAddress } from "../config.js";
import { isMaybeApplied } from "../forward.js";
import { EntryKind } from "./callback.js";
import type { Entry, EntryResult } from "./callback.js";

/** What a node offers to clients in each of its groups. */
const SERVICE = "PaxosGroup";
export const METHODS = {
  /** Takes `[token]`, answers with a new session and all nodes. */
  open: `${SERVICE}.Open`,
  /** Takes `[session, token, number of the batch, items]`, answers with an EntryResult. */
  submit: `${SERVICE}.Submit`,
  /** Takes `[session, token]`. */
  end: `${SERVICE}.End`,
} as const;

export const Status = {
  ok: 0,
  /** Nothing was proposed: no leader can be reached, or too much waits. The same can be sent again, to any node. */
  later: 1,
  /** Whether it was applied, or will be, is not known here. The same can be sent again, to any node. */
  unknown: 2,
  /** The group has stopped on this node; others may go on. */
  stopped: 3,
  /** Sent again it would be refused again. */
  refused: 4,
} as const;

export type GroupReply<R> =
  | readonly [status: typeof Status.ok, result: R]
  | readonly [status: typeof Status.later | typeof Status.unknown, message: string]
  | readonly [status: typeof Status.stopped, message: string, members: readonly Member[]]
  | readonly [status: typeof Status.refused, code: string, message: string, maybeApplied: boolean];

export type Member = readonly [id: number, host: string, port: number];
export interface Opened {
  readonly session: number;
  readonly members: readonly Member[];
}

/** Longer than a client waits for one node; but not for ever, where the leader is cut off. */
const LIMIT_MS = 20_000;

const PASSING: ReadonlySet<string> = new Set(["NOT_LEADER", "OVERLOADED", "LEADERSHIP_LOST", "STOPPED", "TIMEOUT"]);

/** `rsm` forwards to the leader, wherever it is: clients may ask any node. */
export function makeGroupService(rsm: Rsm<Entry, EntryResult>, nodes: readonly NodeAddress[]): Service {
  const members = nodes.map(({ id, host, port }): Member => [id, host, port]);
  const propose = async <R>(entry: Entry, convert: (result: EntryResult) => R): Promise<GroupReply<R>> => {
    try {
      return [Status.ok, convert(await rsm.submit(entry, { timeoutMs: LIMIT_MS }))];
    } catch (error) {
      return refusalOf(error, members);
    }
  };
  return makeService(SERVICE, {
    Open: (args: unknown) => {
      const [token] = fields(args, 1);
      const opened = (session: EntryResult): Opened => ({ session: session as number, members });
      return propose([EntryKind.open, whole(token)], opened);
    },
    Submit: (args: unknown) => {
      const [session, token, seq, items] = fields(args, 4);
      return propose(
        [EntryKind.batch, whole(session), whole(token), whole(seq), byteStrings(items)],
        (result) => result,
      );
    },
    End: (args: unknown) => {
      const [session, token] = fields(args, 2);
      return propose([EntryKind.end, whole(session), whole(token)], () => null);
    },
  });
}

function refusalOf(error: unknown, members: readonly Member[]): GroupReply<never> {
  // A bug of whoever throws it; what it has done is not known.
  if (!(error instanceof KvraftError)) return [Status.unknown, String(error)];
  const { code, message } = error;
  const maybeApplied = isMaybeApplied(error);
  if (error instanceof StateMachineError) return [Status.stopped, message, members];
  // It has stopped on the leader's node. Another one will lead.
  if (code === "STATE_MACHINE") return [Status.unknown, message];
  if (PASSING.has(code)) return [maybeApplied ? Status.unknown : Status.later, message];
  return [Status.refused, code, message, maybeApplied];
}

// What clients send may be anything, and must not come into the log unchecked.

function fields(args: unknown, count: number): readonly unknown[] {
  if (Array.isArray(args) && args.length === count) return args as unknown[];
  throw malformed(`a list of ${count}`);
}

function whole(value: unknown): number {
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
  throw malformed("whole numbers, 0 or more");
}

function byteStrings(value: unknown): readonly Uint8Array[] {
  if (Array.isArray(value) && value.every((item) => item instanceof Uint8Array)) return value;
  throw malformed("a list of byte strings");
}

function malformed(expected: string): InvalidArgumentError {
  return new InvalidArgumentError(`malformed request: it needs ${expected}`);
}
