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
        `must neither vote nor serve. To repair: check the disk, and keep a copy of the directory. Then, while all other ` +
        `nodes are running, remove this node's directory and start the node once with --replace-lost-data: it gets a ` +
        `copy of everything. Or restore the whole directory from a copy that was made while the node was stopped, if it ` +
        `has not run since`,
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

/** The disk is full, or a quota or limit used up. What waits is kept and written once there is space. Code `DISK_FULL`. */
export class DiskFullError extends KvraftError {
  constructor(directory: string, cause: unknown) {
    const { code } = cause as NodeJS.ErrnoException;
    const what = code === "EFBIG" ? "the limit on file sizes (ulimit -f) leaves no space" : "no space is left";
    super("DISK_FULL", `${what} for ${directory} (${code}); make some, and writing goes on by itself`, { cause });
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

/** A limit on the size of files is a want of space too: the write was refused, and nothing was harmed. */
const FULL = new Set(["ENOSPC", "EDQUOT", "EFBIG"]);

/** Whether a write was refused for want of space, rather than failed. */
export function isDiskFull(error: unknown): boolean {
  return error instanceof Error && FULL.has((error as NodeJS.ErrnoException).code ?? "");
}
