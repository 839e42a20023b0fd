import { decode, encode, InvariantError } from "../runtime/index.js";
import { CommandKind, isRead } from "./commands.js";
import type { Command, OpResult, ReadOp, Slot } from "./commands.js";
import { KvStore } from "./kv-store.js";
import type { ApplyContext, StateMachine } from "./rsm.js";
import { SessionTable } from "./sessions.js";
import type { Session } from "./sessions.js";

/** One result an operation; null where the session does not exist, and nothing was done. */
export type Results = readonly OpResult[] | null;

/** Version of the snapshot's format: `[SNAPSHOT_FORMAT, revision, sessions, items]`. */
const SNAPSHOT_FORMAT = 1;

/** The replicated state of the key/value service: the store, and the sessions that make each write happen once. */
export class KvMachine implements StateMachine<Command, Results> {
  readonly store = new KvStore();
  readonly sessions = new SessionTable();

  apply(command: Command, { index }: ApplyContext): Results {
    switch (command[0]) {
      case CommandKind.request: {
        const session = this.sessions.use(command[1]);
        return session === undefined ? null : this.#request(session, command[2], command[3]);
      }
      case CommandKind.read:
        return this.readAll(command[1]);
      case CommandKind.register:
        this.sessions.open(index, command[1]);
        return [index];
      case CommandKind.end:
        return this.sessions.end(command[1]) ? [] : null;
      default:
        // Skipping it would let this server drift away from those that understand it.
        throw new InvariantError(`entry ${index} holds a command that this version does not know`);
    }
  }

  readAll(ops: readonly ReadOp[]): OpResult[] {
    return ops.map((op) => this.store.read(op[1]));
  }

  /**
   * A write whose number the session has seen is not applied again; it gets the reply of the first time. Reads are
   * carried out every time, so their replies need no memory.
   */
  #request(session: Session, firstSeq: number, slots: readonly Slot[]): OpResult[] {
    const results: OpResult[] = [];
    let seq = firstSeq;
    let fresh = false;
    for (const slot of slots) {
      if (slot !== null && isRead(slot)) {
        results.push(this.store.read(slot[1]));
        continue;
      }
      if (seq <= session.last) {
        results.push(session.replyTo(seq));
      } else {
        if (!fresh) session.begin(firstSeq);
        fresh = true;
        const reply = slot === null ? null : this.store.write(slot);
        session.record(reply);
        results.push(reply);
      }
      seq++;
    }
    return results;
  }

  snapshot(): Uint8Array {
    return encode([SNAPSHOT_FORMAT, this.store.revision, this.sessions.toRows(), this.store.toRow()]);
  }

  restore(snapshot: Uint8Array): void {
    const state = decode(snapshot) as [number, number, (number | null)[][], (string | number)[]];
    if (!Array.isArray(state) || state[0] !== SNAPSHOT_FORMAT) {
      throw new InvariantError(`the snapshot is damaged or of another version: format ${String(state?.[0])}`);
    }
    this.store.restore(state[1], state[3]);
    this.sessions.restore(state[2]);
  }
}
