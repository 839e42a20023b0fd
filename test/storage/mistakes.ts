import type { Disk, DiskFile } from "../../runtime/index.js";

/** A disk whose files are changed by `change`; everything else goes through. */
function wrapFiles(
  disk: Disk,
  change: (file: DiskFile, path: string, mode: "create" | "existing") => Partial<DiskFile>,
): Disk {
  return {
    ...forward(disk),
    open: async (path, mode) => {
      const file = await disk.open(path, mode);
      const forwarded: DiskFile = {
        write: (bytes, position) => file.write(bytes, position),
        sync: () => file.sync(),
        truncate: (size) => file.truncate(size),
        close: () => file.close(),
      };
      return { ...forwarded, ...change(file, path, mode) };
    },
  };
}

function forward(disk: Disk): Disk {
  return {
    makeDirectory: (path) => disk.makeDirectory(path),
    list: (directory) => disk.list(directory),
    read: (path) => disk.read(path),
    open: (path, mode) => disk.open(path, mode),
    rename: (from, to) => disk.rename(from, to),
    remove: (path) => disk.remove(path),
    syncDirectory: (path) => disk.syncDirectory(path),
    lock: (directory) => disk.lock(directory),
  };
}

const nothing = (): Promise<void> => Promise.resolve();

export const noMistake = (disk: Disk): Disk => wrapFiles(disk, () => ({}));

/** No mistake either: a disk as Linux offers it. */
export const writesAndSyncsAtOnce = (disk: Disk): Disk =>
  wrapFiles(disk, (file) => ({
    writeSynced: async (bytes, position) => {
      const count = await file.write(bytes, position);
      await file.sync();
      return count;
    },
  }));

export const ackBeforeSync = (disk: Disk): Disk =>
  wrapFiles(disk, (file) => ({
    sync: () => {
      file.sync().catch(() => {});
      return nothing();
    },
  }));

export const noDirectorySync = (disk: Disk): Disk => ({ ...forward(disk), syncDirectory: nothing });

/** What is cut off stays, and writing goes on behind it. */
export const appendAfterTornTail = (disk: Disk): Disk => ({
  ...forward(disk),
  open: async (path, mode) => {
    const size = mode === "existing" ? (await disk.read(path)).length : 0;
    let shift = 0;
    const file = await disk.open(path, mode);
    return {
      write: (bytes, position) => file.write(bytes, position + shift),
      sync: () => file.sync(),
      truncate: (to) => {
        shift = size - to;
        return nothing();
      },
      close: () => file.close(),
    };
  },
});

/** A new file is renamed without having been synced. */
export const renameBeforeSync = (disk: Disk): Disk => {
  const unnamed = new Set<string>();
  return {
    ...wrapFiles(disk, (file, path, mode) => {
      if (mode === "create") unnamed.add(path);
      return { sync: () => (unnamed.has(path) ? nothing() : file.sync()) };
    }),
    rename: async (from, to) => {
      await disk.rename(from, to);
      unnamed.delete(from);
    },
  };
};

export const tailOverwritten = (disk: Disk): Disk => wrapFiles(disk, () => ({ truncate: nothing }));

export const failedSyncRetried = (disk: Disk): Disk =>
  wrapFiles(disk, (file) => ({ sync: () => file.sync().catch(() => file.sync()) }));

/** What was read counts as durable at once, though the process that wrote it may have died before its sync. */
export const noSyncOfWhatWasRead = (disk: Disk): Disk =>
  wrapFiles(disk, (file, _path, mode) => {
    let isFirst = mode === "existing";
    return {
      sync: () => {
        const skip = isFirst;
        isFirst = false;
        return skip ? nothing() : file.sync();
      },
    };
  });

/** What was read is synced, but not written again: after a failed sync that brings nothing to the disk. */
export const noRewriteOfWhatWasRead = (disk: Disk): Disk =>
  wrapFiles(disk, (file, _path, mode) => {
    let isFirst = mode === "existing";
    return {
      write: (bytes, position) => (isFirst ? Promise.resolve(bytes.length) : file.write(bytes, position)),
      sync: () => {
        isFirst = false;
        return file.sync();
      },
    };
  });

/** Everything passes for whole. */
export const noChecksum = (): number => 0;
