import { InvalidArgumentError, KvraftError } from "../runtime/index.js";
import { makeService } from "../labrpc/index.js";
import type { Service } from "../labrpc/index.js";
import { NotLeaderError } from "../raft/index.js";
import type { Acquaintance } from "./identity.js";
import type { NodeStatus } from "./status.js";

/** What every node offers beside its groups, in the group "node". */
export const NODE_SERVICE = "Node";
export const PEER_SERVICE = "Peer";

/** What the service asks of its node. */
export interface NodeActions {
  status(): NodeStatus;
  /** The group's leader, by id. */
  leaderOf(group: string): number | null;
  /** @throws NotLeaderError, TransferError */
  transfer(group: string, target: number | null): Promise<void>;
  snapshot(group: string): void;
  /** @throws InvalidArgumentError where there is no such node. */
  meet(id: number, incarnation: string, replace: boolean): MeetReply;
}

/** Errors travel as data: their code must reach whoever asked. */
export type AdminReply =
  | { readonly ok: true; readonly status: NodeStatus }
  | { readonly ok: false; readonly code: string; readonly message: string; readonly leader: number | null };

/** What node `id` of the cluster says when another one introduces itself. */
export interface MeetReply {
  /** Of the data directory of the node that answers. */
  readonly incarnation: string;
  /** What it knows now of the one that asked. */
  readonly known: Acquaintance;
  /** Whether the one that answers has been told that its own data are lost. */
  readonly isRefused: boolean;
}

export function makeNodeService(actions: NodeActions): Service {
  const carryOut = async (group: string, act: () => Promise<void> | void): Promise<AdminReply> => {
    try {
      await act();
      return { ok: true, status: actions.status() };
    } catch (error) {
      if (!(error instanceof KvraftError)) throw error;
      const leader = error instanceof NotLeaderError ? actions.leaderOf(group) : null;
      return { ok: false, code: error.code, message: error.message, leader };
    }
  };
  return makeService(NODE_SERVICE, {
    Status: (): AdminReply => ({ ok: true, status: actions.status() }),
    Transfer: (args: unknown) => {
      const [group, target] = parse(args);
      return carryOut(group, () => actions.transfer(group, target));
    },
    Snapshot: (args: unknown) => {
      const [group] = parse(args);
      return carryOut(group, () => actions.snapshot(group));
    },
  });
}

/** What only peers may call: clients do not introduce themselves. */
export function makePeerService(actions: NodeActions): Service {
  return makeService(PEER_SERVICE, {
    Meet: (args: unknown): MeetReply => {
      const [id, incarnation, replace] = Array.isArray(args) ? (args as unknown[]) : [];
      if (typeof id !== "number" || typeof incarnation !== "string" || typeof replace !== "boolean") {
        throw new InvalidArgumentError(
          "malformed request: it needs the id of a node, its incarnation, and a yes or no",
        );
      }
      return actions.meet(id, incarnation, replace);
    },
  });
}

function parse(args: unknown): [group: string, node: number | null] {
  const [group, node = null] = Array.isArray(args) ? (args as unknown[]) : [];
  if (typeof group !== "string" || !(node === null || Number.isSafeInteger(node))) {
    throw new InvalidArgumentError("malformed request: it needs the name of a group, and the id of a node or null");
  }
  return [group, node as number | null];
}
