import { makePaxos } from "../../paxos/index.js";
import { makeRaft } from "../../raft/index.js";
import type { LogOptions, Replica } from "../../replica/index.js";

/** A consensus engine under the labs' services. */
export interface LabEngine {
  readonly name: "Raft" | "Paxos";
  /** A new leader may put a no-op into an index that nothing can have been chosen for: services are not told of it. */
  readonly fillsHoles: boolean;
  make(options: LogOptions): Replica;
}

export const RAFT: LabEngine = { name: "Raft", fillsHoles: false, make: makeRaft };

export const PAXOS: LabEngine = { name: "Paxos", fillsHoles: true, make: makePaxos };

export const ENGINES: readonly LabEngine[] = [RAFT, PAXOS];

/** The labs' own title where Raft runs; other engines stand beside the part: "basic agreement (2B, Paxos)". */
export function titleFor(engine: LabEngine, title: string): string {
  return engine === RAFT ? title : title.replaceAll(/\((\d[A-D])\)/g, `($1, ${engine.name})`);
}
