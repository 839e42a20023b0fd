import { spawnSync } from "node:child_process";
import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";

import type { ProcessCluster } from "./process-cluster.js";

/** A way to leave a running process without space for its data, and to give it some again. */
export interface SmallDisk {
  readonly name: string;
  /** Before the command of a node that keeps its data in `directory`; undefined: nothing is needed there. */
  readonly starterFor: ((directory: string) => readonly string[]) | undefined;
  fill(cluster: ProcessCluster, id: number): void;
  free(cluster: ProcessCluster, id: number): void;
}

const DISK_BYTES = 8 << 20;
const FILLER = "filler";

/**
 * A file system of its own in a mount namespace of the process, which goes with the process. Whoever may not mount becomes
 * root in a user namespace first, where the system allows that.
 */
const MOUNT = `mount -t tmpfs -o size=${DISK_BYTES} tmpfs "$0" && exec "$@"`;
const NAMESPACE = ["unshare", "--map-root-user", "--mount", "sh", "-c", MOUNT];

const tmpfs: SmallDisk = {
  name: "a small tmpfs",
  starterFor: (directory) => [...NAMESPACE, directory],
  fill: (cluster, id) => {
    const fd = openSync(fillerOf(cluster, id), "w");
    try {
      for (let size = 64 << 10; size >= 1; size >>= 1) while (takes(fd, size));
    } finally {
      closeSync(fd);
    }
  },
  free: (cluster, id) => rmSync(fillerOf(cluster, id)),
};

function fillerOf(cluster: ProcessCluster, id: number): string {
  return join(cluster.liveDataOf(id), FILLER);
}

function takes(fd: number, bytes: number): boolean {
  try {
    return writeSync(fd, Buffer.alloc(bytes, 1)) === bytes;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOSPC") return false;
    throw error;
  }
}

/** What `ulimit -f` sets, of a process that is running: no file may grow beyond a byte. Needs no right to anything. */
const fileLimit: SmallDisk = {
  name: "a limit on the size of files",
  starterFor: undefined,
  fill: (cluster, id) => limitFiles(cluster, id, "1:"),
  free: (cluster, id) => limitFiles(cluster, id, "unlimited:"),
};

function limitFiles(cluster: ProcessCluster, id: number, limit: string): void {
  const { pid } = cluster.running(id);
  const { status, stderr, error } = spawnSync("prlimit", ["--pid", String(pid), `--fsize=${limit}`], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`prlimit (of util-linux) cannot limit process ${pid}: ${stderr ?? String(error)}`);
}

/** Where nobody may mount anything (some containers), the limit has to do for both. */
export function smallDisks(): readonly SmallDisk[] {
  const [file, ...args] = [...NAMESPACE, "/mnt", "true"];
  const { status, stderr, error } = spawnSync(file, args, { encoding: "utf8" });
  if (status === 0) return [tmpfs, fileLimit];
  console.log(`no tmpfs can be mounted here (${(stderr ?? String(error)).trim()}): only a limit on files is tried`);
  return [fileLimit];
}
