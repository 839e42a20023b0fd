import type { Mutant } from "./mutant.js";

const FILES = "server/storage/files.ts";
const FORMAT = "server/storage/format.ts";
const OPEN = "server/storage/open.ts";
const REPLAY = "server/storage/replay.ts";
const STORAGE = "server/storage/storage.ts";
const WAL = "server/storage/wal.ts";

const storage = ["test/storage/storage.test.ts"];

/** The log on the disk, and what a crash leaves of it. */
export const diskMutants: readonly Mutant[] = [
  {
    name: "sync-not-awaited",
    row: "38, S57",
    mistake: "writes are reported done before the sync",
    edits: [[WAL, "await this.#file.sync();", "this.#file.sync().catch(() => {});"]],
    power: { runs: 200 },
    swarm: 200,
    quick: true,
  },
  {
    name: "appends-overlap",
    row: "8, S19",
    mistake: "a second group goes to the disk while the first is on its way, and to the same place",
    edits: [[STORAGE, "this.#writing ??= ", "this.#writing = "]],
    power: { runs: 200 },
    swarm: 200,
    quick: true,
  },
  {
    name: "directory-not-synced",
    row: "38, S55",
    mistake: "a new file's name is not made durable",
    edits: [[FILES, "    await this.disk.syncDirectory(this.path);\n    return file;", "    return file;"]],
    power: { runs: 200 },
    swarm: 200,
    quick: true,
  },
  {
    name: "renamed-before-synced",
    row: "38",
    mistake: "a file gets its name before its content is durable",
    edits: [
      [
        FILES,
        "    await file.sync();\n    await this.#orFull(file, temporary, () => this.disk.rename(temporary, this.pathOf(name)));\n    await this.disk.syncDirectory(this.path);",
        "    await this.#orFull(file, temporary, () => this.disk.rename(temporary, this.pathOf(name)));\n    await this.disk.syncDirectory(this.path);\n    await file.sync();",
      ],
    ],
    power: { runs: 600 },
    swarm: 1500,
    quick: true,
  },
  {
    name: "no-checksum",
    row: "38, S56",
    mistake: "the content of a record is not checked",
    edits: [
      [
        FORMAT,
        '  if (check(payload, 0) !== bytes.readUInt32LE(position + 4)) return "the checksum of the record does not match";\n',
        "",
      ],
    ],
    power: { runs: 3000 },
    quick: true,
  },
  {
    name: "torn-tail-left",
    row: "38, S54",
    mistake: "a torn end of the log is written over, not cut off: what was behind it may come back",
    edits: [[OPEN, "  if (tail !== null) await file.truncate(end);\n", ""]],
    power: { runs: 4000, shape: "fixed" },
  },
  {
    name: "append-behind-the-torn-tail",
    row: "38",
    mistake: "the log goes on behind a torn record",
    edits: [[OPEN, "bytes: last.end, lastIndex: 0", "bytes: bytes.length, lastIndex: 0"]],
    power: { runs: 600 },
  },
  {
    name: "recovered-end-not-settled",
    row: "38",
    mistake: "what was read counts as durable, though the process that wrote it may have died before its sync",
    edits: [
      [
        OPEN,
        "  if (tail !== null) await file.truncate(end);\n  await file.sync();",
        "  if (tail !== null) await file.truncate(end);",
      ],
    ],
    power: { runs: 4000 },
    note: "needs two ends of a process right after each other, the second with a loss of power",
  },
  {
    name: "failed-sync-tried-again",
    row: "38",
    mistake: "a failed sync is repeated, and its success believed",
    edits: [[WAL, "await this.#file.sync();", "await this.#file.sync().catch(() => this.#file.sync());"]],
    power: { runs: 600, syncErrorRate: 0.05 },
    quick: true,
    note: "needs a failed sync and then a loss of power before the next write; the storage alone gets there at once",
  },
  {
    name: "recovered-end-not-written-again",
    row: "38",
    mistake: "after a failed sync the next process believes what it reads from memory",
    edits: [[OPEN, "  await writeAll(file, bytes.subarray(syncedEnd, end), syncedEnd);\n", ""]],
    power: { runs: 4000, syncErrorRate: 0.05 },
  },
  {
    name: "log-kept-behind-a-foreign-snapshot",
    row: "S45",
    mistake: "a crash between an installed snapshot and the end of the old log leaves that log behind the snapshot",
    edits: [[REPLAY, "if (this.#entries[covered - 1]?.term === snapshot?.term) {", "if (covered >= 0) {"]],
    power: { runs: 2000 },
    note: "needs a crash exactly between two disk operations of an installed snapshot",
  },
  {
    name: "log-ended-before-its-snapshot",
    row: "S45",
    mistake: "the old log is ended before the snapshot that replaces it is on the disk",
    edits: [
      [
        STORAGE,
        "    await writeSnapshot(this.#directory, snapshot);\n    await this.#append([encodeReset(snapshot.index, snapshot.term), ...payloads]);",
        "    await this.#append([encodeReset(snapshot.index, snapshot.term), ...payloads]);\n    await writeSnapshot(this.#directory, snapshot);",
      ],
    ],
    power: { runs: 600 },
    note: "needs a crash exactly between two disk operations of an installed snapshot",
  },
  {
    name: "segment-dropped-too-early",
    row: "24",
    mistake: "a file of the log goes although its last entry is not in the snapshot",
    edits: [
      [WAL, "(this.segments[0] as Segment).lastIndex <= index", "(this.segments[0] as Segment).lastIndex <= index + 1"],
    ],
    power: { runs: 2000 },
  },
  {
    name: "damage-taken-for-a-torn-tail",
    row: "38, S58",
    mistake: "a bad record with good ones behind it is cut off with all that follows",
    edits: [[REPLAY, "      if (proof >= 0)\n", "      if (proof > bytes.length)\n"]],
    scripts: storage,
    note: "needs bits that flip on the disk, which a loss of power does not do",
  },
];
