import type { Disk, Random } from "../../runtime/index.js";
import { openWith } from "../../server/storage/open.js";
import { checksum, type Checksum } from "../../server/storage/format.js";
import type { DurableStorage, StorageHealth } from "../../server/storage/index.js";
import { SimDisk } from "../../sim/disk/index.js";
import { simulate, type SimRuntime } from "../../sim/index.js";
import { Model, type Shape } from "./model.js";

export interface LivesOptions {
  shape: Shape;
  /** A mistake between the storage and its disk. */
  wrap?: (disk: Disk) => Disk;
  check?: Checksum;
  syncErrorRate?: number;
}

/** What happened in some lives: a run that never tears a record proves nothing about torn records. */
export interface Marks {
  lives: number;
  cutTails: number;
  finishedSnapshots: number;
  removedFiles: number;
  severalSegments: number;
  droppedSegments: number;
  failedDisks: number;
  fullDisks: number;
}

export function noMarks(): Marks {
  return {
    lives: 0,
    cutTails: 0,
    finishedSnapshots: 0,
    removedFiles: 0,
    severalSegments: 0,
    droppedSegments: 0,
    failedDisks: 0,
    fullDisks: 0,
  };
}

const MOST_LIVES = 4;
/** One record of one entry of the fixed shape: what the power loss takes or leaves by itself. */
const FIXED_RECORD_BYTES = 48;

/**
 * One machine that is started, writes, and loses its power or its process at a random operation of its disk, recovery
 * included, up to four times. Each recovery must come to a state that the model allows.
 */
export function runLives(seed: number, options: LivesOptions, marks = noMarks()): Promise<void> {
  return simulate({ seed }, async (runtime) => {
    const { random } = runtime;
    const disk = new SimDisk(runtime, {
      blockBytes: options.shape === "fixed" ? FIXED_RECORD_BYTES : 64,
      latencyMs: [0, random.int(0, 3)],
    });
    if (random.next() < 0.2) disk.faults.shortWriteRate = 0.3;
    const model = new Model(random, options.shape);
    const lives = random.int(1, MOST_LIVES);
    for (let life = 0; life < lives; life++) {
      disk.faults.syncErrorRate = options.syncErrorRate ?? 0;
      fillDisk(disk, runtime);
      await live(disk, model, runtime, options, marks);
    }
    disk.faults.capacityBytes = Infinity;
    disk.faults.syncErrorRate = 0;
    const storage = await open(disk, runtime, options, marks);
    noteRecovery(storage, marks);
    model.recovered(storage.load());
    marks.lives += lives;
  });
}

function open(
  machine: SimDisk,
  runtime: SimRuntime,
  { wrap, check, shape }: LivesOptions,
  marks: Marks,
): Promise<DurableStorage> {
  const onHealth = ({ state }: StorageHealth): void => {
    if (state === "failed") marks.failedDisks++;
    if (state === "full") marks.fullDisks++;
  };
  const recordBytes = shape === "fixed" ? 1 : runtime.random.int(0, 1) === 0 ? 40 : 1000;
  const disk = machine.mount();
  const settings = { dir: "/data", disk: wrap ? wrap(disk) : disk, runtime, onHealth };
  return openWith({ ...settings, segmentBytes: shape === "fixed" ? 4096 : 1024, recordBytes }, check ?? checksum);
}

function noteRecovery({ recovery }: DurableStorage, marks: Marks): void {
  if (recovery.cut !== null) marks.cutTails++;
  if (recovery.finishedSnapshot) marks.finishedSnapshots++;
  marks.removedFiles += recovery.removed.length;
}

async function live(
  disk: SimDisk,
  model: Model,
  runtime: SimRuntime,
  options: LivesOptions,
  marks: Marks,
): Promise<void> {
  const { random } = runtime;
  let isOver = false;
  const end = new Promise<void>((resolve) => {
    const how = random.next() < 0.7 ? "losePower" : "killProcess";
    disk.endLifeAfter(random.int(1, 80), how, () => {
      isOver = true;
      resolve();
    });
  });
  const work = async (): Promise<void> => {
    const storage = await open(disk, runtime, options, marks).catch(ignoreDiskFailure);
    if (storage === null) return;
    noteRecovery(storage, marks);
    model.recovered(storage.load());
    await writeSome(storage, model, random, () => isOver, marks);
  };
  await Promise.race([work(), end]);
  if (isOver) return;
  if (random.next() < 0.3) disk.killProcess();
  else disk.losePower();
}

/** A sync that fails, or a full disk, while the storage is being opened ends that life. */
function ignoreDiskFailure(error: unknown): null {
  const { code } = error as { code?: string };
  if (code !== "DISK_FAILED" && code !== "DISK_FULL") throw error;
  return null;
}

/** The disk may get full at some size, and has space again after a while. */
function fillDisk({ faults }: SimDisk, { random, clock }: SimRuntime): void {
  if (random.next() < 0.8) return;
  faults.capacityBytes = random.int(0, 3000);
  clock.setTimeout(
    () => {
      faults.capacityBytes = Infinity;
    },
    random.int(0, 1500),
  );
}

async function writeSome(
  storage: DurableStorage,
  model: Model,
  random: Random,
  isOver: () => boolean,
  marks: Marks,
): Promise<void> {
  let { segments } = storage.stats();
  for (let groups = random.int(1, 12); groups > 0 && storage.health.state !== "failed"; groups--) {
    const writes: Promise<void>[] = [];
    for (let count = random.int(1, 4); count > 0; count--) {
      const { write, acknowledge } = model.next();
      writes.push(
        new Promise((resolve) => {
          storage.write(write, (error) => {
            if (error === null && !isOver()) acknowledge();
            resolve();
          });
        }),
      );
    }
    const wait = random.next();
    if (wait < 0.6) await Promise.all(writes);
    else if (wait < 0.8) await writes[0];
    else if (wait < 0.9) await Promise.resolve();
    const now = storage.stats().segments;
    if (now > 1) marks.severalSegments++;
    if (now < segments) marks.droppedSegments++;
    segments = now;
  }
}
