/** A process of its own that opens the storage in a directory, writes one entry, says so, and stays. */
import { openStorage } from "../../server/storage/index.js";

const storage = await openStorage({ dir: process.argv[2] as string });
const next = storage.load().entries.length + 1;
const entries = [{ term: 1, type: 0 as const, data: Buffer.from(`entry ${next}`) }];
const write = { type: "persist" as const, write: 1, hardState: null, snapshot: null, discardLog: false };
storage.write({ ...write, firstIndex: next, entries }, (error) => {
  process.stdout.write(`${error?.message ?? `wrote ${next}`}\n`);
});
setInterval(() => {}, 1000);
