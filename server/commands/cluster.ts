import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo, Server } from "node:net";
import { join } from "node:path";

import { Option, type Command } from "commander";

import { ConfigError, required } from "../checks.js";
import { DEFAULT_DATA_DIR, LOG_LEVELS, resolveCluster, resolveNode } from "../config.js";
import type { LogLevel, NodeAddress, NodeConfig } from "../config.js";
import { readConfigFile } from "../config-sources.js";
import { DEFAULT_ENGINE, ENGINE_NAMES } from "../engines.js";
import type { EngineName } from "../engines.js";
import { CLUSTER_FILE, wholeNumber } from "./options.js";
import { Exit, EXIT_CODES_HELP, run } from "./outside.js";
import type { Outside } from "./outside.js";
import { onStop } from "./signals.js";
import { Supervisor } from "./supervisor.js";

interface ClusterFlags {
  readonly dataDir: string;
  readonly size: number;
  readonly port: number;
  readonly engine?: EngineName;
  readonly logLevel: LogLevel;
  readonly json?: boolean;
}

const HOST = "127.0.0.1";
/** HTTP ports stand so far above the others. */
const HTTP_OFFSET = 1000;
const CLOSE_TIMEOUT_MS = 5000;
/** How much longer than `closeTimeout` a node may take before it is killed. */
const GRACE_MS = 3000;
const MAX_SIZE = 9;

export function clusterCommand(program: Command, outside: Outside): void {
  const command = program
    .command("cluster")
    .description("run a cluster on this machine: a process a node, started again when one ends, until Ctrl-C")
    .option("--data-dir <path>", "where all of it is kept; a later start goes on with it", DEFAULT_DATA_DIR)
    .option("--size <number>", "how many nodes", wholeNumber(1, MAX_SIZE), 3)
    .option(
      "--port <port>",
      "of the first node; the others follow; 0: any free ports",
      wholeNumber(0, 65_000 - HTTP_OFFSET),
      7001,
    )
    .addOption(
      new Option("--engine <name>", "the consensus algorithm (default: the one of the data, or raft)").choices(
        ENGINE_NAMES,
      ),
    )
    .addOption(new Option("--log-level <level>", "what the nodes log").choices(LOG_LEVELS).default("info"))
    .option("--json", "print JSON lines")
    .addHelpText("after", EXIT_CODES_HELP);
  command.action(async () => {
    const flags = command.opts<ClusterFlags>();
    await run(outside, flags.json === true, () => runCluster(flags, outside));
  });
}

interface Planned extends NodeAddress {
  readonly httpPort: number;
}

async function runCluster(flags: ClusterFlags, outside: Outside): Promise<number> {
  const { dataDir, json } = flags;
  try {
    mkdirSync(dataDir, { recursive: true });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new ConfigError("dataDir", `--data-dir: ${dataDir} cannot be made a directory (${code}); choose another one`);
  }
  const { nodes: plan, engine } = readPlan(dataDir, flags) ?? makePlan(flags);
  const nodes = await probe(plan);
  writePlan(dataDir, nodes, engine, flags.logLevel);
  const tell = (event: object, text: string): void => outside.out(json ? `${JSON.stringify(event)}\n` : `${text}\n`);
  let waiting = nodes.length;
  let hopeless = 0;
  let end: (code: number) => void = () => {};
  const ended = new Promise<number>((resolve) => {
    end = resolve;
  });
  const supervisors = nodes.map(({ id }) => {
    let isFirst = true;
    return new Supervisor({
      command: [
        process.execPath,
        ...process.execArgv,
        process.argv[1] as string,
        "serve",
        "--config",
        nodeFile(dataDir, id),
      ],
      hopelessCode: Exit.usage,
      logFile: join(dataDir, `node-${id}.log`),
      onReady: ({ address, http }, pid) => {
        tell({ event: "node", id, address, http, pid }, `node ${id}  ${address}  http://${http}  process ${pid}`);
        if (!isFirst) return;
        isFirst = false;
        if (--waiting === 0) tell({ event: "ready" }, readyText(dataDir));
      },
      onExit: (how, lastWords, restartMs) => {
        const next = restartMs === null ? "it cannot start" : `starting it again in ${restartMs} ms`;
        const words = lastWords === "" ? "" : `\n  ${lastWords.replaceAll("\n", "\n  ")}`;
        tell({ event: "exit", id, how, lastWords, restartMs }, `node ${id} ended (${how}); ${next}${words}`);
        if (restartMs === null && ++hopeless === nodes.length) end(Exit.usage);
      },
    });
  });
  // Whatever ends this process without asking, nobody is left behind.
  process.on("exit", () => supervisors.forEach((each) => each.kill()));
  onStop(() => {
    tell({ event: "stopping" }, "stopping; once more to stop at once");
    end(Exit.ok);
  });
  for (const supervisor of supervisors) supervisor.start();
  const code = await ended;
  await Promise.all(supervisors.map((each) => each.stop(CLOSE_TIMEOUT_MS + GRACE_MS)));
  tell({ event: "stopped" }, "stopped");
  return code;
}

function readyText(dataDir: string): string {
  const config = dataDir === DEFAULT_DATA_DIR ? "" : ` --config ${join(dataDir, CLUSTER_FILE)}`;
  return `the cluster is up; try: npx kvraft put greeting hello${config}\nCtrl-C stops it; data and logs stay in ${dataDir}`;
}

// ---- what is kept in the directory ------------------------------------------------------------------------------------

const nodeFile = (dataDir: string, id: number): string => join(dataDir, `node-${id}.json`);

interface Plan {
  readonly nodes: readonly Planned[];
  readonly engine: EngineName;
}

/** That of the last run: nodes and clients find each other again. Null where there was none. */
function readPlan(dataDir: string, { size, engine: wanted }: ClusterFlags): Plan | null {
  const file = join(dataDir, CLUSTER_FILE);
  if (!existsSync(file)) return null;
  let nodes: Planned[];
  let engine: EngineName = DEFAULT_ENGINE;
  try {
    nodes = resolveCluster(readConfigFile(file)).nodes.map((node) => {
      const name = nodeFile(dataDir, node.id);
      const { http, engine: found } = resolveNode(readConfigFile(name));
      engine = found;
      return { ...node, httpPort: required(http?.port, `httpPort in ${name}`, "a port number") };
    });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const message = `${dataDir} holds an incomplete cluster: ${error.message}; mend that file, or use another --data-dir`;
    throw new ConfigError(error.field, message);
  }
  if (nodes.length !== size) {
    const message = `${dataDir} holds a cluster of ${nodes.length} nodes, not ${size}; give --size ${nodes.length}`;
    throw new ConfigError("size", `${message}, or another --data-dir`);
  }
  if (wanted !== undefined && wanted !== engine) {
    const message = `${dataDir} holds a cluster with the engine ${engine}, not ${wanted}; use another --data-dir`;
    throw new ConfigError("engine", message);
  }
  return { nodes, engine };
}

function writePlan(dataDir: string, plan: readonly Planned[], engine: EngineName, logLevel: LogLevel): void {
  const nodes = plan.map(({ id, host, port }) => ({ id, host, port }));
  const write = (file: string, value: object): void => writeFileSync(file, `${JSON.stringify(value, null, 2)}\n`);
  for (const { id, httpPort } of plan) {
    const file = nodeFile(dataDir, id);
    // Paths in a configuration file are meant from where it is.
    const settings = { engine, httpPort, closeTimeout: CLOSE_TIMEOUT_MS, logLevel };
    const config: NodeConfig = { myid: id, nodes, dataDir: ".", ...settings };
    write(file, config);
  }
  write(join(dataDir, CLUSTER_FILE), { nodes });
}

function makePlan({ size, port: first, engine = DEFAULT_ENGINE }: ClusterFlags): Plan {
  const nodes = Array.from({ length: size }, (_, i) => {
    const port = first === 0 ? 0 : first + i;
    return { id: i + 1, host: HOST, port, httpPort: first === 0 ? 0 : port + HTTP_OFFSET };
  });
  return { nodes, engine };
}

/**
 * Finds out now, and in one place, that a port is taken; puts free ones where any will do. All are held at the same time,
 * so that all differ.
 */
async function probe(plan: readonly Planned[]): Promise<Planned[]> {
  const servers: Server[] = [];
  const hold = async (wanted: number): Promise<number> => {
    const server = createServer();
    servers.push(server);
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(wanted, HOST, resolve);
    });
    return (server.address() as AddressInfo).port;
  };
  try {
    const found: Planned[] = [];
    for (const node of plan) found.push({ ...node, port: await hold(node.port), httpPort: await hold(node.httpPort) });
    return found;
  } catch (error) {
    const { port, code } = error as NodeJS.ErrnoException & { port?: number };
    throw new ConfigError(
      "port",
      `port ${port} cannot be used (${code}): another cluster may be running. Choose a --data-dir and a --port of its own`,
    );
  } finally {
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  }
}
