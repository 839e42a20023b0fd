import { parentPort } from "node:worker_threads";

import { keepGuard } from "../sim/swarm/index.js";
import { judgeSeed, type Assignment } from "./judge.js";

// A thread of a sweep: runs the seeds that it is given, one after the other, and tells of each.

keepGuard();

parentPort?.on("message", ({ seeds, checkDeterminism }: Assignment) => {
  void (async () => {
    for (const seed of seeds) parentPort?.postMessage(await judgeSeed(seed, { checkDeterminism }));
  })();
});
