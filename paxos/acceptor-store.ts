import { EntryType, type Storage, type StorageWrite } from "../replica/index.js";
import { Acceptor, type AcceptorState } from "./acceptor.js";
import { compareBallots, type Ballot } from "./ballot.js";
import { AcceptorFailedError } from "./errors.js";
import {
  decodeRecord,
  decodeSnapshot,
  encodeRecord,
  encodeSnapshot,
  type JournalRecord,
  type StoredKey,
} from "./journal.js";
import type { AcceptReply, LookReply, PrepareReply, Proposal, Register, Sighting, VersionsReply } from "./messages.js";

export interface AcceptorStats {
  /** Registers that it has promised or voted something for and that were not trimmed, and the keys that they belong to. */
  readonly registers: number;
  readonly keys: number;
  /** Of the journal, beside the snapshot. */
  readonly journalBytes: number;
  readonly snapshotBytes: number;
}

/** All registers of a key. */
class KeyRegisters {
  trimmedBelow = 0;
  /** The highest version that it has voted for; -1: none. */
  top = -1;
  readonly acceptors = new Map<number, Acceptor>();
  /** Versions whose vote is known to be for what is chosen. Not stored: it can always be found out again. */
  readonly chosen = new Set<number>();

  note(version: number, { votedBallot }: AcceptorState): void {
    if (version > this.top && votedBallot.proposerId > 0) this.top = version;
  }

  trim(below: number): void {
    if (below <= this.trimmedBelow) return;
    this.trimmedBelow = below;
    for (const version of this.acceptors.keys()) {
      if (version >= below) continue;
      this.acceptors.delete(version);
      this.chosen.delete(version);
    }
    if (this.top < below) this.top = -1;
  }
}

/**
 * The acceptors of all registers in one storage. No answer leaves before all that it rests on is durable: promises and
 * votes first of all, but an answer that only shows a vote waits for it as well. Storage is used as a journal of the
 * requests that changed something, with a snapshot in its place when it has grown.
 */
export class AcceptorStore {
  readonly #storage: Storage;
  readonly #snapshotFrom: number;
  readonly #keys = new Map<string, KeyRegisters>();
  /** Of the last record in the journal. */
  #index = 0;
  #writes = 0;
  #snapshotBytes = 0;
  /** Settles when the last write has, and with it all before. */
  #lastWrite: Promise<void> | null = null;
  #failure: AcceptorFailedError | null = null;

  /** `snapshotFrom`: bytes of journal at which a snapshot takes its place, if it is twice as long as the last snapshot too. */
  constructor(storage: Storage, snapshotFrom: number) {
    this.#storage = storage;
    this.#snapshotFrom = snapshotFrom;
    const { snapshot, entries } = storage.load();
    if (snapshot) this.#restore(snapshot.data);
    for (const { data } of entries) this.#replay(decodeRecord(data));
    this.#index = (snapshot?.index ?? 0) + entries.length;
  }

  async prepare(register: Register, ballot: Ballot): Promise<PrepareReply> {
    const reply = this.#trimmed(register) ?? this.#prepare(register, ballot);
    await this.#durable();
    return reply;
  }

  async accept(register: Register, ballot: Ballot, proposal: Proposal): Promise<AcceptReply> {
    const reply = this.#trimmed(register) ?? this.#accept(register, ballot, proposal);
    await this.#durable();
    return reply;
  }

  /** A quorum has voted in `ballot`. A vote in it or in a later one is for the same value, which is chosen. */
  learn({ key, version }: Register, ballot: Ballot): void {
    const registers = this.#keys.get(key);
    const state = registers?.acceptors.get(version)?.state;
    if (state && compareBallots(state.votedBallot, ballot) >= 0) registers?.chosen.add(version);
  }

  /** Remembers nothing. Without a version: the highest that it has voted for. */
  async look(key: string, version?: number): Promise<LookReply> {
    const registers = this.#keys.get(key);
    const at = version ?? registers?.top ?? -1;
    const reply = (version === undefined ? null : this.#trimmed({ key, version })) ?? sightingOf(registers, at);
    await this.#durable();
    return reply;
  }

  async versions(key: string): Promise<VersionsReply> {
    const registers = this.#keys.get(key);
    const voted = [...(registers?.acceptors.keys() ?? [])].map((version) => sightingOf(registers, version));
    const versions = voted.filter(({ votedBallot }) => votedBallot.proposerId > 0);
    await this.#durable();
    const floor = registers?.trimmedBelow ?? 0;
    return {
      floor,
      versions: versions.map(({ version, votedBallot, isChosen }) => ({ version, votedBallot, isChosen })),
    };
  }

  async trim(key: string, below: number): Promise<void> {
    if (below > (this.#keys.get(key)?.trimmedBelow ?? 0)) this.#trim(key, below);
    await this.#durable();
  }

  stats(): AcceptorStats {
    let registers = 0;
    for (const { acceptors } of this.#keys.values()) registers += acceptors.size;
    const [journalBytes, snapshotBytes] = [this.#storage.stateSize(), this.#snapshotBytes];
    return { registers, keys: this.#keys.size, journalBytes, snapshotBytes };
  }

  #trimmed({ key, version }: Register): { trimmedBelow: number } | null {
    const trimmedBelow = this.#keys.get(key)?.trimmedBelow ?? 0;
    return version < trimmedBelow ? { trimmedBelow } : null;
  }

  // ---- changes: tried on the acceptor, and written down where they made a difference --------------------------------------

  #prepare(register: Register, ballot: Ballot): AcceptorState {
    const acceptor = this.#find(register);
    const { state } = acceptor;
    const reply = acceptor.prepare(ballot);
    if (acceptor.state !== state) this.#keep(register, acceptor, { kind: "promise", ...register, ballot });
    return reply;
  }

  #accept(register: Register, ballot: Ballot, { value, author }: Proposal): { lastBallot: Ballot } {
    const acceptor = this.#find(register);
    const { state } = acceptor;
    const lastBallot = acceptor.accept(ballot, value, author);
    if (acceptor.state !== state) this.#keep(register, acceptor, { kind: "vote", ...register, ballot, value, author });
    return { lastBallot };
  }

  #trim(key: string, below: number): void {
    this.#registersOf(key).trim(below);
    this.#write({ kind: "trim", key, below });
  }

  /** An acceptor that is kept only if it changes: a refusal remembers nothing. */
  #find({ key, version }: Register): Acceptor {
    return this.#keys.get(key)?.acceptors.get(version) ?? new Acceptor();
  }

  #keep(register: Register, acceptor: Acceptor, record: JournalRecord): void {
    this.#put(register, acceptor);
    this.#write(record);
  }

  #put({ key, version }: Register, acceptor: Acceptor): void {
    const registers = this.#registersOf(key);
    registers.acceptors.set(version, acceptor);
    registers.note(version, acceptor.state);
  }

  #registersOf(key: string): KeyRegisters {
    let registers = this.#keys.get(key);
    if (registers === undefined) this.#keys.set(key, (registers = new KeyRegisters()));
    return registers;
  }

  // ---- storage --------------------------------------------------------------------------------------------------------------

  #write(record: JournalRecord): void {
    const entry = { term: 0, type: EntryType.command, data: encodeRecord(record) };
    this.#index++;
    this.#store({ firstIndex: this.#index, entries: [entry], snapshot: null });
    if (this.#storage.stateSize() > Math.max(this.#snapshotFrom, 2 * this.#snapshotBytes)) this.#snapshot();
  }

  #snapshot(): void {
    const data = encodeSnapshot(this.#storedKeys());
    this.#snapshotBytes = data.length;
    this.#store({ firstIndex: 0, entries: [], snapshot: { index: this.#index, term: 0, data } });
  }

  #storedKeys(): StoredKey[] {
    return [...this.#keys].map(([key, { trimmedBelow, acceptors }]) => {
      const registers = [...acceptors].map(([version, { state }]) => [version, state] as const);
      return { key, trimmedBelow, registers };
    });
  }

  #store(change: Pick<StorageWrite, "firstIndex" | "entries" | "snapshot">): void {
    const write = { type: "persist", write: ++this.#writes, hardState: null, discardLog: false, ...change } as const;
    this.#lastWrite = new Promise((resolve, reject) => {
      this.#storage.write(write, (error) => (error === null ? resolve() : reject((this.#failure ??= failed(error)))));
    });
    // Who needs it hears of it; and whoever asks later, too.
    this.#lastWrite.catch(() => {});
  }

  /** Storage keeps the order of writes: when the last is durable, all are. */
  async #durable(): Promise<void> {
    await this.#lastWrite;
    if (this.#failure) throw this.#failure;
  }

  #restore(snapshot: Uint8Array): void {
    this.#snapshotBytes = snapshot.length;
    for (const { key, trimmedBelow, registers } of decodeSnapshot(snapshot)) {
      this.#registersOf(key).trim(trimmedBelow);
      for (const [version, state] of registers) this.#put({ key, version }, new Acceptor(state));
    }
  }

  /** Does again what was done before the last write of an earlier life. */
  #replay(record: JournalRecord): void {
    if (record.kind === "trim") return this.#registersOf(record.key).trim(record.below);
    const acceptor = this.#find(record);
    if (record.kind === "promise") acceptor.prepare(record.ballot);
    else acceptor.accept(record.ballot, record.value, record.author);
    this.#put(record, acceptor);
  }
}

const failed = (error: Error): AcceptorFailedError => new AcceptorFailedError(error);

function sightingOf(registers: KeyRegisters | undefined, version: number): Sighting {
  const { votedBallot, votedValue, author } = (registers?.acceptors.get(version) ?? new Acceptor()).state;
  return { version, votedBallot, votedValue, author, isChosen: registers?.chosen.has(version) ?? false };
}
