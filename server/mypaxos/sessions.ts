/** One client's memory in the state of a group: its last batch that was applied, and the answers to it. */
interface Session {
  /** Drawn by the client. Groups that keep nothing use their indexes again after a restart, and this tells them apart. */
  readonly token: number;
  last: number;
  answers: Uint8Array;
}

export type SessionRow = readonly [id: number, token: number, last: number, answers: Uint8Array];

const NO_ANSWERS = new Uint8Array(0);

/**
 * What makes each batch happen once. A client has one batch outstanding and numbers them upwards, so that the last number
 * and its answers are all that must be kept. Part of the replicated state: it changes only in apply, and the bounds are
 * the same on every node.
 */
export class Sessions {
  /** In order of use, least recent first: a Map keeps the order of insertion. */
  readonly #sessions = new Map<number, Session>();
  readonly #maxSessions: number;
  readonly #maxAnswerBytes: number;
  #answerBytes = 0;

  constructor(maxSessions: number, maxAnswerBytes: number) {
    this.#maxSessions = maxSessions;
    this.#maxAnswerBytes = maxAnswerBytes;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** `id` is the index of the log entry that opens the session: no two have the same. */
  open(id: number, token: number): void {
    this.#put(id, { token, last: 0, answers: NO_ANSWERS });
    this.#makeRoom();
  }

  /** The session, now the most recently used; undefined where it has expired or never was. */
  use(id: number, token: number): Session | undefined {
    const session = this.#sessions.get(id);
    if (session?.token !== token) return undefined;
    this.#sessions.delete(id);
    this.#sessions.set(id, session);
    return session;
  }

  /** Batch `seq` of this session was applied. */
  record(session: Session, seq: number, answers: Uint8Array): void {
    this.#answerBytes += answers.length - session.answers.length;
    session.last = seq;
    session.answers = answers;
    this.#makeRoom();
  }

  end(id: number, token: number): void {
    if (this.#sessions.get(id)?.token === token) this.#drop(id);
  }

  toRows(): SessionRow[] {
    return Array.from(this.#sessions, ([id, { token, last, answers }]) => [id, token, last, answers]);
  }

  /** Replaces all sessions by those of `toRows`. */
  restore(rows: readonly SessionRow[]): void {
    this.#sessions.clear();
    this.#answerBytes = 0;
    for (const [id, token, last, answers] of rows) this.#put(id, { token, last, answers });
  }

  #put(id: number, session: Session): void {
    this.#sessions.set(id, session);
    this.#answerBytes += session.answers.length;
  }

  #drop(id: number): void {
    this.#answerBytes -= (this.#sessions.get(id) as Session).answers.length;
    this.#sessions.delete(id);
  }

  /** Who has just come, or has just been answered, stays: it is the last one in the order of use. */
  #makeRoom(): void {
    for (const oldest of this.#sessions.keys()) {
      const isFull = this.#sessions.size > this.#maxSessions || this.#answerBytes > this.#maxAnswerBytes;
      if (!isFull || this.#sessions.size === 1) break;
      this.#drop(oldest);
    }
  }
}
