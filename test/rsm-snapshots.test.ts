import { describe, expect, test } from "vitest";

import { makeRsm, StateMachineError } from "../kvraft/index.js";
import type { StateMachine } from "../kvraft/index.js";
import { FakeLog } from "./harness/fake-log.js";
import { forSeeds } from "./harness/seeds.js";
import { track } from "./harness/service-cluster.js";

/** Adds up; `give` is what it does for a snapshot. */
class Sum implements StateMachine<number, number> {
  value = 0;
  readonly #give: () => unknown;

  constructor(give: () => unknown) {
    this.#give = give;
  }

  apply(command: number): number {
    this.value += command;
    return this.value;
  }

  snapshot(): Uint8Array {
    return this.#give() as Uint8Array;
  }

  restore(): void {
    throw new Error("there is no snapshot to restore");
  }
}

const WRONG: readonly (readonly [what: string, give: () => unknown, message: RegExp])[] = [
  [
    "throws",
    () => {
      throw new Error("no paper");
    },
    /no paper/,
  ],
  ["returns nothing", () => undefined, /must return a Uint8Array, not undefined/],
  ["returns a string", () => "state", /must return a Uint8Array, not string/],
  ["returns a promise", () => Promise.reject(new Error("later")), /must return a Uint8Array, not a promise/],
];

describe.each(WRONG)("rsm: a state machine whose snapshot %s", (_, give, message) => {
  test("stops its server when the log asks for one, and whoever waits learns that it may be applied", async () => {
    await forSeeds(1, async (runtime) => {
      const log = new FakeLog();
      log.bytesOfEntry = 10;
      const sum = new Sum(give);
      const failures: Error[] = [];
      const onFailure = (error: Error): void => void failures.push(error);
      const rsm = makeRsm({ log, stateMachine: sum, snapshot: null, maxRaftState: 10, runtime, onFailure });
      const submits = [1, 2, 3].map((command) => track(rsm.submit(command)));
      log.commit(1);
      await runtime.clock.sleep(0);
      expect(submits[0]?.value).toBe(1);
      for (const { error } of submits.slice(1)) {
        expect(error).toBeInstanceOf(StateMachineError);
        expect(error).toMatchObject({ code: "STATE_MACHINE", maybeApplied: true });
      }
      expect(failures).toHaveLength(1);
      expect(failures[0]?.message).toMatch(/failed to make a snapshot up to entry 1: /);
      expect(failures[0]?.message).toMatch(message);
      expect(log.killed).toBe(true);
      await expect(rsm.submit(4)).rejects.toBe(failures[0]);
    });
  });

  test("fails the caller alone who asked for one: the state is what it was", async () => {
    await forSeeds(1, async (runtime) => {
      const log = new FakeLog();
      const rsm = makeRsm({ log, stateMachine: new Sum(give), snapshot: null, maxRaftState: -1, runtime });
      expect(() => rsm.snapshot()).toThrow(message);
      const submitted = rsm.submit(5);
      log.commit(1);
      expect(await submitted).toBe(5);
      expect(log.killed).toBe(false);
    });
  });
});
