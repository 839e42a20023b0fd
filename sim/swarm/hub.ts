import type { Clock } from "../../runtime/index.js";
import type { WorldEvent, WorldEventOf, WorldEventType, WorldEvents, WorldObserver } from "./observer.js";

type Listener = (event: never) => void;

const TYPES: readonly WorldEventType[] = [
  ...(["sent", "delivered", "dropped", "duplicated", "started", "crashed", "paused", "resumed"] as const),
  ...(["clockChanged", "failed", "diskHealth", "stepped", "released", "writing", "durable", "applied"] as const),
  ...(["paxosStepped", "paxosReleased"] as const),
  ...(["snapshotTaken", "snapshotRestored", "stateHash", "invoked", "returned"] as const),
  ...(["faultBegan", "faultEnded", "phase", "violation"] as const),
];

/**
 * Counts the events of a run and tells them to whoever listens. An event that nobody listens to is counted all the same,
 * so that `seq` does not depend on who watches; `emit` then costs nothing more.
 */
export class Hub {
  seq = 0;
  readonly #clock: Clock;
  readonly #listeners = new Map<WorldEventType, Listener[]>();
  #alarms: readonly { readonly seq: number; readonly ring: () => void }[] = [];
  #nextAlarm = 0;
  #alarmAt = Infinity;

  constructor(clock: Clock) {
    this.#clock = clock;
    for (const type of TYPES) this.#listeners.set(type, []);
  }

  add(observer: WorldObserver): void {
    for (const [type, listeners] of this.#listeners) {
      const own = observer[type] as Listener | undefined;
      if (own !== undefined) listeners.push(own.bind(observer));
      if (observer.any !== undefined) listeners.push(observer.any.bind(observer) as Listener);
    }
  }

  /** The listeners of a type, for those who would emit it often. */
  listeners<T extends WorldEventType>(type: T): readonly ((event: WorldEventOf<T>) => void)[] {
    return this.#listeners.get(type) as ((event: WorldEventOf<T>) => void)[];
  }

  /** Calls `ring` once `seq` has come to each of these, in ascending order. */
  setAlarms(alarms: readonly { readonly seq: number; readonly ring: () => void }[]): void {
    this.#alarms = alarms;
    this.#alarmAt = alarms[0]?.seq ?? Infinity;
  }

  /** Counts an event. */
  next(): number {
    const seq = ++this.seq;
    while (seq >= this.#alarmAt) {
      const alarm = this.#alarms[this.#nextAlarm++];
      this.#alarmAt = this.#alarms[this.#nextAlarm]?.seq ?? Infinity;
      alarm?.ring();
    }
    return seq;
  }

  /** Counts an event and tells it. */
  emit<T extends WorldEventType>(type: T, what: WorldEvents[T]): void {
    const seq = this.next();
    const listeners = this.#listeners.get(type) as ((event: WorldEvent) => void)[];
    if (listeners.length === 0) return;
    const event = { type, seq, atMs: this.#clock.now(), ...what } as unknown as WorldEvent;
    for (const listener of listeners) listener(event);
  }
}
