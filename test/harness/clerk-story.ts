import { makeClerk, startKVServer } from "../../kvraft/index.js";
import type { Clerk, KVServer, KVServerOptions } from "../../kvraft/index.js";
import type { Runtime } from "../../runtime/index.js";
import { forSeeds } from "./seeds.js";
import { ServiceCluster } from "./service-cluster.js";
import { Tap } from "./tapped-end.js";

export interface ClerkWorld {
  readonly runtime: Runtime;
  readonly cluster: ServiceCluster<KVServer>;
  readonly tap: Tap;
  readonly clerk: Clerk;
}

type ClerkStoryOptions = Partial<KVServerOptions> & { size?: number; order?: number[] };

/** A cluster and a Clerk whose calls the test can watch. */
export function clerkStory(
  seeds: number,
  options: ClerkStoryOptions,
  story: (world: ClerkWorld) => Promise<void>,
): Promise<void> {
  const { size = 3, order, ...serverOptions } = options;
  return forSeeds(seeds, async (runtime) => {
    const cluster = new ServiceCluster<KVServer>(runtime, size, (context) =>
      startKVServer({ ...context, maxRaftState: -1, runtime, ...serverOptions }),
    );
    const tap = new Tap(cluster.clientEnds(order));
    await story({ runtime, cluster, tap, clerk: makeClerk(tap.ends, { runtime }) });
  });
}
