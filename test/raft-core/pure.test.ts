import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import {
  committedIndex,
  concatBytes,
  defaultRaftConfig,
  jointCommittedIndex,
  jointVoteResult,
  resolveRaftConfig,
  voteResult,
  type RaftConfig,
} from "../../raft/core/index.js";
import { Configuration } from "../../replica/core/configuration.js";
import { RaftLog } from "../../raft/core/log.js";
import { Progress } from "../../raft/core/progress.js";
import { entriesFrom, entryOf } from "../harness/core-messages.js";

describe("quorum functions", () => {
  test("the edges that the contract names", () => {
    expect(committedIndex([], new Map([[1, 5]]))).toBe(Infinity);
    expect(committedIndex([1], new Map())).toBe(0);
    expect(committedIndex([1, 2, 3], new Map([[1, 7]]))).toBe(0);
    expect(committedIndex([1, 1, 1, 2, 3], new Map([[1, 7]]))).toBe(0);
    expect(voteResult([], new Map())).toBe("won");
    expect(jointCommittedIndex(new Set([1]), new Set(), new Map([[1, 4]]))).toBe(4);
    expect(jointCommittedIndex(new Set(), new Set(), new Map())).toBe(Infinity);
    expect(jointVoteResult(new Set(), new Set(), new Map())).toBe("won");
  });

  test("S17: a voter that is already ahead and advances does not lift the others", () => {
    const acked = new Map([
      [1, 6],
      [2, 5],
      [3, 3],
      [4, 3],
      [5, 3],
    ]);
    expect(committedIndex([1, 2, 3, 4, 5], acked)).toBe(3);
    expect(committedIndex([1, 2, 3, 4, 5], acked.set(1, 60))).toBe(3);
  });
});

describe("Configuration", () => {
  test("knows who votes, and takes majorities of this server's figure and the others'", () => {
    const configuration = new Configuration([0, 1, 2, 3, 4], 2);
    expect(configuration.others).toEqual([0, 1, 3, 4]);
    expect([configuration.isVoter(4), configuration.isVoter(5)]).toEqual([true, false]);
    expect(configuration.majority(9, [1, 5, 7, 3], (value) => value)).toBe(5);
    expect(configuration.majority(9, [1, 5, 7, 3], (value) => value)).toBe(5);
    expect(
      configuration.voteResult(
        new Map([
          [2, true],
          [0, true],
        ]),
      ),
    ).toBe("pending");
  });

  test("must hold this server, and each server once", () => {
    expect(() => new Configuration([0, 1], 2)).toThrow("server 2 must be one of the distinct voters [0, 1]");
    expect(() => new Configuration([0, 1, 1], 0)).toThrow("distinct");
  });
});

describe("settings", () => {
  test("the defaults stand where nothing is given", () => {
    expect(resolveRaftConfig()).toEqual(defaultRaftConfig);
    expect(resolveRaftConfig({ heartbeatMs: 50 })).toEqual({ ...defaultRaftConfig, heartbeatMs: 50 });
    expect(defaultRaftConfig.leaseReads).toBe(false);
    expect(defaultRaftConfig.noopOnElection).toBe(false);
    expect(1000 / defaultRaftConfig.heartbeatMs).toBeLessThanOrEqual(10);
  });

  test.each([
    [{ hartbeatMs: 5 }, 'unknown engine setting "hartbeatMs"'],
    [{ toString: 5 }, 'unknown engine setting "toString"'],
    [{ heartbeatMs: "5" }, "heartbeatMs must be a number"],
    [{ preVote: 1 }, "preVote must be a boolean"],
    [{ heartbeatMs: 0 }, "heartbeatMs must be a positive number"],
    [{ heartbeatMs: NaN }, "heartbeatMs must be a positive number"],
    [{ electionTimeoutMaxMs: Infinity }, "electionTimeoutMaxMs must be a positive number"],
    [{ electionTimeoutMinMs: 900, electionTimeoutMaxMs: 800 }, "must not be below electionTimeoutMinMs"],
    [{ heartbeatMs: 300 }, "at least twice heartbeatMs"],
    [{ snapshotChunkBytes: 0.5 }, "snapshotChunkBytes must be a whole number"],
    [{ maxInflightMessages: 1.5 }, "maxInflightMessages must be a whole number"],
    [{ maxAppendBytes: 2 ** 60 }, "maxAppendBytes must be a whole number"],
    [{ maxInflightBytes: -1 }, "maxInflightBytes must be a positive number"],
  ])("%j is refused, by name", (config, message) => {
    expect(() => resolveRaftConfig(config as unknown as Partial<RaftConfig>)).toThrow(message);
  });
});

describe("RaftLog", () => {
  test("what would break it is refused", () => {
    const log = new RaftLog(2, 1, entriesFrom(3, "1 2"));
    expect(() => log.append(entryOf(5, 1))).toThrow("append of term 1 after term 2");
    expect(() => log.truncateFrom(2)).toThrow("inside the snapshot");
    expect(() => log.compactTo(1)).toThrow("outside the log");
    expect(() => log.compactTo(5)).toThrow("outside the log");
    expect(() => log.slice(2, 4, 100)).toThrow("in the snapshot");
    expect(() => log.entryAt(2)).toThrow("no entry 2 in log 3..4");
    expect(() => log.entryAt(5)).toThrow("no entry 5");
    expect(() => new RaftLog(2, 3, entriesFrom(3, "2"))).toThrow("entry 3 has term 2 after term 3");
  });

  test("an entry list that was handed in or out is not the log's own", () => {
    const entries = entriesFrom(1, "1 1");
    const log = new RaftLog(0, 0, entries);
    log.append(entryOf(3, 1));
    expect(entries).toHaveLength(2);
    const slice = log.slice(1, 3, 1e6);
    log.truncateFrom(2);
    expect(slice).toHaveLength(3);
  });
});

describe("Progress", () => {
  test("counts what is in flight, and forgets it with the answers", () => {
    const progress = new Progress(1, 5, 0);
    expect(progress.canSend(10, 100)).toBe(true);
    progress.sent(1, 4, 0, 10);
    expect(progress.canSend(10, 100)).toBe(false);
    progress.acknowledge(4);
    progress.becomeReplicate();
    for (let i = 0; i < 3; i++) progress.sent(2 + i, 5 + i, 40, 20 + i);
    expect(progress).toMatchObject({ nextIndex: 8, inflightMessages: 3, inflightBytes: 120, oldestSentAt: 20 });
    expect(progress.canSend(10, 100)).toBe(false);
    expect(progress.isInflight(3)).toBe(true);
    expect(progress.acknowledge(6)).toBe(true);
    expect(progress).toMatchObject({ matchIndex: 6, inflightMessages: 1, inflightBytes: 40, oldestSentAt: 22 });
    expect(progress.acknowledge(5)).toBe(false);
    expect(progress.matchIndex).toBe(6);
    progress.becomeProbe(3);
    expect(progress).toMatchObject({ nextIndex: 7, inflightMessages: 0, inflightBytes: 0, oldestSentAt: Infinity });
  });
});

test("concatBytes joins any number of pieces", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array()), (pieces) => {
      expect([...concatBytes(pieces)]).toEqual(pieces.flatMap((piece) => [...piece]));
    }),
  );
});
