import * as fs from "node:fs";
import { dirname } from "node:path";

import type { Disk, DiskFile, DiskLock } from "../../runtime/index.js";
import { lockDirectory } from "./directory-lock.js";

type Callback<T> = (error: NodeJS.ErrnoException | null, value?: T) => void;

/** Callbacks rather than fs/promises, whose file handles take twice the time for a small write. */
function call<T = void>(start: (callback: Callback<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    start((error, value) => (error ? reject(error) : resolve(value as T)));
  });
}

/**
 * Files are opened so that a write ends when it is durable: a second operation for that, through the thread pool and back,
 * costs half as much again as the disk itself. On other systems the flag is missing, or leaves out the disk's own cache.
 */
const SYNCED = process.platform === "linux" ? fs.constants.O_DSYNC : 0;
const { O_CREAT, O_RDWR, O_TRUNC } = fs.constants;
const FLAGS = { create: O_RDWR | O_CREAT | O_TRUNC | SYNCED, existing: O_RDWR | SYNCED } as const;

class NodeFile implements DiskFile {
  readonly #fd: number;
  readonly writeSynced?: DiskFile["write"];

  constructor(fd: number) {
    this.#fd = fd;
    if (SYNCED !== 0) this.writeSynced = (bytes, position) => this.write(bytes, position);
  }

  write(bytes: Uint8Array, position: number): Promise<number> {
    return call((callback) => fs.write(this.#fd, bytes, 0, bytes.length, position, callback));
  }

  /** The size is synced too where it has changed; the times are not, which saves a write of the journal. */
  sync(): Promise<void> {
    return call((callback) => fs.fdatasync(this.#fd, callback));
  }

  truncate(size: number): Promise<void> {
    return call((callback) => fs.ftruncate(this.#fd, size, callback));
  }

  close(): Promise<void> {
    return call((callback) => fs.close(this.#fd, callback));
  }
}

class NodeDisk implements Disk {
  async makeDirectory(path: string): Promise<void> {
    const first = await call<string | undefined>((callback) => fs.mkdir(path, { recursive: true }, callback));
    if (first === undefined) return;
    for (let made = path; made.length >= first.length; made = dirname(made)) await this.syncDirectory(dirname(made));
  }

  list(directory: string): Promise<string[]> {
    return call((callback) => fs.readdir(directory, callback));
  }

  read(path: string): Promise<Uint8Array> {
    return call<Buffer>((callback) => fs.readFile(path, callback));
  }

  async open(path: string, mode: "create" | "existing"): Promise<DiskFile> {
    return new NodeFile(await call<number>((callback) => fs.open(path, FLAGS[mode], 0o600, callback)));
  }

  rename(from: string, to: string): Promise<void> {
    return call((callback) => fs.rename(from, to, callback));
  }

  remove(path: string): Promise<void> {
    return call((callback) => fs.unlink(path, callback));
  }

  async syncDirectory(path: string): Promise<void> {
    // Windows can neither open nor sync a directory; NTFS keeps its names in a journal of its own.
    if (process.platform === "win32") return;
    const fd = await call<number>((callback) => fs.open(path, "r", callback));
    try {
      await call((callback) => fs.fsync(fd, callback));
    } finally {
      await call((callback) => fs.close(fd, callback));
    }
  }

  lock(directory: string): Promise<DiskLock> {
    return lockDirectory(directory);
  }
}

/** The file system of this machine. */
export const nodeDisk: Disk = new NodeDisk();
