import type { FollowerStatus, Role } from "../raft/index.js";
import type { StorageStats } from "./storage/index.js";
import type { EndState } from "./transport/index.js";

/** How one group of one node is. Nodes are named by their ids. */
export interface GroupStatus {
  readonly kind: "kv" | "custom";
  /** Null while the group works; otherwise why it stopped. */
  readonly failure: string | null;
  readonly role: Role;
  /** It leads, and has committed all that earlier leaders may have. */
  readonly isSettled: boolean;
  readonly term: number;
  readonly leader: number | null;
  readonly votedFor: number | null;
  readonly commitIndex: number;
  readonly appliedIndex: number;
  readonly durableIndex: number;
  /** The log holds entries from here ... */
  readonly firstIndex: number;
  /** ... to here. */
  readonly lastIndex: number;
  readonly lastTerm: number;
  /** Bytes of the log that is kept, without the snapshot. */
  readonly logBytes: number;
  /** The newest snapshot holds the log up to here. While `disk.isSavingSnapshot` it is not on the disk yet. */
  readonly snapshotIndex: number;
  /** Of the one on the disk. */
  readonly snapshotBytes: number;
  /** While leading: one row a follower. */
  readonly followers: readonly FollowerStatus[];
  /** Null where nothing is kept on a disk. */
  readonly disk:
    | (Omit<StorageStats, "snapshotIndex"> & { readonly dir: string; readonly recovered: string | null })
    | null;
  /** Of a key/value group. */
  readonly store: { readonly keys: number; readonly revision: number; readonly sessions: number } | null;
}

export interface PeerStatus {
  readonly id: number;
  readonly address: string;
  readonly connection: EndState["status"];
  /** Why there is no connection. */
  readonly error: string | null;
  readonly inFlight: number;
  readonly queuedBytes: number;
}

/** How a node is: plain data, for people and programs. */
export interface NodeStatus {
  readonly id: number;
  readonly clusterId: string;
  /** Where it listens, and where others reach it. */
  readonly address: string;
  readonly advertised: string;
  readonly http: string | null;
  readonly pid: number;
  readonly uptimeMs: number;
  readonly persistent: boolean;
  readonly engine: string;
  /** Whether it may take part in elections: false until it knows that its data directory is new, not lost. */
  readonly isAdmitted: boolean;
  readonly isClosing: boolean;
  readonly groups: Readonly<Record<string, GroupStatus>>;
  readonly peers: readonly PeerStatus[];
  readonly clients: number;
  /** Bytes waiting to be sent to all peers and clients. */
  readonly queuedBytes: number;
}

/** Why a node cannot serve now; empty where it can. */
export function notReady(status: NodeStatus): string[] {
  const reasons: string[] = [];
  if (status.isClosing) reasons.push("the node is closing");
  if (!status.isAdmitted) reasons.push("the node does not know yet whether it may take part");
  for (const [name, group] of Object.entries(status.groups)) {
    if (group.failure !== null) reasons.push(`group ${name} has stopped: ${group.failure}`);
    else if (group.leader === null) reasons.push(`group ${name} knows no leader`);
    else if (group.disk?.health === "full") reasons.push(`group ${name}: the disk is full`);
  }
  return reasons;
}

/** Why a node should be restarted or repaired; empty where it is well. */
export function notHealthy(status: NodeStatus): string[] {
  return Object.entries(status.groups)
    .filter(([, group]) => group.failure !== null)
    .map(([name, group]) => `group ${name} has stopped: ${group.failure}`);
}
