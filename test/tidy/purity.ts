import ts from "typescript";

import { lineOf, walk, type SourceFile, type Tree } from "./tree.js";

/** Rooms whose runs must be functions of a seed. `runtime/real.ts` is the one door to the real clock and real chance. */
const DETERMINISTIC = /^(runtime|labrpc|replica|raft|paxos|kvraft)\//;
const REAL_DOOR = "runtime/real.ts";
const PURE_CORE = /^(replica|raft|paxos)\/core\//;

const IMPURE_GLOBALS = new Set([
  "Date",
  "performance",
  "process",
  "crypto",
  "setTimeout",
  "setInterval",
  "setImmediate",
  "clearTimeout",
  "clearInterval",
  "clearImmediate",
  "globalThis",
  "global",
  "WeakRef",
  "FinalizationRegistry",
]);
const IMPURE_MEMBERS = new Set(["Math.random", "AbortSignal.timeout"]);
/** In the pure core nothing waits, and nothing happens that its caller does not see as an effect. */
const WAITING_GLOBALS = new Set(["Promise", "AbortSignal", "AbortController", "queueMicrotask", "console"]);

/** No wall clock and no global randomness in the deterministic rooms; nothing that waits in a core. */
export function purityProblems(tree: Tree): string[] {
  const problems: string[] = [];
  for (const file of tree.values()) {
    if (!DETERMINISTIC.test(file.path) || file.path === REAL_DOOR) continue;
    const isCore = PURE_CORE.test(file.path);
    for (const { specifier, line } of file.imports) {
      if (specifier.startsWith("node:")) problems.push(`${file.path}:${line}: ${specifier} in a deterministic room`);
    }
    walk(file.ast, (node) => {
      const found = impurityOf(node) ?? (isCore ? waitOf(node) : undefined);
      if (found !== undefined) problems.push(`${file.path}:${lineOf(file.ast, node)}: ${found}`);
    });
  }
  return problems;
}

function impurityOf(node: ts.Node): string | undefined {
  if (ts.isPropertyAccessExpression(node) && IMPURE_MEMBERS.has(node.getText())) {
    return `${node.getText()} in a deterministic room; take time and chance from the Runtime`;
  }
  if (ts.isIdentifier(node) && IMPURE_GLOBALS.has(node.text) && isGlobalUse(node)) {
    return `${node.text} in a deterministic room; take time and chance from the Runtime`;
  }
  return undefined;
}

function waitOf(node: ts.Node): string | undefined {
  if (node.kind === ts.SyntaxKind.AsyncKeyword || ts.isAwaitExpression(node)) return "async code in the pure core";
  if (ts.isForOfStatement(node) && node.awaitModifier !== undefined) return "async code in the pure core";
  if (ts.isIdentifier(node) && WAITING_GLOBALS.has(node.text) && isGlobalUse(node)) {
    return `${node.text} in the pure core, which neither waits nor acts on the world`;
  }
  return undefined;
}

/** Whether an identifier stands for a variable, rather than naming a member of something (`clock.setTimeout`). */
function isGlobalUse(node: ts.Identifier): boolean {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent)) return parent.expression === node;
  if (ts.isQualifiedName(parent)) return parent.left === node;
  const isMember =
    ts.isPropertyAssignment(parent) ||
    ts.isPropertyDeclaration(parent) ||
    ts.isPropertySignature(parent) ||
    ts.isMethodDeclaration(parent) ||
    ts.isMethodSignature(parent) ||
    ts.isGetAccessor(parent) ||
    ts.isBindingElement(parent);
  if (isMember) return !(parent.name === node || (ts.isBindingElement(parent) && parent.propertyName === node));
  return true;
}

const TEST_FUNCTIONS = /^(it|test|describe|suite|bench)$/;
const SET_ASIDE = new Set(["skip", "only", "todo", "fails", "skipIf", "runIf"]);

/** A test that is skipped, singled out or expected to fail hides something. */
export function skippedTestProblems(tree: Tree): string[] {
  const problems: string[] = [];
  for (const file of tree.values()) {
    walk(file.ast, (node) => {
      if (!ts.isPropertyAccessExpression(node) || !SET_ASIDE.has(node.name.text)) return;
      if (!TEST_FUNCTIONS.test(rootOf(node.expression).getText())) return;
      problems.push(`${file.path}:${lineOf(file.ast, node)}: ${node.getText()}`);
    });
  }
  return problems;
}

/** `test` of `test.concurrent.each(rows)`. */
function rootOf(node: ts.Expression): ts.Expression {
  if (ts.isPropertyAccessExpression(node) || ts.isCallExpression(node)) return rootOf(node.expression);
  return node;
}

const MAX_LINES = 450;

/** A file that grows beyond this has become two rooms. */
export function lengthProblems(tree: Tree): string[] {
  return [...tree.values()].filter((file) => countLines(file) > MAX_LINES).map(describeLength);
}

function describeLength(file: SourceFile): string {
  return `${file.path}: ${countLines(file)} lines, more than ${MAX_LINES}; take a part out`;
}

function countLines(file: SourceFile): number {
  return file.text.replace(/\n$/, "").split("\n").length;
}
