import { Counter, Gauge, Histogram, Registry } from "prom-client";

import type { GroupObserver } from "./observer.js";
import type { GroupStatus, NodeStatus } from "./status.js";

/** From a tenth of a millisecond, one sync of a good disk, to what only trouble takes. */
const SECONDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
/** Applying a command takes microseconds. */
const SHORT_SECONDS = [0.000001, 0.000005, 0.00001, 0.00005, 0.0001, 0.001, 0.01, 0.1, 1];

type Figure = (group: GroupStatus) => number | null;

/** What a group's status says, by the name of the metric. */
const GROUP_FIGURES: Readonly<Record<string, readonly [help: string, figure: Figure]>> = {
  kvraft_up: ["1 while the group works, 0 after it has stopped", (group) => (group.failure === null ? 1 : 0)],
  kvraft_is_leader: ["1 on the leader", (group) => (group.role === "leader" ? 1 : 0)],
  kvraft_has_leader: ["1 while the node knows a leader", (group) => (group.leader === null ? 0 : 1)],
  kvraft_term: ["term; in Paxos the ballot", (group) => group.term],
  kvraft_commit_index: ["index of the last committed entry", (group) => group.commitIndex],
  kvraft_applied_index: ["index of the last applied entry", (group) => group.appliedIndex],
  kvraft_last_index: ["index of the last entry of the log", (group) => group.lastIndex],
  kvraft_log_bytes: ["bytes of the log, without the snapshot", (group) => group.logBytes],
  kvraft_snapshot_index: ["index up to which the snapshot reaches", (group) => group.snapshotIndex],
  kvraft_snapshot_bytes: ["size of the snapshot", (group) => group.snapshotBytes],
  kvraft_disk_waiting_writes: ["writes that are not durable yet", (group) => group.disk?.waitingWrites ?? null],
  kvraft_disk_oldest_wait_seconds: [
    "age of the oldest of them",
    (group) => group.disk && group.disk.oldestWaitMs / 1000,
  ],
  kvraft_disk_ok: ["1 while the disk takes writes", (group) => group.disk && (group.disk.health === "ok" ? 1 : 0)],
  kvraft_keys: ["keys in the store", (group) => group.store?.keys ?? null],
  kvraft_sessions: ["client sessions", (group) => group.store?.sessions ?? null],
};

/** The figures of one node for Prometheus, in a registry of its own: two nodes in one process do not mix. */
export class NodeMetrics {
  readonly #registry = new Registry();
  readonly #elections = this.#counter("kvraft_elections_total", "how often the node stood for election", ["group"]);
  readonly #leaders = this.#counter("kvraft_leader_changes_total", "how often another leader became known", ["group"]);
  readonly #snapshots = this.#counter("kvraft_snapshots_total", "snapshots taken here or received", [
    "group",
    "origin",
  ]);
  readonly #sync = this.#histogram("kvraft_sync_seconds", "one sync of a file", ["group"]);
  readonly #append = this.#histogram("kvraft_append_seconds", "from the engine's wish to durable", ["group"]);
  readonly #commit = this.#histogram("kvraft_commit_seconds", "from the engine's wish to store to committed", [
    "group",
  ]);
  readonly #apply = this.#histogram(
    "kvraft_apply_seconds",
    "one command in the state machine",
    ["group"],
    SHORT_SECONDS,
  );
  readonly #request = this.#histogram("kvraft_request_seconds", "a client's request until its reply", [
    "group",
    "kind",
  ]);
  readonly #snapshot = this.#histogram("kvraft_snapshot_seconds", "the making of a snapshot", ["group"]);

  constructor(status: () => NodeStatus) {
    for (const [name, [help, figure]] of Object.entries(GROUP_FIGURES)) {
      const gauge: Gauge<"group"> = new Gauge({
        name,
        help,
        labelNames: ["group"],
        registers: [this.#registry],
        collect: () => {
          for (const [group, groupStatus] of Object.entries(status().groups)) {
            const value = figure(groupStatus);
            if (value !== null) gauge.set({ group }, value);
          }
        },
      });
    }
    this.#perPeer("kvraft_peer_connected", "1 while there is a connection", status, (peer) =>
      peer.connection === "ready" ? 1 : 0,
    );
    this.#perPeer("kvraft_peer_queue_bytes", "bytes waiting to be sent to a node", status, (peer) => peer.queuedBytes);
    const clients: Gauge = new Gauge({
      name: "kvraft_client_connections",
      help: "connections of clients",
      registers: [this.#registry],
      collect: () => clients.set(status().clients),
    });
    const queue: Gauge = new Gauge({
      name: "kvraft_queue_bytes",
      help: "bytes waiting to be sent to all nodes and clients",
      registers: [this.#registry],
      collect: () => queue.set(status().queuedBytes),
    });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  electionStarted(group: string): void {
    this.#elections.inc({ group });
  }

  leaderChanged(group: string): void {
    this.#leaders.inc({ group });
  }

  snapshotStored(group: string, isInstalled: boolean): void {
    this.#snapshots.inc({ group, origin: isInstalled ? "leader" : "own" });
  }

  observerOf(group: string): GroupObserver {
    const sync = this.#sync.labels(group);
    const append = this.#append.labels(group);
    const commit = this.#commit.labels(group);
    const apply = this.#apply.labels(group);
    const snapshot = this.#snapshot.labels(group);
    const read = this.#request.labels(group, "read");
    const write = this.#request.labels(group, "write");
    return {
      synced: (ms) => sync.observe(ms / 1000),
      stored: (ms) => append.observe(ms / 1000),
      committed: (ms) => commit.observe(ms / 1000),
      applied: (ms) => apply.observe(ms / 1000),
      answered: (kind, ms) => (kind === "read" ? read : write).observe(ms / 1000),
      snapshotTaken: (ms) => snapshot.observe(ms / 1000),
    };
  }

  #counter<L extends string>(name: string, help: string, labelNames: L[]): Counter<L> {
    return new Counter({ name, help, labelNames, registers: [this.#registry] });
  }

  #histogram<L extends string>(name: string, help: string, labelNames: L[], buckets = SECONDS): Histogram<L> {
    return new Histogram({ name, help, labelNames, buckets, registers: [this.#registry] });
  }

  #perPeer(
    name: string,
    help: string,
    status: () => NodeStatus,
    figure: (peer: NodeStatus["peers"][number]) => number,
  ): void {
    const gauge: Gauge<"peer"> = new Gauge({
      name,
      help,
      labelNames: ["peer"],
      registers: [this.#registry],
      collect: () => {
        for (const peer of status().peers) gauge.set({ peer: String(peer.id) }, figure(peer));
      },
    });
  }
}
