import { startKVServer, type KVServer, type KVServerStatus } from "../kvraft/index.js";
import { Network, Server, type ClientEnd } from "../labrpc/index.js";
import { Persister, type RaftStatus } from "../raft/index.js";
import { assert, type Runtime } from "../runtime/index.js";
import { clientActor } from "../sim/index.js";
import type { Recording } from "./recording.js";

/** Small, so that logs are cut and lagging servers need snapshots within the half minute that people watch. */
const MAX_RAFT_STATE_BYTES = 5_000;

/** One server as the view shows it; status is null while the server is down. */
export interface ServerView {
  readonly status: RaftStatus | null;
  /** Which servers its messages reach, by number. */
  readonly reaches: readonly boolean[];
}

/** KV servers on the lossy network, whose links can be cut one way and which can be crashed and restarted. */
export class Cluster {
  readonly network: Network;
  readonly size: number;
  readonly #runtime: Runtime;
  readonly #onLeader: (server: number, term: number) => void;
  readonly #recording: Recording | null;
  readonly #servers: (KVServer | null)[];
  readonly #persisters: Persister[];
  /** Names of the ends of each server's present life, by peer. */
  readonly #ends: string[][] = [];
  readonly #links: boolean[][];
  #endCount = 0;

  constructor(
    runtime: Runtime,
    size: number,
    onLeader: (server: number, term: number) => void,
    recording: Recording | null = null,
  ) {
    this.network = new Network(runtime);
    this.size = size;
    this.#runtime = runtime;
    this.#onLeader = onLeader;
    this.#recording = recording;
    this.#servers = Array.from({ length: size }, () => null);
    this.#persisters = Array.from({ length: size }, () => new Persister());
    this.#links = Array.from({ length: size }, () => Array.from({ length: size }, () => true));
    for (const id of this.ids()) this.start(id);
  }

  ids(): number[] {
    return Array.from({ length: this.size }, (_, id) => id);
  }

  /** Starts a server from what its last life left in its storage. Its links are as they were. */
  start(id: number): void {
    assert(this.#servers[id] === null, `server ${id} runs already`);
    const recording = this.#recording;
    const ends = this.#makeEnds(`S${id}`, id);
    this.#ends[id] = ends.map(({ name }) => name);
    const persister = (this.#persisters[id] as Persister).copy();
    this.#persisters[id] = persister;
    recording?.start(id, persister);
    const server = startKVServer({
      servers: ends.map(({ end }) => end),
      me: id,
      persister,
      maxRaftState: MAX_RAFT_STATE_BYTES,
      runtime: this.#runtime,
      ...(recording && { engine: recording.engine(id), watch: (machine) => recording.watch(id, machine) }),
    });
    this.#servers[id] = server;
    server.raft.onStateChange(() => {
      const { term, isLeader } = server.raft.getState();
      if (isLeader) this.#onLeader(id, term);
    });
    const services = [server.raft.service, server.service];
    const recorded = recording ? services.map((service) => recording.service(id, service)) : services;
    this.network.addServer(`S${id}`, new Server(...recorded));
    this.#updateLinks();
  }

  /** Power off: what is stored stays; messages under way and everything in memory are lost. */
  crash(id: number): void {
    this.network.deleteServer(`S${id}`);
    for (const name of this.#ends[id] as string[]) this.network.deleteEnd(name);
    this.#ends[id] = [];
    // A copy: whatever the old life still does reaches storage that nobody reads again.
    this.#persisters[id] = (this.#persisters[id] as Persister).copy();
    this.#servers[id]?.kill();
    this.#servers[id] = null;
    this.#recording?.crash(id);
  }

  isUp(id: number): boolean {
    return this.#servers[id] !== null;
  }

  /** Decides for every ordered pair whether messages go through. */
  setLinks(reaches: (from: number, to: number) => boolean): void {
    for (const from of this.ids()) {
      for (const to of this.ids()) (this.#links[from] as boolean[])[to] = from === to || reaches(from, to);
    }
    this.#updateLinks();
  }

  /** Ends from a client to all servers; they are never cut, only a server that is down does not answer. */
  clientEnds(client: number): ClientEnd[] {
    return this.#makeEnds(`client ${client}`, clientActor(client)).map(({ end }) => end);
  }

  /** The server that leads in the highest term, or null. */
  leader(): number | null {
    let best: number | null = null;
    let bestTerm = -1;
    for (const [id, server] of this.#servers.entries()) {
      const state = server?.raft.getState();
      if (state?.isLeader && state.term > bestTerm) [best, bestTerm] = [id, state.term];
    }
    return best;
  }

  /** Whether some server could lead: it is up, and a majority reaches it and is reached by it. */
  hasMajority(): boolean {
    const up = this.ids().filter((id) => this.isUp(id));
    return up.some((a) => up.filter((b) => this.#link(a, b) && this.#link(b, a)).length * 2 > this.size);
  }

  /** Whether all servers are up and have applied the same entries; their stores are the same then. */
  hasConverged(): boolean {
    return this.ids().every((id) => this.isUp(id)) && new Set(this.#lastApplied()).size === 1;
  }

  /** What the store of each server that is up holds. */
  stores(): KVServerStatus[] {
    return this.#servers.filter((server) => server !== null).map((server) => server.status());
  }

  view(): ServerView[] {
    return this.#servers.map((server, id) => ({
      status: server?.raft.status() ?? null,
      reaches: (this.#links[id] as boolean[]).slice(),
    }));
  }

  kill(): void {
    for (const server of this.#servers) server?.kill();
  }

  #lastApplied(): number[] {
    return this.stores().map((store) => store.lastApplied);
  }

  #link(from: number, to: number): boolean {
    return (this.#links[from] as boolean[])[to] as boolean;
  }

  #makeEnds(from: string, actor: number): { name: string; end: ClientEnd }[] {
    return this.ids().map((to) => {
      const name = `${from} to S${to} #${this.#endCount++}`;
      const end = this.network.makeEnd(name, `S${to}`);
      return { name, end: this.#recording?.end(actor, to, end) ?? end };
    });
  }

  #updateLinks(): void {
    for (const [from, names] of this.#ends.entries()) {
      for (const [to, name] of names.entries()) this.network.enable(name, this.#link(from, to));
    }
  }
}
