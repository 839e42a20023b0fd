import * as fc from "fast-check";
import { expect, test } from "vitest";

import {
  CommandKind,
  KvMachine,
  OpKind,
  startKVServer,
  Status,
  type KVReply,
  type KVServer,
} from "../../kvraft/index.js";
import { isRead, parseRequest, type ReadOp } from "../../kvraft/commands.js";
import type { ClientEnd } from "../../labrpc/index.js";
import type { Reply, Request } from "../../raft/core/index.js";
import { makeRaft, Persister, type Raft, type Storage, type StorageWrite, type StoredState } from "../../raft/index.js";
import { encodeReply, encodeRequest, METHODS } from "../../raft/wire.js";
import { encode, InvalidArgumentError, KvraftError, type Runtime } from "../../runtime/index.js";
import { simulate } from "../../sim/index.js";
import { outcome } from "./bits.js";
import { plainData } from "./plain-data.js";
import { holdsAsync, isWholeRun } from "./property.js";
import { anyReply, anyRequest, nonsense } from "./raft-messages.js";

/** A disk that takes only what a Raft server may write, whatever it was told. */
class StrictStorage implements Storage {
  readonly persister = new Persister();

  load(): StoredState {
    return this.persister.load();
  }

  stateSize(): number {
    return this.persister.stateSize();
  }

  write(write: StorageWrite, done: (error: Error | null) => void): void {
    const before = this.load().hardState;
    const { term, votedFor } = write.hardState ?? before;
    if (term < before.term) throw new Error(`the term goes back from ${before.term} to ${term}`);
    if (term === before.term && before.votedFor !== null && votedFor !== before.votedFor) {
      throw new Error(`a second vote in term ${term}: ${before.votedFor}, then ${votedFor}`);
    }
    // The persister refuses gaps, and snapshots that go back.
    this.persister.write(write, done);
  }
}

interface Subject {
  readonly raft: Raft;
  readonly storage: StrictStorage;
  readonly failures: Error[];
  readonly content: () => string;
}

/** One Raft server of three: with a snapshot up to 3, of term 2, a log of two entries beyond, and a vote in term 4. */
function subject(runtime: Runtime, peers: readonly ClientEnd[]): Subject {
  const storage = new StrictStorage();
  storage.write(
    {
      type: "persist",
      write: 0,
      hardState: { term: 4, votedFor: 1 },
      snapshot: { index: 3, term: 2, data: Uint8Array.of(9) },
      discardLog: false,
      firstIndex: 4,
      entries: [2, 3].map((term) => ({ term, type: 0, data: encode(`of term ${term}`) })),
    },
    () => {},
  );
  const failures: Error[] = [];
  const raft = makeRaft({ peers, me: 0, persister: storage, runtime, onFailure: (error) => void failures.push(error) });
  void consume(raft);
  return { raft, storage, failures, content: () => JSON.stringify(storage.load()) };
}

async function consume(raft: Raft): Promise<void> {
  for await (const message of raft.applyCh) void message;
}

const SILENT: ClientEnd = { call: () => Promise.resolve(null) };
const handler = (raft: Raft, name: string): ((args: unknown) => unknown) => raft.service.handlers.get(name)!;
const nameOf = (message: Request): string => Object.entries(METHODS).find(([, type]) => type === message.type)![0];

test("a message that is not well formed is refused, and changes nothing that is stored", async () => {
  const bad = fc.oneof(
    fc.tuple(anyRequest([1, 2]), fc.nat(), nonsense).map(([message, at, junk]) => {
      const fields = encodeRequest(message);
      const args: unknown = fields.with(at % fields.length, junk);
      return { name: nameOf(message), args };
    }),
    fc.record({
      name: fc.constantFrom("RequestVote", "AppendEntries", "InstallSnapshot", "TimeoutNow"),
      args: fc.anything().filter((args) => !Array.isArray(args)),
    }),
    // From this server itself, or from nobody.
    anyRequest([0, 3]).map((message) => ({ name: nameOf(message), args: encodeRequest(message) })),
  );
  await simulate({ seed: 1 }, async (runtime) => {
    const { raft, content, failures } = subject(runtime, [SILENT, SILENT, SILENT]);
    const before = content();
    await holdsAsync(
      fc.asyncProperty(bad, async ({ name, args }) => {
        expect(outcome(() => handler(raft, name)(args))).toBeInstanceOf(KvraftError);
        expect(content()).toBe(before);
        expect(failures).toEqual([]);
      }),
      1000,
    );
  });
});

test("well-formed messages with any figures never bring a server down, and break no promise on its disk", async () => {
  await holdsAsync(
    fc.asyncProperty(fc.array(anyRequest([1, 2]), { minLength: 1, maxLength: 8, size: "max" }), (messages) =>
      simulate({ seed: 1, limitMs: 60_000 }, async (runtime) => {
        const { raft, storage, failures } = subject(runtime, [SILENT, SILENT, SILENT]);
        for (const message of messages) {
          const answer = outcome(() => handler(raft, nameOf(message))(encodeRequest(message)));
          if (answer instanceof Error) expect(answer).toBeInstanceOf(KvraftError);
          else expect(Array.isArray(answer)).toBe(true);
          await runtime.clock.sleep(200);
        }
        expect(failures).toEqual([]);
        expect(raft.status().killed).toBe(false);
        raft.kill();
        // What is stored can be started from.
        makeRaft({ peers: [SILENT, SILENT, SILENT], me: 0, persister: storage.persister.copy(), runtime }).kill();
      }),
    ),
    300,
  );
});

/** How a peer answers: as it should, or with what comes next. */
type Answer = { readonly honest: true } | { readonly honest: false; readonly reply: unknown };
const answer: fc.Arbitrary<Answer> = fc.oneof(
  { weight: 3, arbitrary: fc.constant({ honest: true as const }) },
  { weight: 2, arbitrary: anyReply.map((reply) => ({ honest: false as const, reply: encodeReply(reply) })) },
  { weight: 1, arbitrary: fc.oneof(plainData, nonsense).map((reply) => ({ honest: false as const, reply })) },
);

/** Grants every vote and takes every entry, now and then with another tongue. */
function fickle(answers: readonly Answer[]): ClientEnd {
  let calls = 0;
  return {
    call: <R>(method: string, args: unknown) => {
      const next = answers[calls++ % answers.length]!;
      if (!next.honest) return Promise.resolve(next.reply as R);
      const w = args as number[];
      const [term = 0, , seq = 0] = w;
      const replies: Record<string, Reply> = {
        "Raft.RequestVote": {
          type: "requestVoteReply",
          term: w[5] ? term - 1 : term,
          requestTerm: term,
          preVote: Boolean(w[5]),
          granted: true,
        },
        "Raft.AppendEntries": {
          type: "appendEntriesReply",
          term,
          seq,
          readContext: w[6] ?? 0,
          success: true,
          index: (w[3] ?? 0) + ((w[7] as unknown as unknown[])?.length ?? 0) / 3,
          hintIndex: 0,
          hintTerm: 0,
        },
      };
      return Promise.resolve(encodeReply(replies[method] ?? { type: "timeoutNowReply", term }) as R);
    },
  };
}

test("answers of any kind never bring down a server that asks, not even as leader", async () => {
  let led = 0;
  let runs = 0;
  await holdsAsync(
    fc.asyncProperty(fc.array(answer, { minLength: 3, maxLength: 12, size: "max" }), (answers) =>
      simulate({ seed: 1, limitMs: 60_000 }, async (runtime) => {
        const peers = [SILENT, fickle(answers), fickle(answers.toReversed())];
        const { raft, failures } = subject(runtime, peers);
        for (let i = 0; i < 20; i++) {
          await runtime.clock.sleep(150);
          raft.start(i);
          raft.readBarrier({ timeoutMs: 10 }).catch(() => {});
        }
        expect(failures).toEqual([]);
        expect(raft.status().killed).toBe(false);
        runs++;
        if (raft.status().lastIndex > 5) led++;
        raft.kill();
      }),
    ),
    200,
  );
  if (isWholeRun) expect(led).toBeGreaterThan(runs / 4);
});

// ---- the key/value service

const word = fc.string({ maxLength: 5 });
const wellFormed = fc.tuple(
  fc.nat(4),
  fc.nat(6),
  fc.array(
    fc.oneof(
      fc.tuple(fc.constant(OpKind.read), word),
      fc.tuple(fc.constant(OpKind.put), word, word),
      fc.tuple(fc.constant(OpKind.append), word, word),
      fc.tuple(fc.constant(OpKind.delete), word),
      fc.tuple(fc.constant(OpKind.putIf), word, word, fc.nat(3)),
      fc.constant(null),
    ),
    { minLength: 1, maxLength: 4 },
  ),
);
/** Nearly a request: one field or one field of one operation is anything. */
const nearly = fc
  .tuple(wellFormed, fc.oneof(plainData, nonsense), fc.nat(20), fc.boolean())
  .map(([[session, seq, slots], junk, at, isInside]): unknown => {
    const args: unknown[] = [session, seq, slots];
    const slot = slots[at % slots.length];
    if (!isInside || !slot) return args.with(at % 3, junk);
    return args.with(2, slots.with(at % slots.length, (slot as unknown[]).with(at % slot.length, junk) as never));
  });
const kvCall = fc.record({
  method: fc.constantFrom("Request", "Request", "Request", "EndSession", "Register"),
  args: fc.oneof({ weight: 2, arbitrary: nearly }, { weight: 2, arbitrary: wellFormed }, plainData, nonsense),
});

/** What follows the kind of an operation. */
const SHAPES: Readonly<Record<number, readonly ("string" | "number")[]>> = {
  [OpKind.read]: ["string"],
  [OpKind.put]: ["string", "string"],
  [OpKind.append]: ["string", "string"],
  [OpKind.delete]: ["string"],
  [OpKind.putIf]: ["string", "string", "number"],
};

function isCountFrom(least: number, value: unknown): boolean {
  return typeof value === "number" && value >= least && value % 1 === 0 && value <= Number.MAX_SAFE_INTEGER;
}

function isGoodSlot(slot: unknown): boolean {
  if (slot === null) return true;
  const [kind, ...fields] = Array.isArray(slot) ? (slot as unknown[]) : [];
  const shape = typeof kind === "number" ? SHAPES[kind] : undefined;
  if (shape?.length !== fields.length) return false;
  return shape.every((type, i) => (type === "string" ? typeof fields[i] === "string" : isCountFrom(0, fields[i])));
}

/** By the words of the protocol, not by the code that is tested. */
function isGood(method: string, args: unknown): boolean {
  if (method === "Register") return true;
  if (!Array.isArray(args)) return false;
  const [session, seq, slots] = args as unknown[];
  if (method === "EndSession") return isCountFrom(1, session);
  if (args.length !== 3 || !Array.isArray(slots) || slots.length === 0 || !slots.every(isGoodSlot)) return false;
  const least = slots.every((slot) => slot !== null && (slot as unknown[])[0] === OpKind.read) ? 0 : 1;
  return isCountFrom(least, session) && isCountFrom(least, seq);
}

test("the key/value service survives any request; what it refuses does not reach the log, what it takes is applied", async () => {
  await holdsAsync(
    fc.asyncProperty(fc.array(kvCall, { minLength: 1, maxLength: 12, size: "max" }), (calls) =>
      simulate({ seed: 1, limitMs: 60_000 }, async (runtime) => {
        const persister = new Persister();
        const failures: Error[] = [];
        const server: KVServer = startKVServer({
          servers: [SILENT],
          me: 0,
          persister,
          maxRaftState: -1,
          runtime,
          onFailure: (error) => void failures.push(error),
        });
        const ask = async (method: string, args: unknown): Promise<KVReply> =>
          (await server.service.handlers.get(method)!(args)) as KVReply;
        while (!server.raft.getState().isLeader) await runtime.clock.sleep(100);
        const twin = new KvMachine();
        for (const { method, args } of calls) {
          const bytes = persister.raftStateSize();
          const reply = await ask(method, args).catch((error: Error) => error);
          expect(reply instanceof Error).toBe(!isGood(method, args));
          if (reply instanceof Error) {
            expect(reply).toBeInstanceOf(InvalidArgumentError);
            expect(persister.raftStateSize()).toBe(bytes);
            continue;
          }
          // A twin that is given the same commands comes to the same results.
          const index = server.status().lastApplied;
          const context = { index, term: 1 };
          if (method === "Register") twin.apply([CommandKind.register, 10_000], context);
          else if (method === "EndSession") twin.apply([CommandKind.end, (args as number[])[0]!], context);
          else {
            const request = parseRequest(args);
            const reads = request[2].filter((slot): slot is ReadOp => slot !== null && isRead(slot));
            const isReadOnly = reads.length === request[2].length;
            const results = isReadOnly ? twin.readAll(reads) : twin.apply([CommandKind.request, ...request], context);
            if (reply[0] === Status.ok) expect(reply[2]).toEqual(results);
            else expect([reply[0], results]).toEqual([Status.expired, null]);
          }
        }
        const { keys, revision, sessions } = server.status();
        expect([keys, revision, sessions]).toEqual([twin.store.size, twin.store.revision, twin.sessions.size]);
        expect(failures).toEqual([]);
        expect((await ask("Register", []))[0]).toBe(Status.ok);
        server.kill();
      }),
    ),
    150,
  );
});
