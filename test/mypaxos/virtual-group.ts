import type { ClientEnd, Service } from "../../labrpc/index.js";
import { startRsm } from "../../kvraft/index.js";
import type { MakeLog } from "../../kvraft/index.js";
import type { Replica } from "../../replica/index.js";
import type { Runtime } from "../../runtime/index.js";
import { engines } from "../../server/engines.js";
import type { EngineName } from "../../server/engines.js";
import { CallbackMachine } from "../../server/mypaxos/callback.js";
import type { PaxosCallback, PaxosStateMachine } from "../../server/mypaxos/callback.js";
import { GroupSender, type SenderOptions } from "../../server/mypaxos/sender.js";
import { makeGroupService } from "../../server/mypaxos/service.js";
import { ServiceCluster } from "../harness/service-cluster.js";

export const ENGINES = Object.entries(engines).map(([name, { make: engine }]) => ({
  name: name as EngineName,
  engine,
}));

export const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

/** What a node's callback was called with since the node started, and its answers. */
export class Journal implements PaxosStateMachine {
  items: string[] = [];
  /** Called before an item is written down. */
  onItem: (item: string) => void = () => {};

  apply(bytes: Uint8Array): unknown {
    const item = textOf(bytes);
    this.onItem(item);
    this.items.push(item);
    return `${this.items.length}:${item}`;
  }

  snapshot(): Uint8Array {
    return bytesOf(JSON.stringify(this.items));
  }

  restore(snapshot: Uint8Array): void {
    this.items = JSON.parse(textOf(snapshot)) as string[];
  }
}

export interface GroupNode {
  readonly raft: Replica;
  readonly service: Service;
  readonly journal: Journal;
  readonly failures: Error[];
  kill(): void;
}

export interface VirtualOptions {
  readonly servers?: number;
  /** What the nodes run on their journals: by default the callback alone, without snapshots. */
  readonly user?: (journal: Journal) => PaxosCallback | PaxosStateMachine;
  readonly maxRaftState?: number;
  readonly maxSessions?: number;
}

/** One group on three nodes of the labs' network, in virtual time. Here nodes do not forward: clients find the leader. */
export class VirtualGroup extends ServiceCluster<GroupNode> {
  constructor(runtime: Runtime, engine: MakeLog, options: VirtualOptions = {}) {
    const { servers: size = 3, user = (journal) => (bytes) => journal.apply(bytes), maxRaftState = -1 } = options;
    super(runtime, size, (context) => {
      const journal = new Journal();
      const failures: Error[] = [];
      const { maxSessions } = options;
      const limits = maxSessions === undefined ? {} : { maxSessions };
      const { rsm, raft } = startRsm({
        ...context,
        maxRaftState,
        runtime,
        stateMachine: new CallbackMachine(1, user(journal), limits),
        config: { noopOnElection: true },
        onFailure: (error) => void failures.push(error),
        engine,
      });
      return { rsm, raft, journal, failures, service: makeGroupService(rsm, []), kill: () => rsm.kill() };
    });
  }

  sender(options: Partial<SenderOptions> = {}, ends: readonly ClientEnd[] = this.clientEnds()): Sender {
    return new Sender(this.runtime, { ends: () => ends, ...options });
  }

  /** What each running node's callback was called with. */
  get journals(): string[][] {
    return this.nodes.flatMap((node) => (node === undefined ? [] : [node.journal.items]));
  }
}

/** A GroupSender that is given texts. */
export class Sender extends GroupSender {
  constructor(runtime: Runtime, options: Partial<SenderOptions> & Pick<SenderOptions, "ends">) {
    super({
      ...{
        group: 1,
        runtime,
        bufferSize: 8,
        maxBatchBytes: 64 << 10,
        flushIntervalMs: 5,
        onMembers: () => {},
        refusal: () => null,
      },
      ...options,
    });
  }

  async submit(item: string, limits: { signal?: AbortSignal; timeoutMs?: number } = {}): Promise<unknown> {
    const [answer] = await this.add([bytesOf(item)], "submit", false, limits);
    return answer;
  }

  submitAll(...items: string[]): Promise<unknown[]> {
    return this.add(items.map(bytesOf), "submitAll", true, {});
  }
}
