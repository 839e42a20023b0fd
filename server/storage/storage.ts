import { assert, type DiskLock, type Runtime } from "../../runtime/index.js";
import type { Snapshot, StorageWrite, StoredState } from "../../raft/index.js";
import type { SnapshotStorage } from "../../kvraft/index.js";
import { DiskFailedError, DiskFullError, StorageClosedError } from "./errors.js";
import type { Directory } from "./files.js";
import { snapshotName } from "./format.js";
import { LogEnd, LogMeter } from "./meter.js";
import { encodeReset, encodeWrites } from "./records.js";
import { writeSnapshot } from "./snapshots.js";
import { noteEntries, noteReset, type Wal } from "./wal.js";

/** How the storage is. Told to `onHealth` at each change. */
export type StorageHealth =
  | { readonly state: "ok" }
  /** Writes wait for space and go on by themselves. A leader should step down: it can acknowledge nothing. */
  | { readonly state: "full"; readonly error: DiskFullError }
  /** All writes fail from now on. */
  | { readonly state: "failed"; readonly error: DiskFailedError };

export interface StorageStats {
  readonly health: StorageHealth["state"];
  /** Size of the log's files, and their number. */
  readonly logBytes: number;
  readonly segments: number;
  /** Of the snapshot that is on the disk; 0 where there is none. */
  readonly snapshotIndex: number;
  readonly snapshotBytes: number;
  /** A newer one is on its way there. */
  readonly isSavingSnapshot: boolean;
  /** Syncs of the log so far, how many writes they made durable, and the most that one did. */
  readonly syncs: number;
  readonly writes: number;
  readonly largestGroup: number;
  readonly lastSyncMs: number;
  readonly slowestSyncMs: number;
  readonly waitingWrites: number;
  /** How long the oldest of them has waited: a disk that hangs shows here. */
  readonly oldestWaitMs: number;
}

/** What opening had to mend. */
export interface RecoveryReport {
  /** The end of the log that a crash interrupted and that was cut off: it was never acknowledged. */
  readonly cut: {
    readonly file: string;
    readonly offset: number;
    readonly bytes: number;
    readonly reason: string;
  } | null;
  /** Unfinished and superseded files that were removed. */
  readonly removed: readonly string[];
  /** The crash came between an installed snapshot and the end of the log that it replaced. */
  readonly finishedSnapshot: boolean;
}

/**
 * Raft's storage on a disk. A write is done when it is durable; writes that wait share one sync. A snapshot of entries
 * that are in the log anyway (one that neither discards the log nor is foreign) is done when the log is: it is written
 * beside the appends, and a crash before its end leaves the state as it is without it.
 *
 * A failed disk fails the write, all that wait and all later ones with the same DiskFailedError. A full disk fails
 * nothing: what waits goes on when there is space.
 */
export interface DurableStorage extends SnapshotStorage, AsyncDisposable {
  readonly recovery: RecoveryReport;
  readonly health: StorageHealth;
  stats(): StorageStats;
  /** Ends when all that waits is durable, or has failed; the directory is free then. Later writes fail. */
  close(): Promise<void>;
}

export interface StorageLimits {
  readonly segmentBytes: number;
  readonly recordBytes: number;
  readonly groupBytes: number;
  readonly diskFullRetryMs: number;
}

export interface RecoveredStorage {
  readonly directory: Directory;
  readonly lock: DiskLock;
  readonly wal: Wal;
  readonly state: StoredState;
  readonly recovery: RecoveryReport;
}

interface PendingWrite {
  readonly write: StorageWrite;
  readonly done: (error: Error | null) => void;
  readonly since: number;
}

const hasSnapshot = (writes: readonly PendingWrite[]): boolean => writes.some(({ write }) => write.snapshot !== null);

/** After a snapshot the log moves on to a new file, so that the old one can go, if the file has this part of its size. */
const ROTATE_PART = 1 / 8;

export class WalStorage implements DurableStorage {
  readonly recovery: RecoveryReport;
  readonly #directory: Directory;
  readonly #lock: DiskLock;
  readonly #wal: Wal;
  readonly #runtime: Runtime;
  readonly #limits: StorageLimits;
  readonly #onHealth: ((health: StorageHealth) => void) | undefined;
  readonly #meter: LogMeter;
  readonly #end: LogEnd;
  #health: StorageHealth = { state: "ok" };
  #loaded: StoredState | null;
  /** The newest snapshot that is on the disk. */
  #snapshot: Snapshot | null;
  /** A newer one, which waits until it is written; a still newer one takes its place (S46). */
  #nextSnapshot: Snapshot | null = null;
  #queue: PendingWrite[] = [];
  /** Taken from the queue and on their way. */
  #group: PendingWrite[] = [];
  #writing: Promise<void> | null = null;
  #saving: Promise<void> | null = null;
  #rotateSoon = false;
  #closing: Promise<void> | null = null;
  /** Ends the waits for space early. */
  readonly #wakeUps = new Set<() => void>();
  #writes = 0;
  #largestGroup = 0;

  constructor(
    recovered: RecoveredStorage,
    runtime: Runtime,
    limits: StorageLimits,
    onHealth?: (health: StorageHealth) => void,
  ) {
    const { state } = recovered;
    this.recovery = recovered.recovery;
    this.#directory = recovered.directory;
    this.#lock = recovered.lock;
    this.#wal = recovered.wal;
    this.#runtime = runtime;
    this.#limits = limits;
    this.#onHealth = onHealth;
    this.#loaded = state;
    this.#snapshot = state.snapshot;
    this.#meter = new LogMeter(state);
    this.#end = new LogEnd(state.hardState, (state.snapshot?.index ?? 0) + state.entries.length);
  }

  get health(): StorageHealth {
    return this.#health;
  }

  load(): StoredState {
    assert(this.#loaded !== null, "storage is loaded once, before the first write");
    return this.#loaded;
  }

  readSnapshot(): Uint8Array | null {
    // Not slice(): that of a Buffer is no copy.
    return this.#snapshot && new Uint8Array(this.#snapshot.data);
  }

  stateSize(): number {
    return this.#meter.bytes;
  }

  stats(): StorageStats {
    const wal = this.#wal;
    const oldest = this.#group[0] ?? this.#queue[0];
    return {
      health: this.#health.state,
      logBytes: wal.bytes,
      segments: wal.segments.length,
      snapshotIndex: this.#snapshot?.index ?? 0,
      snapshotBytes: this.#snapshot?.data.length ?? 0,
      isSavingSnapshot: this.#saving !== null || [this.#group, this.#queue].some(hasSnapshot),
      syncs: wal.syncs,
      writes: this.#writes,
      largestGroup: this.#largestGroup,
      lastSyncMs: wal.lastSyncMs,
      slowestSyncMs: wal.slowestSyncMs,
      waitingWrites: this.#group.length + this.#queue.length,
      oldestWaitMs: oldest === undefined ? 0 : this.#runtime.clock.now() - oldest.since,
    };
  }

  write(write: StorageWrite, done: (error: Error | null) => void): void {
    if (this.#health.state === "failed") return done(this.#health.error);
    if (this.#closing !== null) return done(new StorageClosedError(this.#directory.path));
    this.#meter.note(write);
    this.#loaded = null;
    this.#queue.push({ write, done, since: this.#runtime.clock.now() });
    this.#writing ??= this.#turnEnd().then(() => this.#writeAll());
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  // ---- the log ------------------------------------------------------------------------------------------------------------

  /** Not at once: the writes of one turn go together. And on a leader after its messages, which have the longer way. */
  #turnEnd(): Promise<void> {
    const { atTurnEnd } = this.#runtime;
    return atTurnEnd === undefined ? Promise.resolve() : new Promise((resolve) => atTurnEnd(resolve));
  }

  /** Group commit: all that has come while a group was on its way forms the next one. */
  async #writeAll(): Promise<void> {
    while (this.#queue.length > 0) {
      this.#takeGroup();
      try {
        await this.#writeGroup();
      } catch (error) {
        if (!(error instanceof DiskFullError)) return this.#fail(error);
        this.#queue = [...this.#group, ...this.#queue];
        this.#group = [];
        this.#setHealth({ state: "full", error });
        if (!(await this.#waitForSpace())) return this.#refuseWaiting(error);
        continue;
      }
      if (this.#health.state === "failed") return this.#refuseWaiting(this.#health.error);
      if (this.#health.state === "full") this.#setHealth({ state: "ok" });
      const group = this.#group;
      this.#group = [];
      this.#writes += group.length;
      if (group.length > this.#largestGroup) this.#largestGroup = group.length;
      for (const { done } of group) done(null);
    }
    this.#writing = null;
  }

  /** As much of the queue as goes to the disk at once. A snapshot of what the log does not hold goes alone. */
  #takeGroup(): void {
    const queue = this.#queue;
    let count = 0;
    for (let bytes = 0; count < queue.length && bytes < this.#limits.groupBytes; count++) {
      const { write } = queue[count] as PendingWrite;
      const goesAlone = write.discardLog || write.isForeign === true;
      if (goesAlone && count > 0) break;
      for (const entry of write.entries) bytes += entry.data.length;
      if (goesAlone) bytes = Infinity;
    }
    this.#group = count === queue.length ? queue : queue.slice(0, count);
    this.#queue = count === queue.length ? [] : queue.slice(count);
  }

  async #writeGroup(): Promise<void> {
    const writes = this.#group.map(({ write }) => write);
    const [first] = writes as [StorageWrite];
    const payloads = encodeWrites(writes, this.#limits.recordBytes);
    if (first.snapshot !== null && first.discardLog) return this.#install(first, first.snapshot, payloads);
    if (first.snapshot !== null && first.isForeign === true) await this.#saveNow(first.snapshot);
    await this.#append(payloads);
    for (const write of writes) this.#note(write);
    if (first.isForeign === true) return;
    const snapshot = writes.findLast((write) => write.snapshot !== null)?.snapshot;
    if (snapshot) this.#saveLater(snapshot);
  }

  async #append(payloads: readonly Uint8Array[]): Promise<void> {
    if (payloads.length === 0) return;
    const isFull = this.#wal.active.bytes >= this.#limits.segmentBytes;
    if (isFull || this.#rotateSoon) await this.#wal.rotate(this.#end);
    this.#rotateSoon = false;
    await this.#wal.append(payloads);
  }

  #note(write: StorageWrite): void {
    const truncates = write.firstIndex > 0 && write.firstIndex <= this.#end.lastIndex;
    this.#end.note(write);
    if (write.firstIndex > 0) noteEntries(this.#wal.segments, write.firstIndex, this.#end.lastIndex, truncates);
  }

  /**
   * Figure 13: a snapshot in place of the log. First the snapshot, then the mark that ends the old log: a crash between
   * them leaves both, and recovery ends the log (S45).
   */
  async #install(write: StorageWrite, snapshot: Snapshot, payloads: readonly Uint8Array[]): Promise<void> {
    this.#nextSnapshot = null;
    await this.#saving;
    if (this.#health.state === "failed") throw this.#health.error;
    const { hardState } = write;
    if (hardState !== null) {
      // The term first: a crash must not leave a snapshot of a later term than the one that is stored beside it.
      await this.#append(encodeWrites([{ ...write, firstIndex: 0, entries: [] }], this.#limits.recordBytes));
      this.#end.hardState = hardState;
    }
    await writeSnapshot(this.#directory, snapshot);
    await this.#append([encodeReset(snapshot.index, snapshot.term), ...payloads]);
    this.#end.lastIndex = snapshot.index;
    noteReset(this.#wal.segments);
    this.#note(write);
    await this.#adopt(snapshot);
  }

  // ---- snapshots beside the log -----------------------------------------------------------------------------------------

  /** Before the write that it belongs to: until then it may be there or not. */
  async #saveNow(snapshot: Snapshot): Promise<void> {
    this.#nextSnapshot = null;
    await this.#saving;
    if (this.#health.state === "failed") throw this.#health.error;
    await writeSnapshot(this.#directory, snapshot);
    await this.#adopt(snapshot);
  }

  #saveLater(snapshot: Snapshot): void {
    this.#nextSnapshot = snapshot;
    this.#saving ??= this.#saveSnapshots();
  }

  async #saveSnapshots(): Promise<void> {
    try {
      while (this.#nextSnapshot !== null && this.#health.state !== "failed") {
        const snapshot: Snapshot = this.#nextSnapshot;
        try {
          await writeSnapshot(this.#directory, snapshot);
        } catch (error) {
          if (!(error instanceof DiskFullError)) throw error;
          // The log still has everything. It says itself when it finds no space either.
          if (!(await this.#waitForSpace())) return;
          continue;
        }
        if (this.#nextSnapshot === snapshot) this.#nextSnapshot = null;
        await this.#adopt(snapshot);
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#saving = null;
    }
  }

  /** The snapshot is on the disk: what it replaces can go. */
  async #adopt(snapshot: Snapshot): Promise<void> {
    const previous = this.#snapshot;
    this.#snapshot = snapshot;
    if (previous !== null) await this.#directory.remove([snapshotName(previous.index)]);
    this.#rotateSoon ||= this.#wal.active.bytes >= this.#limits.segmentBytes * ROTATE_PART;
    await this.#wal.dropCovered(snapshot.index);
  }

  // ---- trouble and the end ------------------------------------------------------------------------------------------------

  /** False where the storage is being closed, or has failed, and waiting has no point. */
  async #waitForSpace(): Promise<boolean> {
    if (this.#closing === null && this.#health.state !== "failed") {
      await new Promise<void>((resolve) => {
        const wakeUp = (): void => {
          this.#runtime.clock.clearTimeout(timer);
          this.#wakeUps.delete(wakeUp);
          resolve();
        };
        const timer = this.#runtime.clock.setTimeout(wakeUp, this.#limits.diskFullRetryMs);
        this.#wakeUps.add(wakeUp);
      });
    }
    return this.#closing === null && this.#health.state !== "failed";
  }

  #wakeAll(): void {
    for (const wakeUp of [...this.#wakeUps]) wakeUp();
  }

  #setHealth(health: StorageHealth): void {
    if (this.#health.state === "failed" || (this.#health.state === "full" && health.state === "full")) return;
    this.#health = health;
    this.#onHealth?.(health);
  }

  #fail(cause: unknown): void {
    const error = new DiskFailedError(this.#directory.path, cause);
    this.#setHealth({ state: "failed", error });
    // What is on its way ends when its disk operations do, unless it is what has failed.
    this.#wakeAll();
    this.#refuseWaiting((this.#health as { error: DiskFailedError }).error);
  }

  #refuseWaiting(error: Error): void {
    const waiting = [...this.#group, ...this.#queue];
    this.#group = [];
    this.#queue = [];
    for (const { done } of waiting) done(error);
  }

  async #close(): Promise<void> {
    // What the microtask queue holds comes first: `#closing` must be set before anything here looks at it.
    await Promise.resolve();
    this.#wakeAll();
    await this.#writing;
    this.#wakeAll();
    await this.#saving;
    await this.#wal.close();
    await this.#lock.release();
  }
}
