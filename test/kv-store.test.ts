import { describe, expect, test } from "vitest";

import { CommandKind, KvMachine, MAX_REQUEST_OPS, OpKind, startKVServer, Status } from "../kvraft/index.js";
import type { Command, KVReply, KVServer, KVServerOptions, OpResult, Slot } from "../kvraft/index.js";
import { DecodeError, InvariantError } from "../runtime/index.js";
import { forSeeds } from "./harness/seeds.js";
import { eventually, ServiceCluster, track } from "./harness/service-cluster.js";

const put = (key: string, value: string): Slot => [OpKind.put, key, value];
const append = (key: string, value: string): Slot => [OpKind.append, key, value];
const putIf = (key: string, value: string, version: number): Slot => [OpKind.putIf, key, value, version];
const remove = (key: string): Slot => [OpKind.delete, key];
const read = (key: string): Slot => [OpKind.read, key];

/** A machine fed by a log without consensus. */
class Replica {
  readonly machine = new KvMachine();
  index = 0;

  apply(command: Command): readonly OpResult[] | null {
    return this.machine.apply(command, { index: ++this.index, term: 1 });
  }

  register(maxSessions = 10): number {
    return this.apply([CommandKind.register, maxSessions])![0] as number;
  }

  request(session: number, firstSeq: number, ...slots: Slot[]): readonly OpResult[] | null {
    return this.apply([CommandKind.request, session, firstSeq, slots]);
  }

  value(key: string): string | undefined {
    return this.machine.store.read(key)?.[0];
  }

  get state(): { keys: number; revision: number; sessions: number } {
    const { store, sessions } = this.machine;
    return { keys: store.size, revision: store.revision, sessions: sessions.size };
  }
}

/** A replica with one session, and a function that sends the next writes in it. */
function withSession(): { replica: Replica; session: number; send: (...slots: Slot[]) => OpResult[] } {
  const replica = new Replica();
  const session = replica.register();
  let seq = 1;
  const send = (...slots: Slot[]): OpResult[] => {
    const results = replica.request(session, seq, ...slots);
    seq += slots.filter((slot) => slot?.[0] !== OpKind.read).length;
    return [...results!];
  };
  return { replica, session, send };
}

describe("kv store: operations", () => {
  test("every key has a version, which counts its writes", () => {
    const { send } = withSession();
    expect(send(read("x"), put("x", "a"), append("x", "b"), put("y", ""), read("x"), read("y"))).toEqual([
      null,
      1,
      2,
      1,
      ["ab", 2],
      ["", 1],
    ]);
  });

  test("append creates", () => {
    const { send } = withSession();
    expect(send(append("x", "a"), read("x"))).toEqual([1, ["a", 1]]);
  });

  test("a conditional put writes at its version only, and otherwise says the stored one", () => {
    const { send } = withSession();
    expect(send(putIf("x", "a", 1))).toEqual([0]);
    expect(send(putIf("x", "a", 0), putIf("x", "b", 0), putIf("x", "b", 2), putIf("x", "b", 1))).toEqual([
      1, -1, -1, 2,
    ]);
    expect(send(read("x"))).toEqual([["b", 2]]);
  });

  test("a mismatch with an absent key is plain zero", () => {
    const { send } = withSession();
    expect(Object.is(send(putIf("x", "a", 3))[0], 0)).toBe(true);
  });

  test("delete says whether there was something; a key that comes back starts at version 1", () => {
    const { send } = withSession();
    expect(send(remove("x"), put("x", "a"), put("x", "b"), remove("x"), read("x"))).toEqual([0, 1, 2, 2, null]);
    expect(send(putIf("x", "c", 2), putIf("x", "c", 0), read("x"))).toEqual([0, 1, ["c", 1]]);
  });

  test("the revision counts successful writes of the whole store, and nothing else", () => {
    const { replica, send } = withSession();
    send(put("x", "a"), append("y", "b"), putIf("z", "c", 0), remove("y"));
    expect(replica.state.revision).toBe(4);
    send(read("x"), remove("y"), putIf("x", "b", 7), null);
    replica.register();
    expect(replica.state.revision).toBe(4);
  });

  test("keys that are special to JavaScript are keys like others", () => {
    const { send } = withSession();
    for (const key of ["__proto__", "constructor", "", "0", "\u0000", "💾"]) {
      expect(send(read(key), put(key, key), read(key))).toEqual([null, 1, [key, 1]]);
    }
  });
});

describe("kv store: exactly once", () => {
  test("mutation 26: a write that comes again is not applied again, and gets the reply of the first time", () => {
    const { replica, session, send } = withSession();
    expect(send(append("x", "a"), putIf("y", "1", 0), putIf("y", "2", 0), remove("x"))).toEqual([1, 1, -1, 1]);
    for (let i = 0; i < 3; i++) {
      expect(
        replica.request(session, 1, append("x", "a"), putIf("y", "1", 0), putIf("y", "2", 0), remove("x")),
      ).toEqual([1, 1, -1, 1]);
    }
    expect(replica.state).toMatchObject({ keys: 1, revision: 3 });
  });

  test("a write older than the last request is not applied, and its reply is forgotten", () => {
    const { replica, session, send } = withSession();
    send(append("x", "a"));
    send(append("x", "b"));
    expect(replica.request(session, 1, append("x", "a"))).toEqual([null]);
    expect(replica.value("x")).toBe("ab");
  });

  test("reads of a request are carried out each time", () => {
    const { replica, session, send } = withSession();
    expect(send(append("x", "a"), read("x"), read("y"))).toEqual([1, ["a", 1], null]);
    const other = replica.register();
    replica.request(other, 1, put("y", "1"));
    expect(replica.request(session, 1, append("x", "a"), read("x"), read("y"))).toEqual([1, ["a", 1], ["1", 1]]);
  });

  test("a place left empty keeps the numbers of the writes behind it, whichever copy comes first", () => {
    const full = [append("x", "1"), append("x", "2"), append("x", "3"), append("x", "4")] as const;
    const holed = [full[0], null, full[2]] as const;

    const holedFirst = new Replica();
    let session = holedFirst.register();
    expect(holedFirst.request(session, 1, ...holed)).toEqual([1, null, 2]);
    // The late copy adds only what the other one did not number; what it skipped is never made up for.
    expect(holedFirst.request(session, 1, ...full)).toEqual([1, null, 2, 3]);
    expect(holedFirst.value("x")).toBe("134");
    expect(holedFirst.request(session, 1, ...holed)).toEqual([1, null, 2]);

    const fullFirst = new Replica();
    session = fullFirst.register();
    expect(fullFirst.request(session, 1, ...full)).toEqual([1, 2, 3, 4]);
    expect(fullFirst.request(session, 1, ...holed)).toEqual([1, 2, 3]);
    expect(fullFirst.value("x")).toBe("1234");
  });

  test("numbers may be skipped: requests that nobody waited for never arrive", () => {
    const { replica, session, send } = withSession();
    send(append("x", "a"));
    expect(replica.request(session, 9, append("x", "b"))).toEqual([2]);
    expect(replica.request(session, 2, append("x", "late"))).toEqual([null]);
    expect(replica.request(session, 9, append("x", "b"))).toEqual([2]);
    expect(replica.value("x")).toBe("ab");
  });

  test("a session remembers one request, however many there were", () => {
    const { replica, send } = withSession();
    for (let i = 0; i < 1000; i++) send(put("x", "a"));
    expect(replica.machine.snapshot().length).toBeLessThan(30);
  });
});

describe("kv store: sessions", () => {
  test("a request of an unknown session does nothing at all", () => {
    const { replica, send } = withSession();
    send(put("x", "a"));
    const before = replica.machine.snapshot();
    expect(replica.request(77, 1, put("x", "b"), read("x"))).toBeNull();
    expect(replica.machine.snapshot()).toEqual(before);
  });

  test("an ended session is gone; ending it again says so", () => {
    const { replica, session } = withSession();
    expect(replica.apply([CommandKind.end, session])).toEqual([]);
    expect(replica.apply([CommandKind.end, session])).toBeNull();
    expect(replica.request(session, 1, put("x", "a"))).toBeNull();
    expect(replica.state).toEqual({ keys: 0, revision: 0, sessions: 0 });
  });

  test("beyond the limit the session used longest ago goes, and its writes are refused for ever", () => {
    const replica = new Replica();
    const [a, b, c] = [replica.register(3), replica.register(3), replica.register(3)];
    replica.request(a, 1, append("x", "a"));
    const d = replica.register(3);
    expect(replica.state.sessions).toBe(3);
    expect(replica.request(b, 1, append("x", "b"))).toBeNull();
    for (const session of [a, c, d]) expect(replica.request(session, 2, append("x", "."))).not.toBeNull();
    expect(replica.value("x")).toBe("a...");
  });

  test("the limit is the one in the log, also when it shrinks", () => {
    const replica = new Replica();
    for (let i = 0; i < 5; i++) replica.register(10);
    expect(replica.state.sessions).toBe(5);
    const last = replica.register(1);
    expect(replica.state.sessions).toBe(1);
    expect(replica.request(last, 1, put("x", "a"))).toEqual([1]);
  });

  test("S66: a late copy of a registration makes another session and touches no old one", () => {
    const replica = new Replica();
    const first = replica.register(1);
    replica.request(first, 1, append("x", "a"));
    const copy = replica.register(1);
    expect(copy).not.toBe(first);
    expect(replica.request(first, 1, append("x", "a"))).toBeNull();
    expect(replica.value("x")).toBe("a");
  });

  test("a command of another version stops the server rather than being skipped", () => {
    const replica = new Replica();
    expect(() => replica.apply([99, 1] as unknown as Command)).toThrow(InvariantError);
  });
});

describe("kv store: snapshots", () => {
  test("mutation 27: sessions and their replies are in the snapshot", () => {
    const { replica, session, send } = withSession();
    send(append("x", "a"), putIf("x", "b", 9));
    const restored = new Replica();
    restored.machine.restore(replica.machine.snapshot());
    expect(restored.request(session, 1, append("x", "a"), putIf("x", "b", 9))).toEqual([1, -1]);
    expect(restored.state).toEqual(replica.state);
    expect(restored.value("x")).toBe("a");
  });

  test("S43: restoring replaces everything", () => {
    const { replica, session, send } = withSession();
    const empty = new KvMachine().snapshot();
    send(put("x", "a"));
    replica.machine.restore(empty);
    expect(replica.state).toEqual({ keys: 0, revision: 0, sessions: 0 });
    expect(replica.request(session, 2, put("x", "a"))).toBeNull();
  });

  test("damaged bytes and foreign formats are refused", () => {
    const { machine } = new Replica();
    expect(() => machine.restore(new Uint8Array([1, 2, 3]))).toThrow(DecodeError);
    expect(() => machine.restore(new KvMachine().snapshot().map((byte, i) => (i === 1 ? 9 : byte)))).toThrow(
      InvariantError,
    );
  });

  test("a snapshot does not change with the state it was taken of", () => {
    const { replica, send } = withSession();
    send(put("x", "a"));
    const snapshot = replica.machine.snapshot();
    const copy = snapshot.slice();
    send(put("x", "bbbb"), put("y", "c"));
    expect(snapshot).toEqual(copy);
  });

  test("one key and ten clients take less than 150 bytes", () => {
    const replica = new Replica();
    for (let i = 0; i < 10; i++) {
      const session = replica.register();
      for (let seq = 1; seq <= 500; seq++) replica.request(session, seq, put("x", String(seq)));
    }
    expect(replica.machine.snapshot().length).toBeLessThan(150);
  });
});

type KVCluster = ServiceCluster<KVServer>;

function kvCluster(
  runtime: ConstructorParameters<typeof ServiceCluster>[0],
  size: number,
  options: Partial<KVServerOptions> = {},
): KVCluster {
  return new ServiceCluster<KVServer>(runtime, size, (context) =>
    startKVServer({ ...context, maxRaftState: -1, runtime, ...options }),
  );
}

const call = (cluster: KVCluster, server: number, method: string, args: unknown): Promise<KVReply> =>
  cluster.clientEnds([server])[0]!.call<KVReply>(`KVServer.${method}`, args) as Promise<KVReply>;

describe("kv server: the RPCs", () => {
  test("what no Clerk sends never reaches the log", () =>
    forSeeds(1, async (runtime) => {
      const cluster = kvCluster(runtime, 1);
      await cluster.leader();
      const [, , [session]] = (await call(cluster, 0, "Register", [])) as [number, number, number[]];
      const bytes = cluster.logSize();
      const malformed: unknown[] = [
        null,
        {},
        [],
        [session, 1],
        [session, 1, []],
        [session, 1, "put"],
        [session, 1, [put("x", "a")], 1],
        [String(session), 1, [put("x", "a")]],
        [session, 1.5, [put("x", "a")]],
        [session, 0, [put("x", "a")]],
        [0, 1, [put("x", "a")]],
        [-1, 1, [put("x", "a")]],
        [0, 0, [null]],
        [session, 1, [["put", "x", "a"]]],
        [session, 1, [[OpKind.put, "x"]]],
        [session, 1, [[OpKind.put, "x", 1]]],
        [session, 1, [[OpKind.put, 1, "a"]]],
        [session, 1, [[OpKind.put, "x", "a", "b"]]],
        [session, 1, [[OpKind.putIf, "x", "a", -1]]],
        [session, 1, [[OpKind.putIf, "x", "a", 0.5]]],
        [session, 1, [[OpKind.delete, "x", "a"]]],
        [session, 1, [[9, "x"]]],
        [session, 1, new Array(MAX_REQUEST_OPS + 1).fill(put("x", "a"))],
      ];
      for (const args of malformed) {
        await expect(call(cluster, 0, "Request", args), JSON.stringify(args)).rejects.toThrow(/malformed request/);
      }
      for (const args of [null, [], [0], ["1"], {}]) {
        await expect(call(cluster, 0, "EndSession", args)).rejects.toThrow(/malformed request/);
      }
      expect(cluster.logSize()).toBe(bytes);
      expect(await call(cluster, 0, "Request", [session, 1, [put("x", "a")]])).toEqual([Status.ok, 0, [1]]);
    }));

  test("a follower names the leader and does nothing", () =>
    forSeeds(5, async (runtime) => {
      const cluster = kvCluster(runtime, 3);
      const leader = await cluster.leader();
      const follower = (leader + 1) % 3;
      await eventually(runtime, () => cluster.node(follower).raft.leaderHint() === leader);
      for (const [method, args] of [
        ["Register", []],
        ["EndSession", [1]],
        ["Request", [1, 1, [put("x", "a")]]],
        ["Request", [0, 0, [read("x")]]],
      ] as const) {
        expect(await call(cluster, follower, method, args)).toEqual([Status.notLeader, follower, leader]);
      }
      expect(cluster.node(leader).status()).toMatchObject({ keys: 0, sessions: 0 });
    }));

  test("mutation 29: a leader that was cut off answers no read", () =>
    forSeeds(10, async (runtime) => {
      const cluster = kvCluster(runtime, 3);
      const leader = await cluster.leader();
      expect(await call(cluster, leader, "Request", [0, 0, [read("x")]])).toEqual([Status.ok, leader, [null]]);
      cluster.isolate(leader);
      const stuck = track(call(cluster, leader, "Request", [0, 0, [read("x")]]));
      await runtime.clock.sleep(400);
      expect(stuck.settled).toBe(false);
      await runtime.clock.sleep(5000);
      expect(stuck.value).toEqual([Status.notLeader, leader, null]);
      expect(await call(cluster, leader, "Request", [0, 0, [read("x")]])).toEqual([Status.notLeader, leader, null]);
    }));

  test("a write in the minority waits, and is told to try again once the term changes", () =>
    forSeeds(10, async (runtime) => {
      const cluster = kvCluster(runtime, 3);
      const leader = await cluster.leader();
      const [, , [session]] = (await call(cluster, leader, "Register", [])) as [number, number, number[]];
      cluster.isolate(leader);
      const stuck = track(call(cluster, leader, "Request", [session, 1, [put("x", "a")]]));
      await runtime.clock.sleep(3000);
      expect(stuck.settled).toBe(false);
      cluster.heal();
      await runtime.clock.sleep(1000);
      expect(stuck.value).toEqual([Status.retry, leader]);
    }));

  test("a killed server tells those who wait to try again", () =>
    forSeeds(5, async (runtime) => {
      const cluster = kvCluster(runtime, 3);
      const leader = await cluster.leader();
      cluster.isolate(leader);
      const handler = cluster.node(leader).service.handlers.get("Register")!;
      const stuck = track(Promise.resolve(handler([])));
      cluster.node(leader).kill();
      await runtime.clock.sleep(0);
      expect(stuck.value).toEqual([Status.retry, leader]);
      expect(await handler([])).toEqual([Status.notLeader, leader, null]);
    }));

  test("reads through the log leave entries, reads through the barrier do not", () =>
    forSeeds(1, async (runtime) => {
      for (const readMode of ["barrier", "log"] as const) {
        const cluster = kvCluster(runtime, 1, { readMode });
        await cluster.leader();
        await eventually(runtime, () => cluster.node(0).raft.status().commitIndex === 1);
        const { lastIndex } = cluster.node(0).raft.status();
        expect(await call(cluster, 0, "Request", [0, 0, [read("x")]])).toEqual([Status.ok, 0, [null]]);
        expect(cluster.node(0).raft.status().lastIndex - lastIndex).toBe(readMode === "log" ? 1 : 0);
        cluster.shutdownAll();
      }
    }));

  test("settings that cannot work are refused", () =>
    forSeeds(1, async (runtime) => {
      for (const options of [
        { maxSessions: 0 },
        { maxSessions: 1.5 },
        { readMode: "follower" as "log" },
        { maxRaftState: 0 },
      ]) {
        expect(() => kvCluster(runtime, 1, options)).toThrow(/maxSessions|readMode|maxRaftState/);
      }
    }));
});
