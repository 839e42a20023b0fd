import ts from "typescript";

import type { Edit, Mutant } from "./mutant.js";

export type ReadSource = (file: string) => string;

/**
 * The changed sources of a mutant, by path.
 * @throws Error where a place is not found exactly once: the code has changed, and the mutant must follow.
 */
export function changedSources(mutant: Mutant, read: ReadSource): Map<string, string> {
  const changed = new Map<string, string>();
  for (const [file, find, replace] of mutant.edits) {
    const text = changed.get(file) ?? read(file);
    changed.set(file, replaceOnce(mutant.name, text, [file, find, replace]));
  }
  return changed;
}

function replaceOnce(name: string, text: string, [file, find, replace]: Edit): string {
  const at = text.indexOf(find);
  if (at < 0) throw new Error(`mutant ${name}: ${file} no longer holds "${find}"; find the place that took over`);
  if (text.includes(find, at + 1)) throw new Error(`mutant ${name}: ${file} holds "${find}" more than once`);
  return text.slice(0, at) + replace + text.slice(at + find.length);
}

/** JavaScript of a TypeScript source. @throws Error where it is no TypeScript; types are not looked at. */
export function transpile(file: string, text: string): string {
  const { outputText, diagnostics = [] } = ts.transpileModule(text, {
    fileName: file,
    reportDiagnostics: true,
    compilerOptions: { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext },
  });
  const [first] = diagnostics;
  if (first !== undefined) throw new Error(`${file}: ${ts.flattenDiagnosticMessageText(first.messageText, " ")}`);
  return outputText;
}
