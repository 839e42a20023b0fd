import type { Effect, RaftConfig, Reply, Request } from "../../raft/core/index.js";
import { CoreCluster } from "../harness/core-cluster.js";
import type { Disk } from "../harness/core-disks.js";
import { bytes, terms } from "../harness/core-messages.js";
import type { Gated, Sight } from "../harness/core-node.js";
import { fits, isRequest, type Match, type Packet } from "../harness/core-packets.js";
import type { Command } from "./transcript.js";
import { diskText, logsPicture, messageText, roleText, writeText } from "./words.js";

const KINDS: Readonly<Record<string, readonly Packet["message"]["type"][]>> = {
  votes: ["requestVote", "requestVoteReply"],
  appends: ["appendEntries", "appendEntriesReply"],
  snapshots: ["installSnapshot", "installSnapshotReply"],
  timeouts: ["timeoutNow", "timeoutNowReply"],
};

/** How much of what happens is told: sends only where their arrival is not told anyway. */
type Voice = "all" | "arrivals" | "states";

/**
 * Runs the commands of a transcript on a cluster of cores. The oracle of that cluster watches each step: what breaks a
 * promise of Raft is an error, never an outcome that could be written down.
 */
export class Interpreter {
  #names: string[] = [];
  #cluster = new CoreCluster(1);
  readonly #kept = new Map<string, readonly Packet[]>();
  #lines: string[] = [];
  #voice: Voice = "all";
  #roles: string[] = [];
  /** Where the log on each disk ends once all writes are done. */
  #lastIndices: number[] = [];
  #requests = 0;
  #replies = 0;

  readonly #commands: Readonly<Record<string, (words: readonly string[], rows: readonly string[]) => void>> = {
    cluster: (words, rows) => this.#start(words, rows),
    logs: () => this.#logs(),
    disk: ([server]) => this.#say(`${server}: ${diskText(this.#cluster.disk(this.#server(server)), this.#name)}`),
    progress: ([leader]) => this.#progress(this.#server(leader)),

    timeout: ([server]) => this.#timeout(this.#server(server)),
    retry: ([server]) => this.#tick(this.#server(server), false),
    heartbeat: ([server]) => this.#tick(this.#server(server), true),
    wait: ([ms]) => void (this.#cluster.now += number(ms)),
    elect: ([server, ...voters]) => this.#elect(this.#server(server), voters),
    stepdown: ([server]) => this.#cluster.stepDown(this.#server(server)),
    transfer: ([server, target]) => this.#transfer(this.#server(server), this.#server(target)),

    propose: ([server, ...commands]) => this.#propose(this.#server(server), commands),
    read: ([server]) => this.#read(this.#server(server)),
    snapshot: ([server, ...text]) => this.#snapshot(this.#server(server), text),

    deliver: (words) => this.#deliver(words),
    settle: (words) => this.#settle(words),
    drop: (words) => this.#gone("drops", this.#take(words)),
    lose: (words) => this.#lose(words),
    keep: (words) => this.#keep(words, true),
    copy: (words) => this.#keep(words, false),
    cut: ([server]) => this.#cluster.isolate(this.#server(server)),
    heal: () => this.#cluster.heal(),

    crash: ([server, kept]) => this.#crash(this.#server(server), kept),
    restart: ([server]) => this.#restart(this.#server(server)),
    slow: ([server]) => this.#cluster.holdDisk(this.#server(server)),
    written: ([server, count]) =>
      this.#cluster.releaseDisk(this.#server(server), count === undefined ? Infinity : number(count)),
  };

  /** After "quietly" only changes of role and term, commits, restores and the ends of reads are told. */
  run({ words, rows }: Command): readonly string[] {
    const isQuiet = words[0] === "quietly";
    const [verb, ...rest] = isQuiet ? words.slice(1) : words;
    const command = this.#commands[verb ?? ""];
    if (command === undefined) throw new Error(`known are ${Object.keys(this.#commands).join(", ")}`);
    this.#lines = [];
    this.#voice = isQuiet ? "states" : "all";
    command(rest, rows);
    return this.#lines;
  }

  readonly #name = (n: number): string => this.#names[n]!;

  #server(name: string | undefined): number {
    const n = this.#names.indexOf(name ?? "");
    if (n < 0) throw new Error(`"${name}" is not a server; there are ${this.#names.join(", ")}`);
    return n;
  }

  #say(line: string): void {
    this.#lines.push(line);
  }

  // ---- the situation

  /** `cluster 3 preVote=off`, or a row for each server: "S1: log 1x3 2, term 4, vote S2, snapshot 5 of term 1". */
  #start(words: readonly string[], rows: readonly string[]): void {
    const settings = words.filter((word) => word.includes("=")).map(setting);
    const size = rows.length > 0 ? rows.length : number(words[0]);
    this.#names =
      rows.length > 0 ? rows.map((row) => row.split(":")[0]!) : Array.from({ length: size }, (_, i) => `S${i + 1}`);
    const disks = rows.map((row) => this.#disk(row.slice(row.indexOf(":") + 1)));
    const config = Object.fromEntries(settings) as Partial<RaftConfig>;
    this.#kept.clear();
    this.#roles = [];
    this.#lastIndices = [];
    this.#cluster = new CoreCluster(size, { config, disks, watch: (n, sight) => this.#see(n, sight) });
    for (const n of this.#cluster.all) this.#remember(n);
    if (disks.length > 0) this.#logs();
  }

  #disk(text: string): Disk {
    const disk: { -readonly [key in keyof Disk]: Disk[key] } = {};
    for (const field of text.split(",").map((part) => part.trim())) {
      const [key, ...values] = field.split(" ");
      if (key === "log") disk.log = terms(values.join(" "));
      else if (key === "term") disk.term = number(values[0]);
      else if (key === "vote") disk.votedFor = this.#server(values[0]);
      else if (key === "snapshot") {
        const [index, , , term] = values;
        disk.snapshot = { index: number(index), term: number(term), data: bytes(`state at ${index}`) };
      } else throw new Error(`a server has log, term, vote, snapshot, not "${key}"`);
    }
    return disk;
  }

  #remember(n: number): void {
    this.#roles[n] = roleText(this.#cluster.core(n), this.#name);
    this.#lastIndices[n] = this.#cluster.core(n).state.log.lastIndex;
  }

  #logs(): void {
    const { all } = this.#cluster;
    const core = (n: number) => (this.#cluster.isUp(n) ? this.#cluster.core(n) : null);
    this.#lines.push(
      ...logsPicture(all.map((n) => ({ name: this.#name(n), core: core(n), disk: this.#cluster.disk(n) }))),
    );
  }

  #progress(leader: number): void {
    for (const progress of this.#cluster.core(leader).state.followers) {
      const { id, state, matchIndex, nextIndex, inflightMessages, inflightBytes } = progress;
      this.#say(
        `${this.#name(id)}: ${state}, match ${matchIndex}, next ${nextIndex}, ` +
          `in flight ${inflightMessages} (${inflightBytes} bytes)`,
      );
    }
  }

  // ---- time and elections

  #timeout(n: number): void {
    this.#cluster.now = Math.max(this.#cluster.now, this.#cluster.core(n).state.electionDeadline);
    this.#tick(n, false);
  }

  #tick(n: number, shouldLead: boolean): void {
    if (this.#cluster.core(n).state.isLeader() !== shouldLead) {
      throw new Error(`${this.#name(n)} ${shouldLead ? "does not lead" : "leads"}`);
    }
    this.#cluster.tick(n);
  }

  /** Makes `n` leader with the votes of these servers, or all; followers have not heard from it yet. */
  #elect(n: number, names: readonly string[]): void {
    this.#voice = "states";
    const voters = names.length > 0 ? names.map((name) => this.#server(name)) : this.#cluster.all;
    const isVote = this.#match(["votes"]).where!;
    const where = (packet: Packet): boolean =>
      isVote(packet) && voters.includes(packet.from === n ? packet.to : packet.from);
    for (let attempt = 0; attempt < 5 && !this.#cluster.core(n).state.isLeader(); attempt++) {
      // Until nobody is protected by an earlier leader any more.
      this.#cluster.now += this.#cluster.config.electionTimeoutMaxMs;
      this.#timeout(n);
      this.#cluster.deliverAll({ with: n, where });
    }
    if (!this.#cluster.core(n).state.isLeader()) throw new Error(`${this.#name(n)} does not win`);
  }

  #transfer(n: number, target: number): void {
    this.#cluster.act(n, (core) => {
      if (!core.transfer(this.#cluster.now, target)) this.#say(`${this.#name(n)} does not lead`);
    });
  }

  // ---- what services ask for

  #propose(n: number, commands: readonly string[]): void {
    const before = this.#lines.length;
    const index = this.#cluster.propose(n, ...commands);
    const last = index + commands.length - 1;
    const where = index === last ? `entry ${index}` : `entries ${index}-${last}`;
    this.#lines.splice(before, 0, `${this.#name(n)} ${index === 0 ? "refuses" : `takes ${where}`}`);
  }

  #read(n: number): void {
    const before = this.#lines.length;
    const read = this.#cluster.read(n);
    this.#lines.splice(before, 0, `${this.#name(n)} ${read === 0 ? "refuses" : `takes read ${read}`}`);
  }

  #snapshot(n: number, words: readonly string[]): void {
    const data = words.length > 0 ? bytes(words.join(" ")) : undefined;
    if (!this.#cluster.compact(n, data)) this.#say(`${this.#name(n)} has that snapshot already`);
  }

  // ---- the network

  /**
   * Which messages: "S1->S2", "S1->*", "*->S2", "S1<>S2" (both ways), "with S1"; "votes", "appends", "snapshots",
   * "timeouts"; "requests", "replies"; "first 2", "last 1" of what remains; "among S1 S2 S3" at the end. Nothing: all.
   */
  #match(words: readonly string[]): Match {
    const tests: ((packet: Packet) => boolean)[] = [];
    const rest = [...words];
    for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
      const kinds = KINDS[word];
      const [, a, arrow, b] = /^(\S+?)(->|<>)(\S+)$/.exec(word) ?? [];
      if (kinds !== undefined) tests.push(({ message }) => kinds.includes(message.type));
      else if (word === "requests") tests.push(({ message }) => isRequest(message));
      else if (word === "replies") tests.push(({ message }) => !isRequest(message));
      else if (word === "among") tests.push(this.#among(rest.splice(0)));
      else if (word === "with") tests.push(this.#between(rest.shift()!, "<>", "*"));
      else if (arrow !== undefined) tests.push(this.#between(a!, arrow, b!));
      else if (word === "first" || word === "last") tests.push(this.#some(word, number(rest.shift()), [...tests]));
      else throw new Error(`"${word}" does not say which messages`);
    }
    return { where: (packet) => tests.every((test) => test(packet)) };
  }

  #among(names: readonly string[]): (packet: Packet) => boolean {
    const servers = names.map((name) => this.#server(name));
    return ({ from, to }) => servers.includes(from) && servers.includes(to);
  }

  #between(a: string, arrow: string, b: string): (packet: Packet) => boolean {
    const ends = [a, b].map((name) => (name === "*" ? undefined : this.#server(name)));
    const fit = (from: number | undefined, to: number | undefined, packet: Packet): boolean =>
      (from === undefined || packet.from === from) && (to === undefined || packet.to === to);
    return (packet) => fit(ends[0], ends[1], packet) || (arrow === "<>" && fit(ends[1], ends[0], packet));
  }

  #some(word: string, count: number, tests: readonly ((packet: Packet) => boolean)[]): (packet: Packet) => boolean {
    const fitting = this.#cluster.mail.filter((packet) => tests.every((test) => test(packet)));
    const chosen = word === "first" ? fitting.slice(0, count) : fitting.slice(-count);
    return (packet) => chosen.includes(packet);
  }

  #take(words: readonly string[]): readonly Packet[] {
    return expectSome(this.#cluster.take(this.#match(words)));
  }

  /** One wave, not what is sent in answer; or what was kept under a name, once more. */
  #deliver(words: readonly string[]): void {
    const [name, which] = (words[0] ?? "").split(".");
    const kept = this.#kept.get(name!);
    const packets = kept === undefined ? this.#take(words) : which === undefined ? kept : [kept[Number(which) - 1]!];
    for (const packet of packets) this.#cluster.arrive(packet);
  }

  /** Delivers until no such message is left. */
  #settle(words: readonly string[]): void {
    const isQuiet = this.#voice === "states";
    if (!isQuiet) this.#voice = "arrivals";
    this.#requests = 0;
    this.#replies = 0;
    this.#cluster.deliverAll(this.#match(words));
    if (!isQuiet)
      this.#say(`(${count(this.#requests, "request", "requests")}, ${count(this.#replies, "reply", "replies")})`);
  }

  /** Lost, and the server that asked is told so. */
  #lose(words: readonly string[]): void {
    const packets = this.#take(words);
    this.#gone("loses", packets);
    for (const packet of packets) this.#cluster.tellLoss(packet);
  }

  #gone(verb: string, packets: readonly Packet[]): void {
    if (this.#voice === "states") return;
    for (const packet of packets) this.#say(`the network ${verb} ${this.#packetText(packet)}`);
  }

  /** `keep S1->S2 as late`: off the network; `copy`: it also arrives as usual. Either way `deliver late` brings it. */
  #keep(words: readonly string[], isTaken: boolean): void {
    const at = words.indexOf("as");
    const match = this.#match(words.slice(0, at));
    const packets = isTaken ? this.#cluster.take(match) : this.#cluster.mail.filter((packet) => fits(packet, match));
    this.#kept.set(words[at + 1]!, expectSome(packets));
    for (const packet of packets) this.#say(`kept: ${this.#packetText(packet)}`);
  }

  // ---- crashes

  #crash(n: number, kept: string | undefined): void {
    this.#cluster.crash(n, kept === undefined ? 0 : number(kept));
    this.#say(`${this.#name(n)} is down; its disk: ${diskText(this.#cluster.disk(n), this.#name)}`);
  }

  #restart(n: number): void {
    this.#cluster.restart(n);
    this.#remember(n);
    this.#say(`${this.#name(n)}: ${this.#roles[n]}`);
  }

  // ---- what happens

  #see(n: number, sight: Sight): void {
    switch (sight.type) {
      case "arrives":
        if (isRequest(sight.packet.message)) this.#requests++;
        else this.#replies++;
        if (this.#voice !== "states") this.#say(this.#packetText(sight.packet));
        break;
      case "effect":
        this.#effect(n, sight.effect);
        break;
      case "durable":
        if (this.#voice !== "states" && this.#wasHeld.delete(sight.write)) {
          this.#say(`  ${this.#name(n)} write ${sight.write.write} is durable`);
        }
        break;
      case "released":
        this.#gatedText(n, sight.effect);
        break;
    }
  }

  readonly #wasHeld = new WeakSet();

  #effect(n: number, effect: Effect): void {
    const name = this.#name(n);
    switch (effect.type) {
      case "persist":
        return this.#persist(n, effect);
      case "send":
      case "reply":
      case "restore": {
        const isFree = effect.after <= this.#cluster.core(n).state.durableWrite;
        if (isFree) this.#gatedText(n, effect);
        else if (this.#voice !== "states") {
          this.#say(`  ${name} waits for write ${effect.after}, then ${this.#whatText(effect)}`);
        }
        return;
      }
      case "commit":
        return this.#say(`  ${name} commits up to ${effect.index}`);
      case "readReady":
        return this.#say(`  ${name}: read ${effect.reads.join(", ")} is safe once ${effect.index} is applied`);
      case "readLost":
        return this.#say(`  ${name}: read ${effect.reads.join(", ")} is lost`);
      case "state": {
        const role = roleText(this.#cluster.core(n), this.#name);
        if (role !== this.#roles[n]) this.#say(`  ${name}: ${role}`);
        this.#roles[n] = role;
        return;
      }
      case "transfer":
        return this.#say(`  ${name}: the transfer ${effect.ok ? "is done" : "is given up"}`);
    }
  }

  #persist(n: number, effect: Effect & { type: "persist" }): void {
    const lastIndex = this.#lastIndices[n]!;
    if (effect.discardLog) this.#lastIndices[n] = effect.snapshot!.index;
    if (effect.firstIndex > 0) this.#lastIndices[n] = effect.firstIndex + effect.entries.length - 1;
    const isHeld = this.#cluster.isDiskBusy(n);
    if (isHeld) this.#wasHeld.add(effect);
    if (this.#voice === "states") return;
    const what = writeText(effect, lastIndex, this.#name);
    this.#say(`  ${this.#name(n)} ${isHeld ? `begins write ${effect.write}:` : "writes"} ${what}`);
  }

  #gatedText(n: number, effect: Gated): void {
    if (effect.type === "restore") this.#say(`  ${this.#name(n)} ${this.#whatText(effect)}`);
    else if (this.#voice === "all") this.#say(`  ${this.#name(n)} ${this.#whatText(effect)}`);
  }

  #whatText(effect: Gated): string {
    if (effect.type === "restore") return `restores the snapshot up to ${effect.snapshot.index}`;
    const verb = effect.type === "send" ? `sends to ${this.#name(effect.to)}` : "answers";
    return `${verb}: ${this.#messageText(effect.message)}`;
  }

  #packetText({ from, to, message }: Packet): string {
    return `${this.#name(from)} -> ${this.#name(to)}: ${this.#messageText(message)}`;
  }

  #messageText(message: Request | Reply): string {
    return messageText(message, this.#name);
  }
}

function expectSome(packets: readonly Packet[]): readonly Packet[] {
  if (packets.length === 0) throw new Error("there is no such message");
  return packets;
}

function count(amount: number, one: string, many: string): string {
  return `${amount} ${amount === 1 ? one : many}`;
}

function number(word: string | undefined): number {
  const value = Number(word);
  if (word === undefined || !Number.isFinite(value)) throw new Error(`"${word}" is not a number`);
  return value;
}

function setting(word: string): [string, number | boolean] {
  const [key, value] = word.split("=") as [string, string];
  return [key, value === "on" ? true : value === "off" ? false : number(value)];
}
