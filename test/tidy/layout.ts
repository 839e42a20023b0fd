import { posix } from "node:path";

import type { SourceFile, Tree } from "./tree.js";

/**
 * The rooms of the house and what each may import: only what lies on floors below it. `raft/core` is a room of its own
 * inside `raft`, so that the pure core cannot reach the network. Who adds a room adds it here.
 */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  runtime: [],
  labrpc: ["runtime"],
  "replica/core": ["runtime"],
  replica: ["runtime", "labrpc", "replica/core"],
  "raft/core": ["runtime", "replica/core"],
  raft: ["runtime", "labrpc", "replica", "raft/core"],
  "paxos/core": ["runtime", "replica/core"],
  paxos: ["runtime", "labrpc", "replica", "paxos/core"],
  kvraft: ["runtime", "labrpc", "replica", "raft"],
  sim: ["runtime", "labrpc", "raft", "kvraft"],
  "server/storage": ["runtime", "raft", "kvraft"],
  "sim/swarm": ["runtime", "labrpc", "replica", "raft", "paxos", "kvraft", "sim", "server/storage"],
  inspector: ["runtime", "sim", "sim/swarm"],
  sweep: ["runtime", "replica", "sim/swarm", "inspector"],
  server: ["runtime", "labrpc", "raft", "paxos", "kvraft", "sim", "server/storage", "sim/swarm", "inspector", "sweep"],
  demo: ["runtime", "labrpc", "raft", "kvraft", "sim", "inspector"],
  /** The package's own door: index.ts at the top. */
  "": ["runtime", "labrpc", "raft", "paxos", "kvraft", "sim"],
  bench: [
    ...["runtime", "labrpc", "replica/core", "replica", "raft/core", "raft", "paxos/core", "paxos", "kvraft", "sim"],
    ...["server/storage", "sim/swarm", "server", "demo"],
  ],
  test: [
    ...["runtime", "labrpc", "replica/core", "replica", "raft/core", "raft", "paxos/core", "paxos", "kvraft", "sim"],
    ...["server/storage", "sim/swarm", "inspector", "sweep", "server", "demo", "", "bench"],
  ],
};

/** They look behind the doors: a test of a part of a room imports that part. */
const MAY_OPEN_ANY_FILE = new Set(["test", "bench"]);

export function roomOf(path: string): string | undefined {
  let folder = posix.dirname(path);
  while (folder !== "." && !(folder in ROOMS)) folder = posix.dirname(folder);
  if (folder !== ".") return folder;
  return path.includes("/") ? undefined : "";
}

/** Each import stays on its floor or goes down, and enters another room through its index.ts. */
export function floorProblems(tree: Tree): string[] {
  const problems: string[] = [];
  for (const file of tree.values()) {
    const room = roomOf(file.path);
    if (room === undefined) {
      problems.push(`${file.path}: is in no known room; add the room to ROOMS in test/tidy/layout.ts`);
      continue;
    }
    for (const { target, line } of file.imports) {
      if (target === undefined) continue;
      const other = roomOf(target);
      if (other === undefined || other === room) continue;
      const where = `${file.path}:${line}`;
      if (!(ROOMS[room] as readonly string[]).includes(other)) {
        problems.push(`${where}: ${nameOf(room)} must not import ${nameOf(other)} (${target})`);
      } else if (!MAY_OPEN_ANY_FILE.has(room) && posix.basename(target) !== "index.ts") {
        problems.push(`${where}: import ${nameOf(other)} through ${posix.join(other, "index.ts")}, not ${target}`);
      }
    }
  }
  return problems;
}

function nameOf(room: string): string {
  return room === "" ? "the top folder" : `${room}/`;
}

/** No file imports itself by any path, types included: such files can only be understood, and loaded, together. */
export function cycleProblems(tree: Tree): string[] {
  const problems: string[] = [];
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (file: SourceFile): void => {
    const start = path.indexOf(file.path);
    if (start >= 0) {
      problems.push(`import cycle: ${[...path.slice(start), file.path].join(" -> ")}`);
      return;
    }
    if (done.has(file.path)) return;
    path.push(file.path);
    for (const target of targetsOf(file)) visit(tree.get(target) as SourceFile);
    path.pop();
    done.add(file.path);
  };
  for (const file of tree.values()) visit(file);
  return problems;
}

/** Every file is an entry or is imported, over any number of steps, by one. */
export function reachProblems(tree: Tree, entries: readonly string[]): string[] {
  const problems: string[] = [];
  const reached = new Set<string>();
  const queue: string[] = [];
  const reach = (path: string): void => {
    if (!reached.has(path)) queue.push(path);
    reached.add(path);
  };
  for (const entry of entries) {
    if (tree.has(entry)) reach(entry);
    else problems.push(`${entry}: is named as an entry, but does not exist`);
  }
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    for (const target of targetsOf(tree.get(path) as SourceFile)) reach(target);
  }
  for (const path of tree.keys()) {
    if (!reached.has(path)) problems.push(`${path}: nothing reaches it; import it or delete it`);
  }
  return problems;
}

function targetsOf(file: SourceFile): Set<string> {
  const targets = new Set<string>();
  for (const { target } of file.imports) if (target !== undefined) targets.add(target);
  return targets;
}

interface Manifest {
  readonly exports: Readonly<Record<string, string | { readonly default: string }>>;
  readonly bin?: Readonly<Record<string, string>>;
  readonly scripts: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
}

/** Where Node, npm and vitest come in: exports, bin, scripts, tests, and the configuration files at the top. */
export function entriesOf(manifest: Manifest, paths: readonly string[]): string[] {
  const built = [
    ...Object.values(manifest.exports).map((entry) => (typeof entry === "string" ? entry : entry.default)),
  ];
  built.push(...Object.values(manifest.bin ?? {}));
  for (const script of Object.values(manifest.scripts)) built.push(...(script.match(/[\w./-]+\.[jt]s\b/g) ?? []));
  const entries = new Set<string>();
  for (const path of built) {
    if (/\.[jt]s$/.test(path))
      entries.add(
        posix
          .normalize(path)
          .replace(/^(dist|build)\//, "")
          .replace(/\.js$/, ".ts"),
      );
  }
  for (const path of paths) if (/\.test\.ts$|^[^/]+\.config\.ts$/.test(path)) entries.add(path);
  return [...entries];
}

/** Relative imports name an existing file and end in .js; others are Node's, or packages that package.json names. */
export function specifierProblems(tree: Tree, manifest: Manifest): string[] {
  const problems: string[] = [];
  const runtimePackages = Object.keys(manifest.dependencies ?? {});
  const allPackages = [...runtimePackages, ...Object.keys(manifest.devDependencies ?? {})];
  for (const file of tree.values()) {
    const forDevelopment = /^(test|bench)\/|^[^/]+\.config\.ts$/.test(file.path);
    const packages = forDevelopment ? allPackages : runtimePackages;
    for (const { specifier, target, line, isUrl } of file.imports) {
      const where = `${file.path}:${line}`;
      if (specifier.startsWith(".")) {
        if (!specifier.endsWith(".js") && !isUrl) problems.push(`${where}: write "${specifier}" with its ending .js`);
        else if (target === undefined) problems.push(`${where}: there is no file for "${specifier}"`);
      } else if (!specifier.startsWith("node:") && !packages.some((name) => isIn(specifier, name))) {
        problems.push(`${where}: "${specifier}" is not among the ${forDevelopment ? "" : "runtime "}dependencies`);
      }
    }
  }
  return problems;
}

function isIn(specifier: string, packageName: string): boolean {
  return specifier === packageName || specifier.startsWith(`${packageName}/`);
}
