import type { Disk, Runtime } from "../runtime/index.js";
import type { NodeConfig } from "./config.js";
import type { AnyStateMachine, GroupService } from "./group.js";
import type { Logger, TransportLimits } from "./transport/index.js";

/** The settings of a configuration file, and what only a program can give. */
export interface NodeOptions extends NodeConfig {
  /** Groups with a state machine of the user's, by name: the same names on every node. */
  readonly stateMachines?: Readonly<Record<string, AnyStateMachine>>;
  /** What clients in other processes may call of such a group, beside nothing; by its name. */
  readonly services?: Readonly<Record<string, GroupService>>;
  /** In place of `maxRaftState`, by the name of a group. */
  readonly maxRaftStates?: Readonly<Record<string, number>>;
  /** Measure latencies, for `metrics()`. Default: true where there is an `httpPort`. */
  readonly measure?: boolean;
  /** Of pino's shape. Default: silence. */
  readonly logger?: Logger;
  readonly runtime?: Runtime;
  /** Default: the file system of this machine. */
  readonly disk?: Disk;
  readonly limits?: Partial<TransportLimits>;
}

export interface NodeEvents {
  /** A group's leader, by id, is known or has changed; null: it is not known now. */
  leader: [{ group: string; leader: number | null; term: number }];
  /** A group has a new snapshot: its own (`isInstalled` false), or the leader's. */
  snapshot: [{ group: string; index: number; bytes: number; isInstalled: boolean }];
  /**
   * A group has stopped: its disk failed, its state machine threw, its data were lost. The other groups go on. As Node
   * has it, an error that nobody listens to ends the process.
   */
  error: [error: Error, group: string];
}

export interface CloseOptions {
  readonly timeoutMs?: number;
  readonly diskTimeoutMs?: number;
}
