import { KvMachine } from "../../kvraft/kv-machine.js";
import { CommandKind, OpKind, type Command, type Slot } from "../../kvraft/commands.js";
import { makeRsm, type Rsm } from "../../kvraft/index.js";
import type { Results } from "../../kvraft/kv-machine.js";
import { simulate } from "../../sim/index.js";
import { FakeLog } from "./fake-log.js";

export const register = (maxSessions = 10): Command => [CommandKind.register, maxSessions];
export const write = (session: number, seq: number, ...slots: Slot[]): Command => [
  CommandKind.request,
  session,
  seq,
  slots,
];
export const append = (key: string, value: string): Slot => [OpKind.append, key, value];
export const remove = (key: string): Slot => [OpKind.delete, key];

/** One server of the store on a log that the test moves entry by entry. */
export interface LogStory {
  readonly log: FakeLog;
  readonly machine: KvMachine;
  readonly rsm: Rsm<Command, Results>;
  /** Why it stopped by itself. */
  readonly failures: Error[];
  /** Another server, started from a snapshot. */
  startFrom(snapshot: Uint8Array): LogStory;
  /** Everything that can happen without the test has happened. */
  settled(): Promise<void>;
  /** The value of a key in the state, null where it is absent. */
  value(key: string): string | null;
}

/** `maxRaftState`: a snapshot is taken when `log.bytes` is near it. */
export function logStory(tell: (story: LogStory) => Promise<void>, maxRaftState = -1): () => Promise<void> {
  return () =>
    simulate({ seed: 1 }, async (runtime) => {
      const start = (snapshot: Uint8Array | null): LogStory => {
        const log = new FakeLog();
        const machine = new KvMachine();
        const failures: Error[] = [];
        const onFailure = (error: Error): void => void failures.push(error);
        const rsm = makeRsm({ log, stateMachine: machine, snapshot, maxRaftState, runtime, onFailure });
        return {
          log,
          machine,
          rsm,
          failures,
          startFrom: start,
          settled: () => runtime.clock.sleep(0),
          value: (key) => machine.store.read(key)?.[0] ?? null,
        };
      };
      await tell(start(null));
    });
}
