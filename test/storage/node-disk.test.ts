import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

import ts from "typescript";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { DirectoryLockedError } from "../../runtime/index.js";
import { formatInspection, inspect, openStorage, type DurableStorage } from "../../server/storage/index.js";

const project = fileURLToPath(new URL("../../", import.meta.url));
/** Inside the project, where Node finds the packages. */
const built = join(project, "build", `storage-test-${process.pid}`);

let root = "";
const children: ChildProcess[] = [];

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "kvraft-storage-"));
});

afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  rmSync(root, { recursive: true, force: true });
  rmSync(built, { recursive: true, force: true });
});

/** Node runs JavaScript: translates a file and, over any number of steps, all that it imports. Returns where it is. */
function build(file: string, done = new Set<string>()): string {
  const target = join(built, relative(project, file)).replace(/\.ts$/, ".js");
  if (done.has(file)) return target;
  done.add(file);
  const text = readFileSync(file, "utf8");
  const options = { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true };
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, ts.transpileModule(text, { compilerOptions: options }).outputText);
  for (const { fileName } of ts.preProcessFile(text).importedFiles) {
    if (fileName.startsWith(".")) build(join(dirname(file), fileName).replace(/\.js$/, ".ts"), done);
  }
  return target;
}

/** Starts a holder of `dir`; resolves to what it says first. */
async function startHolder(script: string, dir: string): Promise<{ child: ChildProcess; said: string }> {
  const child = spawn(process.execPath, [script, dir], { stdio: ["ignore", "pipe", "inherit"] });
  children.push(child);
  const [said] = (await once(child.stdout, "data")) as [Buffer];
  return { child, said: said.toString().trim() };
}

function append(storage: DurableStorage, firstIndex: number, bytes: number): Promise<void> {
  const entries = [{ term: 1, type: 0 as const, data: Buffer.alloc(bytes, firstIndex) }];
  const write = { type: "persist" as const, write: firstIndex, hardState: null, snapshot: null, discardLog: false };
  return new Promise((resolve, reject) => {
    storage.write({ ...write, firstIndex, entries }, (error) => (error === null ? resolve() : reject(error)));
  });
}

describe("the real disk", () => {
  test("keeps what was written, over several segments, and can be inspected meanwhile", async () => {
    const dir = join(root, "made", "on", "the", "way");
    {
      await using storage = await openStorage({ dir, segmentBytes: 4096 });
      for (let i = 1; i <= 20; i++) await append(storage, i, 1000);
      expect(storage.stats().segments).toBeGreaterThan(3);
      expect(formatInspection(await inspect(dir))).toContain("usable: term 0, no vote, entries 1-20");
    }
    await using again = await openStorage({ dir });
    expect(again.load().entries.map(({ data }) => data[0])).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
  });

  test("a directory has one owner, also where both come at once and where its path is long", async () => {
    const dir = join(root, "x".repeat(120));
    const both = await Promise.allSettled([openStorage({ dir }), openStorage({ dir })]);
    const owners = both.filter((one) => one.status === "fulfilled");
    expect(owners.length).toBeLessThanOrEqual(1);
    for (const one of both) if (one.status === "rejected") expect(one.reason).toBeInstanceOf(DirectoryLockedError);
    for (const { value } of owners) await value.close();
    const owner = await openStorage({ dir });
    await expect(openStorage({ dir })).rejects.toThrow(`in use by process ${process.pid}`);
    await owner.close();
    expect(readdirSync(dir).filter((name) => name.startsWith("lock"))).toEqual([]);
    await (await openStorage({ dir })).close();
  });

  test("a killed owner leaves its directory, with what it wrote, to the next; a stopped one does not", async () => {
    const script = build(fileURLToPath(new URL("./holder.js", import.meta.url)).replace(/\.js$/, ".ts"));
    const dir = join(root, "data");
    for (let life = 1; life <= 3; life++) {
      const { child, said } = await startHolder(script, dir);
      expect(said).toBe(`wrote ${life}`);
      await expect(openStorage({ dir })).rejects.toMatchObject({ code: "DIRECTORY_LOCKED", pid: child.pid });
      child.kill("SIGSTOP");
      await expect(openStorage({ dir })).rejects.toThrow(`in use by process ${child.pid}`);
      child.kill("SIGKILL");
      await once(child, "exit");
    }
    await using storage = await openStorage({ dir });
    expect(storage.load().entries).toHaveLength(3);
    expect(readdirSync(dir).filter((name) => name.startsWith("lock"))).toHaveLength(1);
  }, 30_000);
});
