import type { Random } from "../runtime/index.js";
import type { HistoryEvent, HistoryFunction, HistoryValue } from "../sim/index.js";
import { HistoryRecorder } from "../sim/index.js";

/** What clients of a made-up store do; times are in ms. */
export interface Workload {
  readonly operations: number;
  readonly clients: number;
  readonly keys: number;
  /** How often each operation comes, in any unit. */
  readonly mix: Partial<Record<HistoryFunction, number>>;
  /** Values to put; without them every value is new, as in the labs: "x 3 17 y". */
  readonly values?: number;
  /** Pause of a client between operations: uniform up to this. */
  readonly think: number;
  /** Part of the operations whose client never hears back; half of those happen, some of them much later. */
  readonly unknown: number;
}

type State = { readonly value: string; readonly version: number } | null;

function perform(state: State, f: HistoryFunction, input: HistoryValue | undefined): [State, HistoryValue] {
  const write = (value: string): State => ({ value, version: (state?.version ?? 0) + 1 });
  if (f === "get") return [state, state?.value ?? null];
  if (f === "read") return [state, state];
  if (f === "put") return [write(input as string), null];
  if (f === "append") return [write((state?.value ?? "") + (input as string)), null];
  if (f === "delete") return [null, state !== null];
  if (f === "cas") {
    const [expected, value] = input as readonly [string, string];
    return (state?.value ?? null) === expected ? [write(value), true] : [state, false];
  }
  const { value, version } = input as { value: string; version: number };
  const stored = state?.version ?? 0;
  return stored === version
    ? [write(value), { ok: true, version: version + 1 }]
    : [state, { ok: false, version: stored }];
}

/** The history of a linearizable store under `workload`: every operation takes effect at a moment within its interval. */
export function makeHistory(random: Random, workload: Workload): HistoryEvent[] {
  const agenda: { at: number; run: () => void }[] = [];
  let now = 0;
  const after = (ms: number, run: () => void): void => {
    const at = now + ms;
    let i = agenda.length;
    while (i > 0 && (agenda[i - 1] as { at: number }).at < at) i--;
    agenda.splice(i, 0, { at, run });
  };
  const recorder = new HistoryRecorder({ now: () => now });
  const states = new Map<string, State>();
  const menu = Object.entries(workload.mix) as [HistoryFunction, number][];
  const weight = menu.reduce((sum, [, part]) => sum + part, 0);
  let left = workload.operations;

  const input = (client: number, f: HistoryFunction, key: string): HistoryValue | undefined => {
    const value = (): string =>
      workload.values === undefined ? `x ${client} ${left} y` : String(random.int(0, workload.values - 1));
    if (f === "put" || f === "append") return value();
    if (f === "cas") return [value(), value()];
    if (f === "putif")
      return { value: value(), version: Math.max(0, (states.get(key)?.version ?? 0) - random.int(0, 1)) };
    return undefined;
  };
  const start = (client: number): void => {
    if (left-- <= 0) return;
    let dice = random.next() * weight;
    const f = menu.find(([, part]) => (dice -= part) < 0)?.[0] ?? "get";
    const key = `k${random.int(1, workload.keys)}`;
    const argument = input(client, f, key);
    const token = recorder.invoke(client, f, key, argument);
    const goOn = (): void => after(random.next() * workload.think, () => start(client));
    const happen = (): HistoryValue => {
      const [state, output] = perform(states.get(key) ?? null, f, argument);
      states.set(key, state);
      return output;
    };
    if (random.next() < workload.unknown) {
      if (random.next() < 0.5) after(random.next() ** 4 * 2000, happen);
      after(100, () => {
        recorder.info(token);
        goOn();
      });
      return;
    }
    after(random.next() * 10, () => {
      const output = happen();
      after(random.next() * 10, () => {
        if (f === "cas" && output === false) recorder.fail(token);
        else recorder.ok(token, f === "cas" || f === "put" || f === "append" ? argument : output);
        goOn();
      });
    });
  };
  for (let client = 0; client < workload.clients; client++) after(random.next() * 10, () => start(client));
  for (let next = agenda.pop(); next; next = agenda.pop()) {
    now = next.at;
    next.run();
  }
  return recorder.events;
}

/** The history with one read, late in it, changed into what an earlier read of that key saw: not linearizable, as a rule. */
export function spoil(random: Random, history: readonly HistoryEvent[]): HistoryEvent[] {
  const copy = [...history];
  const reads = copy.flatMap((event, i) =>
    event.type === "ok" && (event.f === "get" || event.f === "read") ? [i] : [],
  );
  for (;;) {
    const late = reads[random.int(Math.floor(reads.length * 0.9), reads.length - 1)] as number;
    const victim = copy[late] as HistoryEvent;
    const sources = reads.filter(
      (i) => i < late && (copy[i] as HistoryEvent).key === victim.key && (copy[i] as HistoryEvent).f === victim.f,
    );
    const source = copy[sources[Math.max(0, sources.length - random.int(20, 60))] ?? late] as HistoryEvent;
    if (JSON.stringify(source.value) === JSON.stringify(victim.value)) continue;
    copy[late] = { ...victim, value: source.value };
    return copy;
  }
}
