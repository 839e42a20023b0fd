import { defineConfig } from "vitest/config";

/** The inspector's page in a real browser, which is not on every machine: `npm run test:inspector`. */
export default defineConfig({
  test: {
    include: ["test/inspector/*.browser.ts"],
    pool: "forks",
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
