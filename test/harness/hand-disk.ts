import type { Disk, DiskFile } from "../../runtime/index.js";
import { Inode } from "../../sim/disk/file.js";

/** A part of a write that was not synced when the power went. */
export interface UnsyncedBlock {
  readonly path: string;
  readonly position: number;
}

/** A write that was not synced is lost or kept in blocks of this size: a record of the log is several. */
const BLOCK_BYTES = 8;

/**
 * A disk of which the test decides everything: when a sync is done, at which operation the power goes, and what becomes
 * of each block and each name that was not durable then. Paths are those of one directory.
 */
export class HandDisk {
  isFull = false;
  /** Operations that were begun in this life. */
  operations = 0;
  #durable = new Map<string, Inode>();
  #seen = new Map<string, Inode>();
  #isHeld = false;
  #waiting: (() => void)[] = [];
  #powerEndsAt = Infinity;
  #life = 0;

  /** Syncs of files that begin from now on wait for `releaseSyncs`. */
  holdSyncs(): void {
    this.#isHeld = true;
  }

  get heldSyncs(): number {
    return this.#waiting.length;
  }

  releaseSyncs(): void {
    this.#isHeld = false;
    for (const release of this.#waiting.splice(0)) release();
  }

  /** The power holds for `count` operations more; what is begun after that never happens. */
  endPowerAfter(count: number): void {
    this.#powerEndsAt = this.operations + count;
  }

  /** The power goes now. Blocks that were not synced are there afterwards where `survives` says so, names where it is told. */
  losePower(survives: (block: UnsyncedBlock) => boolean, namesSurvive: boolean): void {
    this.#life++;
    this.operations = 0;
    this.#powerEndsAt = Infinity;
    this.#isHeld = false;
    this.#waiting = [];
    if (namesSurvive) this.#durable = new Map(this.#seen);
    for (const [path, inode] of this.#durable) loseUnsynced(inode, (position) => survives({ path, position }));
    this.#seen = new Map(this.#durable);
  }

  size(path: string): number {
    return this.#inode(path).seen.size;
  }

  get names(): string[] {
    return [...this.#seen.keys()];
  }

  content(path: string): Buffer {
    return Buffer.from(this.#inode(path).seen.copy());
  }

  flipBit(path: string, position: number): void {
    for (const content of [this.#inode(path).durable, this.#inode(path).seen]) content.flipBit(position, 3);
  }

  /** Garbage where nobody wrote it. */
  scribble(path: string, position: number, bytes: Uint8Array): void {
    for (const content of [this.#inode(path).durable, this.#inode(path).seen]) content.write(bytes, position);
  }

  /** The disk as the process sees it that starts now, until the power goes. */
  mount(): Disk {
    const life = this.#life;
    const act = <T>(what: () => T): Promise<T> => this.#operation(life, what);
    return {
      makeDirectory: () => act(() => {}),
      list: () => act(() => [...this.#seen.keys()].map((path) => path.slice(path.lastIndexOf("/") + 1))),
      read: (path) => act(() => this.#inode(path).seen.copy()),
      open: (path, mode) =>
        act(() => {
          if (mode === "create") this.#seen.set(path, new Inode());
          return this.#file(this.#inode(path), life);
        }),
      rename: (from, to) =>
        act(() => {
          this.#seen.set(to, this.#inode(from));
          this.#seen.delete(from);
        }),
      remove: (path) => act(() => void this.#seen.delete(path)),
      syncDirectory: () => act(() => void (this.#durable = new Map(this.#seen))),
      lock: () => Promise.resolve({ release: () => Promise.resolve() }),
    };
  }

  #file(inode: Inode, life: number): DiskFile {
    return {
      write: (bytes, position) =>
        this.#operation(life, () => {
          if (this.isFull) throw Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" });
          inode.change({ kind: "write", position, bytes: bytes.slice() });
          return bytes.length;
        }),
      sync: async () => {
        const count = inode.pending.length;
        if (this.#isHeld) await new Promise<void>((resolve) => this.#waiting.push(resolve));
        await this.#operation(life, () => inode.settle(count));
      },
      truncate: (size) => this.#operation(life, () => inode.change({ kind: "truncate", size })),
      close: () => Promise.resolve(),
    };
  }

  #operation<T>(life: number, what: () => T): Promise<T> {
    if (life !== this.#life || this.operations >= this.#powerEndsAt) return new Promise(() => {});
    this.operations++;
    try {
      return Promise.resolve(what());
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #inode(path: string): Inode {
    const inode = this.#seen.get(path);
    if (inode === undefined) throw new Error(`no such file, ${path}`);
    return inode;
  }
}

function loseUnsynced(inode: Inode, survives: (position: number) => boolean): void {
  for (const change of inode.pending) {
    if (change.kind === "truncate") {
      if (survives(change.size)) inode.durable.apply(change);
      continue;
    }
    for (let at = 0; at < change.bytes.length; at += BLOCK_BYTES) {
      const position = change.position + at;
      if (survives(position)) inode.durable.write(change.bytes.subarray(at, at + BLOCK_BYTES), position);
    }
  }
  inode.restart();
}
