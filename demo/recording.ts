import type { ClientEnd, Handler, Service } from "../labrpc/index.js";
import type { Command, MakeLog, Results, StateMachine } from "../kvraft/index.js";
import { makeRaft, type Persister, type RaftObserver } from "../raft/index.js";
import type { Clock } from "../runtime/index.js";
import {
  clientActor,
  findIllegal,
  HistoryRecorder,
  RunRecorder,
  type HistoryFunction,
  type HistoryToken,
  type HistoryValue,
  type RunRecord,
} from "../sim/index.js";
import type { DemoOptions } from "./options.js";

/** One call of an end: its messages, by their numbers in the record. */
interface Call {
  readonly request: number;
  isDelivered: boolean;
  reply: number | null;
  /** The caller has been told the outcome. */
  isOver: boolean;
}

/**
 * Writes down a run of the demo for the inspector. It stands around ends, services, state machines and histories, passes
 * everything on as it is, and makes no promise wait for it: the run is the same with and without.
 */
export class Recording {
  readonly recorder: RunRecorder;
  readonly #clock: Clock;
  readonly #calls: Call[] = [];
  readonly #operations: number[] = [];
  /** Where each server's snapshot ends. */
  readonly #snapshotIndex = new Map<number, number>();

  constructor(options: DemoOptions, clock: Clock) {
    const { seed, servers, clients } = options;
    this.#clock = clock;
    const replay = `npm start -- --fast --seed ${seed} --servers ${servers} --clients ${clients} --inspect FILE`;
    this.recorder = new RunRecorder({ title: `Demo, seed ${seed}`, seed, servers, clients, replay });
  }

  /** The recorder, at the present time. */
  get now(): RunRecorder {
    this.recorder.at(this.#clock.now());
    return this.recorder;
  }

  /** What goes through `end` is written down. It carries the number of the call, so `service` must stand at its other side. */
  end(from: number, to: number, end: ClientEnd): ClientEnd {
    return {
      call: <Reply>(method: string, args: unknown): Promise<Reply | null> => {
        const request = this.now.send(from, to, method, args);
        const call: Call = { request, isDelivered: false, reply: null, isOver: false };
        const number = this.#calls.push(call) - 1;
        const answer = end.call<Reply>(method, [number, args]);
        answer.then(
          (reply) => this.#ended(call, reply === null),
          () => this.#ended(call, false),
        );
        return answer;
      },
    };
  }

  service(server: number, service: Service): Service {
    const handlers = new Map<string, Handler>();
    for (const [name, handler] of service.handlers) {
      handlers.set(name, ([number, args]: [number, unknown]) => {
        const call = this.#calls[number] as Call;
        call.isDelivered = true;
        this.now.deliver(call.request);
        const method = `${service.name}.${name}`;
        const result = handler(args);
        if (!(result instanceof Promise)) this.#answered(call, server, method, result);
        else {
          result.then(
            (reply) => this.#answered(call, server, method, reply),
            (error: unknown) => this.#answered(call, server, method, { error: String(error) }),
          );
        }
        return result;
      });
    }
    return { name: service.name, handlers };
  }

  start(server: number, persister: Persister): void {
    this.now.start(server, persister.load());
  }

  engine(server: number): MakeLog {
    const observer: RaftObserver = {
      stepped: (input, effects, state) => {
        this.#snapshotIndex.set(server, state.log.lastIncludedIndex);
        this.now.stepped(server, input, effects, state);
      },
      released: () => {},
    };
    return (options) => makeRaft({ ...options, observer });
  }

  watch(server: number, machine: StateMachine<Command, Results>): StateMachine<Command, Results> {
    return {
      apply: (command, context) => {
        this.now.apply(server, context.index, context.term, command);
        return machine.apply(command, context);
      },
      snapshot: () => machine.snapshot(),
      restore: (bytes) => {
        machine.restore(bytes);
        const index = this.#snapshotIndex.get(server);
        // The first one comes with the start, which has it already.
        if (index !== undefined) this.now.restore(server, index, bytes);
      },
    };
  }

  crash(server: number): void {
    this.#snapshotIndex.delete(server);
    this.now.crash(server, "crash");
  }

  /** A history that is written down twice: for the checker, and for the inspector. */
  history(): HistoryRecorder {
    return new RecordedHistory(this.#clock, this, this.#operations);
  }

  finish(history: HistoryRecorder, ok: boolean, text: string, hash: string): RunRecord {
    const illegal = ok ? null : findIllegal(history.events, this.#operations);
    return this.recorder.finish({ outcome: { ok, text }, illegal, hash });
  }

  #answered(call: Call, server: number, method: string, reply: unknown): void {
    const { recorder } = this;
    const caller = recorder.senderOf(call.request);
    call.reply = this.now.send(server, caller, method, reply, call.request);
    if (call.isOver) recorder.drop(call.reply, "cut");
  }

  #ended(call: Call, isLost: boolean): void {
    call.isOver = true;
    const { now } = this;
    if (!isLost) {
      if (call.reply !== null) now.deliver(call.reply);
    } else if (call.reply !== null) now.drop(call.reply, "lost");
    else if (!call.isDelivered) now.drop(call.request, "lost, cut, or nobody there");
  }
}

class RecordedHistory extends HistoryRecorder {
  readonly #recording: Recording;
  readonly #operations: number[];
  readonly #numberOf = new Map<HistoryToken, number>();

  constructor(clock: Clock, recording: Recording, operations: number[]) {
    super(clock);
    this.#recording = recording;
    this.#operations = operations;
  }

  override invoke(process: number, f: HistoryFunction, key: string, value?: HistoryValue): HistoryToken {
    const token = super.invoke(process, f, key, value);
    const number = this.#recording.now.invoke(clientActor(process), token.process, f, key, value);
    this.#operations.push(number);
    this.#numberOf.set(token, number);
    return token;
  }

  override ok(token: HistoryToken, value?: HistoryValue): void {
    super.ok(token, value);
    this.#return(token, "ok", value);
  }

  override fail(token: HistoryToken): void {
    super.fail(token);
    this.#return(token, "fail");
  }

  override info(token: HistoryToken): void {
    super.info(token);
    this.#return(token, "info");
  }

  #return(token: HistoryToken, type: "ok" | "fail" | "info", value?: HistoryValue): void {
    const number = this.#numberOf.get(token);
    if (number !== undefined) this.#recording.now.return(number, type, value);
    this.#numberOf.delete(token);
  }
}
