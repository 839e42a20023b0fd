import type { Random } from "../runtime/index.js";
import type { HistoryEvent, HistoryFunction, HistoryValue } from "../sim/history.js";

// A checker too small to be wrong, and random histories for it: the state of one key is { value, version } or null.

type State = { readonly value: string; readonly version: number } | null;

interface Call {
  readonly f: HistoryFunction;
  readonly input: HistoryValue | undefined;
  readonly output: HistoryValue | undefined;
  readonly outcome: string;
  readonly call: number;
  readonly ret: number;
}

const written = (state: State, value: string | null): State =>
  value === null ? null : { value, version: (state?.version ?? 0) + 1 };

/** What the operation leaves behind and answers. */
export function step(
  state: State,
  f: HistoryFunction,
  input: HistoryValue | undefined,
): { state: State; output: HistoryValue } {
  const value = state?.value ?? null;
  const version = state?.version ?? 0;
  switch (f) {
    case "get":
      return { state, output: value };
    case "read":
      return { state, output: state };
    case "put":
      return { state: written(state, input as string | null), output: null };
    case "append":
      return { state: written(state, (value ?? "") + (input as string)), output: null };
    case "delete":
      return { state: null, output: state !== null };
    case "cas": {
      const [expected, next] = input as [string | null, string | null];
      return expected === value ? { state: written(state, next), output: true } : { state, output: false };
    }
    case "putif": {
      const wanted = input as { value: string; version: number };
      if (wanted.version !== version) return { state, output: { ok: false, version } };
      return { state: written(state, wanted.value), output: { ok: true, version: version + 1 } };
    }
  }
}

function explains(operation: Call, output: HistoryValue): boolean {
  if (operation.outcome === "open") return true;
  if (operation.f === "cas") return output === (operation.outcome === "ok");
  if (operation.f === "put" || operation.f === "append") return true;
  if (operation.f === "delete" && (operation.output ?? null) === null) return true;
  return JSON.stringify(output) === JSON.stringify(operation.output);
}

/** Tries every order of the operations on every key. */
export function bruteForce(history: readonly HistoryEvent[]): boolean {
  const calls = new Map<string, Call[]>();
  history.forEach((event, call) => {
    if (event.type !== "invoke") return;
    const ret = history.findIndex((other, i) => i > call && other.process === event.process);
    const end = history[ret];
    const open = end === undefined || end.type === "info";
    if (end?.type === "fail" && event.f !== "cas") return;
    const list = calls.get(event.key) ?? [];
    calls.set(event.key, list);
    list.push({
      ...{ f: event.f, input: event.value, output: end?.value, call },
      ...{ outcome: open ? "open" : end.type, ret: open ? Infinity : ret },
    });
  });
  const solve = (left: readonly Call[], state: State): boolean => {
    if (left.every((operation) => operation.outcome === "open")) return true;
    const deadline = Math.min(...left.map((operation) => operation.ret));
    return left.some((operation) => {
      if (operation.call > deadline) return false;
      const next = step(state, operation.f, operation.input);
      return (
        explains(operation, next.output) &&
        solve(
          left.filter((other) => other !== operation),
          next.state,
        )
      );
    });
  };
  return [...calls.values()].every((list) => solve(list, null));
}

/** What the operations of a random history may be, and how many there are. */
function randomInput(random: Random, f: HistoryFunction, values: readonly string[]): HistoryValue | undefined {
  const value = (): string => values[random.int(0, values.length - 1)] as string;
  const maybe = (): string | null => (random.next() < 0.2 ? null : value());
  if (f === "put") return random.next() < 0.05 ? null : value();
  if (f === "append") return value();
  if (f === "cas") return [maybe(), maybe()];
  if (f === "putif") return { value: value(), version: random.int(0, 3) };
  return undefined;
}

const MENUS: readonly (readonly HistoryFunction[])[] = [
  ["get", "put"],
  ["get", "put", "cas"],
  ["get", "append"],
  ["get", "put", "append"],
  ["get", "get", "put", "append", "cas", "delete"],
  ["put", "append", "cas", "delete"],
  ["get", "put", "delete"],
  ["put", "delete", "cas"],
  ["get", "append", "delete"],
  ["get", "put", "append", "delete"],
  ["read", "putif", "put", "append", "delete"],
  ["get", "read", "append"],
  ["get", "read", "append", "put", "delete"],
  ["get", "read", "put", "append", "cas", "delete", "putif"],
];

/**
 * A history of a true store under random concurrency, with lost answers and failures; two of three then get an answer
 * or two changed, so that some are linearizable and some are not.
 */
export function randomHistory(random: Random, size = random.int(3, 8)): HistoryEvent[] {
  const menu = MENUS[random.int(0, MENUS.length - 1)] as readonly HistoryFunction[];
  const values = ["a", "b", "ab", "ba", "", "aa"].slice(0, random.int(1, 6));
  const processes = random.int(2, 7);
  const keys = random.int(1, 8) === 1 ? ["x", "y"] : ["x"];
  const states = new Map<string, State>();
  const history: HistoryEvent[] = [];
  interface Running {
    process: number;
    f: HistoryFunction;
    key: string;
    input: HistoryValue | undefined;
    output?: HistoryValue;
    done: boolean;
  }
  let running: Running[] = [];
  let fresh = processes;
  let idle = Array.from({ length: processes }, (_, i) => i);
  let left = size;
  const event = (r: Running, type: HistoryEvent["type"], value: HistoryValue | undefined): void => {
    history.push({ process: r.process, type, f: r.f, key: r.key, value, time: history.length });
  };
  const crash = Math.max(0, random.next() * 0.6 - 0.2);
  const crowd = 0.4 + random.next() * 0.5;
  while (left > 0 || running.length > 0) {
    const choice = random.next();
    if (left > 0 && idle.length > 0 && choice < crowd) {
      const f = menu[random.int(0, menu.length - 1)] as HistoryFunction;
      const key = keys[random.int(0, keys.length - 1)] as string;
      const process = idle.splice(random.int(0, idle.length - 1), 1)[0] as number;
      const r: Running = { process, f, key, input: randomInput(random, f, values), done: false };
      running.push(r);
      event(r, "invoke", r.input);
      left--;
    } else if (running.length > 0) {
      const r = running[random.int(0, running.length - 1)] as Running;
      const lost = random.next() < crash;
      if (!r.done && !(lost && random.next() < 0.5)) {
        const next = step(states.get(r.key) ?? null, r.f, r.input);
        states.set(r.key, next.state);
        r.output = next.output;
        r.done = true;
        if (random.next() < 0.6 && !lost) continue;
      }
      running = running.filter((other) => other !== r);
      if (lost || !r.done) {
        if (random.next() < 0.7) event(r, "info", undefined);
        idle.push(fresh++);
        continue;
      }
      idle.push(r.process);
      if (r.f === "cas") event(r, r.output === true ? "ok" : "fail", r.input);
      else if (r.f === "delete") event(r, "ok", random.next() < 0.3 ? null : r.output);
      else event(r, "ok", r.f === "put" || r.f === "append" ? r.input : r.output);
    }
  }
  for (let i = random.int(0, 3); i > 0; i--) mutate(random, history, values);
  return history;
}

/** Changes one answer: another value read, another version, the opposite of yes or no. */
function mutate(random: Random, history: HistoryEvent[], values: readonly string[]): void {
  const at = random.int(0, history.length - 1);
  const event = history[at] as HistoryEvent;
  const value = (): string => values[random.int(0, values.length - 1)] as string;
  const set = (next: Partial<HistoryEvent>): void => void (history[at] = { ...event, ...next });
  if (event.type !== "ok" && event.type !== "fail") return;
  if (event.f === "cas") set({ type: event.type === "ok" ? "fail" : "ok" });
  else if (event.f === "get")
    set({ value: random.next() < 0.2 ? null : value() + (random.next() < 0.4 ? value() : "") });
  else if (event.f === "read")
    set({ value: random.next() < 0.2 ? null : { value: value(), version: random.int(1, 4) } });
  else if (event.f === "delete") set({ value: random.next() < 0.5 });
  else if (event.f === "putif") set({ value: { ok: random.next() < 0.5, version: random.int(0, 4) } });
  else if (random.next() < 0.3) set({ type: "fail" });
}
