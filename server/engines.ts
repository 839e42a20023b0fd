import { makePaxos } from "../paxos/index.js";
import { makeRaft } from "../raft/index.js";
import type { MakeLog } from "../kvraft/index.js";

/** The consensus algorithms that there are, by the names that configurations give them. */
export const engines = { raft: makeRaft, paxos: makePaxos } satisfies Readonly<Record<string, MakeLog>>;

export type EngineName = keyof typeof engines;
export const ENGINE_NAMES = Object.keys(engines) as EngineName[];
export const DEFAULT_ENGINE: EngineName = "raft";
