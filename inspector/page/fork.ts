import { recordPlan } from "../recording.js";
import type { RunRecord } from "../../sim/index.js";
import {
  testOfPlan,
  type Action,
  type Intervention,
  type Link,
  type Outcome,
  type Plan,
} from "../../sim/swarm/index.js";
import { load } from "./app.js";
import type { Message, Run } from "./run.js";
import type { Loaded } from "./scene.js";
import { actorName, messageName, seconds } from "./words.js";

/** One change to a run, and what to call it. */
export interface Change {
  readonly intervention: Intervention;
  readonly text: string;
}

/** A run that was run again in the page, with changes or without. */
export interface Fork {
  readonly loaded: Loaded;
  readonly plan: Plan;
  readonly outcome: Outcome;
  readonly changes: readonly string[];
  /** First event that differs from the original's; null where none does. */
  readonly divergence: number | null;
}

/** The record's plan; null where it has none, so that nothing can be run again. */
export function planOf(record: RunRecord): Plan | null {
  return record.plan as Plan | null;
}

/**
 * Runs the plan again from its beginning, with more changes. All code is in the page: the run is the one that Node would
 * have made.
 */
export async function runFork(original: Loaded, base: Fork | null, change: Change | null): Promise<Fork> {
  const before = base?.plan ?? planOf(original.run.record);
  if (before === null) throw new Error("this run has no plan");
  const plan = change ? { ...before, interventions: [...before.interventions, change.intervention] } : before;
  const changes = change ? [...(base?.changes ?? []), change.text] : (base?.changes ?? []);
  const title = changes.length === 0 ? `${original.run.record.title}, again` : `${original.run.record.title}, forked`;
  const { record, outcome } = await recordPlan(plan, { title });
  const loaded = load(record);
  return { loaded, plan, outcome, changes, divergence: divergenceOf(original.run, loaded.run) };
}

/** The first event in which two runs differ. */
function divergenceOf(a: Run, b: Run): number | null {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const isSame =
      a.kind[i] === b.kind[i] &&
      a.time[i] === b.time[i] &&
      a.seq[i] === b.seq[i] &&
      a.a[i] === b.a[i] &&
      a.b[i] === b.b[i];
    if (!isSame || JSON.stringify(a.data[i]) !== JSON.stringify(b.data[i])) return i;
  }
  return a.length === b.length ? null : length;
}

export function changeMessage(
  run: Run,
  message: Message,
  action: Extract<Action, { type: "drop" | "delay" | "duplicate" }>,
): Change {
  const seq = run.seq[message.sent] as number;
  const what = `${messageName(run, message)} ${actorName(message.from)} → ${actorName(message.to)} (${seq})`;
  const texts = { drop: `drop ${what}`, delay: `delay ${what}`, duplicate: `duplicate ${what}` };
  const by = action.type === "drop" ? "" : ` by ${action.byMs} ms`;
  return { intervention: { seq, action }, text: texts[action.type] + by };
}

export function crash(run: Run, cursor: number, server: number, power: boolean, forMs: number): Change {
  const action = { type: "crash", server, power, forMs } as const;
  const how = power ? ", power lost," : "";
  return {
    intervention: after(run, cursor, action),
    text: `crash S${server}${how} for ${forMs} ms at ${at(run, cursor)}`,
  };
}

/** Cuts all links, both ways, between `side` and the other servers. */
export function partition(run: Run, cursor: number, side: readonly number[], forMs: number): Change {
  const all = Array.from({ length: run.record.servers }, (_, server) => server);
  const others = all.filter((server) => !side.includes(server));
  const links = side.flatMap((a) =>
    others.flatMap((b): Link[] => [
      [a, b],
      [b, a],
    ]),
  );
  const names = (servers: readonly number[]): string => servers.map((server) => `S${server}`).join(" ");
  const text = `partition ${names(side)} | ${names(others)} for ${forMs} ms at ${at(run, cursor)}`;
  return { intervention: after(run, cursor, { type: "cut", links, forMs }), text };
}

/** Right after the event at the cursor, and all that comes in the same moment because of it. */
function after(run: Run, cursor: number, action: Action): Intervention {
  return { seq: run.seq[cursor] ?? 0, action };
}

function at(run: Run, cursor: number): string {
  return `${seconds(run.timeAt(cursor))} s`;
}

/** The fork as a test for the repository, in the form of `kvraft sweep --shrink`. */
export function testText({ plan, changes, loaded, outcome }: Fork): string {
  return testOfPlan(plan, `${loaded.run.record.title}: ${changes.join("; ") || "unchanged"}`, outcome);
}
