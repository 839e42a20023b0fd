import { makeRaft } from "../../raft/index.js";
import type { LogOptions, Replica } from "../../replica/index.js";

/** A consensus engine under the labs' services. */
export interface LabEngine {
  readonly name: "Raft" | "Paxos";
  make(options: LogOptions): Replica;
}

export const RAFT: LabEngine = { name: "Raft", make: makeRaft };

export const ENGINES: readonly LabEngine[] = [RAFT];

/** The labs' own title where Raft runs; other engines stand beside the part: "basic agreement (2B, Paxos)". */
export function titleFor(engine: LabEngine, title: string): string {
  return engine === RAFT ? title : title.replaceAll(/\((\d[A-D])\)/g, `($1, ${engine.name})`);
}
