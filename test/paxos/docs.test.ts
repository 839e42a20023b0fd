import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";

import { expect, test } from "vitest";

import { openStorage } from "../../server/index.js";
import { bare, filesNamedIn, readText, ROOT, tableOf } from "../harness/documents.js";

const page = readText("docs/paxos.md");
const { exports } = JSON.parse(readText("package.json")) as { exports: Record<string, { default: string }> };

/** What a program gets by `import ... from "kvraft/..."`, of the sources. */
function importOf(specifier: string): Promise<Record<string, unknown>> {
  const built = exports[specifier.replace("kvraft", ".")]?.default;
  expect(built, specifier).toBeDefined();
  return import(`${ROOT}${(built as string).replace("./dist/", "").replace(/\.js$/, ".ts")}`);
}

const examples = [...page.matchAll(/```js\n([^`]*(?:`[^`]+`[^`]*)*)```/g)].map(([, code]) => code as string);

// They run as they are printed, but for the place of directories, and print what they say.
test.each(examples.map((code, i) => [i + 1, code] as const))("example %d of docs/paxos.md", async (number, code) => {
  const names: Record<string, unknown> = {};
  for (const [, list, specifier] of code.matchAll(/^import \{ (.*) \} from "(.*)";$/gm)) {
    const found = await importOf(specifier as string);
    for (const name of (list as string).split(", ")) {
      expect(found[name], `${name} of ${specifier}`).toBeDefined();
      names[name] = found[name];
    }
  }
  const home = mkdtempSync(join(tmpdir(), "kvraft-docs-"));
  if (names["openStorage"] !== undefined) {
    names["openStorage"] = ({ dir }: { dir: string }) => openStorage({ dir: join(home, dir) });
  }
  const printed: string[] = [];
  names["console"] = { log: (...values: unknown[]) => printed.push(values.map((value) => inspect(value)).join(" ")) };
  const body = code.replaceAll(/^import .*$/gm, "");
  // eslint-disable-next-line typescript/no-implied-eval -- the text is ours
  const run = new Function(...Object.keys(names), `return (async () => { ${body} })();`) as (
    ...args: unknown[]
  ) => unknown;
  try {
    await run(...Object.values(names));
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
  const promised = [...code.matchAll(/; \/\/ (.*)$/gm)].map(([, text]) => text as string);
  expect(promised).toHaveLength([6, 1][number - 1] as number);
  expect(printed).toEqual(promised);
});

test("names and files of docs/paxos.md", () => {
  const acceptor = readText("paxos/acceptor.ts") + readText("paxos/ballot.ts");
  const [ours, tutorials] = [0, 1].map((column) => tableOf(page, "here").map((row) => bare(row[column] as string)));
  for (const name of (ours as string[]).join(" ").match(/\b[a-z]+[A-Z]\w+|\bauthor\b|\bballot\b/g) ?? []) {
    expect(acceptor).toContain(name);
  }
  for (const name of ["rnd", "last_rnd", "vrnd"]) {
    expect((tutorials as string[]).join(" ")).toContain(name);
    expect(acceptor).toContain(`"${name}"`);
  }
  const files = [
    ...filesNamedIn(page),
    ...[...page.matchAll(/\]\(\.\.\/([^)]+)\)/g)].map(([, file]) => file as string),
  ];
  expect(files.length).toBeGreaterThan(3);
  expect(files.filter((file) => !existsSync(`${ROOT}${file}`))).toEqual([]);
  for (const [, variable] of page.matchAll(/(PAXOS_\w+)=/g)) {
    expect(readText("test/paxos/registers-swarm.test.ts")).toContain(variable);
  }
});
