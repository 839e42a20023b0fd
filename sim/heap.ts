/** Something that will happen. `seq` numbers all events of a world in the order in which they were scheduled. */
export interface SimEvent {
  time: number;
  readonly seq: number;
  /** How many events before it led to it without any time passing. */
  readonly depth: number;
  /** Null once it was cleared. */
  fn: (() => void) | null;
}

function isBefore(a: SimEvent, b: SimEvent): boolean {
  return a.time < b.time || (a.time === b.time && a.seq < b.seq);
}

/** A binary heap of events by (time, seq). Cleared events stay until they come up, or until they are the majority. */
export class EventHeap {
  #events: SimEvent[] = [];
  #cleared = 0;

  push(event: SimEvent): void {
    const events = this.#events;
    events.push(event);
    siftUp(events, events.length - 1, event);
  }

  /** Takes out the first event that was not cleared. */
  pop(): SimEvent | undefined {
    for (;;) {
      const events = this.#events;
      const first = events[0];
      if (first === undefined) return undefined;
      const last = events.pop() as SimEvent;
      if (events.length > 0) siftDown(events, 0, last);
      if (first.fn !== null) return first;
      this.#cleared--;
    }
  }

  /** When the first event is due, cleared ones included; NaN where there is none. */
  nextTime(): number {
    return this.#events[0]?.time ?? NaN;
  }

  /** Forgets an event that is in the heap. */
  clear(event: SimEvent): void {
    event.fn = null;
    this.#cleared++;
    // A world with long time-outs clears most of its timers; without this the heap would keep them all until then.
    if (this.#cleared > 1000 && this.#cleared * 2 > this.#events.length) this.#compact();
  }

  clearAll(): void {
    this.#events = [];
    this.#cleared = 0;
  }

  #compact(): void {
    const events = this.#events.filter((event) => event.fn !== null);
    for (let i = (events.length >> 1) - 1; i >= 0; i--) siftDown(events, i, events[i] as SimEvent);
    this.#events = events;
    this.#cleared = 0;
  }
}

function siftUp(events: SimEvent[], start: number, event: SimEvent): void {
  let hole = start;
  while (hole > 0) {
    const parentIndex = (hole - 1) >> 1;
    const parent = events[parentIndex] as SimEvent;
    if (!isBefore(event, parent)) break;
    events[hole] = parent;
    hole = parentIndex;
  }
  events[hole] = event;
}

function siftDown(events: SimEvent[], start: number, event: SimEvent): void {
  const length = events.length;
  let hole = start;
  for (;;) {
    let childIndex = 2 * hole + 1;
    if (childIndex >= length) break;
    let child = events[childIndex] as SimEvent;
    const right = events[childIndex + 1];
    if (right !== undefined && isBefore(right, child)) {
      child = right;
      childIndex++;
    }
    if (!isBefore(child, event)) break;
    events[hole] = child;
    hole = childIndex;
  }
  events[hole] = event;
}
