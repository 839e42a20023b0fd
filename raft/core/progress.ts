import { assert } from "../../runtime/index.js";
import type { Snapshot } from "./types.js";

/**
 * What the leader knows of one follower (nextIndex and matchIndex of figure 2, and the flow control around them).
 *
 * - probe: the point where the logs agree is not known; one append at a time looks for it.
 * - replicate: it is known; appends are sent ahead of their answers, within the limits of the window.
 * - snapshot: the entries it needs are gone; the snapshot travels in chunks, one at a time.
 *
 * Always matchIndex < nextIndex. matchIndex never falls while this leader leads.
 */
export class Progress {
  readonly id: number;
  state: "probe" | "replicate" | "snapshot" = "probe";
  matchIndex = 0;
  nextIndex: number;
  /** When the last answer came: check-quorum counts on it (dissertation §6.2). */
  lastAnswerAt: number;
  /** The newest read round this follower has confirmed. */
  readContext = 0;
  /** Requests without answer since the last answer. After the first, repeats wait for the heartbeat: no storms. */
  failures = 0;
  /** The transfer in progress in state snapshot. */
  snapshot: Snapshot | null = null;
  offset = 0;
  /** Send times of requests whose answer is awaited; bounded by the window, trimmed from the front. */
  readonly #inflight: Inflight[] = [];
  #bytes = 0;

  constructor(id: number, nextIndex: number, now: number) {
    this.id = id;
    this.nextIndex = nextIndex;
    this.lastAnswerAt = now;
  }

  get inflightMessages(): number {
    return this.#inflight.length;
  }

  get inflightBytes(): number {
    return this.#bytes;
  }

  get oldestSentAt(): number {
    return this.#inflight[0]?.sentAt ?? Infinity;
  }

  /** May another append or chunk be sent now? */
  canSend(maxMessages: number, maxBytes: number): boolean {
    const limit = this.state === "replicate" ? maxMessages : 1;
    return this.#inflight.length < limit && (this.#bytes < maxBytes || this.#inflight.length === 0);
  }

  sent(seq: number, lastIndex: number, bytes: number, now: number): void {
    this.#inflight.push({ seq, lastIndex, bytes, sentAt: now });
    this.#bytes += bytes;
    if (this.state === "replicate") this.nextIndex = Math.max(this.nextIndex, lastIndex + 1);
  }

  isInflight(seq: number): boolean {
    return this.#inflight.some((message) => message.seq === seq);
  }

  /** The follower's log equals the leader's up to `index`. True where that is news. */
  acknowledge(index: number): boolean {
    while (this.#inflight.length > 0 && (this.#inflight[0] as Inflight).lastIndex <= index) {
      this.#bytes -= (this.#inflight.shift() as Inflight).bytes;
    }
    if (index <= this.matchIndex) return false;
    this.matchIndex = index;
    this.nextIndex = Math.max(this.nextIndex, index + 1);
    return true;
  }

  becomeReplicate(): void {
    this.state = "replicate";
    this.#clear();
    this.snapshot = null;
    this.nextIndex = this.matchIndex + 1;
  }

  becomeProbe(nextIndex: number): void {
    this.state = "probe";
    this.#clear();
    this.snapshot = null;
    this.nextIndex = Math.max(nextIndex, this.matchIndex + 1);
    assert(this.matchIndex < this.nextIndex, "matchIndex < nextIndex");
  }

  becomeSnapshot(snapshot: Snapshot): void {
    this.state = "snapshot";
    this.#clear();
    this.snapshot = snapshot;
    this.offset = 0;
  }

  /** What was on its way counts as lost; answers that still come are taken all the same. */
  forgetInflight(): void {
    this.#clear();
  }

  #clear(): void {
    this.#inflight.length = 0;
    this.#bytes = 0;
  }
}

interface Inflight {
  readonly seq: number;
  readonly lastIndex: number;
  readonly bytes: number;
  readonly sentAt: number;
}
