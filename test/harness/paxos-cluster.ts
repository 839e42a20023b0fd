import { expect } from "vitest";

import { PaxosCore, type Accept, type Prepare, type Reply, type Request } from "../../paxos/core/index.js";
import { EntryType, resolveReplicaConfig, type Entry, type ReplicaConfig } from "../../replica/core/index.js";
import { bytes, text } from "./core-messages.js";
import type { Match, Packet } from "./core-packets.js";
import { EngineCluster, type EngineClusterOptions } from "./engine-cluster.js";
import { PaxosOracle } from "./paxos-oracle.js";

export type PaxosPacket = Packet<Request | Reply>;
export type PaxosMatch = Match<Request | Reply>;

export interface PaxosClusterOptions extends EngineClusterOptions<Request, Reply> {
  readonly config?: Partial<ReplicaConfig>;
}

/**
 * The words in which the stories of Multi-Paxos are told: a cluster of cores that the test moves one message, one crash
 * and one disk write at a time, and what must hold then. The oracle over the durable votes watches every step.
 */
export class PaxosCluster extends EngineCluster<Request, Reply, PaxosCore> {
  declare readonly oracle: PaxosOracle;

  constructor(size: number, options: PaxosClusterOptions = {}) {
    super(
      size,
      {
        config: resolveReplicaConfig(options.config),
        makeCore: (coreOptions) => new PaxosCore(coreOptions),
        makeOracle: (nodes) => new PaxosOracle(nodes),
        senderOf: (message) => message.sender,
      },
      options,
    );
    for (const n of this.all) this.restart(n);
  }

  /** Server 0 leads its first ballot, everybody knows it, and nothing is on its way. */
  static led(size = 3, options: PaxosClusterOptions = {}): PaxosCluster {
    const cluster = new PaxosCluster(size, options);
    cluster.elect(0);
    cluster.deliverAll();
    cluster.sent.length = 0;
    return cluster;
  }

  // ---- what happens

  /** Everything between `one` and each of `others` arrives, there and back; what goes elsewhere stays on its way. */
  carry(one: number, ...others: number[]): void {
    this.deliverAll({ with: one, where: ({ from, to }) => others.includes(from === one ? to : from) });
  }

  arriveLate(packets: readonly PaxosPacket[]): void {
    for (const packet of packets) this.arrive(packet);
  }

  /** Leader `n` takes commands; they and all answers arrive, and with the next heartbeat the news that they are chosen. */
  commit(n: number, ...commands: string[]): void {
    this.propose(n, ...commands);
    this.deliverAll();
    this.tick(n);
    this.deliverAll();
  }

  /** Leader `n` proposes, and only these acceptors hear of it; their answers arrive too. */
  proposeTo(n: number, acceptors: readonly number[], ...commands: string[]): void {
    this.propose(n, ...commands);
    this.carry(n, ...acceptors);
    this.drop({ from: n });
  }

  /** Nobody has heard of a leader for so long that nobody protects one. */
  silence(): void {
    this.now += this.config.electionTimeoutMaxMs;
  }

  crashAll(): void {
    for (const n of this.all) if (this.isUp(n)) this.crash(n);
    this.mail = [];
  }

  restartAll(): void {
    for (const n of this.all) this.restart(n);
  }

  // ---- what must hold

  /** How many messages of each type were sent. */
  counts(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const { message } of this.sent) counts[message.type] = (counts[message.type] ?? 0) + 1;
    return counts;
  }

  ballot(n: number): number {
    return this.core(n).state.term;
  }

  /** What server `n` has voted for in `instance`: "value@ballot", "-" without a vote; a no-op is "noop". */
  vote(n: number, instance: number): string {
    const vote = this.core(n).state.log.voteAt(instance);
    if (vote === undefined) return "-";
    return `${vote.entry.type === EntryType.noop ? "noop" : text(vote.entry.data)}@${vote.ballot}`;
  }

  expectCommitted(n: number, ...commands: string[]): void {
    mustBe(this.committed(n), commands, `committed on server ${n}`);
  }

  expectAllCommitted(...commands: string[]): void {
    for (const n of this.all) this.expectCommitted(n, ...commands);
  }
}

function mustBe(actual: unknown, expected: unknown, what: string): void {
  expect(actual, what).toEqual(expected);
}

export function value(ballot: number, data: string): Entry {
  return { term: ballot, type: EntryType.command, data: bytes(data) };
}

/** A prepare of server 1 in its first ballot of three servers, but for what `fields` say. */
export function prepareOf(fields: Partial<Prepare>): Prepare {
  return { type: "prepare", ballot: 4, sender: 1, seq: 1, from: 1, probe: false, handover: 0, ...fields };
}

/** An accept without values of server 1 in its first ballot of three servers, but for what `fields` say. */
export function acceptOf(fields: Partial<Accept>): Accept {
  return {
    type: "accept",
    ballot: 4,
    sender: 1,
    seq: 1,
    first: 1,
    entries: [],
    commitIndex: 0,
    readContext: 0,
    ...fields,
  };
}
