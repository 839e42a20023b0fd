import type { Fault, Violation } from "../sim/swarm/index.js";

/** A fault in a few words; `struck`: whom it hit, where the plan left that open. */
export function describeFault(fault: Fault, struck: readonly number[]): string {
  const whom = struck.length > 0 ? ` ${names(struck)}` : "";
  switch (fault.kind) {
    case "partition":
      return `partition ${fault.groups.map(names).join(" | ")}`;
    case "cut":
      return `cut ${fault.links.map(([from, to]) => `S${from}→S${to}`).join(" ")}`;
    case "flap":
      return `flapping ${fault.links.map(([from, to]) => `S${from}→S${to}`).join(" ")}`;
    case "isolateLeader":
      return `leader${whom} cut off${fault.way === "both" ? "" : fault.way === "out" ? ", unheard" : ", deaf"}`;
    case "loss":
      return `loss of ${percent(fault.rate)}`;
    case "delay":
    case "late":
      return `${percent(fault.rate)} of messages late by ${fault.ms[0]}–${fault.ms[1]} ms`;
    case "duplicate":
      return `${percent(fault.rate)} of messages twice`;
    case "crash":
      return `crash of ${names(fault.servers)}${fault.power ? ", power lost" : ""}`;
    case "crashLeader":
      return `crash of leader${whom}${fault.power ? ", power lost" : ""}`;
    case "pauseLeader":
      return `pause of leader${whom}`;
    case "hook":
      return `crash${whom} at ${fault.hook}`;
    default:
      return `${fault.kind} S${fault.server}`;
  }
}

export function describeViolation({ rule, message }: Violation): string {
  return `${rule}: ${message.split("\n")[0]}`;
}

function names(servers: readonly number[]): string {
  return servers.map((server) => `S${server}`).join(" ");
}

function percent(rate: number): string {
  return `${Math.round(rate * 100)}%`;
}
