import { KvraftError } from "../../runtime/index.js";

/**
 * What is stored was damaged after it had been made durable: a bad record with good ones behind it, a missing file, a bad
 * snapshot. Nothing was changed. Code `CORRUPT_LOG`.
 */
export class CorruptLogError extends KvraftError {
  readonly file: string;
  /** Where in the file the damage begins, in bytes. */
  readonly offset: number;

  constructor(file: string, offset: number, what: string, options?: { cause?: unknown }) {
    super(
      "CORRUPT_LOG",
      `${file} is damaged at byte ${offset}: ${what}. This server has lost entries that it may have acknowledged, so it ` +
        `must neither vote nor serve. To repair: check the disk, keep a copy of the directory, then take this server out ` +
        `of the cluster and let it join again with an empty data directory; or restore the whole directory from a copy ` +
        `that was made while the server was stopped, if it has not run since`,
      options,
    );
    this.file = file;
    this.offset = offset;
  }
}

/** The files were written by a later version of this package. Nothing was changed. Code `FORMAT_TOO_NEW`. */
export class FormatTooNewError extends KvraftError {
  readonly file: string;
  readonly version: number;

  constructor(file: string, version: number, known: number) {
    super(
      "FORMAT_TOO_NEW",
      `${file} has format version ${version}, but this program knows versions up to ${known}; run the version of kvraft ` +
        `that wrote it, or a later one`,
    );
    this.file = file;
    this.version = version;
  }
}

/** The disk is full. What waits is kept and written once there is space. Code `DISK_FULL`. */
export class DiskFullError extends KvraftError {
  constructor(directory: string, cause: unknown) {
    super("DISK_FULL", `no space is left for ${directory}; free some, and writing goes on by itself`, { cause });
  }
}

/** The disk failed, and nobody knows what is on it. Every later write fails with this same error. Code `DISK_FAILED`. */
export class DiskFailedError extends KvraftError {
  constructor(directory: string, cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    super("DISK_FAILED", `writing to ${directory} failed (${reason}); check the disk, then start this server again`, {
      cause,
    });
  }
}

/** The storage was closed. Code `STORAGE_CLOSED`. */
export class StorageClosedError extends KvraftError {
  constructor(directory: string) {
    super("STORAGE_CLOSED", `the storage in ${directory} was closed; open it again`);
  }
}

const FULL = new Set(["ENOSPC", "EDQUOT"]);

/** Whether a write was refused for want of space, rather than failed. */
export function isDiskFull(error: unknown): boolean {
  return error instanceof Error && FULL.has((error as NodeJS.ErrnoException).code ?? "");
}
