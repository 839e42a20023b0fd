import { describe, expect, test } from "vitest";

import { makeService, Server, type ClientEnd } from "../../labrpc/index.js";
import { METHODS } from "../../paxos/messages.js";
import { makePaxosKV, NO_BALLOT, Proposer, startAcceptor } from "../../paxos/index.js";
import { Persister } from "../../replica/index.js";
import { encode } from "../../runtime/index.js";
import { simulate, type SimRuntime } from "../../sim/index.js";
import { AcceptorCluster } from "./registers-cluster.js";

const register = { key: "i", version: 0 };
const NO_CHANGE = { type: "persist", write: 1, hardState: null, snapshot: null, discardLog: false } as const;

function inWorld(story: (runtime: SimRuntime, cluster: AcceptorCluster) => Promise<void>, seed = 1): Promise<void> {
  return simulate({ seed, limitMs: 600_000 }, (runtime) => story(runtime, new AcceptorCluster(runtime)));
}

function proposerOf(runtime: SimRuntime, cluster: AcceptorCluster, proposerId: number, n = 0): Proposer {
  return new Proposer({ register, acceptors: cluster.ends(), runtime, ballot: { n, proposerId } });
}

describe("a proposer", () => {
  test("is told the highest ballot that was seen, not the last", () =>
    inWorld(async (runtime, cluster) => {
      const ends = cluster.ends();
      const at = (n: number): Proposer =>
        new Proposer({ register, acceptors: ends, runtime, ballot: { n, proposerId: 1 } });
      for (const [i, n] of [9, 5, 7].entries()) await at(n).phase1([ends[i] as ClientEnd]);
      for (const order of [
        [0, 1],
        [1, 0],
        [2, 0],
      ]) {
        const { ok, highest } = await at(1).phase1(order.map((i) => ends[i] as ClientEnd));
        expect([ok, highest.n]).toEqual([false, 9]);
      }
      // A single higher ballot in a minority is no hindrance, for a quorum goes along (and is not overbid for nothing).
      expect((await at(8).phase1()).ok).toBe(true);
    }));

  test("with one acceptor down or hanging goes on at once, with two down waits without spinning", () =>
    inWorld(async (runtime, cluster) => {
      cluster.hang(2);
      const begin = runtime.clock.now();
      expect(await proposerOf(runtime, cluster, 1).runPaxos("a")).toEqual({ value: "a", ours: true });
      expect(await proposerOf(runtime, cluster, 2).runPaxos()).toMatchObject({ value: "a" });
      expect(runtime.clock.now() - begin).toBeLessThan(50);

      for (const others of ["stopped", "hanging"]) {
        if (others === "stopped") cluster.stop(1);
        else cluster.hang(1);
        const calls = cluster.calls;
        const limits = { timeoutMs: 10_000 };
        const late = proposerOf(runtime, cluster, 1, 5).runPaxos("b", limits);
        await expect(late).rejects.toMatchObject({ code: "TIMEOUT", maybeApplied: false });
        // A round takes until the network, or patience, says that nobody answers.
        expect(cluster.calls - calls, others).toBeLessThan(600);
        const counted = cluster.calls;
        await runtime.clock.sleep(10_000);
        expect(cluster.calls).toBe(counted);
      }
      cluster.start(1);
      expect(await proposerOf(runtime, cluster, 3).runPaxos("c")).toEqual({ value: "a", ours: false });
    }));

  test("duels make progress: many at once finish soon, on every seed, and agree", async () => {
    for (let seed = 1; seed <= 50; seed++) {
      await inWorld(async (runtime, cluster) => {
        cluster.network.reliable(seed % 2 === 0);
        const begin = runtime.clock.now();
        const writes = Array.from({ length: 8 }, (_, i) => proposerOf(runtime, cluster, i + 1).runPaxos(i));
        const outcomes = await Promise.all(writes);
        expect(new Set(outcomes.map(({ value }) => value)).size).toBe(1);
        expect(outcomes.filter(({ ours }) => ours).length).toBe(1);
        expect(runtime.clock.now() - begin, `seed ${seed}`).toBeLessThan(10_000);
      }, seed);
    }
  });

  test("a read finishes what a writer left half-done", () =>
    inWorld(async (runtime, cluster) => {
      const ends = cluster.ends();
      const writer = new Proposer({ register, acceptors: ends, runtime, ballot: { proposerId: 4 } });
      await writer.phase1();
      await writer.phase2("mine", [ends[0] as ClientEnd]);
      cluster.stop(2);
      expect(await proposerOf(runtime, cluster, 5).runPaxos()).toEqual({ value: "mine", ours: false });
      // It is chosen now: the others can do without the one acceptor that had it.
      cluster.start(2);
      cluster.stop(0);
      expect(await proposerOf(runtime, cluster, 6).runPaxos("mine")).toEqual({ value: "mine", ours: false });
      cluster.start(0);
      expect(await writer.runPaxos("mine")).toEqual({ value: "mine", ours: false });
    }));

  test("a read of an unset register asks for no votes and no promises, and creates nothing", () =>
    inWorld(async (runtime, cluster) => {
      const asked: string[] = [];
      const ends = cluster.ends().map((end): ClientEnd => ({
        call: (method, args) => (asked.push(method), end.call(method, args)),
      }));
      expect(await new Proposer({ register, acceptors: ends, runtime }).runPaxos()).toBeNull();
      expect(new Set(asked)).toEqual(new Set([METHODS.look]));
      expect(cluster.registers()).toEqual([0, 0, 0]);
      // And what another wrote on a minority only, and this quorum has not seen, reads as null: phase 1, no phase 2.
      await new Proposer({ register, acceptors: ends, runtime }).phase1();
      expect(await new Proposer({ register, acceptors: ends, runtime }).runPaxos()).toBeNull();
      expect(asked).not.toContain(METHODS.accept);
    }));

  test("a limit ends a call: nothing more is sent, and it says whether the value may be chosen", () =>
    inWorld(async (runtime, cluster) => {
      const refused = proposerOf(runtime, cluster, 1).runPaxos(1, { signal: AbortSignal.abort("why") });
      await expect(refused).rejects.toMatchObject({ code: "ABORTED", maybeApplied: false, cause: "why" });
      await expect(proposerOf(runtime, cluster, 1).runPaxos(1, { timeoutMs: 0 })).rejects.toMatchObject({
        code: "TIMEOUT",
        maybeApplied: false,
      });
      await expect(proposerOf(runtime, cluster, 1).runPaxos(1, { timeoutMs: -1 })).rejects.toMatchObject({
        code: "INVALID_ARGUMENT",
      });
      expect(cluster.calls).toBe(0);

      // Promises are given, votes are not answered: the value may be chosen.
      const dead = new AbortController();
      const ends = cluster.ends().map((end): ClientEnd => ({
        call: (method, args) => {
          if (method !== METHODS.accept) return end.call(method, args);
          dead.abort("enough");
          return new Promise(() => {});
        },
      }));
      const proposer = new Proposer({ register, acceptors: ends, runtime });
      await expect(proposer.runPaxos(1, { signal: dead.signal })).rejects.toMatchObject({
        code: "ABORTED",
        maybeApplied: true,
        cause: "enough",
      });
      const calls = cluster.calls;
      await runtime.clock.sleep(5000);
      expect(cluster.calls).toBe(calls);
    }));

  test("what its caller does to a value meanwhile does not change what is proposed", () =>
    inWorld(async (runtime, cluster) => {
      const value = { text: "as it was" };
      cluster.network.reliable(false);
      const write = proposerOf(runtime, cluster, 1).runPaxos(value);
      value.text = "changed";
      expect(await write).toEqual({ value: { text: "as it was" }, ours: true });

      const steps = new Proposer({ register: { key: "i", version: 1 }, acceptors: cluster.ends(), runtime });
      cluster.network.reliable(true);
      await steps.phase1();
      await steps.phase2(value);
      value.text = "changed again";
      await expect(steps.phase2(value)).rejects.toThrow("this ballot is for another value");
      expect(await steps.phase2({ text: "changed" })).toMatchObject({ ok: true });
    }));

  test("carries on one call at a time", () =>
    inWorld(async (runtime, cluster) => {
      const proposer = proposerOf(runtime, cluster, 1);
      const first = proposer.runPaxos(1);
      await expect(proposer.runPaxos(2)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
      expect(await first).toEqual({ value: 1, ours: true });
      expect(await proposer.runPaxos(2)).toEqual({ value: 1, ours: false });
    }));

  test("errors of a minority are passed over; of a majority they end the call and are its cause", () =>
    inWorld(async (runtime, cluster) => {
      cluster.network.addServer("acceptor 0", new Server(makeService("Other", {})));
      expect(await proposerOf(runtime, cluster, 1).runPaxos(1)).toEqual({ value: 1, ours: true });
      cluster.network.addServer("acceptor 1", new Server(makeService("Other", {})));
      for (const write of [undefined, 2]) {
        const failed = proposerOf(runtime, cluster, 2).runPaxos(write);
        await expect(failed).rejects.toMatchObject({
          code: "QUORUM_FAILED",
          maybeApplied: false,
          cause: { code: "UNKNOWN_SERVICE" },
        });
      }
    }));

  test("what answers as no acceptor does counts as an error of its own", () =>
    inWorld(async (runtime, cluster) => {
      const ends = cluster.ends();
      const state = { lastBallot: NO_BALLOT, votedBallot: NO_BALLOT, votedValue: null, author: NO_BALLOT };
      const strange: readonly unknown[] = [
        undefined,
        5,
        {},
        { trimmedBelow: "all" },
        { lastBallot: 7 },
        { ...state, lastBallot: { n: 0.5, proposerId: 1 } },
        { ...state, author: null, version: 0, isChosen: true },
        { floor: 0, versions: [null] },
        { floor: -1, versions: [] },
        { ...state, version: 0, isChosen: 1 },
      ];
      for (const [i, reply] of strange.entries()) {
        const end: ClientEnd = { call: async () => reply as never };
        const kv = makePaxosKV([...ends.slice(0, 2), end], { runtime });
        expect(await kv.put("k", i)).toBe(i);
        expect(await kv.latest("k")).toEqual({ version: i, value: i });
        expect(await kv.versions("k")).toHaveLength(i + 1);
        const alone = makePaxosKV([...ends.slice(0, 1), end, { call: end.call }], { runtime });
        for (const call of [alone.get("k", i), alone.latest("k"), alone.versions("k")]) {
          await expect(call, `answer ${i}`).rejects.toMatchObject({
            code: "QUORUM_FAILED",
            cause: { code: "BAD_MESSAGE" },
          });
        }
      }
    }));

  test("wrong settings are refused by name", () =>
    inWorld(async (runtime, cluster) => {
      const acceptors = cluster.ends();
      const good = { register, acceptors, runtime };
      const wrong: readonly (readonly [object, string])[] = [
        [{ acceptors: [] }, "at least one"],
        [{ acceptors: [acceptors[0], acceptors[1], acceptors[0]] }, "each once"],
        [{ quorum: 4 }, "from 2 to 3, not 4"],
        [{ quorum: 1 }, "must have an acceptor in common"],
        [{ quorum: 2.5 }, "from 2 to 3, not 2.5"],
        [{ register: { key: "i", version: -1 } }, "version must be a whole number from 0"],
        [{ register: { key: "i", version: 0.5 } }, "not 0.5"],
        [{ register: { key: "i", version: 2 ** 53 } }, "version must be"],
        [{ register: { key: 5, version: 0 } }, "a key must be a string"],
        [{ register: { key: "\ud800", version: 0 } }, "surrogate"],
        [{ ballot: { n: 0.5 } }, "n must be"],
        [{ ballot: { proposerId: 0 } }, "id must be a whole number from 1"],
        [{ ballot: { proposerId: 1.5 } }, "not 1.5"],
      ];
      for (const [change, text] of wrong) {
        expect(() => new Proposer({ ...good, ...change }), text).toThrow(text);
      }
      const proposer = new Proposer(good);
      await expect(proposer.phase2(1)).rejects.toThrow("phase 2 needs a phase 1");
      await expect(proposer.phase1([])).rejects.toThrow("at least one");
      await expect(proposer.phase1([acceptors[0], acceptors[0]] as ClientEnd[])).rejects.toThrow("each once");
      await expect(proposer.runPaxos(() => 1)).rejects.toMatchObject({ code: "ENCODE" });
      expect(cluster.calls).toBe(0);
      expect(new Proposer({ ...good, quorum: 3 }).ballot.n).toBe(0);
    }));
});

describe("an acceptor in the network", () => {
  const ballot = { n: 3, proposerId: 1 };
  const at = { key: "k", version: 2 };

  test("answers what is not of its protocol with an error, and does not change", () =>
    inWorld(async (_, cluster) => {
      const [end] = cluster.ends() as [ClientEnd];
      await end.call(METHODS.accept, { ...at, ballot, value: "v", author: ballot });
      const before = cluster.persisters[0]?.copy().load();
      const malformed: readonly (readonly [string, unknown])[] = [
        ...[
          null,
          5,
          "x",
          [],
          {},
          { key: 5 },
          { key: "k", version: -1, ballot },
          { key: "k", version: "2", ballot },
        ].map((args) => [METHODS.prepare, args] as const),
        [METHODS.prepare, { ...at }],
        [METHODS.prepare, { ...at, ballot: 7 }],
        [METHODS.prepare, { ...at, ballot: { n: 1.5, proposerId: 1 } }],
        [METHODS.prepare, { ...at, ballot: { n: 1, proposerId: 0 } }],
        [METHODS.prepare, { ...at, ballot: { n: 2 ** 60, proposerId: 1 } }],
        [METHODS.accept, { ...at, ballot: { n: 9, proposerId: 1 }, author: ballot }],
        [METHODS.accept, { ...at, ballot: { n: 9, proposerId: 1 }, value: 1 }],
        [METHODS.learn, { ...at }],
        [METHODS.look, {}],
        [METHODS.look, { key: "k", version: 1.5 }],
        [METHODS.versions, { key: null }],
        [METHODS.trim, { key: "k" }],
        [METHODS.trim, { key: "k", below: Infinity }],
      ];
      for (const [method, args] of malformed) {
        await expect(end.call(method, args), `${method} ${JSON.stringify(args)}`).rejects.toMatchObject({
          name: "RemoteError",
          code: "HANDLER_FAILED",
        });
      }
      expect(cluster.persisters[0]?.copy().load()).toEqual(before);
      expect(await end.call(METHODS.look, at)).toMatchObject({ votedBallot: ballot, votedValue: "v" });
      expect(cluster.registers()[0]).toBe(1);
    }));

  test("n = -1 is a ballot like any other, and lower than none", () =>
    inWorld(async (_, cluster) => {
      const [end] = cluster.ends() as [ClientEnd];
      const low = { n: -1, proposerId: 1 };
      const reply = await end.call(METHODS.accept, { ...at, ballot: low, value: 1, author: low });
      expect(reply).toEqual({ lastBallot: { n: 0, proposerId: 0 } });
      expect(cluster.registers()[0]).toBe(0);
    }));

  test("keeps promises and votes over a restart, from its journal or a snapshot", async () => {
    for (const snapshotFrom of [1, 200, 1 << 20]) {
      await simulate({ seed: 1 }, async (runtime) => {
        const cluster = new AcceptorCluster(runtime, 3, snapshotFrom);
        const [end] = cluster.ends() as [ClientEnd];
        const ask = (method: string, n: number, version: number, value?: unknown): Promise<unknown> => {
          const own = { n, proposerId: 1 };
          return end.call(method, {
            key: "k",
            version,
            ballot: own,
            ...(value !== undefined && { value, author: own }),
          });
        };
        for (let version = 0; version < 20; version++) {
          await ask(METHODS.prepare, 5, version);
          if (version % 2 === 0)
            await ask(METHODS.accept, 5, version, { text: `v${version}`, bytes: Uint8Array.of(1) });
          if (version % 3 === 0) await ask(METHODS.prepare, 8, version);
        }
        await end.call(METHODS.trim, { key: "k", below: 4 });
        cluster.start(0);
        for (let version = 4; version < 20; version++) {
          expect(await ask(METHODS.prepare, 1, version)).toEqual({
            lastBallot: { n: version % 3 === 0 ? 8 : 5, proposerId: 1 },
            votedBallot: version % 2 === 0 ? { n: 5, proposerId: 1 } : { n: 0, proposerId: 0 },
            votedValue: version % 2 === 0 ? { text: `v${version}`, bytes: Uint8Array.of(1) } : null,
            author: version % 2 === 0 ? { n: 5, proposerId: 1 } : { n: 0, proposerId: 0 },
          });
        }
        expect(await ask(METHODS.prepare, 9, 3)).toEqual({ trimmedBelow: 4 });
        const { journalBytes, snapshotBytes } = cluster.acceptors[0]!.stats();
        expect(snapshotBytes > 0).toBe(snapshotFrom < 1000);
        expect(journalBytes).toBeLessThan(Math.max(snapshotFrom, 2 * snapshotBytes) + 100);
      });
    }
  });

  test("does not start on the storage of a Raft server", () => {
    const storage = new Persister();
    const entries = [{ term: 1, type: 0, data: encode(["put", "k", "v"]) }] as const;
    storage.write({ ...NO_CHANGE, firstIndex: 1, entries }, () => {});
    expect(() => startAcceptor({ storage })).toThrow("holds no acceptor's journal");
    expect(() => startAcceptor({ storage: new Persister(), snapshotFrom: 0 })).toThrow("from 1 on, not 0");
  });

  test("answers nothing before it is durable, and nothing any more after a failed write", () =>
    inWorld(async (runtime, cluster) => {
      const waiting: ((error: Error | null) => void)[] = [];
      class SlowPersister extends Persister {
        override write(...[write, done]: Parameters<Persister["write"]>): void {
          super.write(write, () => waiting.push(done));
        }
      }
      const { service } = startAcceptor({ storage: new SlowPersister() });
      cluster.network.addServer("acceptor 0", new Server(service));
      const [end] = cluster.ends() as [ClientEnd];
      const answers: string[] = [];
      const ask = (name: string, method: string, args: object): void => {
        end.call(method, { ...at, ...args }).then(
          () => answers.push(name),
          (error: Error) => answers.push(`${name}: ${error.message.includes("its storage failed (no disk)")}`),
        );
      };
      ask("promise", METHODS.prepare, { ballot });
      await runtime.clock.sleep(10);
      ask("refusal", METHODS.prepare, { ballot });
      ask("vote", METHODS.accept, { ballot, value: 1, author: ballot });
      // What they show is not durable either.
      ask("same vote", METHODS.accept, { ballot, value: 1, author: ballot });
      ask("look", METHODS.look, {});
      await runtime.clock.sleep(1000);
      expect([answers, waiting.length]).toEqual([[], 3]);
      waiting[0]?.(null);
      await runtime.clock.sleep(10);
      // The first write makes the refusal true as well.
      expect(answers).toEqual(["promise", "refusal"]);
      waiting[1]?.(null);
      await runtime.clock.sleep(10);
      waiting[2]?.(new Error("no disk"));
      await runtime.clock.sleep(10);
      ask("later", METHODS.look, {});
      await runtime.clock.sleep(10);
      const failed = ["same vote: true", "look: true", "later: true"];
      expect(answers).toEqual(["promise", "refusal", "vote", ...failed]);
    }));
});
