import type { Disk, DiskFile } from "../../runtime/index.js";
import { DiskFullError, isDiskFull } from "./errors.js";
import { TEMPORARY } from "./format.js";

/** Writes are done in pieces of this size, so that none holds up the loop, or the disk, for long. */
const PIECE_BYTES = 1024 * 1024;

/** A data directory: what its files have in common. */
export class Directory {
  readonly path: string;
  readonly disk: Disk;

  constructor(path: string, disk: Disk) {
    this.path = path;
    this.disk = disk;
  }

  pathOf(name: string): string {
    return `${this.path}/${name}`;
  }

  async read(name: string): Promise<Buffer> {
    const bytes = await this.disk.read(this.pathOf(name));
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** Removes files one after the other, in order: a crash leaves the later ones. */
  async remove(names: readonly string[]): Promise<void> {
    for (const name of names) {
      await this.disk.remove(this.pathOf(name));
      await this.disk.syncDirectory(this.path);
    }
  }

  /**
   * Makes a file of `pieces` so that after a crash it is there as a whole or not at all (S55): under a temporary name,
   * sync, rename, sync of the directory. Returns it open.
   * @throws DiskFullError: nothing is left of it. Any other error: the disk failed.
   */
  async create(name: string, pieces: Iterable<Uint8Array>): Promise<DiskFile> {
    const temporary = this.pathOf(name + TEMPORARY);
    const file = await this.#orFull(null, temporary, () => this.disk.open(temporary, "create"));
    await this.#orFull(file, temporary, async () => {
      let position = 0;
      for (const piece of pieces) {
        await writeAll(file, piece, position);
        position += piece.length;
      }
    });
    await file.sync();
    await this.#orFull(file, temporary, () => this.disk.rename(temporary, this.pathOf(name)));
    await this.disk.syncDirectory(this.path);
    return file;
  }

  /** Does a step that can be undone: for want of space nothing is left of it. (A sync is none: its failure is final.) */
  async #orFull<T>(file: DiskFile | null, temporary: string, step: () => Promise<T>): Promise<T> {
    try {
      return await step();
    } catch (error) {
      if (!isDiskFull(error)) throw error;
      if (file !== null) {
        await file.close();
        await this.disk.remove(temporary);
      }
      throw new DiskFullError(this.path, error);
    }
  }
}

/** Writes all of `bytes` at `position`; the disk may take less at a time. */
export async function writeAll(file: Pick<DiskFile, "write">, bytes: Uint8Array, position: number): Promise<void> {
  let written = 0;
  while (written < bytes.length) {
    const isWhole = written === 0 && bytes.length <= PIECE_BYTES;
    const piece = isWhole ? bytes : bytes.subarray(written, written + PIECE_BYTES);
    const count = await file.write(piece, position + written);
    if (count <= 0) throw new Error(`the disk took ${count} of ${piece.length} bytes`);
    written += count;
  }
}

/** `bytes` in pieces that can be worked on one at a time. */
export function* piecesOf(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) yield bytes.subarray(at, at + PIECE_BYTES);
}
