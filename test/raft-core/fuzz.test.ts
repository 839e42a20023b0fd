import { expect, test } from "vitest";

import { CoreCluster } from "../harness/core-cluster.js";
import { runSchedules } from "../harness/schedule.js";

test("random schedules of loss, repetition, reordering, crashes, slow disks, snapshots, reads and transfers", () => {
  const run = runSchedules(2000, (size, options) => new CoreCluster(size, options));
  if (run === null) return;
  const { total, seeds } = run;
  // A fuzzer that stirs nothing finds nothing.
  expect(total.commits).toBeGreaterThan(seeds * 30);
  expect(total.terms).toBeGreaterThan(seeds * 3);
  expect(total.reads).toBeGreaterThan(seeds * 3);
  expect(total.restores).toBeGreaterThan(seeds / 6);
  expect(total.crashes).toBeGreaterThan(seeds);
}, 600_000);
