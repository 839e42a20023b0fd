import { compareBallots, NO_BALLOT, type Ballot } from "../../../paxos/index.js";
import { decodeRecord, decodeSnapshot, type JournalRecord } from "../../../paxos/journal.js";
import { METHODS } from "../../../paxos/messages.js";
import type { StorageWrite, StoredState } from "../../../replica/index.js";
import type { NetMessage } from "../../../sim/net/index.js";

/** A rule of single-decree Paxos, or of the store above it, does not hold. */
export class Violation extends Error {
  readonly rule: string;

  constructor(rule: string, detail: string) {
    super(`${rule}: ${detail}`);
    this.rule = rule;
  }
}

interface Durable {
  lastBallot: Ballot;
  votedBallot: Ballot;
  value: string;
}

/** What is durable at one acceptor, kept from what its storage has acknowledged and from what a recovery finds. */
interface Memory {
  readonly registers: Map<string, Durable>;
  readonly floors: Map<string, number>;
}

interface Chosen {
  readonly value: string;
  readonly at: number;
}

/** All that is known of one register: what was proposed for it, what was voted for in which ballot, what is chosen. */
class Case {
  readonly proposed = new Set<string>();
  /** Values whose writers were told that they are certainly not chosen, and never will be. */
  readonly disowned = new Set<string>();
  readonly votes = new Map<string, { readonly value: string; readonly voters: Set<number> }>();
  chosen: Chosen | null = null;
  owner: string | null = null;
}

export interface Start {
  /** Versions of each key that were chosen when the call began. */
  readonly at: number;
}

const nameOf = (key: string, version: number): string => `${key}@${version}`;
const ballotText = ({ n, proposerId }: Ballot): string => `(${n},${proposerId})`;
const textOf = (value: unknown): string => JSON.stringify(value);

/** Judges a run from the durable state of its acceptors, from their answers, and from what callers are told. */
export class Oracle {
  readonly #quorum: number;
  readonly #memories: Memory[];
  readonly #cases = new Map<string, Case>();
  readonly #requests = new Map<number, unknown>();
  readonly #fail: (violation: Violation) => void;
  /** Counts what happens, so that "before" has a meaning. */
  #now = 0;
  /** Keys that somebody has begun to trim: nothing can be said of what is missing there. */
  readonly #trimmed = new Set<string>();
  choices = 0;

  constructor(size: number, fail: (violation: Violation) => void) {
    this.#quorum = Math.floor(size / 2) + 1;
    this.#memories = Array.from({ length: size }, () => ({ registers: new Map(), floors: new Map() }));
    this.#fail = fail;
  }

  #check(holds: boolean, rule: string, detail: () => string): void {
    if (!holds) this.#fail(new Violation(rule, detail()));
  }

  #case(name: string): Case {
    let found = this.#cases.get(name);
    if (found === undefined) this.#cases.set(name, (found = new Case()));
    return found;
  }

  // ---- acceptors ------------------------------------------------------------------------------------------------------------

  /** A write was acknowledged by the storage. */
  durable(acceptor: number, { entries }: StorageWrite): void {
    for (const { data } of entries) this.#apply(acceptor, this.#memories[acceptor] as Memory, decodeRecord(data), true);
  }

  #apply(acceptor: number, { registers, floors }: Memory, record: JournalRecord, isNew: boolean): void {
    const { key } = record;
    if (record.kind === "trim") {
      floors.set(key, Math.max(record.below, floors.get(key) ?? 0));
      for (const name of registers.keys()) if (isBelow(name, key, record.below)) registers.delete(name);
      return;
    }
    const name = nameOf(key, record.version);
    const who = `acceptor ${acceptor}, ${name}`;
    this.#check(record.version >= (floors.get(key) ?? 0), "what was trimmed is gone for ever", () => who);
    const before = registers.get(name) ?? { lastBallot: NO_BALLOT, votedBallot: NO_BALLOT, value: "" };
    const { ballot } = record;
    this.#check(compareBallots(ballot, before.lastBallot) >= 0, "ballots only grow", () => {
      return `${who} promised ${ballotText(before.lastBallot)}, and then went along with ${ballotText(ballot)}`;
    });
    if (record.kind === "promise") {
      registers.set(name, { ...before, lastBallot: ballot });
      return;
    }
    const value = textOf(record.value);
    registers.set(name, { lastBallot: ballot, votedBallot: ballot, value });
    if (isNew) this.#vote(acceptor, name, ballot, value);
  }

  #vote(acceptor: number, name: string, ballot: Ballot, value: string): void {
    const at = this.#case(name);
    this.#check(at.proposed.has(value), "what is voted for was proposed", () => `${name}: nobody proposed ${value}`);
    let votes = at.votes.get(ballotText(ballot));
    if (votes === undefined) at.votes.set(ballotText(ballot), (votes = { value, voters: new Set() }));
    this.#check(votes.value === value, "one ballot, one value", () => {
      return `${name}: ${votes.value} and ${value} got votes in ballot ${ballotText(ballot)}`;
    });
    votes.voters.add(acceptor);
    if (votes.voters.size < this.#quorum) return;
    if (at.chosen === null) {
      at.chosen = { value, at: ++this.#now };
      this.choices++;
    }
    const { chosen } = at;
    this.#check(chosen.value === value, "one value is chosen", () => `${name}: ${chosen.value} and ${value}`);
    this.#check(
      !at.disowned.has(value),
      "an error that says no means it",
      () => `${name}: ${value} is chosen after all`,
    );
  }

  /** What a restarted acceptor finds: all that was acknowledged, and maybe writes that were under way. */
  recovered(acceptor: number, { snapshot, entries }: StoredState): void {
    const before = this.#memories[acceptor] as Memory;
    const found: Memory = { registers: new Map(), floors: new Map() };
    for (const { key, trimmedBelow, registers } of snapshot === null ? [] : decodeSnapshot(snapshot.data)) {
      if (trimmedBelow > 0) found.floors.set(key, trimmedBelow);
      for (const [version, { lastBallot, votedBallot, votedValue }] of registers) {
        found.registers.set(nameOf(key, version), { lastBallot, votedBallot, value: textOf(votedValue) });
      }
    }
    for (const { data } of entries) this.#apply(acceptor, found, decodeRecord(data), true);
    this.#memories[acceptor] = found;
    for (const [key, floor] of before.floors) {
      this.#check((found.floors.get(key) ?? 0) >= floor, "what was durable comes back", () => `the floor of ${key}`);
    }
    for (const [name, { lastBallot, votedBallot, value }] of before.registers) {
      const after = found.registers.get(name);
      const at = name.lastIndexOf("@");
      const isTrimmed = (found.floors.get(name.slice(0, at)) ?? 0) > Number(name.slice(at + 1));
      const isThere =
        after !== undefined &&
        compareBallots(after.lastBallot, lastBallot) >= 0 &&
        (compareBallots(after.votedBallot, votedBallot) > 0 ||
          (compareBallots(after.votedBallot, votedBallot) === 0 &&
            (after.value === value || votedBallot.proposerId === 0)));
      this.#check(isThere || isTrimmed, "what was durable comes back", () => {
        return `acceptor ${acceptor}, ${name}: ${ballotText(lastBallot)}, ${ballotText(votedBallot)} ${value}`;
      });
    }
  }

  /** Each message as it is sent: an answer is a promise, so what it says must be durable. */
  sent(message: NetMessage): void {
    if (message.leg === "request") {
      if (message.method === METHODS.prepare || message.method === METHODS.accept) {
        this.#requests.set(message.id, message.body());
      }
      return;
    }
    const request = this.#requests.get(message.call) as { key: string; version: number; ballot: Ballot } | undefined;
    if (request === undefined || message.error !== null) return;
    const reply = message.body() as { lastBallot?: Ballot };
    if (reply.lastBallot === undefined) return;
    const acceptor = Number(message.from.split(" ")[1]);
    const { registers, floors } = this.#memories[acceptor] as Memory;
    if ((floors.get(request.key) ?? 0) > request.version) return;
    const { ballot } = request;
    const order = compareBallots(ballot, reply.lastBallot);
    const { lastBallot, votedBallot } = registers.get(nameOf(request.key, request.version)) ?? {
      lastBallot: NO_BALLOT,
      votedBallot: NO_BALLOT,
    };
    const isPrepare = message.method === METHODS.prepare;
    if (isPrepare ? order <= 0 : order < 0) return;
    this.#check(
      compareBallots(isPrepare ? lastBallot : votedBallot, ballot) >= 0,
      "nothing is said before it is durable",
      () => `${message.from} answered ${message.method} ${ballotText(ballot)} of ${request.key}@${request.version}`,
    );
  }

  // ---- callers --------------------------------------------------------------------------------------------------------------

  begin(): Start {
    return { at: ++this.#now };
  }

  proposes(key: string, version: number, value: unknown): void {
    this.#case(nameOf(key, version)).proposed.add(textOf(value));
  }

  trims(key: string): void {
    this.#trimmed.add(key);
  }

  /** A write or a read says what the register holds. */
  established(key: string, version: number, value: unknown, ours: string | null): void {
    const name = nameOf(key, version);
    const at = this.#case(name);
    this.#check(at.chosen?.value === textOf(value), "what is returned is chosen", () => {
      return `${name}: ${textOf(value)} was returned, chosen is ${at.chosen?.value ?? "nothing"}`;
    });
    if (ours === null) return;
    this.#check(at.owner === null || at.owner === ours, "one writer is told that the value is its own", () => {
      return `${name}: ${at.owner} and ${ours}`;
    });
    at.owner = ours;
  }

  readNull(key: string, version: number, { at }: Start): void {
    const chosen = this.#cases.get(nameOf(key, version))?.chosen;
    this.#check(!chosen || chosen.at > at, "null is read only before a value is chosen", () => {
      return `${nameOf(key, version)} held ${chosen?.value} when the read began`;
    });
  }

  /** The highest version, or -1: at some moment of the call it was chosen, and no higher one was. */
  latest(key: string, version: number, { at }: Start): void {
    const since = Math.max(at, this.#cases.get(nameOf(key, version))?.chosen?.at ?? 0);
    for (const [other, { at: chosenAt }] of this.#chosenVersions(key)) {
      this.#check(other <= version || chosenAt > since, "the latest version is the highest", () => {
        return `${key}: ${version} was returned, but ${other} was chosen before`;
      });
    }
  }

  /** A put got this version: higher than all that were chosen when it began. */
  put(key: string, version: number, { at }: Start): void {
    for (const [other, { at: chosenAt }] of this.#chosenVersions(key)) {
      this.#check(other < version || chosenAt > at, "a put gets a new version", () => {
        return `${key}: ${version} was put, but ${other} had been chosen when the call began`;
      });
    }
  }

  listed(key: string, versions: readonly number[], { at }: Start): void {
    const chosen = new Map(this.#chosenVersions(key));
    for (const version of versions) {
      this.#check(chosen.has(version), "listed versions are chosen", () => nameOf(key, version));
    }
    if (this.#trimmed.has(key)) return;
    for (const [version, { at: chosenAt }] of chosen) {
      this.#check(versions.includes(version) || chosenAt > at, "all chosen versions are listed", () => {
        return nameOf(key, version);
      });
    }
  }

  /** A write failed, and says that its value is not chosen and will not be. */
  disowned(key: string, version: number, value: unknown): void {
    const at = this.#case(nameOf(key, version));
    at.disowned.add(textOf(value));
    this.#check(at.chosen?.value !== textOf(value), "an error that says no means it", () => nameOf(key, version));
  }

  #chosenVersions(key: string): [version: number, chosen: Chosen][] {
    const found: [number, Chosen][] = [];
    for (const [name, { chosen }] of this.#cases) {
      if (chosen !== null && name.startsWith(`${key}@`)) found.push([Number(name.slice(key.length + 1)), chosen]);
    }
    return found;
  }
}

function isBelow(name: string, key: string, below: number): boolean {
  return name.startsWith(`${key}@`) && Number(name.slice(key.length + 1)) < below;
}
