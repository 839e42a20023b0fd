import type { Chronicle, Election, Happening } from "./chronicle.js";
import type { Cluster, ServerView } from "./cluster.js";
import type { Fault } from "./faults.js";

/** What there is to see at one moment, as plain data. */
export interface Frame {
  readonly seed: number;
  readonly nowMs: number;
  readonly faultsUntilMs: number;
  readonly clients: number;
  readonly servers: readonly ServerView[];
  readonly faults: readonly Fault[];
  readonly buckets: readonly number[];
  readonly done: number;
  readonly unknown: number;
  readonly waiting: number;
  readonly elections: readonly Election[];
  readonly happenings: readonly Happening[];
}

export interface Setting {
  readonly seed: number;
  readonly clients: number;
  readonly faultsUntilMs: number;
}

/** How many happenings a frame carries; more do not fit on a screen. */
const MAX_HAPPENINGS = 40;

export function takeFrame(nowMs: number, setting: Setting, cluster: Cluster, chronicle: Chronicle): Frame {
  return {
    ...setting,
    nowMs,
    servers: cluster.view(),
    faults: chronicle.faults.filter((fault) => fault.untilMs === null),
    buckets: chronicle.buckets,
    done: countDone(chronicle),
    unknown: chronicle.unknown,
    waiting: chronicle.waiting,
    elections: chronicle.elections,
    happenings: chronicle.happenings.slice(-MAX_HAPPENINGS),
  };
}

export function countDone(chronicle: Chronicle): number {
  let sum = 0;
  for (const count of chronicle.done.values()) sum += count;
  return sum;
}
