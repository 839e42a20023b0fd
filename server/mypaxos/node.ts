import { EventEmitter } from "node:events";

import { InvalidArgumentError } from "../../runtime/index.js";
import type { Rsm } from "../../kvraft/index.js";
import { ConfigError } from "../checks.js";
import type { NodeConfig } from "../config.js";
import { makeNode } from "../node.js";
import type { KvNode } from "../node.js";
import type { CloseOptions, NodeOptions } from "../node-options.js";
import type { NodeStatus } from "../status.js";
import { CallbackMachine } from "./callback.js";
import type { Entry, EntryResult, PaxosCallback, PaxosStateMachine } from "./callback.js";
import { resolvePaxosConfig } from "./config.js";
import type { PaxosConfig, PaxosSettings } from "./config.js";
import { checkGroupId, groupIdOf, groupName } from "./groups.js";
import { makeGroupService } from "./service.js";

/** Settings that MyPaxos did not have, and what only a program can give: as for `startNode`, but `engine` is "paxos". */
export interface PaxosNodeOptions
  extends
    Omit<NodeConfig, keyof PaxosConfig | "groups" | "logLevel">,
    Pick<NodeOptions, "measure" | "logger" | "runtime" | "disk" | "limits"> {
  /** Groups by id, as `setGroupId` takes them: the same ids on every node. */
  readonly groups?: Readonly<Record<number, PaxosCallback | PaxosStateMachine>>;
}

export interface PaxosNodeEvents {
  /** A group's leader, by the node's id, is known or has changed; null: it is not known now. */
  leader: [{ group: number; leader: number | null; term: number }];
  /** A group has stopped on this node: its callback failed, its disk failed, its data were lost. The others go on. */
  failure: [error: Error, group: number];
}

/**
 * One node of a cluster of several groups: independent logs, each with its own callback, in one process on one port.
 * Close it, or the process does not end.
 */
export class PaxosNode extends EventEmitter<PaxosNodeEvents> implements AsyncDisposable {
  readonly id: number;
  readonly #settings: PaxosSettings;
  readonly #options: Omit<PaxosNodeOptions, "groups">;
  readonly #machines = new Map<number, CallbackMachine>();
  #node: KvNode | undefined;
  #starting: Promise<KvNode> | undefined;

  /**
   * `config`: MyPaxos' settings, or the path of a file of them; see `PaxosConfig`.
   * @throws ConfigError (CONFIG) naming the field, and the file.
   */
  constructor(config: string | PaxosConfig, options: PaxosNodeOptions = {}) {
    super();
    const { groups = {}, ...rest } = options;
    this.#settings = resolvePaxosConfig(config);
    this.#options = rest;
    this.id = this.#settings.myid;
    for (const [id, callback] of Object.entries(groups)) this.setGroupId(Number(id), callback);
  }

  /** Gives a group its callback, before start(). @throws InvalidArgumentError */
  setGroupId(id: number, callback: PaxosCallback | PaxosStateMachine): this {
    checkGroupId(id);
    checkCallback(id, callback);
    if (this.#starting !== undefined)
      throw new InvalidArgumentError(`group ${id}: this node has started; set groups before`);
    if (this.#machines.has(id)) throw new InvalidArgumentError(`group ${id} has a callback already`);
    this.#machines.set(id, new CallbackMachine(id, callback));
    return this;
  }

  /**
   * Opens the data, connects to the other nodes, listens. It does not wait for the others: clients' calls do.
   * @throws ConfigError where there is no group; and all that `startNode` throws.
   */
  async start(): Promise<this> {
    if (this.#starting !== undefined) throw new InvalidArgumentError("start() was called before; make another node");
    if (this.#machines.size === 0)
      throw new ConfigError("groups", "this node has no group; call setGroupId(id, callback)");
    this.#starting = this.#start();
    await this.#starting;
    return this;
  }

  async #start(): Promise<KvNode> {
    const { nodes } = this.#settings;
    const named = <T>(toValue: (machine: CallbackMachine) => T): Record<string, T> =>
      Object.fromEntries(Array.from(this.#machines, ([id, machine]) => [groupName(id), toValue(machine)]));
    const bare = [...this.#machines].filter(([, machine]) => !machine.hasSnapshots);
    const node = makeNode({
      engine: "paxos",
      ...this.#options,
      ...this.#settings,
      groups: [],
      stateMachines: named((machine) => machine),
      services: named(() => (rsm: Rsm<Entry, EntryResult>) => makeGroupService(rsm, nodes)),
      maxRaftStates: Object.fromEntries(bare.map(([id]) => [groupName(id), -1])),
    });
    node.on("error", (error, group) => void this.emit("failure", error, groupIdOf(group)));
    node.on("leader", ({ group, ...rest }) => void this.emit("leader", { group: groupIdOf(group), ...rest }));
    this.#node = await node.start();
    return node;
  }

  /** Where it listens. */
  get address(): { readonly host: string; readonly port: number } {
    return this.#started().address;
  }

  /** The id of the node that leads a group, as far as this one knows. */
  leaderOf(group: number): number | null {
    checkGroupId(group);
    return this.#started().leaderOf(groupName(group));
  }

  /** In which `groups` are named "group-1" and so on; one that has stopped says why in `failure`. */
  status(): NodeStatus {
    return this.#started().status();
  }

  /** As `KvNode.close`. */
  async close(options?: CloseOptions): Promise<void> {
    const node = await this.#starting?.catch(() => undefined);
    await node?.close(options);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #started(): KvNode {
    if (this.#node === undefined) throw new InvalidArgumentError("this node has not started; call start()");
    return this.#node;
  }
}

function checkCallback(id: number, callback: unknown): void {
  const methods = typeof callback === "object" && callback !== null ? (callback as Record<string, unknown>) : {};
  const isWhole = ["apply", "snapshot", "restore"].every((name) => typeof methods[name] === "function");
  if (typeof callback !== "function" && !isWhole) {
    throw new InvalidArgumentError(`group ${id} needs a function (bytes) => answer, or { apply, snapshot, restore }`);
  }
  const functions = (isWhole ? [methods["apply"], methods["snapshot"], methods["restore"]] : [callback]) as object[];
  if (functions.every((each) => each.constructor.name !== "AsyncFunction")) return;
  throw new InvalidArgumentError(
    `the callback of group ${id} must be synchronous: items are applied one after the other, and each answer must be ` +
      `there before the next one`,
  );
}

/** Makes a node and starts it. @throws as `PaxosNode` and its `start` */
export function startPaxosNode(config: string | PaxosConfig, options: PaxosNodeOptions): Promise<PaxosNode> {
  return new PaxosNode(config, options).start();
}
