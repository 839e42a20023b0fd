import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // A process a file: a simulation forbids the clock and the dice of the process that it runs in, and a run that is
    // stuck can be ended from outside.
    pool: "forks",
    // All cores: the default leaves one idle, which is half of a small machine.
    maxWorkers: "100%",
    testTimeout: 60_000,
  },
});
