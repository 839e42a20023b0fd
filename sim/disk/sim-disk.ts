import {
  DirectoryLockedError,
  forkRandom,
  InvalidArgumentError,
  type Disk,
  type DiskFile,
  type DiskLock,
  type Random,
  type Runtime,
} from "../../runtime/index.js";
import { Inode, type Change } from "./file.js";

export interface SimDiskOptions {
  /** How long an operation takes, between these, in milliseconds of the runtime's clock. Default [0, 0]: no time. */
  latencyMs?: readonly [min: number, max: number];
  /** Instead: how long the next operation of this kind takes, in milliseconds. */
  latency?: (operation: DiskOperation) => number;
  /** What a large write falls into where the power loss does not treat it as one. Default 4096. */
  blockBytes?: number;
  /** Every completion goes through here; held back, a process sleeps through it. What it stands for has happened. */
  gate?: (complete: () => void) => void;
}

export type DiskOperation = "read" | "write" | "sync" | "names";

/** What goes wrong while the power is on. May be changed at any time. */
export interface SimDiskFaults {
  /** Bytes that fit; a write beyond takes what fits, and then fails with ENOSPC. */
  capacityBytes: number;
  /** The chance that a sync of a file fails with EIO. What was to be synced may or may not be durable, for ever. */
  syncErrorRate: number;
  /** The chance that a write fails with EIO, having done nothing. */
  writeErrorRate: number;
  /** The chance that a write takes only a part of its bytes. */
  shortWriteRate: number;
}

type Names = Map<string, Inode>;
type NameChange = (names: Names) => void;

interface SimDirectory {
  durable: Names;
  seen: Names;
  pending: NameChange[];
}

/** Of a change that was not synced when the power went, this becomes. */
const DROPPED = 0.3;
const WHOLE = 0.6;
const TORN = 0.85;

/**
 * The disk of one simulated machine. What is written is seen at once, and durable after a sync; names are durable after a
 * sync of their directory. When the power goes, each change that is not durable is dropped (30 %), done (30 %), done in
 * its first part (25 %), or only makes the file longer, by zeros (15 %), independently of the others, so also the later one without the
 * earlier; a directory keeps its old names, has the new ones, or some of the changes. Operations that are on their way
 * then never end: to their process they do not, for it is dead.
 */
export class SimDisk {
  readonly faults: SimDiskFaults = { capacityBytes: Infinity, syncErrorRate: 0, writeErrorRate: 0, shortWriteRate: 0 };
  readonly #runtime: Runtime;
  readonly #random: Random;
  readonly #latency: (operation: DiskOperation) => number;
  readonly #gate: (complete: () => void) => void;
  readonly #blockBytes: number;
  readonly #directories = new Map<string, SimDirectory>();
  readonly #locked = new Set<string>();
  /** Counts power losses. Operations of an earlier life do nothing and never end. */
  #life = 0;
  #operations = 0;
  #endAt = Infinity;
  #end: () => void = () => {};

  constructor(runtime: Runtime, options: SimDiskOptions = {}) {
    const { latencyMs = [0, 0], blockBytes = 4096 } = options;
    if (!(latencyMs[0] >= 0 && latencyMs[1] >= latencyMs[0])) {
      throw new InvalidArgumentError(`latencyMs must be a pair of milliseconds in order, not ${latencyMs.join(", ")}`);
    }
    if (!(blockBytes >= 1)) throw new InvalidArgumentError(`blockBytes must be at least 1, not ${blockBytes}`);
    this.#runtime = runtime;
    this.#random = forkRandom(runtime.random, "disk");
    const [min, max] = latencyMs;
    this.#latency = options.latency ?? (() => (max > 0 ? min + this.#random.next() * (max - min) : 0));
    this.#gate = options.gate ?? ((complete) => complete());
    this.#blockBytes = blockBytes;
  }

  /** How many operations there have been. */
  get operations(): number {
    return this.#operations;
  }

  /** At the `count`-th operation from now, in its midst, the power goes or the process is killed; then `then` is called. */
  endLifeAfter(count: number, how: "losePower" | "killProcess", then: () => void): void {
    const end = (): void => {
      this[how]();
      then();
    };
    this.#endAt = this.#operations + count;
    this.#end = end;
  }

  /** The power goes, and comes back: what the next process finds is decided now. */
  losePower(): void {
    this.killProcess();
    const inodes = new Set<Inode>();
    for (const directory of this.#directories.values()) {
      this.#loseNames(directory);
      for (const inode of directory.durable.values()) inodes.add(inode);
    }
    for (const inode of inodes) this.#loseContent(inode);
  }

  /** The process dies, but not the machine: what was written is still seen, synced or not. */
  killProcess(): void {
    this.#life++;
    this.#endAt = Infinity;
    this.#locked.clear();
  }

  /** Damage: flips one bit of what is stored. */
  flipBit(path: string, position: number, bit: number): void {
    const inode = this.#inode(path);
    inode.durable.flipBit(position, bit);
    inode.seen.flipBit(position, bit);
  }

  /** The disk as the process sees it that starts now. When the power goes or the process is killed, it sees no more. */
  mount(): Disk {
    const life = this.#life;
    const act = <T>(begin: () => T): Promise<T> => this.#operation(life, "names", begin);
    return {
      makeDirectory: (path) => act(() => this.#makeDirectory(path)),
      list: (directory) => act(() => [...this.#directory(directory).seen.keys()]),
      read: (path) => this.#operation(life, "read", () => this.#inode(path).seen.copy()),
      open: (path, mode) => act(() => this.#open(path, mode, life)),
      rename: (from, to) => act(() => this.#rename(from, to)),
      remove: (path) => act(() => this.#remove(path)),
      syncDirectory: (path) => this.#syncDirectory(path, life),
      lock: (directory) => act(() => this.#lock(directory, life)),
    };
  }

  // ---- names --------------------------------------------------------------------------------------------------------------

  #makeDirectory(path: string): void {
    if (this.#directories.has(path)) return;
    this.#directories.set(path, { durable: new Map(), seen: new Map(), pending: [] });
  }

  #open(path: string, mode: "create" | "existing", life: number): DiskFile {
    if (mode === "create") {
      const [directory, name] = this.#split(path);
      const inode = new Inode();
      changeNames(directory, (names) => names.set(name, inode));
    }
    return this.#file(this.#inode(path), life);
  }

  #rename(from: string, to: string): void {
    const inode = this.#inode(from);
    const [directory, name] = this.#split(from);
    const [, newName] = this.#split(to);
    changeNames(directory, (names) => {
      names.delete(name);
      names.set(newName, inode);
    });
  }

  #remove(path: string): void {
    this.#inode(path);
    const [directory, name] = this.#split(path);
    changeNames(directory, (names) => names.delete(name));
  }

  #syncDirectory(path: string, life: number): Promise<void> {
    let directory: SimDirectory;
    let count: number;
    return this.#operation(
      life,
      "sync",
      () => {
        directory = this.#directory(path);
        count = directory.pending.length;
      },
      () => {
        for (const change of directory.pending.splice(0, count)) change(directory.durable);
      },
    );
  }

  #lock(directory: string, life: number): DiskLock {
    if (this.#locked.has(directory)) throw new DirectoryLockedError(directory, life);
    this.#locked.add(directory);
    return {
      release: async () => {
        if (life === this.#life) this.#locked.delete(directory);
      },
    };
  }

  #directory(path: string): SimDirectory {
    const directory = this.#directories.get(path);
    if (directory === undefined) throw fault("ENOENT", `no such directory, ${path}`);
    return directory;
  }

  #split(path: string): [directory: SimDirectory, name: string] {
    const slash = path.lastIndexOf("/");
    return [this.#directory(path.slice(0, slash)), path.slice(slash + 1)];
  }

  #inode(path: string): Inode {
    const [directory, name] = this.#split(path);
    const inode = directory.seen.get(name);
    if (inode === undefined) throw fault("ENOENT", `no such file, ${path}`);
    return inode;
  }

  // ---- files --------------------------------------------------------------------------------------------------------------

  #file(inode: Inode, life: number): DiskFile {
    return {
      write: (bytes, position) => this.#operation(life, "write", () => this.#write(inode, bytes, position)),
      sync: () => this.#sync(inode, life),
      truncate: (size) => this.#operation(life, "write", () => inode.change({ kind: "truncate", size })),
      close: () => this.#operation(life, "names", () => {}),
    };
  }

  #write(inode: Inode, bytes: Uint8Array, position: number): number {
    const { capacityBytes, shortWriteRate, writeErrorRate } = this.faults;
    if (writeErrorRate > 0 && this.#random.next() < writeErrorRate) throw fault("EIO", "i/o error, write");
    let count = bytes.length;
    if (capacityBytes < Infinity) {
      const room = capacityBytes - this.#usedBytes() + Math.max(0, inode.seen.size - position);
      if (room <= 0) throw fault("ENOSPC", "no space left on device, write");
      count = Math.min(count, room);
    }
    if (shortWriteRate > 0 && this.#random.next() < shortWriteRate) count = this.#random.int(1, count);
    inode.change({ kind: "write", position, bytes: bytes.slice(0, count) });
    return count;
  }

  #usedBytes(): number {
    let bytes = 0;
    for (const { seen } of this.#directories.values()) for (const inode of seen.values()) bytes += inode.seen.size;
    return bytes;
  }

  /** What was written when it began is durable when it ends. */
  #sync(inode: Inode, life: number): Promise<void> {
    let count: number;
    let fails: boolean;
    return this.#operation(
      life,
      "sync",
      () => {
        count = inode.pending.length;
        fails = this.faults.syncErrorRate > 0 && this.#random.next() < this.faults.syncErrorRate;
      },
      () => {
        if (!fails) return inode.settle(count);
        // The kernel reports it once and takes the pages for clean: they are seen, but no later sync writes them.
        for (const change of inode.pending.splice(0, count)) if (this.#random.next() < 0.5) inode.durable.apply(change);
        throw fault("EIO", "i/o error, fdatasync");
      },
    );
  }

  // ---- time and power -------------------------------------------------------------------------------------------------------

  /** `begin` takes effect at once, `end` when the time of the operation is over, if the power is still there. */
  #operation<T>(life: number, operation: DiskOperation, begin: () => T, end?: () => void): Promise<T> {
    if (life !== this.#life) return never();
    this.#operations++;
    let result: T;
    try {
      result = begin();
    } catch (error) {
      return Promise.reject(error);
    }
    if (this.#operations >= this.#endAt) this.#end();
    const ms = this.#latency(operation);
    return new Promise((resolve, reject) => {
      const complete = (): void => {
        if (life !== this.#life) return;
        try {
          end?.();
        } catch (error) {
          return this.#gate(() => reject(error));
        }
        this.#gate(() => resolve(result));
      };
      if (ms > 0) this.#runtime.clock.setTimeout(complete, ms);
      else complete();
    });
  }

  #loseNames(directory: SimDirectory): void {
    const { pending, durable } = directory;
    const draw = this.#random.next();
    const count = draw < 1 / 3 ? 0 : draw < 2 / 3 ? pending.length : this.#random.int(0, pending.length);
    for (const change of pending.slice(0, count)) change(durable);
    directory.pending = [];
    directory.seen = new Map(durable);
  }

  #loseContent(inode: Inode): void {
    for (const change of inode.pending) {
      const asOne = change.kind === "truncate" || change.bytes.length <= this.#blockBytes || this.#random.next() < 0.5;
      if (asOne) this.#loseChange(inode, change);
      else for (const block of this.#blocksOf(change)) this.#loseChange(inode, block);
    }
    inode.restart();
  }

  *#blocksOf({ position, bytes }: Change & { kind: "write" }): Generator<Change> {
    for (let at = 0; at < bytes.length; at += this.#blockBytes) {
      yield { kind: "write", position: position + at, bytes: bytes.subarray(at, at + this.#blockBytes) };
    }
  }

  #loseChange(inode: Inode, change: Change): void {
    const draw = this.#random.next();
    if (draw < DROPPED) return;
    if (draw < WHOLE || change.kind === "truncate") return inode.durable.apply(change);
    const { position, bytes } = change;
    if (draw < TORN) inode.durable.write(bytes.subarray(0, this.#random.int(0, bytes.length)), position);
    else inode.durable.grow(position + bytes.length);
  }
}

function changeNames(directory: SimDirectory, change: NameChange): void {
  change(directory.seen);
  directory.pending.push(change);
}

/** What an operation of a dead process gives: each one its own, so that nothing holds on to those who wait. */
function never(): Promise<never> {
  return new Promise(() => {});
}

function fault(code: string, what: string): Error {
  return Object.assign(new Error(`${code}: ${what}`), { code });
}
