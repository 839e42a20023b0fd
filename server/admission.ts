import { InvalidArgumentError, KvraftError } from "../runtime/index.js";
import type { Clock } from "../runtime/index.js";
import { makeService } from "../labrpc/index.js";
import type { ClientEnd, Service } from "../labrpc/index.js";
import type { MeetReply } from "./admin.js";
import type { Identity } from "./identity.js";
import type { NodeStatus } from "./status.js";
import { DiskFullError } from "./storage/index.js";
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
        `other nodes are running, start this one once with an empty directory and --replace-lost-data: it gets a copy ` +
        `of everything`,
    );
  }
}

/** A message of Raft as it travels: whose it is and for whom, by incarnation. `from` is null where nothing is kept. */
type Sealed = readonly [from: string | null, to: string | null, args: unknown];

/**
 * Lets messages of Raft through only between nodes that are admitted, and that remember each other with the directories
 * they have now: each message says both. A connection would not do as proof, for it says little about when its other end
 * began to live. What does not pass is as good as lost; with PreVote a node that is not heard changes nothing.
 */
export class Gate {
  readonly #identity: Identity;

  constructor(identity: Identity) {
    this.#identity = identity;
  }

  /** The way to node `id`. */
  end(inner: ClientEnd, id: number): ClientEnd {
    const identity = this.#identity;
    return {
      call: (method, args) => {
        const to = identity.incarnationOf(id);
        if (!identity.isAdmitted || (identity.isKept && to === null)) return Promise.resolve(null);
        const sealed: Sealed = [identity.isKept ? identity.incarnation : null, to, args];
        return inner.call(method, sealed);
      },
    };
  }

  service(inner: Service): Service {
    const handlers = Object.fromEntries(
      [...inner.handlers].map(([method, handler]) => [method, (sealed: unknown) => handler(this.#open(sealed))]),
    );
    return makeService(inner.name, handlers);
  }

  #open(sealed: unknown): unknown {
    if (!Array.isArray(sealed))
      throw new InvalidArgumentError("malformed message: it does not say between whom it goes");
    const [from, to, args] = sealed as unknown as Sealed;
    const { isAdmitted, isKept, incarnation } = this.#identity;
    const isBetweenUs = !isKept || from === null || (to === incarnation && this.#identity.knows(from));
    if (!isAdmitted || !isBetweenUs) {
      throw new KvraftError(
        "NOT_ADMITTED",
        "one of the two nodes may not take part, or has other data than the other knows",
      );
    }
    return args;
  }
}

/** Another node, as far as admission is concerned. */
export interface Other {
  readonly id: number;
  readonly meet: (replace: boolean) => Promise<MeetReply | null>;
  /** Whether there is a connection to it: then it runs. */
  readonly isConnected: () => boolean;
}

export interface AdmissionOptions {
  readonly identity: Identity;
  readonly myid: number;
  readonly peers: readonly Other[];
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
/** A node counts as absent after so long without a connection to it: several attempts. */
const ABSENT_MS = 1000;

/** What carries a change out where the disk has space for it, and otherwise says so, once: the caller comes again. */
function ifSpace(logger: Logger): (act: () => void) => boolean {
  let isReported = false;
  return (act) => {
    try {
      act();
      isReported = false;
      return true;
    } catch (error) {
      if (!(error instanceof DiskFullError)) throw error;
      if (!isReported) logger.error({ err: error }, "the disk is full: this node cannot remember whom it has met");
      isReported = true;
      return false;
    }
  };
}

/**
 * Finds out whether a node with a new data directory may vote, by asking the others whether they know it with another
 * one (S33). Each remembers durably whom it has met before it answers.
 *
 * One that knows it: no, also after a restart. Otherwise it may once all others have answered; or once it makes a
 * majority together with nodes that were as new as itself when they met it, and that nobody has refused, and the rest are
 * absent. The latter is a new cluster, some of whose nodes need not have been started at all; the former is a node that
 * was not started before. One that is absent may know better: that is found out when it comes, see `introduce`.
 *
 * Ends when the node is admitted, or the signal is aborted. @throws DataLostError
 */
export async function seekAdmission(options: AdmissionOptions): Promise<void> {
  const { identity, peers, replace, clock, logger, signal } = options;
  if (identity.witness !== null && !replace) throw new DataLostError(identity.directory, identity.witness);
  const majority = Math.floor((peers.length + 1) / 2) + 1;
  const kept = ifSpace(logger);
  const absentFrom = clock.now() + ABSENT_MS;
  let isReported = false;
  while (!signal.aborted) {
    const isReplacing = replace && (await mayReplace(options));
    const replies = await Promise.all(peers.map(({ meet }) => meet(isReplacing)));
    if (signal.aborted) return;
    let answered = 0;
    let absent = 0;
    let fresh = 0;
    let witness: number | null = null;
    for (const [i, { id, isConnected }] of peers.entries()) {
      const reply = replies[i] ?? null;
      if (reply === null && !isConnected() && clock.now() >= absentFrom) absent++;
      if (reply === null || !kept(() => identity.meet(id, reply.incarnation, false))) continue;
      answered++;
      if (reply.known.incarnation !== identity.incarnation) witness = id;
      else if (reply.known.metFresh && !reply.isRefused) fresh++;
    }
    if (witness !== null && !replace) {
      const by = witness;
      kept(() => identity.refuse(by));
      throw new DataLostError(identity.directory, by);
    }
    // Who replaces lost data is not new, and needs all the others.
    const isNew = !replace && 1 + fresh >= majority && answered + absent === peers.length;
    const isSure = witness === null && (answered === peers.length || isNew);
    if (isSure && kept(() => identity.admit())) {
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

/**
 * A node that is admitted tells all others that it exists, those too that it has never met: until then no message of
 * Raft passes between the two. @throws DataLostError
 */
export async function introduce({ identity, peers, clock, logger, signal }: AdmissionOptions): Promise<void> {
  const kept = ifSpace(logger);
  const untilMet = async ({ id, meet }: Other): Promise<void> => {
    while (!signal.aborted) {
      const reply = await meet(false);
      if (reply !== null && kept(() => identity.meet(id, reply.incarnation, false))) {
        if (reply.known.incarnation !== identity.incarnation) throw new DataLostError(identity.directory, id);
        return;
      }
      await clock.sleep(PAUSE_MS);
    }
  };
  await Promise.all(peers.map(untilMet));
}

/**
 * Whether nothing depends on what this node has forgotten: in each group all the others follow one leader of their term
 * and have everything that is committed, by earlier leaders too. Then all that this node had acknowledged is on each of
 * them, and nobody can stand for election in a term in which this node may have voted. Nothing can change that while
 * nobody hears this node.
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
    leader.isSettled &&
    groups.every((group) => group?.term === leader.term && group.failure === null) &&
    others.every(({ active, matchIndex }) => active && matchIndex >= leader.commitIndex);
  if (!isGood) return false;
  const ours = leader.followers.find(({ id }) => id === myid);
  if (ours?.hasStored === false) return true;
  await transfer((peers[at] as { id: number }).id, name, (others[0] as { id: number }).id);
  return false;
}
