import type { FaultKind, Outcome, Plan } from "../sim/swarm/index.js";
import type { Shrunk } from "./shrink.js";

/** What a plan is made of, in a line. */
export function describePlan(plan: Plan): string {
  const { engine = "raft", servers, clients, faults, raft, kv, core } = plan;
  const operations = clients.reduce((sum, client) => sum + client.operations.length, 0);
  const flags = (["preVote", "checkQuorum", "leaseReads"] as const).filter((name) => raft[name]).join(" ");
  const snapshots = kv.maxRaftState < 0 ? "no snapshots" : `snapshots from ${kv.maxRaftState} bytes`;
  return [
    `${servers} servers${engine === "raft" ? "" : ` of ${engine}`}`,
    `${clients.length} clients`,
    `${operations} operations`,
    `heartbeat ${raft.heartbeatMs} ms, election ${raft.electionTimeoutMinMs}-${raft.electionTimeoutMaxMs} ms`,
    ...(flags === "" ? [] : [flags]),
    snapshots,
    `faults: ${describeFaults(faults.map(({ kind }) => kind))}`,
    `then ${core.servers.map((i) => `S${i}`).join(" ")} healed${core.others.map(({ server, fate }) => `, S${server} ${fate}`).join("")}`,
  ].join("; ");
}

function describeFaults(kinds: readonly FaultKind[]): string {
  const counts = new Map<FaultKind, number>();
  for (const kind of kinds) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return [...counts].map(([kind, count]) => (count > 1 ? `${count} ${kind}` : kind)).join(", ") || "none";
}

/** A failure in one line: everything that it takes to see it again. */
export function failureLine({ seed, violation }: Outcome, plan: Plan, code: string): string {
  const what = violation === null ? "" : `${violation.rule}: ${violation.message.split("\n")[0]}`;
  return `FAILED seed ${seed} of ${code} [${describePlan(plan)}] ${what} | replay: ${replayCommand(plan)}`;
}

export function replayCommand({ engine = "raft", seed }: Pick<Plan, "engine" | "seed">): string {
  return `npx kvraft sweep ${engine === "raft" ? "" : `--engine ${engine} `}--replay ${seed}`;
}

/** A line where shrinking ended before all was tried, else nothing; `before` is the plan that it began with. */
export function describeStop({ plan, runs, isDone }: Shrunk, before: Plan, planFile: string): string {
  if (isDone) return "";
  const stopped = `stopped after ${runs.toLocaleString("en-US")} runs`;
  // The same runs again would come to the same end.
  if (plan === before) return `${stopped}, in which nothing smaller broke the same rule\n`;
  return `${stopped}, before all was tried; to go on from here: npx kvraft sweep --shrink ${planFile}\n`;
}
