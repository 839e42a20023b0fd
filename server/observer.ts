import type { Clock, Disk, DiskFile, DiskLock } from "../runtime/index.js";
import type { StoredState, StorageWrite } from "../raft/index.js";
import type { SnapshotStorage, StateMachine } from "../kvraft/index.js";
import type { Engine } from "./engines.js";

/** Told how long things took in one group, in milliseconds, and how large they are, in bytes. */
export interface GroupObserver {
  /** One sync of a file, with the write where both are one operation. */
  synced(ms: number): void;
  /** From the moment that Raft wanted something stored to the moment that it is durable. */
  stored(ms: number): void;
  /** From the moment that commands were to be stored here to the moment that they are committed, and reach the store. */
  committed(ms: number): void;
  /** One command in the state machine. */
  applied(ms: number): void;
  /** One request of a client, reads or writes, until its reply. */
  answered(kind: "read" | "write", ms: number): void;
  /** The making of a snapshot. */
  snapshotTaken(ms: number): void;
}

/** A disk whose syncs are timed. */
export class TimedDisk implements Disk {
  readonly #disk: Disk;
  readonly #clock: Clock;
  readonly #observer: GroupObserver;

  constructor(disk: Disk, clock: Clock, observer: GroupObserver) {
    this.#disk = disk;
    this.#clock = clock;
    this.#observer = observer;
  }

  makeDirectory(path: string): Promise<void> {
    return this.#disk.makeDirectory(path);
  }

  list(directory: string): Promise<string[]> {
    return this.#disk.list(directory);
  }

  read(path: string): Promise<Uint8Array> {
    return this.#disk.read(path);
  }

  async open(path: string, mode: "create" | "existing"): Promise<DiskFile> {
    const file = await this.#disk.open(path, mode);
    const { writeSynced } = file;
    const timed = async <T>(operation: Promise<T>): Promise<T> => {
      const begun = this.#clock.now();
      const result = await operation;
      this.#observer.synced(this.#clock.now() - begun);
      return result;
    };
    return {
      write: (bytes, position) => file.write(bytes, position),
      ...(writeSynced && { writeSynced: (bytes: Uint8Array, position: number) => timed(writeSynced(bytes, position)) }),
      sync: () => timed(file.sync()),
      truncate: (size) => file.truncate(size),
      close: () => file.close(),
    };
  }

  rename(from: string, to: string): Promise<void> {
    return this.#disk.rename(from, to);
  }

  remove(path: string): Promise<void> {
    return this.#disk.remove(path);
  }

  syncDirectory(path: string): Promise<void> {
    return this.#disk.syncDirectory(path);
  }

  lock(directory: string): Promise<DiskLock> {
    return this.#disk.lock(directory);
  }
}

/** Commands that were handed to the storage together. */
interface Batch {
  readonly firstIndex: number;
  readonly lastIndex: number;
  readonly begun: number;
  isCounted: boolean;
}

/** Measures one group from both sides of its engine: what goes to its storage, and what comes to its state machine. */
export class GroupWatch {
  readonly #clock: Clock;
  readonly #observer: GroupObserver;
  readonly #engine: Engine;
  /** Stored and not applied yet, by index. */
  #batches: Batch[] = [];

  constructor(clock: Clock, observer: GroupObserver, engine: Engine) {
    this.#clock = clock;
    this.#observer = observer;
    this.#engine = engine;
  }

  storage(inner: SnapshotStorage): SnapshotStorage {
    return {
      load: (): StoredState => inner.load(),
      stateSize: () => inner.stateSize(),
      readSnapshot: () => inner.readSnapshot(),
      write: (write, done) => {
        const begun = this.#clock.now();
        this.#note(write, begun);
        inner.write(write, (error) => {
          if (error === null) this.#observer.stored(this.#clock.now() - begun);
          done(error);
        });
      },
    };
  }

  machine<C, R>(inner: StateMachine<C, R>): StateMachine<C, R> {
    return {
      apply: (command, context) => {
        const begun = this.#clock.now();
        this.#reached(context.index, begun);
        const result = inner.apply(command, context);
        this.#observer.applied(this.#clock.now() - begun);
        return result;
      },
      snapshot: () => {
        const begun = this.#clock.now();
        const snapshot = inner.snapshot();
        this.#observer.snapshotTaken(this.#clock.now() - begun);
        return snapshot;
      },
      restore: (snapshot) => {
        this.#batches = [];
        inner.restore(snapshot);
      },
    };
  }

  /** Only commands count: what carries none never reaches the state machine. */
  #note(write: StorageWrite, begun: number): void {
    const change = this.#engine.changeOf(write);
    if (change === null) return;
    const [firstIndex, lastIndex] = change;
    while ((this.#batches.at(-1)?.lastIndex ?? 0) >= firstIndex) this.#batches.pop();
    if (lastIndex >= firstIndex) this.#batches.push({ firstIndex, lastIndex, begun, isCounted: false });
  }

  #reached(index: number, now: number): void {
    while (this.#batches.length > 0) {
      const batch = this.#batches[0] as Batch;
      if (batch.firstIndex > index) return;
      if (!batch.isCounted) this.#observer.committed(now - batch.begun);
      batch.isCounted = true;
      if (batch.lastIndex > index) return;
      this.#batches.shift();
    }
  }
}
