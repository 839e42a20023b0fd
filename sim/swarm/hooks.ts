import type { Machine } from "./machine.js";
import type { WorldEventOf, WorldObserver } from "./observer.js";
import type { Fault, HookName } from "./types.js";
import type { World } from "./world.js";

type Hook = Extract<Fault, { kind: "hook" }>;

interface Armed {
  readonly number: number;
  readonly fault: Hook;
  left: number;
}

/** An append that is being followed: whom it has reached. */
interface Reach {
  readonly term: number;
  readonly lastIndex: number;
  readonly followers: Set<number>;
}

/**
 * Watches for the moments at which a crash is most instructive. Strikes from within what the server is doing: the rest of
 * that has no effect any more.
 */
export class HookWatch {
  readonly #world: World;
  readonly #strike: (number: number, fault: Hook, machine: Machine) => void;
  readonly #armed = new Map<HookName, Armed[]>();
  readonly #leads = new Map<number, number>();
  readonly #reaches = new Map<number, Reach>();

  constructor(world: World, strike: (number: number, fault: Hook, machine: Machine) => void) {
    this.#world = world;
    this.#strike = strike;
    const wanted = new Set<HookName>();
    for (const fault of world.plan.faults) if (fault.kind === "hook") wanted.add(fault.hook);
    if (wanted.size > 0) world.hub.add(this.#observer(wanted));
  }

  add(number: number, fault: Hook): void {
    const armed = this.#armed.get(fault.hook) ?? [];
    armed.push({ number, fault, left: fault.nth });
    this.#armed.set(fault.hook, armed);
  }

  /** Nothing strikes any more, not even what waits for a disk operation. */
  stop(): void {
    this.#armed.clear();
    for (const { disk } of this.#world.machines) disk.endLifeAfter(Infinity, "killProcess", () => {});
  }

  #observer(wanted: ReadonlySet<HookName>): WorldObserver {
    return {
      ...((wanted.has("voteGranted") || wanted.has("leaderElected")) && {
        stepped: (event: WorldEventOf<"stepped">) => this.#onStep(event),
        paxosStepped: (event: WorldEventOf<"paxosStepped">) => this.#onStep(event),
      }),
      ...((wanted.has("voteGranted") || wanted.has("appendReached")) && {
        released: (event: WorldEventOf<"released">) => this.#onRelease(event),
        paxosReleased: (event: WorldEventOf<"paxosReleased">) => this.#onPaxosRelease(event),
      }),
      ...(wanted.has("beforeReply") && {
        durable: ({ server }: WorldEventOf<"durable">) => this.#reached("beforeReply", server),
      }),
      ...((wanted.has("snapshot") || wanted.has("write")) && {
        writing: ({ server, write }: WorldEventOf<"writing">) => {
          if (write.snapshot !== null) this.#reached("snapshot", server);
          if (write.entries.length > 0) this.#reached("write", server);
        },
      }),
    };
  }

  #onStep({ server, state }: WorldEventOf<"stepped"> | WorldEventOf<"paxosStepped">): void {
    const leads = state.role === "leader" ? state.term : 0;
    if (leads === (this.#leads.get(server) ?? 0)) return;
    this.#leads.set(server, leads);
    if (leads > 0) this.#reached("leaderElected", server);
  }

  #onRelease({ server, effect, state }: WorldEventOf<"released">): void {
    if (effect.type === "reply") {
      const { message } = effect;
      if (message.type === "requestVoteReply" && message.granted && !message.preVote) {
        // It leaves in this very turn; right after that the voter is gone.
        this.#later("voteGranted", server);
      } else if (message.type === "appendEntriesReply" && message.success && state.leader !== null) {
        this.#onAppendStored(state.leader, state.term, message.index, server);
      }
    }
  }

  #onPaxosRelease({ server, effect, state }: WorldEventOf<"paxosReleased">): void {
    if (effect.type !== "reply") return;
    const { message } = effect;
    if (message.type === "prepareReply" && message.granted && !message.probe) this.#later("voteGranted", server);
    else if (message.type === "acceptReply" && message.count > 0 && state.leader !== null) {
      this.#onAppendStored(state.leader, state.term, message.first + message.count - 1, server);
    }
  }

  /** A follower has stored the leader's log up to `index`; an acceptor has voted up to there. */
  #onAppendStored(leader: number, term: number, index: number, follower: number): void {
    let reach = this.#reaches.get(leader);
    if (reach === undefined || reach.term !== term || index > reach.lastIndex) {
      reach = { term, lastIndex: index, followers: new Set() };
      this.#reaches.set(leader, reach);
    }
    if (index < reach.lastIndex || reach.followers.has(follower)) return;
    reach.followers.add(follower);
    const { size } = reach.followers;
    this.#reached("appendReached", leader, size);
  }

  /** When the present turn is over. */
  #later(hook: HookName, server: number): void {
    const { life } = this.#world.machine(server);
    this.#world.clock.setTimeout(() => {
      if (this.#world.machine(server).life === life) this.#reached(hook, server);
    }, 0);
  }

  #reached(hook: HookName, server: number, size = 0): void {
    const armed = this.#armed.get(hook);
    if (armed === undefined || !this.#world.machine(server).isOn) return;
    for (const one of [...armed]) {
      const { fault, number } = one;
      if (fault.server !== null && fault.server !== server) continue;
      if (hook === "appendReached" && fault.count !== size) continue;
      if (--one.left > 0) continue;
      armed.splice(armed.indexOf(one), 1);
      this.#fire(number, fault, server);
      return;
    }
  }

  #fire(number: number, fault: Hook, server: number): void {
    const machine = this.#world.machine(server);
    if (fault.hook === "appendReached") machine.host.recall();
    const isOnDisk = fault.hook === "snapshot" || fault.hook === "write";
    if (!isOnDisk || fault.count === 0) return this.#strike(number, fault, machine);
    const { life } = machine;
    machine.disk.endLifeAfter(fault.count, "killProcess", () => {
      if (machine.life === life) this.#strike(number, fault, machine);
    });
  }
}
