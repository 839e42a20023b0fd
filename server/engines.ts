import { makeRaft } from "../raft/index.js";
import type { MakeLog } from "../kvraft/index.js";

/** As configurations call them. */
export type EngineName = "raft" | "paxos";

/** The consensus algorithms that there are. */
const engines: Readonly<Partial<Record<EngineName, MakeLog>>> = { raft: makeRaft };

export const ENGINE_NAMES = Object.keys(engines) as EngineName[];
export const DEFAULT_ENGINE: EngineName = "raft";

/** `name` is one of ENGINE_NAMES: the configuration was checked. */
export function engineOf(name: EngineName): MakeLog {
  return engines[name] as MakeLog;
}
