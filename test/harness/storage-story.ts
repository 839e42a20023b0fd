import type { Entry, Snapshot, StorageWrite } from "../../raft/index.js";
import { openStorage, type DurableStorage, type StorageOptions } from "../../server/storage/index.js";
import { simulate } from "../../sim/index.js";
import { HandDisk } from "./hand-disk.js";
import { track } from "./service-cluster.js";

export const DIRECTORY = "/data";
export const FIRST_SEGMENT = `${DIRECTORY}/wal-0000000000000001.log`;

const NOTHING = { hardState: null, snapshot: null, discardLog: false, firstIndex: 0, entries: [] };

/** The durable storage of one server on a disk that the test moves by hand. */
export class StorageStory {
  readonly disk = new HandDisk();
  storage!: DurableStorage;
  readonly #open: (disk: HandDisk) => Promise<DurableStorage>;
  readonly #settled: () => Promise<void>;
  #writes = 0;

  constructor(open: (disk: HandDisk) => Promise<DurableStorage>, settled: () => Promise<void>) {
    this.#open = open;
    this.#settled = settled;
  }

  /** The server starts and reads what its disk holds. */
  async start(): Promise<DurableStorage> {
    return (this.storage = await this.#open(this.disk));
  }

  /** Everything that can happen without the test has happened. */
  settled(): Promise<void> {
    return this.#settled();
  }

  /** Raft wants something stored; `settled` turns true when that is durable. */
  save(fields: Partial<StorageWrite>): { settled: boolean; error?: unknown } {
    const write: StorageWrite = { type: "persist", write: ++this.#writes, ...NOTHING, ...fields };
    return track(
      new Promise<void>((resolve, reject) =>
        this.storage.write(write, (error) => (error === null ? resolve() : reject(error))),
      ),
    );
  }

  append(firstIndex: number, ...texts: string[]): { settled: boolean; error?: unknown } {
    return this.save({ firstIndex, entries: texts.map((text) => entry(text)) });
  }

  /** The entries that the last start has found. */
  get found(): string[] {
    return this.storage.load().entries.map(({ data }) => Buffer.from(data).toString());
  }
}

export const entry = (text: string, term = 1): Entry => ({ term, type: 0, data: Buffer.from(text) });
export const snapshotAt = (index: number, text: string, term = 1): Snapshot => ({
  index,
  term,
  data: Buffer.from(text),
});

export function storageStory(
  tell: (story: StorageStory) => Promise<void>,
  options: Partial<StorageOptions> = {},
): () => Promise<void> {
  return () =>
    simulate({ seed: 1 }, async (runtime) => {
      const open = (disk: HandDisk): Promise<DurableStorage> =>
        openStorage({ dir: DIRECTORY, disk: disk.mount(), runtime, ...options });
      const story = new StorageStory(open, () => runtime.clock.sleep(0));
      await story.start();
      await tell(story);
    });
}
