import type { Snapshot } from "../../raft/index.js";
import { piecesOf, type Directory } from "./files.js";
import { checksum, decodeSnapshot, encodeSnapshotHeader, snapshotName } from "./format.js";

function* snapshotPieces({ index, term, data }: Snapshot): Generator<Uint8Array> {
  yield encodeSnapshotHeader({ index, term, length: data.length });
  let crc = 0;
  for (const piece of piecesOf(data)) {
    crc = checksum(piece, crc);
    yield piece;
  }
  const end = Buffer.alloc(4);
  end.writeUInt32LE(crc);
  yield end;
}

/** Makes a snapshot durable. @throws DiskFullError: nothing is left of it. Any other error: the disk failed. */
export async function writeSnapshot(directory: Directory, snapshot: Snapshot): Promise<void> {
  const file = await directory.create(snapshotName(snapshot.index), snapshotPieces(snapshot));
  await file.close();
}

/** @throws CorruptLogError, FormatTooNewError */
export async function readSnapshot(directory: Directory, index: number): Promise<Snapshot> {
  const name = snapshotName(index);
  const { term, data } = decodeSnapshot(directory.pathOf(name), await directory.read(name), index);
  return { index, term, data };
}
