import { describe, expect, test } from "vitest";

import { SimDisk } from "../../sim/disk/index.js";
import { simulate, type SimRuntime } from "../../sim/index.js";

const bytes = (text: string): Uint8Array => Buffer.from(text);
const textOf = async (machine: SimDisk, path: string): Promise<string> =>
  Buffer.from(await machine.mount().read(path)).toString();

async function withFile(runtime: SimRuntime): Promise<SimDisk> {
  const machine = new SimDisk(runtime);
  const disk = machine.mount();
  await disk.makeDirectory("/d");
  const file = await disk.open("/d/f", "create");
  await file.write(bytes("synced"), 0);
  await file.sync();
  await disk.syncDirectory("/d");
  return machine;
}

describe("the simulated disk", () => {
  test("what is synced stays; of what is not, the whole, a part, zeros or nothing does, as often as promised", async () => {
    const counts = { dropped: 0, whole: 0, torn: 0, zeros: 0 };
    for (let seed = 1; seed <= 1000; seed++) {
      await simulate({ seed }, async (runtime) => {
        const machine = await withFile(runtime);
        const file = await machine.mount().open("/d/f", "existing");
        await file.write(bytes("x".repeat(1000)), 6);
        expect(await textOf(machine, "/d/f")).toHaveLength(1006);
        machine.losePower();
        const text = await textOf(machine, "/d/f");
        expect(text.slice(0, 6)).toBe("synced");
        const rest = text.slice(6);
        if (rest === "") counts.dropped++;
        else if (rest === "x".repeat(1000)) counts.whole++;
        else if (rest === "\0".repeat(1000)) counts.zeros++;
        else if (/^x+$/.test(rest)) counts.torn++;
      });
    }
    expect(counts.dropped / 1000).toBeCloseTo(0.3, 1);
    expect(counts.whole / 1000).toBeCloseTo(0.3, 1);
    expect(counts.torn / 1000).toBeCloseTo(0.25, 1);
    expect(counts.zeros / 1000).toBeCloseTo(0.15, 1);
  });

  test("names are durable only after a sync of their directory, whatever is in the file", async () => {
    const found = new Set<string>();
    for (let seed = 1; seed <= 50; seed++) {
      await simulate({ seed }, async (runtime) => {
        const machine = await withFile(runtime);
        const disk = machine.mount();
        await (await disk.open("/d/g", "create")).sync();
        await disk.remove("/d/f");
        machine.losePower();
        found.add((await machine.mount().list("/d")).sort().join(" "));
      });
    }
    expect([...found].sort()).toEqual(["f", "f g", "g"]);
  });

  test("a dead process's operations neither end nor do anything, and its lock is gone", () =>
    simulate({ seed: 1 }, async (runtime) => {
      const machine = await withFile(runtime);
      const disk = machine.mount();
      await disk.lock("/d");
      const file = await disk.open("/d/f", "existing");
      machine.killProcess();
      let ended = false;
      for (const late of [file.write(bytes("late"), 0), file.sync(), disk.remove("/d/f"), disk.list("/d")]) {
        void late.finally(() => (ended = true));
      }
      await runtime.clock.sleep(1000);
      expect(ended).toBe(false);
      expect(await textOf(machine, "/d/f")).toBe("synced");
      await machine.mount().lock("/d");
    }));

  test("after a failed sync what was written is seen, but no later sync saves it", async () => {
    let lost = 0;
    for (let seed = 1; seed <= 40; seed++) {
      await simulate({ seed }, async (runtime) => {
        const machine = await withFile(runtime);
        const file = await machine.mount().open("/d/f", "existing");
        await file.write(bytes("SYNCED"), 0);
        machine.faults.syncErrorRate = 1;
        await expect(file.sync()).rejects.toMatchObject({ code: "EIO" });
        machine.faults.syncErrorRate = 0;
        await file.sync();
        expect(await textOf(machine, "/d/f")).toBe("SYNCED");
        machine.losePower();
        if ((await textOf(machine, "/d/f")) === "synced") lost++;
      });
    }
    expect(lost).toBeGreaterThan(8);
    expect(lost).toBeLessThan(32);
  });

  test("operations take time; a full disk takes what fits, then says ENOSPC", () =>
    simulate({ seed: 1 }, async (runtime) => {
      const machine = new SimDisk(runtime, { latencyMs: [5, 5] });
      const disk = machine.mount();
      await disk.makeDirectory("/d");
      const file = await disk.open("/d/f", "create");
      expect(runtime.clock.now()).toBe(10);
      machine.faults.capacityBytes = 10;
      expect(await file.write(bytes("x".repeat(15)), 0)).toBe(10);
      await expect(file.write(bytes("y"), 10)).rejects.toMatchObject({ code: "ENOSPC" });
      expect(await file.write(bytes("y"), 9)).toBe(1);
    }));
});
