const NO_READS: readonly number[] = [];

interface Round {
  readonly context: number;
  readonly index: number;
  readonly startedAt: number;
  readonly reads: readonly number[];
}

/**
 * The read barrier (dissertation §6.4): a read is linearizable once a majority has answered a message that was sent after
 * the read came in, and the service has applied what was committed then.
 *
 * Rounds are numbered by a counter of this leader (a number made by the caller could be confirmed by answers to its
 * earlier use, S50). Every append carries the newest number and the follower returns it, so one answer confirms all rounds
 * up to it, and a lost message is made good by the next one. The counter goes on over terms; answers of another term are
 * never looked at. At most one round is under way; reads that come meanwhile share the next.
 */
export class ReadRounds {
  #waiting: number[] = [];
  readonly #rounds: Round[] = [];
  #context = 0;
  /** When the newest round that a majority confirmed began: from then a lease counts (§6.4.1). */
  confirmedStart = -Infinity;

  get context(): number {
    return this.#context;
  }

  get hasWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  get hasRounds(): boolean {
    return this.#rounds.length > 0;
  }

  /** Rounds without reads are those that only renew a lease. */
  get isRoundOpen(): boolean {
    return this.#rounds.some((round) => round.reads.length > 0);
  }

  add(read: number): void {
    this.#waiting.push(read);
  }

  /** Begins a round for all waiting reads at `commitIndex`. Its number is in every message sent from now on. */
  begin(commitIndex: number, now: number): void {
    this.#rounds.push({ context: ++this.#context, index: commitIndex, startedAt: now, reads: this.takeWaiting() });
  }

  /** Begins a round for the lease alone. Reads that wait do not join: it may be too early for them (S48). */
  renewLease(now: number): void {
    this.#rounds.push({ context: ++this.#context, index: 0, startedAt: now, reads: NO_READS });
  }

  /** A majority has answered up to `context`: the rounds that this confirms. */
  confirm(context: number): readonly Round[] {
    let count = 0;
    while (count < this.#rounds.length && (this.#rounds[count] as Round).context <= context) count++;
    if (count === 0) return [];
    const confirmed = this.#rounds.splice(0, count);
    this.confirmedStart = (confirmed[count - 1] as Round).startedAt;
    return confirmed;
  }

  /** Takes all waiting reads. */
  takeWaiting(): readonly number[] {
    const reads = this.#waiting;
    this.#waiting = [];
    return reads;
  }

  /** Leadership ended: everything unconfirmed is lost. */
  reset(): readonly number[] {
    const lost = this.#rounds.flatMap((round) => round.reads).concat(this.#waiting);
    this.#rounds.length = 0;
    this.#waiting = [];
    this.confirmedStart = -Infinity;
    return lost;
  }
}
