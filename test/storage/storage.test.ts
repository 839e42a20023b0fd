import { describe, expect, test } from "vitest";

import type { Entry, Snapshot, StorageWrite } from "../../raft/index.js";
import {
  formatInspection,
  inspect,
  openStorage,
  type DurableStorage,
  type StorageHealth,
  type StorageOptions,
} from "../../server/storage/index.js";
import { SimDisk } from "../../sim/disk/index.js";
import { simulate, type SimRuntime } from "../../sim/index.js";
import { writesAndSyncsAtOnce } from "./mistakes.js";

const SEGMENT = "/data/wal-0000000000000001.log";

let writes = 0;

function effect(fields: Partial<StorageWrite>): StorageWrite {
  const nothing = { hardState: null, snapshot: null, discardLog: false, firstIndex: 0, entries: [] };
  return { type: "persist", write: ++writes, ...nothing, ...fields };
}

const entry = (text: string, term = 1): Entry => ({ term, type: 0, data: Buffer.from(text) });
const append = (firstIndex: number, ...texts: string[]): StorageWrite =>
  effect({ firstIndex, entries: texts.map((text) => entry(text)) });
const snapshotAt = (index: number, bytes = 10): Snapshot => ({ index, term: 1, data: Buffer.alloc(bytes, index) });

function save(storage: DurableStorage, write: StorageWrite): Promise<void> {
  return new Promise((resolve, reject) => {
    storage.write(write, (error) => (error === null ? resolve() : reject(error)));
  });
}

const texts = (storage: DurableStorage): string[] =>
  storage.load().entries.map(({ data }) => Buffer.from(data).toString());

class World {
  readonly machine: SimDisk;
  readonly runtime: SimRuntime;

  constructor(runtime: SimRuntime) {
    this.runtime = runtime;
    this.machine = new SimDisk(runtime, { latencyMs: [1, 1] });
  }

  open(options: Partial<StorageOptions> = {}): Promise<DurableStorage> {
    return openStorage({ dir: "/data", disk: this.machine.mount(), runtime: this.runtime, ...options });
  }

  reopen(options: Partial<StorageOptions> = {}): Promise<DurableStorage> {
    this.machine.losePower();
    return this.open(options);
  }
}

const inWorld = (story: (world: World) => Promise<void>): Promise<void> =>
  simulate({ seed: 1 }, (runtime) => story(new World(runtime)));

describe("durable storage", () => {
  test("keeps entries, truncations, term and vote, and the snapshot", () =>
    inWorld(async (world) => {
      const storage = await world.open();
      expect(storage.load()).toEqual({ hardState: { term: 0, votedFor: null }, snapshot: null, entries: [] });
      await save(
        storage,
        effect({ hardState: { term: 1, votedFor: 2 }, firstIndex: 1, entries: [entry("a"), entry("b"), entry("c")] }),
      );
      await save(storage, append(2, "B", "C", "D"));
      await save(storage, effect({ snapshot: snapshotAt(2) }));
      await storage.close();
      const again = await world.reopen();
      expect(again.load().hardState).toEqual({ term: 1, votedFor: 2 });
      expect(texts(again)).toEqual(["C", "D"]);
      expect(again.load().snapshot).toMatchObject({ index: 2, term: 1 });
      expect(again.readSnapshot()).toEqual(new Uint8Array(10).fill(2));
      expect(again.recovery).toEqual({ cut: null, removed: [], finishedSnapshot: false });
    }));

  test("a snapshot that replaces the log ends it", () =>
    inWorld(async (world) => {
      const storage = await world.open();
      await save(storage, append(1, "a", "b"));
      await save(storage, effect({ snapshot: snapshotAt(10), discardLog: true }));
      await save(storage, append(11, "k"));
      const again = await world.reopen();
      expect(again.load().snapshot?.index).toBe(10);
      expect(texts(again)).toEqual(["k"]);
    }));

  test("writes that wait share a sync, and complete in order", () =>
    inWorld(async (world) => {
      const storage = await world.open();
      const order: number[] = [];
      const before = storage.stats().syncs;
      const all: Promise<void>[] = [];
      for (let i = 1; i <= 50; i++) all.push(save(storage, append(i, `${i}`)).then(() => void order.push(i)));
      await world.runtime.clock.sleep(0.5);
      for (let i = 51; i <= 150; i++) all.push(save(storage, append(i, `${i}`)).then(() => void order.push(i)));
      expect(storage.stats()).toMatchObject({ waitingWrites: 150, oldestWaitMs: 0.5 });
      await Promise.all(all);
      expect(order).toEqual(Array.from({ length: 150 }, (_, i) => i + 1));
      expect(storage.stats()).toMatchObject({ syncs: before + 2, writes: 150, largestGroup: 100, lastSyncMs: 1 });
    }));

  test("where a disk writes and syncs in one operation, an append is one", () =>
    inWorld(async (world) => {
      const storage = await world.open({ disk: writesAndSyncsAtOnce(world.machine.mount()) });
      // What it is made of here: a write and a sync of a millisecond each.
      for (const i of [1, 2]) {
        const before = world.machine.operations;
        await save(storage, append(i, `${i}`));
        expect(world.machine.operations - before).toBe(2);
        expect(storage.stats()).toMatchObject({ syncs: i, lastSyncMs: 2 });
      }
      expect(texts(await world.reopen())).toEqual(["1", "2"]);
    }));

  test("appends do not wait for a snapshot, nor does it for the next (S46); old segments go", () =>
    inWorld(async (world) => {
      const storage = await world.open({ segmentBytes: 1024 });
      for (let i = 1; i <= 20; i++) await save(storage, append(i, "x".repeat(200)));
      const segments = storage.stats().segments;
      expect(segments).toBeGreaterThan(3);
      const started = world.runtime.clock.now();
      const saved = [10, 15, 20].map((index) => save(storage, effect({ snapshot: snapshotAt(index, 5_000_000) })));
      await Promise.all([...saved, save(storage, append(21, "y"))]);
      expect(world.runtime.clock.now() - started).toBeLessThan(10);
      await storage.close();
      expect(storage.stats()).toMatchObject({ snapshotIndex: 20, snapshotBytes: 5_000_000 });
      const again = await world.reopen();
      expect(again.load().snapshot?.index).toBe(20);
      expect(texts(again)).toEqual(["y"]);
      expect(again.stats().segments).toBeLessThan(segments);
    }));

  test("its size is that of the log behind the snapshot, at once", () =>
    inWorld(async (world) => {
      const storage = await world.open();
      const empty = storage.stateSize();
      void save(storage, append(1, "x".repeat(100), "x".repeat(100)));
      expect(storage.stateSize()).toBeGreaterThanOrEqual(empty + 200);
      void save(storage, effect({ snapshot: snapshotAt(2) }));
      expect(storage.stateSize()).toBe(empty);
    }));

  test("refuses writes that do not continue what is stored", () =>
    inWorld(async (world) => {
      const storage = await world.open();
      expect(() => storage.write(append(2, "b"), () => {})).toThrow(/gap/);
      expect(() => storage.write(effect({ snapshot: snapshotAt(1) }), () => {})).toThrow(/ahead/);
    }));

  test("limits are checked, and named", () =>
    inWorld(async (world) => {
      await expect(world.open({ segmentBytes: 10 })).rejects.toThrow(/segmentBytes must be .* from 1024/);
      await expect(world.open({ diskFullRetryMs: Number.NaN })).rejects.toThrow(/diskFullRetryMs/);
      await expect(world.open({ dir: "" })).rejects.toThrow(/dir must/);
    }));

  test("one owner at a time; a closed storage gives the directory back and takes no more writes", () =>
    inWorld(async (world) => {
      const storage = await world.open();
      await expect(world.open()).rejects.toMatchObject({ code: "DIRECTORY_LOCKED" });
      const last = save(storage, append(1, "a"));
      await storage[Symbol.asyncDispose]();
      await last;
      await expect(save(storage, append(2, "b"))).rejects.toMatchObject({ code: "STORAGE_CLOSED" });
      expect(texts(await world.open())).toEqual(["a"]);
    }));
});

describe("damage", () => {
  async function threeRecords(world: World): Promise<void> {
    const storage = await world.open();
    for (let i = 1; i <= 3; i++) await save(storage, append(i, `${i}`.repeat(20)));
    await storage.close();
  }

  test("a bad record with good ones behind it is refused, and nothing is changed", () =>
    inWorld(async (world) => {
      await threeRecords(world);
      const before = await world.machine.mount().read(SEGMENT);
      world.machine.flipBit(SEGMENT, Buffer.from(before).indexOf("1111") + 3, 2);
      const damaged = await world.machine.mount().read(SEGMENT);
      for (let i = 0; i < 2; i++) {
        await expect(world.open()).rejects.toMatchObject({ code: "CORRUPT_LOG", file: SEGMENT, offset: 56 });
      }
      await expect(world.open()).rejects.toThrow(/To repair/);
      expect(await world.machine.mount().read(SEGMENT)).toEqual(damaged);
    }));

  test("a length of garbage (S56) does not hide the good records behind it", () =>
    inWorld(async (world) => {
      await threeRecords(world);
      world.machine.flipBit(SEGMENT, 56 + 2, 7);
      await expect(world.open()).rejects.toMatchObject({ code: "CORRUPT_LOG", offset: 56 });
    }));

  test("a bad record at the very end is a torn tail: cut off, reported, and gone for good", () =>
    inWorld(async (world) => {
      await threeRecords(world);
      const bytes = Buffer.from(await world.machine.mount().read(SEGMENT));
      world.machine.flipBit(SEGMENT, bytes.indexOf("3333"), 0);
      const storage = await world.open();
      expect(storage.recovery.cut).toMatchObject({
        file: SEGMENT,
        reason: "the checksum of the record does not match",
      });
      expect(texts(storage)).toEqual(["1".repeat(20), "2".repeat(20)]);
      await storage.close();
      expect((await world.reopen()).recovery.cut).toBeNull();
    }));

  test("records inside a client's value are not taken for proof of damage", () =>
    inWorld(async (world) => {
      await threeRecords(world);
      const image = Buffer.from(await world.machine.mount().read(SEGMENT));
      const storage = await world.open();
      await save(
        storage,
        effect({ firstIndex: 4, entries: [{ term: 1, type: 0, data: Buffer.concat([image, image.subarray(3)]) }] }),
      );
      const end = (await world.machine.mount().read(SEGMENT)).length;
      world.machine.flipBit(SEGMENT, end - 10, 0);
      await storage.close();
      const again = await world.open();
      expect(again.recovery.cut).not.toBeNull();
      expect(again.load().entries).toHaveLength(3);
    }));

  test("bad headers, missing segments and missing or bad snapshots are refused", async () => {
    const damage: [RegExp, (machine: SimDisk, names: string[]) => Promise<void>][] = [
      [
        /checksum of its header/,
        async (machine, names) => machine.flipBit(`/data/${names.find((name) => name.startsWith("wal"))}`, 20, 1),
      ],
      [
        /file is missing/,
        (machine, names) => machine.mount().remove(`/data/${names.filter((name) => name.startsWith("wal"))[1]}`),
      ],
      [
        /checksum of its data/,
        async (machine, names) => machine.flipBit(`/data/${names.find((name) => name.endsWith("snap"))}`, 42, 1),
      ],
      [
        /begins after a snapshot/,
        (machine, names) => machine.mount().remove(`/data/${names.find((name) => name.endsWith("snap"))}`),
      ],
      [
        /wal-0+\d\.log is damaged .* the segments before it end/s,
        async (machine, names) => {
          const [first, second] = names.filter((name) => name.startsWith("wal")).sort();
          const file = await machine.mount().open(`/data/${first}`, "existing");
          await file.truncate(56);
          await file.sync();
          expect(second).toBeDefined();
        },
      ],
    ];
    for (const [message, harm] of damage) {
      await inWorld(async (world) => {
        const storage = await world.open({ segmentBytes: 1024 });
        for (let i = 1; i <= 30; i++) await save(storage, append(i, "x".repeat(200)));
        await save(storage, effect({ snapshot: snapshotAt(12) }));
        await storage.close();
        await harm(world.machine, await world.machine.mount().list("/data"));
        const refused = world.open();
        await expect(refused).rejects.toMatchObject({ code: "CORRUPT_LOG" });
        await expect(refused).rejects.toThrow(message);
      });
    }
  });

  test("a later format is refused by its number", () =>
    inWorld(async (world) => {
      await threeRecords(world);
      world.machine.flipBit(SEGMENT, 8, 3);
      await expect(world.open()).rejects.toThrow(/format version 9, but this program knows versions up to 1/);
      await expect(world.open()).rejects.toMatchObject({ code: "FORMAT_TOO_NEW", version: 9 });
    }));
});

describe("a disk in trouble", () => {
  test("full: nothing fails, nothing is lost, and it goes on when there is space", () =>
    inWorld(async (world) => {
      const seen: StorageHealth["state"][] = [];
      const storage = await world.open({ onHealth: ({ state }) => seen.push(state), recordBytes: 1 });
      await save(storage, append(1, "a"));
      world.machine.faults.capacityBytes = storage.stats().logBytes + 100;
      const waiting = save(storage, append(2, "b", "c", "d", "e", "f"));
      await world.runtime.clock.sleep(2000);
      expect(storage.health).toMatchObject({ state: "full", error: { code: "DISK_FULL" } });
      expect(storage.stats()).toMatchObject({ waitingWrites: 1 });
      world.machine.faults.capacityBytes = Infinity;
      await waiting;
      await save(storage, append(7, "g"));
      expect(seen).toEqual(["full", "ok"]);
      expect(texts(await world.reopen())).toEqual(["a", "b", "c", "d", "e", "f", "g"]);
    }));

  test("full for a new segment and a snapshot, and closed while it is", () =>
    inWorld(async (world) => {
      const storage = await world.open({ segmentBytes: 1024 });
      for (let i = 1; i <= 5; i++) await save(storage, append(i, "x".repeat(200)));
      world.machine.faults.capacityBytes = storage.stats().logBytes + 20;
      await save(storage, effect({ snapshot: snapshotAt(2, 1000) }));
      const refused = save(storage, append(6, "y")).catch((error: unknown) => error);
      await world.runtime.clock.sleep(1000);
      expect(storage.health.state).toBe("full");
      await storage.close();
      expect(await refused).toMatchObject({ code: "DISK_FULL" });
      world.machine.faults.capacityBytes = Infinity;
      const again = await world.reopen();
      expect(again.load()).toMatchObject({ snapshot: null });
      expect(again.load().entries).toHaveLength(5);
    }));

  test("a failed sync is final: all that waits and all that comes fails with one error, and no sync follows", () =>
    inWorld(async (world) => {
      const seen: StorageHealth["state"][] = [];
      const storage = await world.open({ onHealth: ({ state }) => seen.push(state) });
      await save(storage, append(1, "a"));
      world.machine.faults.syncErrorRate = 1;
      const first = save(storage, append(2, "b")).catch((error: unknown) => error);
      await world.runtime.clock.sleep(0.5);
      const second = save(storage, append(3, "c")).catch((error: unknown) => error);
      const error = await first;
      expect(error).toMatchObject({ code: "DISK_FAILED", cause: { code: "EIO" } });
      const { operations } = world.machine;
      expect(await second).toBe(error);
      expect(await save(storage, append(4, "d")).catch((late: unknown) => late)).toBe(error);
      expect(world.machine.operations).toBe(operations);
      expect(seen).toEqual(["failed"]);
      await storage.close();
    }));
});

describe("inspect", () => {
  test("shows segments, terms, snapshot and the first bad record, and changes nothing", () =>
    inWorld(async (world) => {
      const storage = await world.open();
      await save(
        storage,
        effect({ hardState: { term: 3, votedFor: 1 }, firstIndex: 1, entries: [entry("a", 2), entry("b", 3)] }),
      );
      await save(storage, append(3, "c"));
      await save(storage, effect({ snapshot: { ...snapshotAt(1), term: 2 } }));
      await storage.close();
      const disk = world.machine.mount();
      const before = await disk.read(SEGMENT);
      const report = await inspect("/data", disk);
      expect(report.state).toEqual({ hardState: { term: 3, votedFor: 1 }, firstIndex: 2, lastIndex: 3 });
      expect(report.problem).toBeNull();
      expect(formatInspection(report).split("\n")).toEqual([
        "data directory /data",
        "snapshot-0000000000000001.snap  up to entry 1 of term 2, 10 bytes of data",
        "wal-0000000000000001.log  128 bytes, 3 records, entries 1-3 of terms 2-3 (3 written)",
        "usable: term 3, vote for server 1, entries 2-3",
      ]);

      world.machine.flipBit(SEGMENT, before.length - 8, 0);
      expect(formatInspection(await inspect("/data", disk))).toContain("torn at byte 96");
      world.machine.flipBit(SEGMENT, before.length - 8, 0);
      world.machine.flipBit(SEGMENT, 75, 0);
      const bad = await inspect("/data", disk);
      expect(bad.segments[0]?.problem).toMatchObject({ code: "CORRUPT_LOG", offset: 56 });
      expect(formatInspection(bad)).toMatch(/BAD: .*damaged at byte 56.*NOT USABLE/s);
      world.machine.flipBit(SEGMENT, 75, 0);
      expect(await disk.read(SEGMENT)).toEqual(before);
    }));
});
