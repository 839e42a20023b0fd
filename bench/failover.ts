import type { Clerk } from "../kvraft/index.js";
import { isLeader, Nodes } from "./nodes.js";

export interface Failover {
  readonly kills: number;
  /** From the SIGKILL to the answer of the first write that began after it. */
  readonly minMs: number;
  readonly medianMs: number;
  readonly maxMs: number;
  readonly allMs: readonly number[];
}

const LIMIT_MS = 30_000;

/** A client writes all the time; the leader is killed, and started again once another one has answered. */
export async function measureFailover(
  program: string,
  folder: string,
  count: number,
  kills: number,
): Promise<Failover> {
  const nodes = await Nodes.prepare(program, folder, count);
  const times: number[] = [];
  try {
    await nodes.startAll();
    await using client = nodes.connect();
    const { clerk } = client;
    for (let i = 0; i < kills; i++) {
      // All are there and have caught up: only then a leader may go.
      await clerk.put("key", "before", { timeoutMs: LIMIT_MS });
      await nodes.until(client, (status) => isLeader(status) && haveAll(status.groups["kv"]!));
      const { id } = await nodes.until(client, isLeader);
      const ended = nodes.kill(id);
      times.push(await timeOfWrite(clerk));
      await ended;
      await nodes.start(id);
    }
  } finally {
    await nodes.remove();
  }
  const sorted = times.toSorted((a, b) => a - b);
  return {
    kills,
    minMs: sorted[0] as number,
    medianMs: sorted[sorted.length >> 1] as number,
    maxMs: sorted.at(-1) as number,
    allMs: times,
  };
}

async function timeOfWrite(clerk: Clerk): Promise<number> {
  const begun = performance.now();
  await clerk.put("key", "after", { timeoutMs: LIMIT_MS });
  return performance.now() - begun;
}

interface Group {
  readonly lastIndex: number;
  readonly followers: readonly { readonly matchIndex: number }[];
}

function haveAll({ lastIndex, followers }: Group): boolean {
  return followers.every(({ matchIndex }) => matchIndex === lastIndex);
}
