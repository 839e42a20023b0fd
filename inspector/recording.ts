import {
  clientActor,
  findIllegal,
  RunRecorder,
  type HistoryEvent,
  type NetMessage,
  type RunRecord,
} from "../sim/index.js";
import {
  paxosChanges,
  runPlan,
  storedAsLog,
  type Outcome,
  type Plan,
  type WorldEventOf,
  type WorldObserver,
} from "../sim/swarm/index.js";
import { describeFault, describeViolation } from "./words.js";

export interface RecordPlanOptions {
  readonly title?: string;
  /** The command that replays the run. */
  readonly replay?: string;
}

/** A run of a plan, with its record. */
export interface RecordedRun {
  readonly record: RunRecord;
  readonly outcome: Outcome;
}

/** Runs a plan and writes down all of it. The run is the same as without. */
export async function recordPlan(plan: Plan, options: RecordPlanOptions = {}): Promise<RecordedRun> {
  const recorder = new PlanRecorder(plan, options);
  let history: readonly HistoryEvent[] = [];
  const outcome = await runPlan(plan, {
    observers: [recorder.observer],
    onHistory: (events) => {
      history = events;
    },
  });
  return { record: recorder.finish(outcome, history), outcome };
}

/** Carries what an observer of a world sees over into a record. */
class PlanRecorder {
  readonly observer: WorldObserver;
  readonly #recorder: RunRecorder;
  /** The record's numbers of messages and operations, by the world's. */
  readonly #messages = new Map<number, number>();
  readonly #operations = new Map<number, number>();
  readonly #title: string;

  constructor(plan: Plan, options: RecordPlanOptions) {
    this.#title = options.title ?? `Seed ${plan.seed}`;
    this.#recorder = new RunRecorder({
      ...{ title: this.#title, seed: plan.seed, servers: plan.servers, plan },
      // One more reads every key in the end.
      clients: plan.clients.length + 1,
      ...(options.replay !== undefined && { replay: options.replay }),
    });
    this.observer = { ...this.#network(), ...this.#servers(plan), ...this.#clients(), ...this.#world() };
  }

  finish(outcome: Outcome, history: readonly HistoryEvent[]): RunRecord {
    const { violation } = outcome;
    if (violation && this.#recorder.length === 0) this.#recorder.violation(violation.rule, violation.message);
    const text = violation ? describeViolation(violation) : "all rules held, and the history is linearizable";
    return this.#recorder.finish({
      outcome: { ok: outcome.ok, text },
      illegal: violation ? findIllegal(history, [...this.#operations.values()]) : null,
      hash: outcome.hash,
    });
  }

  /** Writes down an event of the world at its own time and number. */
  #on<E extends { readonly seq: number; readonly atMs: number }>(write: (event: E) => void): (event: E) => void {
    return (event) => {
      this.#recorder.at(event.atMs, event.seq);
      write(event);
    };
  }

  #network(): WorldObserver {
    const recorder = this.#recorder;
    return {
      sent: this.#on(({ message }: WorldEventOf<"sent">) => {
        const request = message.leg === "reply" ? (this.#messages.get(message.call) ?? -1) : -1;
        const payload = message.error === null ? message.body() : { error: message.error.message };
        const { from, to, method } = message;
        this.#messages.set(message.id, recorder.send(actorOf(from), actorOf(to), method, payload, request));
      }),
      delivered: this.#on(({ message }: WorldEventOf<"delivered">) => recorder.deliver(this.#numberOf(message))),
      dropped: this.#on(({ message, why }: WorldEventOf<"dropped">) => recorder.drop(this.#numberOf(message), why)),
      duplicated: this.#on(({ message }: WorldEventOf<"duplicated">) => recorder.duplicate(this.#numberOf(message))),
    };
  }

  #servers(plan: Plan): WorldObserver {
    const recorder = this.#recorder;
    return {
      started: this.#on(({ server, stored }: WorldEventOf<"started">) => {
        recorder.start(server, plan.engine === "paxos" ? storedAsLog(stored) : stored);
      }),
      crashed: this.#on(({ server, why, power }: WorldEventOf<"crashed">) => {
        recorder.crash(server, power ? `${why}, power lost` : why);
      }),
      paused: this.#on(({ server }: WorldEventOf<"paused">) => recorder.pause(server)),
      resumed: this.#on(({ server }: WorldEventOf<"resumed">) => recorder.resume(server)),
      clockChanged: this.#on(({ server, rate, jumpMs }: WorldEventOf<"clockChanged">) => {
        recorder.note(server, jumpMs === 0 ? `its clock goes at ${rate}` : `its clock jumps by ${jumpMs} ms`);
      }),
      failed: this.#on(({ server, error }: WorldEventOf<"failed">) => recorder.note(server, error.message)),
      diskHealth: this.#on(({ server, health }: WorldEventOf<"diskHealth">) =>
        recorder.note(server, `its disk is ${health}`),
      ),
      stepped: this.#on(({ server, input, effects, state }: WorldEventOf<"stepped">) => {
        recorder.stepped(server, input, effects, state);
      }),
      paxosStepped: this.#on(({ server, input, effects, state }: WorldEventOf<"paxosStepped">) => {
        const { role, term, leader, commitIndex, durableWrite, lastWrite, log } = state;
        const votes = role === "candidate" ? [...state.promises].filter(([, given]) => given).map(([id]) => id) : [];
        const durableIndex = durableWrite === lastWrite ? log.lastIndex : commitIndex;
        const figures = { role, term, votedFor: null, leader, commitIndex, durableIndex, votes };
        recorder.step(server, figures, paxosChanges(effects, state), input.type);
      }),
      applied: this.#on(({ server, index, term, command }: WorldEventOf<"applied">) => {
        recorder.apply(server, index, term, command);
      }),
      snapshotTaken: this.#on(({ server, index }: WorldEventOf<"snapshotTaken">) => recorder.snapshot(server, index)),
      snapshotRestored: this.#on(({ server, index, bytes }: WorldEventOf<"snapshotRestored">) => {
        recorder.restore(server, index, bytes);
      }),
    };
  }

  #clients(): WorldObserver {
    const recorder = this.#recorder;
    return {
      invoked: this.#on(({ id, client, process, operation }: WorldEventOf<"invoked">) => {
        const { kind, key, value } = operation;
        const f = kind === "putIf" ? "putif" : kind === "renew" ? "read" : kind;
        const argument = kind === "put" || kind === "append" || kind === "putIf" ? value : undefined;
        this.#operations.set(id, recorder.invoke(clientActor(client), process, f, key, argument));
      }),
      returned: this.#on(({ id, end }: WorldEventOf<"returned">) => {
        const operation = this.#operations.get(id);
        if (operation !== undefined && end.type !== "invoke") recorder.return(operation, end.type, end.value);
      }),
    };
  }

  #world(): WorldObserver {
    const recorder = this.#recorder;
    let interventions = 0;
    const numbers = new Map<object, number>();
    return {
      faultBegan: this.#on(({ number, fault, servers }: WorldEventOf<"faultBegan">) => {
        const own = number >= 0 ? number : -1 - interventions++;
        numbers.set(fault, own);
        recorder.faultBegins(own, fault.kind, describeFault(fault, servers), servers);
      }),
      faultEnded: this.#on(({ number, fault }: WorldEventOf<"faultEnded">) => {
        recorder.faultEnds(numbers.get(fault) ?? number, describeFault(fault, []));
      }),
      phase: this.#on(({ phase }: WorldEventOf<"phase">) => recorder.phase(phase)),
      violation: this.#on(({ violation }: WorldEventOf<"violation">) => {
        recorder.violation(violation.rule, violation.message);
      }),
    };
  }

  #numberOf(message: NetMessage): number {
    return this.#messages.get(message.id) ?? -1;
  }
}

/** "s2" is server 2, "c0" client 0. */
function actorOf(name: string): number {
  const number = Number(name.slice(1));
  return name.startsWith("s") ? number : clientActor(number);
}
