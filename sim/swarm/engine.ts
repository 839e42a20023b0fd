import { makePaxos } from "../../paxos/index.js";
import { makeRaft } from "../../raft/index.js";
import type {
  LogOptions,
  Message,
  Replica,
  ReplicaObserver,
  ReplicaState,
  RequestMessage,
  StoredState,
} from "../../replica/index.js";
import { Coverage } from "./coverage.js";
import { MARKS, PAXOS_MARKS } from "./marks.js";
import type { WorldObserver } from "./observer.js";
import { Oracle } from "./oracle.js";
import { PaxosCoverage } from "./paxos-coverage.js";
import { lastIncludedOf } from "./paxos-votes.js";
import { PaxosOracle } from "./paxos-oracle.js";
import type { Rule } from "./rules.js";
import type { EngineName, Plan } from "./types.js";

/** Makes an observer of a log that tells of its steps under these types of events. */
export type Watch = <Q extends RequestMessage, A extends Message, S extends ReplicaState & { readonly term: number }>(
  stepped: "stepped" | "paxosStepped",
  released: "released" | "paxosReleased",
) => ReplicaObserver<Q, A, S>;

/** What an engine brings to the swarm; all else is the same for each. */
export interface SwarmEngine {
  makeLog(options: LogOptions, watch: Watch): Replica;
  /** The index of the log at which the stored snapshot ends; 0 where there is none. */
  snapshotIndex(stored: StoredState): number;
  makeOracle(servers: number, fail: (rule: Rule, message: string) => void): WorldObserver;
  /** Observers that mark what is rare in this engine, beside what is rare in any. */
  makeCoverage(plan: Plan, coverage: Coverage): readonly WorldObserver[];
  /** All marks that a run of it can reach, in words. */
  readonly marks: Readonly<Record<string, string>>;
}

export const ENGINES: Readonly<Record<EngineName, SwarmEngine>> = {
  raft: {
    makeLog: (options, watch) => makeRaft({ ...options, observer: watch("stepped", "released") }),
    snapshotIndex: ({ snapshot }) => snapshot?.index ?? 0,
    makeOracle: (servers, fail) => new Oracle(servers, fail),
    makeCoverage: () => [],
    marks: MARKS,
  },
  paxos: {
    makeLog: (options, watch) => makePaxos({ ...options, observer: watch("paxosStepped", "paxosReleased") }),
    snapshotIndex: lastIncludedOf,
    makeOracle: (servers, fail) => new PaxosOracle(servers, fail),
    makeCoverage: ({ servers }, coverage) => [new PaxosCoverage(servers, (mark) => coverage.mark(mark))],
    marks: PAXOS_MARKS,
  },
};

export const engineOf = ({ engine = "raft" }: Plan): SwarmEngine => ENGINES[engine];
