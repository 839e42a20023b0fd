import { KvraftError } from "../runtime/index.js";
import type { Clock } from "../runtime/index.js";
import { makeService } from "../labrpc/index.js";
import type { ClientEnd, Service } from "../labrpc/index.js";
import type { MeetReply } from "./admin.js";
import type { Identity } from "./identity.js";
import type { NodeStatus } from "./status.js";
import type { Logger } from "./transport/index.js";

/**
 * Another node remembers this one with another data directory: this one was wiped, or is a wrong one. It holds less than
 * this node has acknowledged and forgets for whom it voted, so it takes part in nothing. Code `DATA_LOST`.
 */
export class DataLostError extends KvraftError {
  constructor(directory: string, witness: number) {
    super(
      "DATA_LOST",
      `node ${witness} knows this node with other data than those in ${directory}: they were lost or replaced, and with ` +
        `them votes and acknowledged writes, so this node must not vote. Bring back the right directory. Or, while all ` +
        `other nodes are running, start this one once with --replace-lost-data: it gets a copy of everything`,
    );
  }
}

/** Closed until a node is admitted: its Raft neither hears nor is heard, and with PreVote it then changes nothing. */
export class Gate {
  isOpen: boolean;

  constructor(isOpen: boolean) {
    this.isOpen = isOpen;
  }

  end(inner: ClientEnd): ClientEnd {
    if (this.isOpen) return inner;
    return { call: (method, args) => (this.isOpen ? inner.call(method, args) : Promise.resolve(null)) };
  }

  service(inner: Service): Service {
    if (this.isOpen) return inner;
    const handlers = Object.fromEntries(
      [...inner.handlers].map(([method, handler]) => [
        method,
        (args: unknown): unknown => {
          if (!this.isOpen)
            throw new KvraftError("NOT_ADMITTED", "this node does not know yet whether it may take part");
          return handler(args);
        },
      ]),
    );
    return makeService(inner.name, handlers);
  }
}

export interface AdmissionOptions {
  readonly identity: Identity;
  readonly myid: number;
  readonly peers: readonly { readonly id: number; readonly meet: (replace: boolean) => Promise<MeetReply | null> }[];
  readonly statusOf: (id: number) => Promise<NodeStatus | null>;
  /** Asks node `id` to hand leadership of a group over to `target`. */
  readonly transfer: (id: number, group: string, target: number) => Promise<unknown>;
  /** The user has asked to put a copy in place of lost data. */
  readonly replace: boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

const PAUSE_MS = 100;
const INTRODUCTION_PAUSE_MS = 500;

/**
 * Finds out whether a node with a new data directory may vote, by asking the others whether they know it with another
 * one (S33). Each remembers durably whom it has met before it answers.
 *
 * One that knows it: no. Otherwise it may once all others have answered; or once it makes a majority together with nodes
 * that were as new as itself when they met it. The latter is a new cluster, some of whose nodes need not have been started
 * at all; the former is a node that was not started before.
 *
 * Ends when the node is admitted, or the signal is aborted. @throws DataLostError
 */
export async function seekAdmission(options: AdmissionOptions): Promise<void> {
  const { identity, peers, replace, clock, logger, signal } = options;
  const majority = Math.floor((peers.length + 1) / 2) + 1;
  let isReported = false;
  while (!signal.aborted) {
    const isReplacing = replace && (await mayReplace(options));
    const replies = await Promise.all(peers.map(({ meet }) => meet(isReplacing)));
    if (signal.aborted) return;
    let answered = 0;
    let fresh = 0;
    let witness: number | null = null;
    for (const [i, { id }] of peers.entries()) {
      const reply = replies[i] ?? null;
      if (reply === null) continue;
      answered++;
      if (reply.known.incarnation !== identity.incarnation) witness = id;
      else if (reply.known.metFresh) fresh++;
      identity.meet(id, reply.incarnation, false);
    }
    if (witness !== null && !replace) throw new DataLostError(identity.directory, witness);
    if (witness === null && (answered === peers.length || 1 + fresh >= majority)) {
      identity.admit();
      logger.info({ answered, fresh }, "this node may vote");
      return;
    }
    if (!isReported) {
      isReported = true;
      const what = witness === null ? "whether this node is known with other data" : "to replace this node's lost data";
      logger.info({ answered, of: peers.length }, `waiting for other nodes: they must be asked ${what}`);
    }
    await clock.sleep(PAUSE_MS);
  }
}

/** A node that is admitted tells all others that it exists, those too that it has never met. @throws DataLostError */
export async function introduce({ identity, peers, clock, signal }: AdmissionOptions): Promise<void> {
  const waiting = new Set(peers);
  while (waiting.size > 0 && !signal.aborted) {
    for (const peer of [...waiting]) {
      const reply = await peer.meet(false);
      if (reply === null) continue;
      waiting.delete(peer);
      identity.meet(peer.id, reply.incarnation, false);
      if (reply.known.incarnation !== identity.incarnation) throw new DataLostError(identity.directory, peer.id);
    }
    if (waiting.size > 0) await clock.sleep(INTRODUCTION_PAUSE_MS);
  }
}

/**
 * Whether nothing depends on what this node has forgotten: in each group all the others follow one leader of their term
 * and have everything that is committed. Then all that this node had acknowledged is on each of them, and nobody can
 * stand for election in a term in which this node may have voted. Nothing can change that while nobody hears this node.
 *
 * The leader must be one that this node has never acknowledged anything to: it would count that for later commits. A
 * leader that is not is asked to hand over to another.
 */
async function mayReplace(options: AdmissionOptions): Promise<boolean> {
  const statuses = await Promise.all(options.peers.map(({ id }) => options.statusOf(id)));
  const names = Object.keys(statuses[0]?.groups ?? {});
  const results = await Promise.all(names.map((name) => isComplete(options, name, statuses)));
  return names.length > 0 && results.every((isGood) => isGood);
}

async function isComplete(
  { myid, peers, transfer }: AdmissionOptions,
  name: string,
  statuses: readonly (NodeStatus | null)[],
): Promise<boolean> {
  const groups = statuses.map((status) => status?.groups[name]);
  const at = groups.findIndex((group) => group?.role === "leader");
  const leader = groups[at];
  if (leader === undefined) return false;
  const others = leader.followers.filter(({ id }) => id !== myid);
  const isGood =
    groups.every((group) => group?.term === leader.term && group.failure === null) &&
    others.every(({ active, matchIndex }) => active && matchIndex >= leader.commitIndex);
  if (!isGood) return false;
  const ours = leader.followers.find(({ id }) => id === myid);
  if (ours?.matchIndex === 0) return true;
  await transfer((peers[at] as { id: number }).id, name, (others[0] as { id: number }).id);
  return false;
}
