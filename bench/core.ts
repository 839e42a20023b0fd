/**
 * Speed of the cores of Raft and of Paxos alone: three cores wired by function calls, storage in memory, one process, one thread.
 * Prints commits a second with 64 proposals outstanding, for one entry a message and for 64.
 */
import { PaxosCore } from "../paxos/core/index.js";
import { RaftCore } from "../raft/core/index.js";
import {
  defaultReplicaConfig,
  Persister,
  type CoreOptions,
  type Message,
  type ReplicaCore,
  type ReplicaState,
  type RequestMessage,
} from "../replica/index.js";
import { SeededRandom } from "../runtime/index.js";

interface Mail {
  readonly from: number;
  readonly to: number;
  readonly message: RequestMessage;
}

/** Of either engine: what one of them sends, another of its kind understands. */
type Core = ReplicaCore<RequestMessage, Message, ReplicaState>;
type MakeCore = (options: CoreOptions) => Core;

/** Three servers whose messages are delivered in the order in which they were sent. */
class Trio {
  readonly cores: Core[] = [];
  readonly storages = [new Persister(), new Persister(), new Persister()];
  readonly now = 0;
  clock = 0;
  #mail: Mail[] = [];
  messages = 0;

  constructor(makeCore: MakeCore) {
    for (let me = 0; me < 3; me++) {
      this.cores.push(
        makeCore({
          me,
          voters: [0, 1, 2],
          config: { ...defaultReplicaConfig, maxInflightMessages: 256 },
          random: new SeededRandom(me + 1),
          stored: (this.storages[me] as Persister).load(),
          now: 0,
        }),
      );
    }
  }

  elect(): Core {
    for (;;) {
      this.clock += 10;
      for (const [me, core] of this.cores.entries()) {
        if (core.deadline() <= this.clock) core.step(this.clock, { type: "tick" });
        this.drain(me);
      }
      this.deliver();
      const leader = this.cores.find((core) => core.state.isLeader());
      if (leader) return leader;
    }
  }

  /** Carries out the effects of one core; its writes complete at once. */
  drain(me: number, onReply?: (message: unknown) => void): void {
    const core = this.cores[me] as Core;
    while (core.effects.length > 0) {
      for (const effect of core.takeEffects()) {
        if (effect.type === "persist") {
          (this.storages[me] as Persister).write(effect, () =>
            core.step(this.clock, { type: "persisted", write: effect.write }),
          );
        } else if (effect.type === "send") {
          this.#mail.push({ from: me, to: effect.to, message: effect.message });
        } else if (effect.type === "reply") {
          onReply?.(effect.message);
        }
      }
    }
  }

  deliver(): void {
    while (this.#mail.length > 0) {
      const mail = this.#mail;
      this.#mail = [];
      for (const { from, to, message } of mail) {
        this.messages += 2;
        const core = this.cores[to] as Core;
        core.step(this.clock, { type: "request", request: 1, message });
        this.drain(to, (reply) => {
          const sender = this.cores[from] as Core;
          sender.step(this.clock, { type: "reply", from: to, message: reply as never });
        });
        this.drain(from);
      }
    }
  }
}

function run(
  makeCore: MakeCore,
  entriesPerProposal: number,
  total: number,
): { commitsPerSecond: number; messagesPerCommit: number } {
  const trio = new Trio(makeCore);
  const leader = trio.elect();
  const me = leader.state.me;
  const command = new Uint8Array(16);
  const commands = Array.from({ length: entriesPerProposal }, () => command);
  const startCommit = leader.state.commitIndex;
  const startMessages = trio.messages;
  const started = performance.now();
  let proposed = 0;
  let compacted = 0;
  while (leader.state.commitIndex - startCommit < total) {
    for (let outstanding = 0; outstanding < 64 && proposed < total; outstanding++) {
      leader.propose(trio.clock, commands);
      leader.flush(trio.clock);
      trio.drain(me);
      proposed += entriesPerProposal;
    }
    trio.deliver();
    trio.clock += 0.1;
    // Keep the logs short, as a service with snapshots would.
    if (leader.state.commitIndex - compacted > 50_000) {
      for (const [id, core] of trio.cores.entries()) {
        core.compact(trio.clock, core.state.commitIndex, command);
        trio.drain(id);
      }
      compacted = leader.state.commitIndex;
    }
  }
  const seconds = (performance.now() - started) / 1000;
  return { commitsPerSecond: proposed / seconds, messagesPerCommit: (trio.messages - startMessages) / proposed };
}

const ENGINES: readonly (readonly [name: string, MakeCore])[] = [
  ["Raft", (options) => new RaftCore(options)],
  ["Paxos", (options) => new PaxosCore(options)],
];

for (const [name, makeCore] of ENGINES) {
  run(makeCore, 1, 100_000);
  run(makeCore, 64, 1_000_000);
  for (const [entries, total] of [
    [1, 1_000_000],
    [64, 2_000_000],
  ] as const) {
    const rates = Array.from({ length: 5 }, () => run(makeCore, entries, total));
    const sorted = rates.map((rate) => rate.commitsPerSecond).sort((a, b) => a - b);
    const median = sorted[2] as number;
    console.log(
      `core of ${name}, 64 proposals outstanding, ${entries} ${entries === 1 ? "entry" : "entries"} each: ` +
        `${Math.round(median / 1000).toLocaleString("en")} k commits/s median of 5 ` +
        `(${Math.round((sorted[0] as number) / 1000)}-${Math.round((sorted[4] as number) / 1000)} k), ` +
        `${(rates[0] as { messagesPerCommit: number }).messagesPerCommit.toFixed(2)} messages a commit`,
    );
  }
}
