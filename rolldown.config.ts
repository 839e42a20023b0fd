import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";

import { defineConfig, type InputOptions, type OutputOptions, type Plugin } from "rolldown";

/** The inspector's page: one HTML file with its style and its script, and a place for a record. */

const root = fileURLToPath(new URL("./", import.meta.url));
const page = `${root}inspector/page/`;
const shims = `${page}shims/`;

/** What the simulation takes from Node, in the page's own form. */
const SHIMS: Readonly<Record<string, string>> = {
  "node:zlib": `${shims}zlib.ts`,
  [`${root}server/storage/node-disk.ts`]: `${shims}node-disk.ts`,
  // The page is nobody's simulation: its clock and chance stay as they are.
  [`${root}sim/guard.ts`]: `${shims}guard.ts`,
};

function shimNode(): Plugin {
  return {
    name: "shim-node",
    resolveId(source, importer) {
      const path =
        source.startsWith(".") && importer ? resolve(dirname(importer), source.replace(/\.js$/, ".ts")) : source;
      if (path in SHIMS) return SHIMS[path];
      return source.startsWith("node:") ? { id: `\0${source}` } : null;
    },
    load(id) {
      return id.startsWith("\0node:") ? { code: "export default {};", moduleSideEffects: false } : null;
    },
    transform(code, id) {
      if (id.includes("node_modules") || id.startsWith(shims)) return null;
      const imports = [
        ...(id === `${root}sim/simulate.ts` ? [importOf("{ setImmediate, process }", "globals.ts")] : []),
        ...(/\bBuffer\b/.test(code) ? [importOf("{ Buffer }", "buffer.ts")] : []),
      ];
      return imports.length === 0 ? null : `${imports.join("\n")}\n${code}`;
    },
  };
}

function importOf(names: string, file: string): string {
  return `import ${names} from ${JSON.stringify(shims + file)};`;
}

/** Text that stands in a script element must not end it. */
function inScript(code: string): string {
  return code.replaceAll("</script", "<\\/script").replaceAll("<!--", "<\\!--");
}

function writePage(): Plugin {
  return {
    name: "write-page",
    generateBundle(_options, bundle) {
      const [script] = Object.values(bundle);
      if (script?.type !== "chunk") throw new Error("the page's script was not built");
      const html = readFileSync(`${page}page.html`, "utf8");
      const parts = html.split(/\/\* (style|script) \*\//);
      if (parts.length !== 5) throw new Error("page.html must hold /* style */ and /* script */ once");
      const texts: Record<string, string> = {
        style: readFileSync(`${page}page.css`, "utf8"),
        script: inScript(script.code),
      };
      const source = parts.map((part, i) => (i % 2 === 1 ? texts[part] : part)).join("");
      delete bundle[script.fileName];
      this.emitFile({ type: "asset", fileName: "page.html", source });
    },
  };
}

export const input = {
  input: "inspector/page/main.ts",
  platform: "browser",
  // Parts of Node that the page never calls.
  shimMissingExports: true,
  logLevel: "silent",
  plugins: [shimNode(), writePage()],
} satisfies InputOptions;

export const output = {
  dir: "dist/inspector",
  entryFileNames: "page.js",
  format: "iife",
  minify: true,
} satisfies OutputOptions;

export default defineConfig({ ...input, output });
