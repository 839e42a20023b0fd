interface Inflight {
  readonly seq: number;
  readonly first: number;
  readonly bytes: number;
  readonly sentAt: number;
}

/** What the leader knows of one acceptor, and the flow control around it. Which instances it has voted in is in `acks`. */
export class AcceptorProgress {
  readonly id: number;
  /** The next instance to ask it for. */
  nextIndex: number;
  /** Up to here the acceptor itself knows what was chosen. */
  commitIndex = 0;
  /** The highest instance in which it has voted under this leader. */
  votedIndex = 0;
  /** When the last answer came. */
  lastAnswerAt: number;
  /** The newest read round that it has confirmed. */
  readContext = 0;
  /** Requests without answer since the last answer. After the first, repeats wait for the heartbeat: no storms. */
  failures = 0;
  #inflight: Inflight[] = [];
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

  canSend(maxMessages: number, maxBytes: number): boolean {
    return this.#inflight.length < maxMessages && (this.#bytes < maxBytes || this.#inflight.length === 0);
  }

  sent(message: Inflight): void {
    this.#inflight.push(message);
    this.#bytes += message.bytes;
  }

  isInflight(seq: number): boolean {
    return this.#inflight.some((message) => message.seq === seq);
  }

  answered(seq: number, now: number): void {
    this.lastAnswerAt = now;
    this.failures = 0;
    const at = this.#inflight.findIndex((message) => message.seq === seq);
    if (at >= 0) for (const { bytes } of this.#inflight.splice(at, 1)) this.#bytes -= bytes;
  }

  /** Takes all that is on its way as lost, and goes back to ask again. Answers that still come are taken all the same. */
  retreat(): void {
    for (const { first } of this.#inflight) if (first < this.nextIndex) this.nextIndex = first;
    this.#inflight = [];
    this.#bytes = 0;
  }
}
