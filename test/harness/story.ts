import { expect } from "vitest";

import { CoreCluster, type CoreClusterOptions } from "./core-cluster.js";
import type { Disk } from "./core-disks.js";
import { terms } from "./core-messages.js";
import type { Match, Packet } from "./core-packets.js";

/** What servers find on their disks, one log a server: "1x3 4" is three entries of term 1 and one of term 4. */
export function logs(...notations: string[]): Disk[] {
  const term = Math.max(0, ...notations.flatMap(terms));
  return notations.map((notation) => ({ log: terms(notation), term }));
}

/**
 * The words in which the stories of known bugs are told: a cluster of cores that the test moves one message, one crash
 * and one disk write at a time, and what must hold then. The oracles of the cluster watch every step.
 */
export class Story extends CoreCluster {
  /** Server 0 leads term 1, everybody knows it, and nothing is on its way. */
  static led(size = 3, options: CoreClusterOptions = {}): Story {
    const story = new Story(size, options);
    story.elect(0);
    story.deliverAll();
    story.sent.length = 0;
    return story;
  }

  // ---- what happens

  /** Messages that are on their way stay on it, until `arriveLate`. */
  delay(match: Match): Packet[] {
    return this.take(match);
  }

  /** Delayed messages arrive, in this order. */
  arriveLate(packets: readonly Packet[]): void {
    for (const packet of packets) this.arrive(packet);
  }

  /** Everything between `one` and each of `others` arrives, there and back; what goes elsewhere stays on its way. */
  carry(one: number, ...others: number[]): void {
    this.deliverAll({ with: one, where: ({ from, to }) => others.includes(from === one ? to : from) });
  }

  /** Leader `n` takes commands; they and all answers arrive, and with the next heartbeat the news that they are committed. */
  commit(n: number, ...commands: string[]): void {
    this.propose(n, ...commands);
    this.deliverAll();
    this.heartbeat(n);
    this.deliverAll();
  }

  /** It is time for leader `n` to send its heartbeats; they are on their way. */
  heartbeat(n: number): void {
    this.tick(n);
  }

  /** Time goes on to where server `n` stands for election, and it does; its requests are on their way. */
  standForElection(n: number): void {
    this.now = Math.max(this.now, this.core(n).state.electionDeadline);
    this.tick(n);
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

  expectLeads(n: number, term: number): void {
    mustBe(roleOf(this, n), `leads term ${term}`, `server ${n}`);
  }

  expectFollows(n: number, leader: number | null, term: number): void {
    mustBe(roleOf(this, n), `follows ${leader} in term ${term}`, `server ${n}`);
  }

  /** The log of `n` behind its snapshot, in the notation of `logs`. */
  expectLog(n: number, notation: string): void {
    mustBe(this.logTerms(n), terms(notation), `log of server ${n}`);
  }

  /** Exactly these commands are committed on `n` behind its snapshot. */
  expectCommitted(n: number, ...commands: string[]): void {
    mustBe(this.committed(n), commands, `committed on server ${n}`);
  }

  expectCommitIndex(n: number, index: number): void {
    mustBe(this.commitIndex(n), index, `commit index of server ${n}`);
  }

  /** Leader `n` counts on follower `of` up to entry `index`. */
  expectMatch(n: number, of: number, index: number): void {
    mustBe(this.core(n).state.progressOf(of)?.matchIndex, index, `matchIndex of server ${of}`);
  }

  expectRead(read: number, result: number | "waiting" | "lost"): void {
    mustBe(this.reads.get(read), result, `read ${read}`);
  }

  /** Of these answers, which are votes that were given. */
  votes(packets: readonly Packet[]): boolean[] {
    return packets.flatMap(({ message }) => (message.type === "requestVoteReply" ? [message.granted] : []));
  }
}

function roleOf(story: Story, n: number): string {
  const { role, term, leader } = story.core(n).state;
  if (role === "leader") return `leads term ${term}`;
  return role === "follower" ? `follows ${leader} in term ${term}` : `is ${role} in term ${term}`;
}

function mustBe(actual: unknown, expected: unknown, what: string): void {
  expect(actual, what).toEqual(expected);
}
