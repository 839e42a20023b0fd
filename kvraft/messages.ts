import type { OpResult } from "./commands.js";

/** The service's name and methods, as clients call them. */
export const KV_SERVICE = "KVServer";
export const METHODS = {
  /** Takes `RequestArgs`, answers with one result a slot. */
  request: `${KV_SERVICE}.Request`,
  /** Takes `[]`, answers with the number of the new session. */
  register: `${KV_SERVICE}.Register`,
  /** Takes `[session]`, answers with nothing; "expired" where there is no such session any more. */
  endSession: `${KV_SERVICE}.EndSession`,
} as const;

export const Status = {
  ok: 0,
  /** Nothing was done; the body is the number of the server to ask, or null. */
  notLeader: 1,
  /** Nothing was done: the session does not exist, and never will again. */
  expired: 2,
  /** Whether it was done is not known here; the same request can be sent again to any server. */
  retry: 3,
} as const;

/**
 * What every method answers. `server` is the number of the server that answers: a client's ends may stand in any order,
 * so it can follow a hint only once it knows which end leads to which number.
 */
export type KVReply =
  | readonly [status: typeof Status.ok, server: number, results: readonly OpResult[]]
  | readonly [status: typeof Status.notLeader, server: number, leader: number | null]
  | readonly [status: typeof Status.expired, server: number]
  | readonly [status: typeof Status.retry, server: number];
