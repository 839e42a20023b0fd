import { forkRandom, SeededRandom, type Random } from "../../runtime/index.js";
import type { LinkConditions } from "../index.js";
import { chance, pick, shuffled } from "./chance.js";
import { drawFaults } from "./plan-faults.js";
import { drawClients } from "./plan-load.js";
import type { CorePlan, DiskPlan, EngineName, Fate, KvPlan, Plan, Range, StoragePlan } from "./types.js";

/** Everything that `seed` decides, the same for each engine. Each part is drawn from a stream of its own. */
export function drawPlan(seed: number, engine: EngineName = "raft"): Plan {
  const root = new SeededRandom(seed);
  const shape = forkRandom(root, "shape");
  // Mostly three: nearly every mistake shows there, and a run of seven takes as long as two of three.
  const servers = pick(shape, [3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 5, 5, 7]);
  const chaosMs = shape.int(2000, 6400);
  const raft = drawRaft(forkRandom(root, "raft"));
  const clients = drawClients(forkRandom(root, "load"), chaosMs);
  const mostOperations = Math.max(...clients.map(({ operations }) => operations.length));
  return {
    seed,
    ...(engine !== "raft" && { engine }),
    servers,
    raft,
    kv: drawKv(forkRandom(root, "kv")),
    storage: drawStorage(forkRandom(root, "storage")),
    disk: drawDisk(forkRandom(root, "disk")),
    network: drawNetwork(forkRandom(root, "network")),
    clients,
    faults: drawFaults(forkRandom(root, "faults"), { servers, chaosMs, leaseReads: raft.leaseReads }),
    chaosMs,
    core: drawCore(forkRandom(root, "core"), servers, raft.checkQuorum && raft.preVote),
    limits: { livenessMs: 10_000 + 200 * mostOperations, eventsPerSecond: 20_000 + 5000 * servers },
    interventions: [],
  };
}

function drawRaft(random: Random) {
  const heartbeatMs = random.int(70, 150);
  const electionTimeoutMinMs = heartbeatMs * random.int(2, 4);
  // Close together, elections collide more often.
  const spread = pick(random, [0.3, 1, 1, 2]);
  return {
    heartbeatMs,
    electionTimeoutMinMs,
    electionTimeoutMaxMs: Math.round(electionTimeoutMinMs * (1 + spread)),
    preVote: chance(random, 0.7),
    checkQuorum: chance(random, 0.7),
    leaseReads: chance(random, 0.2),
    maxInflightMessages: pick(random, [1, 2, 4, 64]),
    maxInflightBytes: pick(random, [300, 2000, 1 << 20]),
    maxAppendBytes: pick(random, [60, 300, 2000, 256 << 10]),
    snapshotChunkBytes: pick(random, [16, 48, 64 << 10]),
  };
}

function drawKv(random: Random): KvPlan {
  return {
    maxRaftState: pick(random, [-1, 200, 400, 800, 2000]),
    maxSessions: chance(random, 0.15) ? 3 : 10_000,
    readMode: chance(random, 0.2) ? "log" : "barrier",
  };
}

function drawStorage(random: Random): StoragePlan {
  return {
    segmentBytes: pick(random, [1024, 2048, 8192]),
    recordBytes: pick(random, [60, 200, 1 << 20]),
    diskFullRetryMs: random.int(20, 100),
  };
}

function drawDisk(random: Random): DiskPlan {
  const syncMs: Range = pick<Range>(random, [
    [0.1, 0.5],
    [0.5, 3],
    [1, 20],
    [0, 0],
  ]);
  const isSlowAtTimes = chance(random, 0.5);
  return {
    writeMs: chance(random, 0.2) ? [0, 2] : [0, 0],
    syncMs,
    slowRate: isSlowAtTimes ? pick(random, [0.01, 0.1]) : 0,
    slowMs: isSlowAtTimes ? [10, pick(random, [50, 300])] : [0, 0],
    blockBytes: pick(random, [64, 512, 4096]),
  };
}

function drawNetwork(random: Random): LinkConditions {
  const minMs = pick(random, [0.2, 1, 5]);
  const noticeMs = random.int(10, 300);
  return {
    delayMs: [minMs, minMs * pick(random, [2, 5, 10])],
    loss: chance(random, 0.3) ? pick(random, [0.01, 0.05]) : 0,
    slow: chance(random, 0.5) ? pick(random, [0.02, 0.2]) : 0,
    slowMs: [10, pick(random, [50, 200])],
    late: 0,
    lateMs: [0, 0],
    duplicate: chance(random, 0.3) ? pick(random, [0.02, 0.1]) : 0,
    duplicateMs: [0, pick(random, [5, 100])],
    noticeMs: [noticeMs, noticeMs * 2],
  };
}

function drawCore(random: Random, servers: number, mayBeDeaf: boolean): CorePlan {
  const order = shuffled(random, servers);
  const size = random.int((servers >>> 1) + 1, servers);
  const others = order.slice(size).map((server) => {
    // One that is heard but hears nobody holds the others up for ever: as leader where it does not look whether it has a
    // majority (§6.2), as candidate where it does not ask before it raises the term (§9.6).
    const fate = pick<Fate>(random, mayBeDeaf ? ["dead", "cut", "mute", "deaf"] : ["dead", "cut", "mute"]);
    return { server, fate };
  });
  return { servers: order.slice(0, size).sort((a, b) => a - b), others };
}
