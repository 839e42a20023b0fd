import { forkRandom, type Random } from "../../runtime/index.js";
import type { ClientPlan, Operation, OperationKind } from "./types.js";

const MARK = ";";

export const MOST_CLIENTS = 5;

/** Weights of the kinds of operations. */
type Mix = readonly (readonly [kind: OperationKind, weight: number])[];

const MIXES: readonly Mix[] = [
  [
    ["get", 3],
    ["append", 3],
    ["put", 1],
    ["read", 1],
    ["putIf", 1],
    ["delete", 0.3],
  ],
  [
    ["append", 4],
    ["get", 4],
  ],
  [
    ["putIf", 3],
    ["read", 3],
    ["delete", 1],
  ],
  [
    ["get", 6],
    ["put", 2],
  ],
];

/** It stays with a leader that nobody else hears any more: reads are all that such a one could answer. */
const READER: Mix = [["get", 1]];

/** The clients' operations: together about as many as make a run worthwhile, spread over the chaos. */
export function drawClients(random: Random, chaosMs: number): ClientPlan[] {
  const clients = random.int(2, MOST_CLIENTS);
  const keys = random.int(1, 4);
  const heavy = random.next() < 0.02 ? 5 : 1;
  const each = Math.ceil((random.int(10, 32) * heavy) / clients);
  const mix = MIXES[random.int(0, MIXES.length - 1)] as Mix;
  const gaveUpRate = random.next() < 0.5 ? 0.1 : 0;
  const renewRate = random.next() < 0.5 ? 0.05 : 0;
  const pipelinedRate = random.next() < 0.3 ? 0.4 : 0;
  const readerRate = random.next() < 0.5 ? 0.5 : 0;
  const settings = { chaosMs, keys, each, mix, gaveUpRate, renewRate, pipelinedRate, readerRate };
  return Array.from({ length: clients }, (_, c) => drawClient(forkRandom(random, `client ${c}`), c, settings));
}

interface Settings {
  readonly chaosMs: number;
  readonly keys: number;
  readonly each: number;
  readonly mix: Mix;
  readonly gaveUpRate: number;
  readonly renewRate: number;
  readonly pipelinedRate: number;
  readonly readerRate: number;
}

function drawClient(random: Random, client: number, settings: Settings): ClientPlan {
  const { chaosMs, keys, each, gaveUpRate, renewRate, pipelinedRate, readerRate } = settings;
  const mix = random.next() < readerRate ? READER : settings.mix;
  const paceMs = (chaosMs * 0.9) / each;
  const operations: Operation[] = [];
  for (let i = 0; i < each; i++) {
    // As many draws for each, whatever comes of them.
    const [kindDraw, key, thinkDraw, gaveUpDraw, renewDraw, pipelinedDraw, limitMs] = [
      random.next(),
      random.int(0, keys - 1),
      random.next(),
      random.next(),
      random.next(),
      random.next(),
      random.int(1, 600),
    ];
    const operation: Operation = {
      kind: kindOf(mix, kindDraw),
      key: `k${key}`,
      value: `${client}.${i}${MARK}`,
      // Bursts and pauses, on the average the pace.
      thinkMs: Math.round(paceMs * (thinkDraw < 0.5 ? thinkDraw * 0.4 : thinkDraw * 2.4) * 10) / 10,
      timeoutMs: gaveUpDraw < gaveUpRate ? limitMs : 0,
      byAbort: gaveUpDraw < gaveUpRate / 3,
      pipelined: pipelinedDraw < pipelinedRate || renewDraw < renewRate,
    };
    operations.push(operation);
    if (renewDraw < renewRate) {
      operations.push({ ...operation, kind: "renew", thinkMs: limitMs % 30, timeoutMs: 0, byAbort: false });
    }
  }
  return { operations };
}

function kindOf(mix: Mix, draw: number): OperationKind {
  let left = draw * mix.reduce((sum, [, weight]) => sum + weight, 0);
  for (const [kind, weight] of mix) {
    left -= weight;
    if (left < 0) return kind;
  }
  return "get";
}
