import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { createSecureContext } from "node:tls";

import type { Check } from "./checks.js";
import {
  checkFields,
  ConfigError,
  listOf,
  mustBe,
  name,
  object,
  oneOf,
  required,
  text,
  whole,
  yesOrNo,
} from "./checks.js";
import { DEFAULT_ENGINE, ENGINE_NAMES } from "./engines.js";
import type { EngineName } from "./engines.js";

/** A member of the cluster. Host and port are those under which the others, and clients, reach it. */
export interface NodeAddress {
  readonly id: number;
  readonly host: string;
  readonly port: number;
}

/** Certificates in PEM form: as text, or the path of a file. All three parts are needed. */
export interface TlsConfig {
  readonly ca?: string;
  readonly caFile?: string;
  readonly cert?: string;
  readonly certFile?: string;
  readonly key?: string;
  readonly keyFile?: string;
}

/** What everybody who talks to a cluster must know. */
export interface ClusterConfig {
  /** All members, the same on each of them, in any order; 1 to 9. */
  readonly nodes: readonly NodeAddress[];
  /** Who belongs to another cluster is refused. Default "kvraft". */
  readonly clusterId?: string;
  /** Shared by all nodes and clients, or one for nodes and one for clients. At least 16 bytes. Default: none. */
  readonly secret?: string | { readonly peer: string; readonly client: string };
  /** A file that holds the secret, in place of `secret`. White space around it does not count. */
  readonly secretFile?: string;
  /** Mutual TLS. Default: none. */
  readonly tls?: TlsConfig;
}

/** The settings of one node, as they stand in a configuration file. Times in milliseconds, sizes in bytes. */
export interface NodeConfig extends ClusterConfig {
  /** The `id` of this node. */
  readonly myid: number;
  /** What to listen on, where it is not the address in `nodes`. Port 0: the system chooses one. */
  readonly bind?: { readonly host?: string; readonly port?: number };
  /** Accept everyone on an address that other machines can reach. Default false: that is an error. */
  readonly allowUnauthenticated?: boolean;
  /**
   * A follower that hears nothing from a leader for `timeout` to twice as long stands for election. Longer than the
   * longest pause of a healthy process or network. 20 to 60000, default 500.
   */
  readonly timeout?: number;
  /** How often an idle leader says that it is there. 1 to half of `timeout`, default a fifth of it. */
  readonly learningInterval?: number;
  /** This node keeps its data in `<dataDir>/node-<myid>/<group>`. Default "kvraft-data". */
  readonly dataDir?: string;
  /** Default true. False keeps everything in memory: for experiments only, see the warning. */
  readonly enableDataPersistence?: boolean;
  /**
   * Given once, at the first start with an empty data directory in place of one that was lost: this node gets a copy of
   * everything, once all other nodes are running and have caught up with each other. Default false: a node whose data are
   * gone is not let in.
   */
  readonly replaceLostData?: boolean;
  /**
   * The consensus algorithm under all groups: "raft" or "paxos" (Multi-Paxos). The same on all nodes, and for as long as
   * the data exist. Default "raft".
   */
  readonly engine?: EngineName;
  /** Names of the key/value groups: independent stores with a log each. The first one is the default. Default ["kv"]. */
  readonly groups?: readonly string[];
  /** A group takes a snapshot when its log has grown to about this many bytes; -1 = never. Default 64 MiB. */
  readonly maxRaftState?: number;
  /**
   * Bytes of commands that may wait to be committed in a group; beyond that writes are put off, and clients try again.
   * From 1000, default 64 MiB.
   */
  readonly maxPendingBytes?: number;
  /** Port of the HTTP server for health, status and metrics; 0: the system chooses one. Default: no such server. */
  readonly httpPort?: number;
  /** Default "127.0.0.1". It asks for no password: another address needs `allowUnauthenticated`. */
  readonly httpHost?: string;
  /** How long close() may take to hand over leadership and to answer what is open. 0 to 60000, default 5000. */
  readonly closeTimeout?: number;
  /** What `kvraft serve` logs. Default "info". */
  readonly logLevel?: LogLevel;
}

export const LOG_LEVELS = ["debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export const DEFAULT_CLUSTER_ID = "kvraft";
export const DEFAULT_DATA_DIR = "kvraft-data";
export const DEFAULT_GROUP = "kv";
/** The name under which a node serves what concerns it as a whole; see admin.ts. */
export const NODE_GROUP = "node";

const MAX_NODES = 9;
const MAX_TIMEOUT_MS = 60_000;
const MIN_RAFT_STATE = 1000;
const MIN_PENDING_BYTES = 1000;
const MIB = 1024 * 1024;
const LOOPBACK = /^(localhost|::1|127(\.\d{1,3}){3})$/;

const port = whole(0, 65_535);
const nodeFields = object({ id: whole(0, Number.MAX_SAFE_INTEGER), host: text, port });

const nodeAddress: Check<NodeAddress> = (value, field) => {
  const { id, host, port: number } = nodeFields(value, field);
  return {
    id: required(id, `${field}.id`, "a whole number"),
    host: required(host, `${field}.host`, "a host name or address"),
    port: required(number, `${field}.port`, "a port number"),
  };
};

const nodeList: Check<NodeAddress[]> = (value, field) => {
  const nodes = listOf(nodeAddress, "{id, host, port}")(value, field);
  if (nodes.length === 0 || nodes.length > MAX_NODES) throw mustBe(field, `a list of 1 to ${MAX_NODES} nodes`, value);
  const ids = new Map<number, number>();
  const places = new Map<string, number>();
  for (const [i, { id, host, port: number }] of nodes.entries()) {
    const place = `${host}:${number}`;
    const same = ids.get(id) ?? places.get(place);
    if (same !== undefined) {
      const what = ids.has(id) ? `id ${id}` : `address ${place}`;
      throw new ConfigError(field, `${field}[${i}] has the same ${what} as ${field}[${same}]; each node needs its own`);
    }
    if (number === 0 && nodes.length > 1) throw mustBe(`${field}[${i}].port`, "a port from 1 to 65535", number);
    ids.set(id, i);
    places.set(place, i);
  }
  // The order decides which server of the Raft group a node is, so it must not depend on how a file was written.
  return nodes.sort((a, b) => a.id - b.id);
};

const secret: Check<string | { peer: string; client: string }> = (value, field) => {
  if (typeof value === "string") return text(value, field);
  const { peer, client } = object({ peer: text, client: text })(value, field);
  return {
    peer: required(peer, `${field}.peer`, "a string"),
    client: required(client, `${field}.client`, "a string"),
  };
};

const maxRaftState: Check<number> = (value, field) => {
  if (value === -1 || (Number.isSafeInteger(value) && (value as number) >= MIN_RAFT_STATE)) return value as number;
  throw mustBe(field, `a whole number of bytes from ${MIN_RAFT_STATE}, or -1 for no snapshots`, value);
};

const groupList: Check<string[]> = (value, field) => {
  const groups = listOf(name, "names")(value, field);
  for (const [i, group] of groups.entries()) checkGroupName(group, `${field}[${i}]`, groups.slice(0, i));
  return groups;
};

export function checkGroupName(group: string, field: string, others: readonly string[]): void {
  if (group === NODE_GROUP)
    throw new ConfigError(field, `${field} must not be "${NODE_GROUP}", which the node itself uses`);
  if (others.includes(group))
    throw new ConfigError(field, `${field} must be another name: there is a group "${group}" already`);
}

export const clusterFields = {
  nodes: nodeList,
  clusterId: name,
  secret,
  secretFile: text,
  tls: object({ ca: text, caFile: text, cert: text, certFile: text, key: text, keyFile: text }),
};

export const nodeConfigFields = {
  ...clusterFields,
  myid: whole(0, Number.MAX_SAFE_INTEGER),
  bind: object({ host: text, port }),
  allowUnauthenticated: yesOrNo,
  timeout: whole(20, MAX_TIMEOUT_MS, "milliseconds"),
  learningInterval: whole(1, MAX_TIMEOUT_MS, "milliseconds"),
  dataDir: text,
  enableDataPersistence: yesOrNo,
  replaceLostData: yesOrNo,
  engine: oneOf(ENGINE_NAMES),
  groups: groupList,
  maxRaftState,
  maxPendingBytes: whole(MIN_PENDING_BYTES, Number.MAX_SAFE_INTEGER, "bytes"),
  httpPort: port,
  httpHost: text,
  closeTimeout: whole(0, MAX_TIMEOUT_MS, "milliseconds"),
  logLevel: oneOf(LOG_LEVELS),
} satisfies Record<keyof NodeConfig, Check<unknown>>;

/** Everything settled: defaults filled in, files read, rules between settings checked. */
export interface ResolvedCluster {
  readonly nodes: readonly NodeAddress[];
  readonly clusterId: string;
  readonly secret: string | { readonly peer: string; readonly client: string } | undefined;
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string } | undefined;
}

export interface ResolvedNode extends ResolvedCluster {
  readonly myid: number;
  /** Where this node stands in `nodes`. */
  readonly me: number;
  readonly bind: { readonly host: string; readonly port: number };
  readonly allowUnauthenticated: boolean;
  readonly timeout: number;
  readonly learningInterval: number;
  readonly dataDir: string;
  readonly enableDataPersistence: boolean;
  readonly replaceLostData: boolean;
  readonly engine: EngineName;
  readonly groups: readonly string[];
  readonly maxRaftState: number;
  readonly maxPendingBytes: number;
  readonly http: { readonly host: string; readonly port: number } | undefined;
  readonly closeTimeout: number;
  readonly logLevel: LogLevel;
}

/** @throws ConfigError naming the field. */
export function resolveCluster(config: object): ResolvedCluster {
  return settleCluster(checkFields(clusterFields, config, ""));
}

function settleCluster(config: { [N in keyof ClusterConfig]?: ClusterConfig[N] }): ResolvedCluster {
  const nodes = required(config.nodes, "nodes", "a list of {id, host, port}");
  return {
    nodes,
    clusterId: config.clusterId ?? DEFAULT_CLUSTER_ID,
    secret: secretOf(config.secret, config.secretFile),
    tls: config.tls && tlsOf(config.tls),
  };
}

/** @throws ConfigError naming the field. */
export function resolveNode(values: object): ResolvedNode {
  const config = checkFields(nodeConfigFields, values, "");
  const cluster = settleCluster(config);
  const { nodes } = cluster;
  const ids = nodes.map(({ id }) => id);
  const myid = required(config.myid, "myid", `the id of this node, one of ${ids.join(", ")}`);
  const me = ids.indexOf(myid);
  if (me < 0) throw mustBe("myid", `the id of one of the nodes (${ids.join(", ")})`, myid);
  const self = nodes[me] as NodeAddress;
  const timeout = config.timeout ?? 500;
  const learningInterval = config.learningInterval ?? Math.max(1, Math.floor(timeout / 5));
  if (learningInterval * 2 > timeout) {
    throw mustBe("learningInterval", `at most half of timeout, ${Math.floor(timeout / 2)} ms`, learningInterval);
  }
  return {
    ...cluster,
    myid,
    me,
    bind: { host: config.bind?.host ?? self.host, port: config.bind?.port ?? self.port },
    allowUnauthenticated: config.allowUnauthenticated ?? false,
    timeout,
    learningInterval,
    dataDir: resolve(config.dataDir ?? DEFAULT_DATA_DIR),
    enableDataPersistence: config.enableDataPersistence ?? true,
    replaceLostData: config.replaceLostData ?? false,
    engine: config.engine ?? DEFAULT_ENGINE,
    groups: config.groups ?? [DEFAULT_GROUP],
    maxRaftState: config.maxRaftState ?? 64 * MIB,
    maxPendingBytes: config.maxPendingBytes ?? 64 * MIB,
    http: httpOf(config),
    closeTimeout: config.closeTimeout ?? 5000,
    logLevel: config.logLevel ?? "info",
  };
}

function httpOf(config: {
  httpHost?: string;
  httpPort?: number;
  allowUnauthenticated?: boolean;
}): ResolvedNode["http"] {
  const { httpHost: host = "127.0.0.1", httpPort, allowUnauthenticated = false } = config;
  if (httpPort === undefined) {
    if (config.httpHost !== undefined) throw mustBe("httpPort", "a port number, because httpHost is given", undefined);
    return undefined;
  }
  if (!LOOPBACK.test(host) && !allowUnauthenticated) {
    throw new ConfigError(
      "httpHost",
      `httpHost "${host}" would show status and metrics to everyone on the network; use 127.0.0.1, or allowUnauthenticated`,
    );
  }
  return { host, port: httpPort };
}

function secretOf(value: ClusterConfig["secret"], file: string | undefined): ResolvedCluster["secret"] {
  if (file === undefined) return value;
  if (value !== undefined) throw new ConfigError("secretFile", "secret and secretFile are both given; leave one out");
  const found = readFile(file, "secretFile").trim();
  if (found === "")
    throw new ConfigError("secretFile", `secretFile ${file} is empty; make one with: openssl rand -hex 32`);
  return found;
}

function tlsOf(tls: TlsConfig): NonNullable<ResolvedCluster["tls"]> {
  const part = (key: "ca" | "cert" | "key"): string => {
    const content = tls[key];
    const file = tls[`${key}File`];
    if (content !== undefined && file !== undefined) {
      throw new ConfigError(`tls.${key}File`, `tls.${key} and tls.${key}File are both given; leave one out`);
    }
    return content ?? readFile(required(file, `tls.${key}File`, "the path of a PEM file"), `tls.${key}File`);
  };
  const parts = { ca: part("ca"), cert: part("cert"), key: part("key") };
  checkPem("ca", { ca: parts.ca });
  checkPem("cert", { cert: parts.cert });
  // A key says nothing by itself; that it cannot be read and that it belongs to another certificate are one mistake.
  checkPem("key", { cert: parts.cert, key: parts.key });
  return parts;
}

/** What TLS cannot use must come out now, with the setting's name, not in the middle of the first connection. */
function checkPem(part: "ca" | "cert" | "key", pem: { ca?: string; cert?: string; key?: string }): void {
  if (part === "ca" && !/-----BEGIN [A-Z ]*CERTIFICATE-----/.test(pem.ca as string)) {
    throw new ConfigError("tls.ca", "tls.ca (or tls.caFile) must hold certificates in PEM form");
  }
  try {
    createSecureContext(pem);
  } catch (cause) {
    const what = part === "key" ? "the private key of tls.cert, without a passphrase," : "certificates";
    const message = `tls.${part} (or tls.${part}File) must hold ${what} in PEM form: ${(cause as Error).message}`;
    throw new ConfigError(`tls.${part}`, message);
  }
}

function readFile(path: string, field: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new ConfigError(
      field,
      `${field}: ${path} cannot be read (${(cause as NodeJS.ErrnoException).code ?? String(cause)})`,
    );
  }
}
