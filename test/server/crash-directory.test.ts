import { rmSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

import { expect, test } from "vitest";

import { ENGINE_NAMES } from "../../server/engines.js";
import { tellCrashStory } from "../harness/crash-story.js";
import { ProcessCluster } from "../harness/process-cluster.js";
import { builtProgram } from "../harness/processes.js";
import { until, within } from "../harness/waiting.js";

const program = builtProgram();

const FILE = "test/server/crash-directory.test.ts";
const WAIT_MS = 15_000;
const TIMEOUT_MS = 300;
const LIMIT_MS = 100_000;
/** Who waits for a missing node waits longer: until a connection fails, or a call does. */
const NO_DELAY_MS = 50;

const LATE = "a node that was never started: the two others work without delay, and it is found when it comes (%s)";

test.each(ENGINE_NAMES)(LATE, { timeout: 120_000 }, async (engine) => {
  const summary = await tellCrashStory({
    file: FILE,
    limitMs: LIMIT_MS,
    prepare: () => ProcessCluster.prepare({ program, settings: { engine, timeout: TIMEOUT_MS }, startsLater: [3] }),
    faults: async ({ cluster, load }) => {
      await load.progress(200);
      expect(load.quickestQuarterMs).toBeLessThan(NO_DELAY_MS);
      await using client = cluster.connect();
      expect(await cluster.statusOf(client, 3)).toBeUndefined();
      const { id: leader } = await cluster.leader();
      const { commitIndex } = await until(WAIT_MS, "the leader's status", () => cluster.statusOf(client, leader));
      await cluster.start(3);
      await until(WAIT_MS, "node 3 has caught up", async () => {
        const group = await cluster.statusOf(client, 3);
        return group !== undefined && group.appliedIndex >= commitIndex;
      });
      // It counts: one of the others goes.
      await cluster.kill(1);
      await load.progress();
      await cluster.start(1);
    },
  });
  console.log(`${engine}, a node that was started late; ${summary}`);
});

const WIPED = "S33: a wiped data directory: refused as voter each time, until the user asks for a copy (%s)";

test.each(ENGINE_NAMES)(WIPED, { timeout: 120_000 }, async (engine) => {
  const summary = await tellCrashStory({
    file: FILE,
    limitMs: LIMIT_MS,
    prepare: () => ProcessCluster.prepare({ program, settings: { engine, timeout: TIMEOUT_MS } }),
    faults: async ({ cluster, load }) => {
      const { id: leader, term } = await cluster.leader();
      const [wiped, other] = cluster.others(leader) as [number, number];
      await load.progress();
      await cluster.kill(wiped);
      rmSync(cluster.dataOf(wiped), { recursive: true });
      for (let attempt = 1; attempt <= 2; attempt++) {
        const refused = cluster.launch(wiped);
        expect(await within(WAIT_MS, "the wiped node ends", refused.ended)).toBe(5);
        expect(refused.errors).toMatch(/"code":"DATA_LOST"/);
        expect(refused.errors).toMatch(/node \d knows this node with other data.*must not vote.*--replace-lost-data/);
      }
      // With a vote from the wiped node one that has missed writes could win. The one that has not is alone now.
      await cluster.kill(leader);
      const forgetful = cluster.launch(wiped);
      await within(WAIT_MS, "the wiped node ends", forgetful.ended);
      const { acknowledged } = load;
      await sleep(4 * TIMEOUT_MS);
      expect(load.acknowledged).toBe(acknowledged);
      await cluster.start(leader);
      await load.progress();

      await cluster.start(wiped, "--replace-lost-data");
      await using client = cluster.connect();
      await until(WAIT_MS, "the wiped node has a copy", async () => {
        const group = await cluster.statusOf(client, wiped);
        return group !== undefined && group.term >= term && group.appliedIndex > 0 && group.leader !== null;
      });
      await cluster.kill(other);
      await load.progress();
      await cluster.start(other);
    },
  });
  console.log(`${engine}, a wiped data directory; ${summary}`);
});

test("one process to a directory, whether its owner works, is stopped, or was killed a moment ago", async () => {
  const summary = await tellCrashStory({
    file: FILE,
    limitMs: LIMIT_MS,
    prepare: () => ProcessCluster.prepare({ program, settings: { timeout: TIMEOUT_MS } }),
    faults: async ({ cluster, load }) => {
      const { id } = await cluster.leader();
      const owner = cluster.running(id);
      const refused = async (): Promise<void> => {
        const second = cluster.launch(id, ["--bind-port", "0"]);
        const said = await within(
          WAIT_MS,
          "the second process says why not",
          second.event(() => true),
        );
        expect(said).toMatchObject({
          error: { code: "DIRECTORY_LOCKED", message: expect.stringContaining(String(owner.pid)) as string },
        });
        expect(await within(WAIT_MS, "the second process ends", second.ended)).toBe(5);
      };
      await refused();
      owner.signal("SIGSTOP");
      await refused();
      owner.signal("SIGCONT");
      await load.progress();
      // The lock of a dead process holds nobody up.
      await cluster.kill(id);
      await cluster.start(id);
      await load.progress();
    },
  });
  console.log(`a second process on a directory; ${summary}`);
}, 120_000);
