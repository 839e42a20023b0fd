import { expect, test } from "vitest";

import { PaxosCluster } from "../harness/paxos-cluster.js";
import { runSchedules } from "../harness/schedule.js";

test("random schedules of loss, repetition, reordering, crashes, slow disks, snapshots, reads and transfers", () => {
  const start = performance.now();
  const run = runSchedules(2000, (size, options) => new PaxosCluster(size, options));
  if (run === null) return;
  const { total, seeds } = run;
  const rate = Math.round((seeds / (performance.now() - start)) * 1000);
  console.log(`${seeds} schedules, ${rate} a second: ${JSON.stringify(total)}`);
  // A fuzzer that stirs nothing finds nothing.
  expect(total.commits).toBeGreaterThan(seeds * 30);
  expect(total.terms).toBeGreaterThan(seeds * 3);
  expect(total.reads).toBeGreaterThan(seeds * 3);
  expect(total.restores).toBeGreaterThan(seeds / 6);
  expect(total.crashes).toBeGreaterThan(seeds);
}, 600_000);
