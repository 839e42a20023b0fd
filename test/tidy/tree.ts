import { readdirSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";

import ts from "typescript";

/** Path from the top of the project, with slashes, to the text of that file. */
export type Files = Readonly<Record<string, string>>;

/** One reference of a file to another, or to a package. */
export interface Import {
  readonly specifier: string;
  /** The file of the project it means; undefined for packages and for what does not exist. */
  readonly target: string | undefined;
  readonly line: number;
  /** A file named for another process or thread, rather than an import. */
  readonly isUrl: boolean;
}

export interface SourceFile {
  readonly path: string;
  readonly text: string;
  readonly ast: ts.SourceFile;
  readonly imports: readonly Import[];
}

/** The project as the rules see it: parsed files by path. */
export type Tree = ReadonlyMap<string, SourceFile>;

const SKIPPED_FOLDERS = new Set(["node_modules", "build", "dist", "coverage"]);

/** Every TypeScript file under `root`, except in folders that are made by tools. */
export function readFiles(root: string): Files {
  const files: Record<string, string> = {};
  const visit = (folder: string): void => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = posix.join(folder, entry.name);
      if (entry.isDirectory()) {
        if (!entry.name.startsWith(".") && !SKIPPED_FOLDERS.has(entry.name)) visit(path);
      } else if (entry.name.endsWith(".ts")) {
        files[path] = readFileSync(join(root, path), "utf8");
      }
    }
  };
  visit("");
  return files;
}

export function parseTree(files: Files): Tree {
  const tree = new Map<string, SourceFile>();
  for (const [path, text] of Object.entries(files)) {
    const ast = ts.createSourceFile(path, text, ts.ScriptTarget.ES2023, true);
    tree.set(path, { path, text, ast, imports: findImports(path, ast, files) });
  }
  return tree;
}

function findImports(path: string, ast: ts.SourceFile, files: Files): Import[] {
  const imports: Import[] = [];
  walk(ast, (node) => {
    const specifier = specifierOf(node);
    if (specifier === undefined) return;
    imports.push({
      specifier,
      target: resolve(path, specifier, files),
      line: lineOf(ast, node),
      isUrl: ts.isNewExpression(node),
    });
  });
  return imports;
}

/** Of `import`, `export from`, `import()`, `import("x").Type`, `require()` and `new URL("x", import.meta.url)`. */
function specifierOf(node: ts.Node): string | undefined {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return textOf(node.moduleSpecifier);
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) return textOf(node.argument.literal);
  if (ts.isCallExpression(node)) {
    const isImport = node.expression.kind === ts.SyntaxKind.ImportKeyword || node.expression.getText() === "require";
    return isImport ? textOf(node.arguments[0]) : undefined;
  }
  if (ts.isNewExpression(node) && node.expression.getText() === "URL") {
    const path = node.arguments?.[1]?.getText() === "import.meta.url" ? textOf(node.arguments[0]) : undefined;
    return path !== undefined && /\.[jt]s$/.test(path) ? path : undefined;
  }
  return undefined;
}

function textOf(node: ts.Node | undefined): string | undefined {
  return node !== undefined && ts.isStringLiteralLike(node) ? node.text : undefined;
}

function resolve(from: string, specifier: string, files: Files): string | undefined {
  if (!specifier.startsWith(".")) return undefined;
  const target = posix.join(posix.dirname(from), specifier).replace(/\.js$/, ".ts");
  return target in files ? target : undefined;
}

export function walk(node: ts.Node, visit: (node: ts.Node) => void): void {
  visit(node);
  node.forEachChild((child) => walk(child, visit));
}

export function lineOf(ast: ts.SourceFile, node: ts.Node): number {
  return ast.getLineAndCharacterOfPosition(node.getStart(ast)).line + 1;
}
