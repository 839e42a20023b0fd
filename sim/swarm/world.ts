import type { Clock } from "../../runtime/index.js";
import {
  LinkNetwork,
  type Diversion,
  type Link as NetLink,
  type LinkConditions,
  type NetMessage,
  type SimRuntime,
} from "../index.js";
import { Hub } from "./hub.js";
import { Machine } from "./machine.js";
import { clientName, serverName } from "./names.js";
import type { WorldObserver } from "./observer.js";
import { RULES, type Rule } from "./rules.js";
import type { Action, CorePlan, Link, Plan, Violation } from "./types.js";

const SECOND_MS = 1000;

/** The simulated cluster of one run: servers, network, and the first rule that was broken. */
export class World {
  readonly plan: Plan;
  readonly runtime: SimRuntime;
  readonly hub: Hub;
  readonly network: LinkNetwork;
  readonly machines: readonly Machine[];
  violation: Violation | null = null;
  /** Resolves when a rule was broken: the run is over. */
  readonly broken: Promise<void>;
  #break: () => void = () => {};
  /** Diversions of single messages, by their number. */
  readonly #diversions = new Map<number, Diversion>();
  #secondEndsAt = SECOND_MS;
  #secondBeganWith = 0;

  constructor(plan: Plan, runtime: SimRuntime, observers: readonly WorldObserver[]) {
    this.plan = plan;
    this.runtime = runtime;
    this.broken = new Promise((resolve) => {
      this.#break = resolve;
    });
    this.hub = new Hub(runtime.clock);
    for (const observer of observers) this.hub.add(observer);
    this.network = this.#makeNetwork();
    const context = {
      runtime,
      plan,
      hub: this.hub,
      network: this.network,
      onError: (server: number, error: Error) => this.failBy(`server ${server}`, error),
    };
    this.machines = Array.from({ length: plan.servers }, (_, i) => new Machine(i, context));
    this.#prepareInterventions();
  }

  get clock(): Clock {
    return this.runtime.clock;
  }

  /** The first broken rule ends the run. */
  fail(rule: Rule, message: string): void {
    if (this.violation !== null) return;
    this.violation = { rule: RULES[rule], message, atMs: this.clock.now(), seq: this.hub.seq };
    this.hub.emit("violation", { violation: this.violation });
    this.#break();
  }

  /** An error came out of the code that ships. */
  failBy(where: string, error: unknown): void {
    const chain: string[] = [];
    for (let one = error; one instanceof Error && chain.length < 3; one = one.cause) chain.push(one.message);
    const isInvariant = (error as { code?: string }).code === "INVARIANT";
    this.fail(isInvariant ? "invariant" : "error", `${where}: ${chain.join(", caused by: ") || String(error)}`);
  }

  /** The server that leads the latest term, as the servers themselves believe. */
  leader(): Machine | null {
    let best: Machine | null = null;
    let bestTerm = -1;
    for (const machine of this.machines) {
      const state = machine.kv?.raft.getState();
      if (state?.isLeader && state.term > bestTerm) {
        best = machine;
        bestTerm = state.term;
      }
    }
    return best;
  }

  machine(server: number): Machine {
    return this.machines[server] as Machine;
  }

  cut(links: readonly Link[]): void {
    for (const [from, to] of links) this.#link(from, to).cut();
  }

  heal(links: readonly Link[]): void {
    for (const [from, to] of links) this.#link(from, to).heal();
  }

  #link(from: number, to: number): NetLink {
    return this.network.link(serverName(from), serverName(to));
  }

  /** Both directions between a client and a server. */
  clientLinks(client: number, server: number): NetLink[] {
    const names = [clientName(client), serverName(server)] as const;
    return [this.network.link(names[0], names[1]), this.network.link(names[1], names[0])];
  }

  /** After the chaos: a majority without faults for good, and each of the others in its fate for good. */
  settle({ servers, others }: CorePlan): void {
    const calm: LinkConditions = { ...this.plan.network, loss: 0, late: 0, slow: 0, duplicate: 0 };
    this.network.conditions = calm;
    this.network.healAll();
    for (const server of servers) {
      this.machine(server).timing.isCalm = true;
      this.machine(server).start();
    }
    for (const { server, fate } of others) {
      const machine = this.machine(server);
      if (fate === "dead") {
        machine.crash(false, "fate");
        machine.isRetired = true;
        continue;
      }
      machine.start();
      for (let i = 0; i < this.plan.servers; i++) {
        if (i === server) continue;
        if (fate !== "mute") this.cut([[i, server]]);
        if (fate !== "deaf") this.cut([[server, i]]);
      }
    }
  }

  #makeNetwork(): LinkNetwork {
    const { hub } = this;
    const sent = hub.listeners("sent");
    const delivered = hub.listeners("delivered");
    return new LinkNetwork(this.runtime, {
      conditions: this.plan.network,
      observer: {
        nextId: () => hub.next(),
        sent: (message) => {
          this.#countEvents();
          for (const listener of sent) listener({ type: "sent", seq: message.id, atMs: message.sentAtMs, message });
          return this.#diversions.size === 0 ? undefined : this.#diversions.get(message.id);
        },
        delivered: (message) => {
          const seq = hub.next();
          if (delivered.length === 0) return;
          const event = { type: "delivered", seq, atMs: this.clock.now(), message } as const;
          for (const listener of delivered) listener(event);
        },
        dropped: (message, why) => hub.emit("dropped", { message, why }),
        duplicated: (message) => hub.emit("duplicated", { message }),
        failed: (message, error) => this.#onHandlerError(message, error),
      },
    });
  }

  /** A handler may refuse while its server ends; any other error is a programming error or a broken protocol. */
  #onHandlerError(message: NetMessage, error: Error): void {
    const cause = error.cause as { code?: string } | undefined;
    if (cause?.code !== "KILLED") this.failBy(`${message.to}, asked by ${message.from}`, error);
  }

  /** A storm shows as far more events in a simulated second than any healthy run has. */
  #countEvents(): void {
    if (this.clock.now() >= this.#secondEndsAt) {
      this.#secondEndsAt = Math.floor(this.clock.now() / SECOND_MS + 1) * SECOND_MS;
      this.#secondBeganWith = this.hub.seq;
    } else if (this.hub.seq - this.#secondBeganWith > this.plan.limits.eventsPerSecond) {
      const { eventsPerSecond } = this.plan.limits;
      this.fail("storm", `more than ${eventsPerSecond} events within the simulated second to ${this.#secondEndsAt} ms`);
    }
  }

  // ---- interventions ------------------------------------------------------------------------------------------------------

  #prepareInterventions(): void {
    const alarms: { seq: number; ring: () => void }[] = [];
    for (const { seq, action } of this.plan.interventions) {
      if (action.type === "drop") this.#diversions.set(seq, { drop: true });
      else if (action.type === "delay") this.#diversions.set(seq, { delayMs: action.byMs });
      else if (action.type === "duplicate") this.#diversions.set(seq, { duplicateMs: action.byMs });
      // Not in the midst of what is going on, but before anything else.
      else alarms.push({ seq, ring: () => void this.clock.setTimeout(() => this.#act(action), 0) });
    }
    this.hub.setAlarms(alarms.sort((a, b) => a.seq - b.seq));
  }

  #act(action: Exclude<Action, { type: "drop" | "delay" | "duplicate" }>): void {
    if (action.type === "crash") {
      const machine = this.machine(action.server);
      machine.crash(action.power, "intervention");
      this.clock.setTimeout(() => machine.start(), action.forMs);
    } else {
      this.cut(action.links);
      this.clock.setTimeout(() => this.heal(action.links), action.forMs);
    }
  }
}
