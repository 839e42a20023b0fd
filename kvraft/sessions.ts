/** null: there was a write of this number but its reply is not kept. */
type StoredReply = number | null;

/**
 * One client's memory in the replicated state (dissertation §6.3): the number of its last applied write, and the replies
 * to the last request that applied something. A client has one request outstanding and numbers its writes upwards, so
 * it can ask for no older reply.
 */
export class Session {
  #last: number;
  /** Replies to the numbers up to and including #last. */
  #replies: StoredReply[];

  constructor(last = 0, replies: StoredReply[] = []) {
    this.#last = last;
    this.#replies = replies;
  }

  get last(): number {
    return this.#last;
  }

  /** The stored reply to write `seq`, null where it is no longer known. */
  replyTo(seq: number): StoredReply {
    return this.#replies[seq - 1 - this.#last + this.#replies.length] ?? null;
  }

  /** A request whose writes are numbered from `firstSeq` applies something: replies to earlier numbers may go. */
  begin(firstSeq: number): void {
    const known = Math.max(0, this.#last - firstSeq + 1);
    if (known < this.#replies.length) this.#replies = this.#replies.slice(this.#replies.length - known);
    if (firstSeq > this.#last) this.#last = firstSeq - 1;
  }

  /** The next write was applied. */
  record(reply: StoredReply): void {
    this.#last++;
    this.#replies.push(reply);
  }

  toRow(id: number): StoredReply[] {
    return [id, this.#last, ...this.#replies];
  }
}

/**
 * The sessions of all clients. Part of the replicated state: it changes only in apply, from what stands in the log.
 *
 * A session's id is the index of the log entry that opened it. Indexes are never used twice, so a late duplicate of a
 * registration can make a session that nobody uses, but never revive an old one or make the same one twice (S66).
 */
export class SessionTable {
  /** In order of use, least recent first: a Map keeps the order of insertion. */
  readonly #sessions = new Map<number, Session>();

  get size(): number {
    return this.#sessions.size;
  }

  /** Opens session `id`, and drops the least recently used ones beyond `limit`. */
  open(id: number, limit: number): void {
    this.#sessions.set(id, new Session());
    for (const oldest of this.#sessions.keys()) {
      if (this.#sessions.size <= limit) break;
      this.#sessions.delete(oldest);
    }
  }

  /** The session, now the most recently used; undefined where it has expired or never was. */
  use(id: number): Session | undefined {
    const session = this.#sessions.get(id);
    if (session === undefined) return undefined;
    this.#sessions.delete(id);
    this.#sessions.set(id, session);
    return session;
  }

  end(id: number): boolean {
    return this.#sessions.delete(id);
  }

  /** One row a session, in order of use: `[id, last number, ...replies]`. */
  toRows(): StoredReply[][] {
    return Array.from(this.#sessions, ([id, session]) => session.toRow(id));
  }

  /** Replaces all sessions by those of `toRows`. */
  restore(rows: readonly (readonly StoredReply[])[]): void {
    this.#sessions.clear();
    for (const [id, last, ...replies] of rows) this.#sessions.set(id as number, new Session(last as number, replies));
  }
}
