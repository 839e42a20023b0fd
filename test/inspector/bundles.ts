import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

import { rolldown, type Plugin } from "rolldown";

import { input, output } from "../../rolldown.config.js";

const root = fileURLToPath(new URL("../../", import.meta.url));

/** Text of a source file that is put in place of another, to break a rule: file, what to find there, and what to put. */
export type Edit = readonly [file: string, find: string, replace: string];

function edit(edits: readonly Edit[]): Plugin {
  return {
    name: "edit",
    transform(code, id) {
      let text = code;
      for (const [file, find, replace] of edits) {
        if (id !== `${root}${file}`) continue;
        if (!text.includes(find)) throw new Error(`${file} no longer holds "${find}"`);
        text = text.replace(find, replace);
      }
      return text === code ? null : text;
    },
  };
}

async function inFolder<T>(make: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "kvraft-inspector-"));
  try {
    return await make(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The inspector's page without a record, as the build makes it; with `edits` its simulation is that of broken code. */
export function buildPage(edits: readonly Edit[] = []): Promise<string> {
  return inFolder(async (dir) => {
    const plugins = [edit(edits), ...input.plugins];
    const bundle = await rolldown({ ...input, cwd: root, logLevel: "silent", plugins });
    await bundle.write({ ...output, dir });
    return readFileSync(join(dir, "page.html"), "utf8");
  });
}

/** The module `inspector/recording.ts` for Node, made of the same broken code. */
export function buildRecording(edits: readonly Edit[]): Promise<typeof import("../../inspector/recording.js")> {
  return inFolder(async (dir) => {
    const bundle = await rolldown({
      input: `${root}inspector/recording.ts`,
      cwd: root,
      platform: "node",
      logLevel: "silent",
      plugins: [edit(edits), packagesStay()],
    });
    await bundle.write({ dir, entryFileNames: "recording.mjs", format: "esm" });
    return (await import(pathToFileURL(join(dir, "recording.mjs")).href)) as never;
  });
}

/** Packages are loaded from where they are: the guard of simulations knows some of them by their place. */
function packagesStay(): Plugin {
  return {
    name: "packages-stay",
    resolveId(source) {
      if (source.startsWith(".") || source.startsWith("/")) return null;
      const id = source.startsWith("node:") ? source : import.meta.resolve(source);
      return { id, external: true };
    },
  };
}
