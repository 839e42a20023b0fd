import { randomBytes } from "node:crypto";
import * as fs from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";

import { DirectoryLockedError, InvalidArgumentError, type DiskLock } from "../../runtime/index.js";

/**
 * One process owns a data directory. Each one that wants it listens on a unix socket of its own in it, under a name with
 * its pid, and only then looks at the others: whoever finds one that can be connected to, gives up. Of two that come at
 * the same time at least one sees the other, so there are never two owners; both may give up.
 *
 * The kernel ends a listening socket with its process, however that ends, and the file left behind refuses connections.
 * So a dead owner cannot be taken for a living one, nor the other way round, as happens with pid files where numbers are
 * used again or the processes live in different containers; and a file that refuses can be removed without a race,
 * because no two processes use the same name.
 */
const NAME = /^lock-(\d+)-[0-9a-f]{12}\.sock$/;

export async function lockDirectory(directory: string): Promise<DiskLock> {
  const handle = await fs.open(directory, "r");
  try {
    // The path of a socket is limited to some 100 bytes; /proc gives every directory a short one.
    const short = process.platform === "linux" ? `/proc/self/fd/${handle.fd}` : directory;
    const name = `lock-${process.pid}-${randomBytes(6).toString("hex")}.sock`;
    // Under another name until it listens: before that it would look like a dead one.
    const server = await listen(directory, `${short}/${name}.new`);
    await fs.rename(`${directory}/${name}.new`, `${directory}/${name}`);
    const release = async (): Promise<void> => {
      await fs.rm(`${directory}/${name}`, { force: true });
      await new Promise<void>((resolve) => void server.close(() => resolve()));
    };
    for (const other of await fs.readdir(directory)) {
      const match = NAME.exec(other);
      if (match === null || other === name) continue;
      if (await isAlive(`${short}/${other}`)) {
        await release();
        throw new DirectoryLockedError(directory, Number(match[1]));
      }
      await fs.rm(`${directory}/${other}`, { force: true });
    }
    return { release };
  } finally {
    await handle.close();
  }
}

function listen(directory: string, path: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.unref();
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const reason = `cannot lock the data directory ${directory} with a unix socket in it (${String(cause.code)})`;
      reject(new InvalidArgumentError(`${reason}; use a directory on a local file system, with a shorter path`));
    });
    server.listen(path, () => resolve(server));
  });
}

function isAlive(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNREFUSED" || error.code === "ENOENT") resolve(false);
      // A queue of callers that is full: somebody listens.
      else if (error.code === "EAGAIN") resolve(true);
      else reject(error);
    });
  });
}
