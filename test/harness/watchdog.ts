import { Worker } from "node:worker_threads";

/* eslint-disable unicorn/require-post-message-target-origin -- a thread of Node has no origin */

// A loop that never lets go of the thread (promises that feed promises, for instance) cannot be ended from inside, and
// vitest's own time limit never fires. So a second thread watches: it says which run is stuck and ends the process.
const WATCH = `
  const { parentPort } = require("node:worker_threads");
  const { writeSync } = require("node:fs");
  let timer;
  parentPort.on("message", (run) => {
    clearTimeout(timer);
    if (run === null) return;
    timer = setTimeout(() => {
      writeSync(2, run.complaint + "\\n");
      process.kill(process.pid, "SIGKILL");
    }, run.limitMs);
  });
`;

let worker: Worker | undefined;

/** Ends the whole process with `complaint` on stderr unless `unwatch` is called within `limitMs` of real time. */
export function watch(limitMs: number, complaint: string): void {
  if (!worker) {
    worker = new Worker(WATCH, { eval: true });
    worker.unref();
  }
  worker.postMessage({ limitMs, complaint });
}

export function unwatch(): void {
  worker?.postMessage(null);
}
