import { makeService, Network, Server } from "../../labrpc/index.js";
import type { ClientEnd } from "../../labrpc/index.js";
import { startAcceptor, type AcceptorServer } from "../../paxos/index.js";
import { Persister } from "../../replica/index.js";
import type { Runtime } from "../../runtime/index.js";

/** Acceptors in a simulated network, with storage in memory. */
export class AcceptorCluster {
  readonly network: Network;
  readonly acceptors: AcceptorServer[] = [];
  readonly persisters: Persister[] = [];
  readonly #size: number;
  readonly #snapshotFrom: number | undefined;
  #ends = 0;

  constructor(runtime: Runtime, size = 3, snapshotFrom?: number) {
    this.network = new Network(runtime);
    this.#size = size;
    this.#snapshotFrom = snapshotFrom;
    for (let i = 0; i < size; i++) this.start(i);
  }

  /** Also after a crash: from what the storage holds. */
  start(i: number): void {
    const storage = this.persisters[i]?.copy() ?? new Persister();
    this.persisters[i] = storage;
    const snapshotFrom = this.#snapshotFrom;
    const acceptor = startAcceptor({ storage, ...(snapshotFrom !== undefined && { snapshotFrom }) });
    this.acceptors[i] = acceptor;
    this.network.addServer(`acceptor ${i}`, new Server(acceptor.service));
  }

  stop(i: number): void {
    this.network.deleteServer(`acceptor ${i}`);
  }

  /** It takes calls and never answers. */
  hang(i: number): void {
    const never = (): Promise<never> => new Promise(() => {});
    const methods = ["Prepare", "Accept", "Learn", "Look", "Versions", "Trim"];
    const service = makeService("Acceptor", Object.fromEntries(methods.map((method) => [method, never])));
    this.network.addServer(`acceptor ${i}`, new Server(service));
  }

  /** Channels of one caller to all acceptors. */
  ends(): ClientEnd[] {
    const caller = this.#ends++;
    return Array.from({ length: this.#size }, (_, i) => this.network.makeEnd(`${caller}-${i}`, `acceptor ${i}`));
  }

  get calls(): number {
    return this.network.getTotalCount();
  }

  registers(): number[] {
    return this.acceptors.map((acceptor) => acceptor.stats().registers);
  }
}
