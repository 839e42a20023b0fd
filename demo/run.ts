import { HistoryRecorder, simulate, toJsonLines, type SimReport } from "../sim/index.js";
import type { Runtime } from "../runtime/index.js";
import { Chronicle } from "./chronicle.js";
import { Clients } from "./clients.js";
import { Cluster } from "./cluster.js";
import { Display, type Outside } from "./display.js";
import { Recording } from "./recording.js";
import { Nemesis } from "./nemesis.js";
import type { DemoOptions } from "./options.js";
import { summarize, type Ending } from "./summary.js";
import { count } from "./text.js";

/** Virtual time between two frames. */
const FRAME_MS = 100;
/** When all is healed, all servers must come to hold the same within this time. */
const CONVERGENCE_LIMIT_MS = 10_000;
const CONVERGENCE_POLL_MS = 20;

/** A person wants to see the summary now. */
class Interruption extends Error {}

/** Runs the demo and prints its summary. Resolves to the exit code: 0, or 1 where something was violated. */
export async function runDemo(options: DemoOptions, outside: Outside): Promise<number> {
  const display = new Display(options, outside);
  let world: World | undefined;
  let ending: Ending;
  let hash = "";
  const pause = async (virtualMs: number): Promise<void> => {
    if (world) await display.show(virtualMs, world.cluster, world.chronicle);
    if (outside.isInterrupted()) throw new Interruption();
  };
  try {
    const onEnd = ({ traceHash }: SimReport): void => {
      hash = traceHash;
    };
    ending = await simulate({ seed: options.seed, pace: { everyMs: FRAME_MS, pause }, onEnd }, (runtime) => {
      world = new World(runtime, options);
      return world.run();
    });
  } catch (error) {
    if (!(error instanceof Interruption)) throw error;
    ending = (world as unknown as World).ending({ wasInterrupted: true, problems: [] });
  } finally {
    display.close();
  }
  const { chronicle, recorder, recording } = world as unknown as World;
  display.printRest(chronicle);
  const summary = summarize(ending, chronicle, recorder.events);
  if (options.history !== undefined) outside.writeFile(options.history, toJsonLines(recorder.events));
  display.print(["", ...summary.lines]);
  if (options.inspect !== undefined && recording) {
    const verdict = summary.lines.find((line) => /^(PROBLEM|linearizable)/.test(line)) ?? "";
    const record = recording.finish(recorder, summary.exitCode === 0, verdict.replace(/ {2,}/, ": "), hash);
    outside.writeFile(options.inspect, outside.inspectorHtml(record));
    display.print(["", `look into it: open ${options.inspect} in a browser`]);
  }
  if (options.history !== undefined) display.print(["", `check it again: npx kvraft check ${options.history}`]);
  return summary.exitCode;
}

/** Servers, clients and nemesis in one simulated world. */
class World {
  readonly chronicle: Chronicle;
  readonly recorder: HistoryRecorder;
  /** Where a page is wanted. */
  readonly recording: Recording | null;
  readonly cluster: Cluster;
  readonly #runtime: Runtime;
  readonly #options: DemoOptions;
  readonly #clients: Clients;

  constructor(runtime: Runtime, options: DemoOptions) {
    this.#runtime = runtime;
    this.#options = options;
    const recording = options.inspect === undefined ? null : new Recording(options, runtime.clock);
    this.recording = recording;
    this.chronicle = new Chronicle(runtime.clock, recording && (() => recording.now));
    this.recorder = recording?.history() ?? new HistoryRecorder(runtime.clock);
    const onLeader = (server: number, term: number): void => this.chronicle.elected(server, term);
    this.cluster = new Cluster(runtime, options.servers, onLeader, recording);
    this.#clients = new Clients(runtime, this.cluster, options.clients, this.chronicle, this.recorder);
  }

  /** First trouble, then calm in which everything must recover. */
  run(): Promise<Ending> {
    return Promise.race([this.#play(), this.#clients.failure]);
  }

  async #play(): Promise<Ending> {
    const { clock } = this.#runtime;
    const untilMs = this.#options.seconds * 1000;
    await new Nemesis(this.#runtime, this.cluster, this.chronicle).run(this.#options.faults, untilMs);
    await clock.sleep(untilMs - clock.now());
    this.chronicle.note("no more faults: every client carries out one more operation");
    const unanswered = await this.#clients.finish();
    const deadline = clock.now() + CONVERGENCE_LIMIT_MS;
    while (!this.cluster.hasConverged() && clock.now() < deadline) await clock.sleep(CONVERGENCE_POLL_MS);
    const ending = this.#judge(unanswered);
    this.cluster.kill();
    return ending;
  }

  #judge(unanswered: number): Ending {
    const { cluster } = this;
    const problems: string[] = [];
    if (unanswered > 0) problems.push(`${count(unanswered, "client")} got no answer although all was healed`);
    const contents = new Set(
      cluster.stores().map(({ keys, revision }) => `${count(keys, "key")} at revision ${revision}`),
    );
    if (!cluster.hasConverged()) problems.push("some servers did not catch up although all was healed");
    else if (contents.size > 1) problems.push(`the servers hold different things: ${[...contents].join(", ")}`);
    if (problems.length > 0) return this.ending({ wasInterrupted: false, problems });
    const agreement = `${count(cluster.size, "server")}, the same on each: ${[...contents].join()}`;
    return this.ending({ wasInterrupted: false, problems, agreement });
  }

  ending(rest: Omit<Ending, "seed" | "virtualMs">): Ending {
    return { seed: this.#options.seed, virtualMs: this.#runtime.clock.now(), ...rest };
  }
}
