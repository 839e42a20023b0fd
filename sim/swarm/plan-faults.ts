import { forkRandom, type Random } from "../../runtime/index.js";
import { chance, pick, shuffled } from "./chance.js";
import { MOST_CLIENTS } from "./plan-load.js";
import type { Fault, FaultKind, HookName, Link, Range } from "./types.js";

export interface FaultRoom {
  readonly servers: number;
  readonly chaosMs: number;
  /** Then clocks stay within what a lease allows. */
  readonly leaseReads: boolean;
}

/** Each is off in about half of the seeds. */
const CLASS_RATE = 0.5;

interface When {
  readonly atMs: number;
  readonly forMs: number;
}

interface FaultClass {
  readonly kind: FaultKind;
  /** At most so many in a run. */
  readonly most: number;
  readonly forMs: Range;
  /** In half of the seeds each begins where the one before ends: the next leader is struck as the last comes back. */
  readonly isChained?: true;
  readonly draw: (random: Random, room: FaultRoom, when: When) => Fault;
}

const anyServer = (random: Random, { servers }: FaultRoom): number => random.int(0, servers - 1);

function minority(random: Random, { servers }: FaultRoom, least: number): number[] {
  return shuffled(random, servers).slice(0, random.int(least, Math.max(least, servers >> 1)));
}

function drawGroups(random: Random, { servers }: FaultRoom): number[][] {
  const count = chance(random, 0.8) ? 2 : 3;
  const groups: number[][] = Array.from({ length: count }, () => []);
  for (const server of shuffled(random, servers)) groups[random.int(0, count - 1)]?.push(server);
  return groups.filter((group) => group.length > 0);
}

/** Half of the time all clients reach all servers; otherwise most of them are on one side. */
function drawSides(random: Random, groups: number): number[] {
  if (chance(random, 0.5)) return [];
  return Array.from({ length: MOST_CLIENTS }, () => random.int(chance(random, 0.3) ? -1 : 0, groups - 1));
}

/** Some directions, or both of some links. */
function drawLinks(random: Random, { servers }: FaultRoom): Link[] {
  const links: Link[] = [];
  const rate = pick(random, [0.15, 0.3, 0.5]);
  const isBothWays = chance(random, 0.5);
  for (let from = 0; from < servers; from++) {
    for (let to = isBothWays ? from + 1 : 0; to < servers; to++) {
      if (from === to || !chance(random, rate)) continue;
      links.push([from, to]);
      if (isBothWays) links.push([to, from]);
    }
  }
  return links;
}

/** Mostly a few; now and then all of them. */
function drawVictims(random: Random, room: FaultRoom): number[] {
  const draw = random.next();
  if (draw < 0.25) return shuffled(random, room.servers);
  if (draw < 0.45) return shuffled(random, room.servers).slice(0, (room.servers >> 1) + 1);
  return minority(random, room, 1);
}

const HOOKS: readonly HookName[] = [
  ...(["voteGranted", "voteGranted", "leaderElected", "beforeReply", "beforeReply"] as const),
  ...(["appendReached", "appendReached", "snapshot", "write"] as const),
];

function drawHook(random: Random, room: FaultRoom, when: When): Fault {
  const hook = pick(random, HOOKS);
  const count = hook === "appendReached" ? random.int(1, room.servers - 1) : random.int(0, hook === "snapshot" ? 8 : 2);
  return {
    kind: "hook",
    hook,
    atMs: when.atMs,
    // Mostly it is back at once, while all that it was part of is still going on.
    forMs: pick(random, [3, 30, when.forMs]),
    nth: random.int(1, hook === "beforeReply" || hook === "write" ? 20 : 2),
    server: chance(random, 0.3) ? anyServer(random, room) : null,
    count,
    power: chance(random, 0.7),
  };
}

// The spread comes last, here and elsewhere: V8 (of Node 20) gives every object that begins with one and goes on with new
// fields a hidden class of its own, and whoever reads such a field then has to look for it each time.
const CLASSES: readonly FaultClass[] = [
  { kind: "loss", most: 2, forMs: [200, 2000], draw: (r, _, w) => ({ kind: "loss", rate: pick(r, [0.1, 0.3]), ...w }) },
  {
    kind: "delay",
    most: 2,
    forMs: [200, 2000],
    draw: (r, _, w) => ({ kind: "delay", rate: pick(r, [0.2, 0.6]), ms: [5, pick(r, [50, 200])], ...w }),
  },
  {
    kind: "late",
    most: 2,
    forMs: [300, 2500],
    draw: (r, _, w) => ({ kind: "late", rate: pick(r, [0.02, 0.1]), ms: [200, pick(r, [800, 2500])], ...w }),
  },
  {
    kind: "duplicate",
    most: 2,
    forMs: [200, 2000],
    draw: (r, _, w) => ({ kind: "duplicate", rate: pick(r, [0.1, 0.5]), ms: [0, pick(r, [20, 300, 1500])], ...w }),
  },
  {
    kind: "partition",
    most: 3,
    forMs: [200, 2000],
    draw: (r, room, w) => {
      const groups = drawGroups(r, room);
      return { kind: "partition", groups, clients: drawSides(r, groups.length), ...w };
    },
  },
  {
    kind: "cut",
    most: 2,
    forMs: [200, 2000],
    draw: (r, room, w) => ({ kind: "cut", links: drawLinks(r, room), ...w }),
  },
  {
    kind: "isolateLeader",
    most: 4,
    isChained: true,
    forMs: [200, 2500],
    draw: (r, _, w) => {
      const way = pick(r, ["both", "both", "both", "out", "in"] as const);
      const clients = shuffled(r, MOST_CLIENTS).slice(0, pick(r, [0, 2, 3, 4]));
      // Often only until the next one has just been elected: then the two logs have about the same length.
      const forMs = Math.round(w.forMs * pick(r, [0.25, 1]));
      return { kind: "isolateLeader", way, clients, ...w, forMs };
    },
  },
  {
    kind: "flap",
    most: 1,
    forMs: [300, 2000],
    draw: (r, room, w) => ({ kind: "flap", links: drawLinks(r, room), periodMs: r.int(10, 300), ...w }),
  },
  {
    kind: "crash",
    most: 3,
    forMs: [0, 800],
    draw: (r, room, w) => ({ kind: "crash", servers: drawVictims(r, room), power: chance(r, 0.6), ...w }),
  },
  {
    kind: "crashLeader",
    most: 4,
    isChained: true,
    forMs: [0, 800],
    draw: (r, _, w) => ({ kind: "crashLeader", power: chance(r, 0.6), ...w }),
  },
  {
    kind: "pause",
    most: 2,
    forMs: [50, 1500],
    draw: (r, room, w) => ({ kind: "pause", server: anyServer(r, room), ...w }),
  },
  { kind: "pauseLeader", most: 2, forMs: [50, 1500], draw: (_r, _, w) => ({ kind: "pauseLeader", ...w }) },
  {
    kind: "clockRate",
    most: 2,
    forMs: [500, 4000],
    draw: (r, room, w) => {
      const rate = room.leaseReads ? 0.97 + r.next() * 0.06 : pick(r, [0.5, 0.9, 1.1, 2, 4]);
      return { kind: "clockRate", server: anyServer(r, room), rate, ...w };
    },
  },
  {
    kind: "clockJump",
    most: 2,
    forMs: [0, 0],
    draw: (r, room, w) => {
      const byMs = room.leaseReads ? 0 : pick(r, [-2000, -300, 100, 500, 3000, 60_000]);
      return { kind: "clockJump", server: anyServer(r, room), byMs, ...w };
    },
  },
  {
    kind: "diskSlow",
    most: 2,
    forMs: [200, 2000],
    draw: (r, room, w) => ({ kind: "diskSlow", server: anyServer(r, room), factor: pick(r, [5, 20, 100]), ...w }),
  },
  {
    kind: "diskHung",
    most: 1,
    forMs: [100, 1500],
    draw: (r, room, w) => ({ kind: "diskHung", server: anyServer(r, room), ...w }),
  },
  {
    kind: "diskFull",
    most: 1,
    forMs: [100, 1500],
    draw: (r, room, w) => ({ kind: "diskFull", server: anyServer(r, room), ...w }),
  },
  {
    kind: "syncFails",
    most: 1,
    forMs: [50, 1000],
    draw: (r, room, w) => ({ kind: "syncFails", server: anyServer(r, room), rate: pick(r, [0.05, 0.3]), ...w }),
  },
  {
    kind: "writeFails",
    most: 1,
    forMs: [50, 1000],
    draw: (r, room, w) => ({ kind: "writeFails", server: anyServer(r, room), rate: pick(r, [0.05, 0.3]), ...w }),
  },
  {
    kind: "shortWrites",
    most: 1,
    forMs: [200, 2000],
    draw: (r, room, w) => ({ kind: "shortWrites", server: anyServer(r, room), rate: pick(r, [0.1, 0.5]), ...w }),
  },
  { kind: "hook", most: 5, forMs: [0, 500], draw: drawHook },
  {
    kind: "transfer",
    most: 2,
    forMs: [0, 0],
    draw: (r, room, w) => ({ kind: "transfer", server: anyServer(r, room), ...w }),
  },
  {
    kind: "snapshot",
    most: 2,
    forMs: [0, 0],
    draw: (r, room, w) => ({ kind: "snapshot", server: anyServer(r, room), ...w }),
  },
];

export const FAULT_KINDS: readonly FaultKind[] = CLASSES.map(({ kind }) => kind);

/** Faults in order of time. Each class draws from a stream of its own. */
export function drawFaults(random: Random, room: FaultRoom): Fault[] {
  const faults: Fault[] = [];
  for (const { kind, most, forMs, isChained, draw } of CLASSES) {
    const stream = forkRandom(random, kind);
    if (!chance(stream, CLASS_RATE)) continue;
    const count = stream.int(1, most);
    const follows = isChained === true && chance(stream, 0.5);
    let nextMs = 0;
    for (let i = 0; i < count; i++) {
      const drawnMs = stream.int(100, room.chaosMs - 100);
      const atMs = follows && i > 0 ? nextMs : drawnMs;
      const when = { atMs, forMs: stream.int(forMs[0], forMs[1]) };
      const fault = draw(stream, room, when);
      nextMs = atMs + fault.forMs;
      faults.push(fault);
    }
  }
  return faults.sort((a, b) => a.atMs - b.atMs);
}
