import type { KVCluster } from "./kv-cluster.js";
import { LabError } from "./lab.js";

/** The labs' marker of a client's j-th write; it occurs in no other. */
export function marker(client: number, j: number): string {
  return `x ${client} ${j} y`;
}

/** Each of the client's `count` appends must be in `value` exactly once, and in order. */
export function checkAppends(client: number, value: string, count: number): void {
  let last = -1;
  for (let j = 0; j < count; j++) {
    const wanted = marker(client, j);
    const at = value.indexOf(wanted);
    if (at < 0) throw new LabError(`client ${client}: the append "${wanted}" is missing in "${value}"`);
    if (value.lastIndexOf(wanted) !== at) throw new LabError(`client ${client}: "${wanted}" is twice in "${value}"`);
    if (at <= last) throw new LabError(`client ${client}: "${wanted}" is out of order in "${value}"`);
    last = at;
  }
}

/**
 * The labs allow 8 x maxRaftState, for gob, which spells out the names of fields. Our operations are so much smaller that
 * in half of the tests a log that is never trimmed would stay below that (5,000 to 7,000 bytes where 8,000 are allowed).
 * A server that trims keeps to maxRaftState, but for what it cannot commit while it is cut off: once more as much.
 */
const LOG_MARGIN = 2;

/** With snapshots the log must stay near their limit; without, there must be none. */
export function checkSizes(cluster: KVCluster, maxRaftState: number): void {
  if (maxRaftState > 0) {
    const size = cluster.logSize();
    const limit = LOG_MARGIN * maxRaftState;
    if (size > limit) throw new LabError(`the log was not trimmed: it takes ${size} bytes, expected at most ${limit}`);
  } else {
    const size = cluster.snapshotSize();
    if (size > 0) throw new LabError(`a snapshot of ${size} bytes, although maxRaftState is ${maxRaftState}`);
  }
}
