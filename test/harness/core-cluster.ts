import { RaftCore, resolveRaftConfig, type RaftConfig, type Reply, type Request } from "../../raft/core/index.js";
import { formatDisk, type Disk } from "./core-disks.js";
import { CoreOracle } from "./core-oracle.js";
import { EngineCluster, type EngineClusterOptions } from "./engine-cluster.js";

export interface CoreClusterOptions extends EngineClusterOptions<Request, Reply> {
  readonly config?: Partial<RaftConfig>;
  /** By server. */
  readonly disks?: readonly Disk[];
}

/** A cluster of Raft cores; its oracle checks figure 3 of the paper. */
export class CoreCluster extends EngineCluster<Request, Reply, RaftCore> {
  declare readonly oracle: CoreOracle;

  constructor(size: number, options: CoreClusterOptions = {}) {
    super(
      size,
      {
        config: resolveRaftConfig(options.config ?? {}),
        makeCore: (coreOptions) => new RaftCore(coreOptions),
        makeOracle: (nodes) => new CoreOracle(nodes),
        senderOf: (message) => (message.type === "requestVote" ? message.candidate : message.leader),
      },
      options,
    );
    for (const n of this.all) {
      const { snapshot, entries } = formatDisk(this.disk(n), options.disks?.[n] ?? {});
      this.oracle.stored(snapshot, entries);
      this.restart(n);
    }
  }

  /** The terms of the log in memory, behind the snapshot. */
  logTerms(n: number): number[] {
    const { log } = this.core(n).state;
    const count = log.lastIndex - log.lastIncludedIndex;
    return Array.from({ length: count }, (_, i) => log.termAt(log.lastIncludedIndex + 1 + i)!);
  }
}
