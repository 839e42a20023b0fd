import type { Results } from "../../kvraft/index.js";
import { EntryType, type Snapshot } from "../../replica/index.js";
import { hashBytes } from "./hash.js";
import type { WorldEventOf } from "./observer.js";
import type { Rule } from "./rules.js";

/** What an index of the log holds for good. */
export interface CommittedEntry {
  readonly term: number;
  readonly type: number;
}

/**
 * Checks what must hold above any replicated log: the services apply what is committed, each entry once and in order, come
 * to equal states, and get whole snapshots.
 */
export class ServiceOracle {
  readonly #fail: (rule: Rule, message: string) => void;
  readonly #committed: (index: number) => CommittedEntry | undefined;
  /** By server: what its present life has applied. */
  readonly #applied: number[];
  readonly #snapshots = new Map<number, { readonly hash: number; readonly length: number }>();
  readonly #results: (number | undefined)[] = [];
  readonly #stateHashes = new Map<number, number>();

  /** `committed` knows nothing of an index that is not committed. */
  constructor(
    servers: number,
    fail: (rule: Rule, message: string) => void,
    committed: (index: number) => CommittedEntry | undefined,
  ) {
    this.#fail = fail;
    this.#committed = committed;
    this.#applied = Array.from({ length: servers }, () => 0);
  }

  /** A life begins with the snapshot that was stored. */
  begin(server: number, snapshot: Snapshot | null): void {
    this.#applied[server] = snapshot?.index ?? 0;
    if (snapshot !== null) this.#checkSnapshot(server, snapshot);
  }

  applied({ server, index, term, results }: WorldEventOf<"applied">): void {
    const committed = this.#committed(index);
    if (committed?.term !== term) {
      const what = committed === undefined ? "is not committed" : `is of term ${committed.term} elsewhere`;
      this.#fail("stateMachineSafety", `server ${server} applies (${index}, term ${term}), which ${what}`);
    }
    this.#checkNext(server, this.#applied[server] as number, index);
    this.#applied[server] = index;
    const hash = hashResults(results);
    const known = this.#results[index];
    if (known === undefined) this.#results[index] = hash;
    else if (known !== hash) this.#fail("stateEqual", `entry ${index} has another result on server ${server}`);
  }

  /** Only entries without a command are passed over. */
  #checkNext(server: number, before: number, index: number): void {
    if (index <= before) {
      return this.#fail("appliedGrows", `server ${server} applies entry ${index} after entry ${before}`);
    }
    for (let skipped = before + 1; skipped < index; skipped++) {
      if (this.#committed(skipped)?.type === EntryType.command) {
        return this.#fail(
          "appliedGrows",
          `server ${server} applies entry ${index} after ${before}, without ${skipped}`,
        );
      }
    }
  }

  snapshotTaken({ server, index, bytes }: WorldEventOf<"snapshotTaken">): void {
    const hash = hashBytes(bytes);
    const known = this.#snapshots.get(index);
    if (known !== undefined && known.hash !== hash) {
      this.#fail("stateEqual", `server ${server} has another state at ${index} than others`);
    }
    this.#snapshots.set(index, { hash, length: bytes.length });
    if (index !== this.#applied[server]) {
      this.#fail("snapshotWhole", `server ${server} takes a snapshot at ${index}, having applied another number`);
    }
  }

  snapshotRestored({ server, index, bytes }: WorldEventOf<"snapshotRestored">): void {
    const before = this.#applied[server] as number;
    if (index < before) {
      this.#fail("appliedGrows", `server ${server} goes back from entry ${before} to a snapshot at ${index}`);
    }
    this.#applied[server] = index;
    const known = this.#snapshots.get(index);
    if (known?.hash !== hashBytes(bytes)) {
      this.#fail("snapshotWhole", `server ${server} restores ${bytes.length} bytes at ${index} that nobody put there`);
    }
  }

  #checkSnapshot(server: number, { index, term, data }: Snapshot): void {
    if (this.#committed(index)?.term !== term) {
      this.#fail(
        "snapshotWhole",
        `server ${server} has stored a snapshot up to (${index}, term ${term}), never committed`,
      );
    } else if (this.#snapshots.get(index)?.hash !== hashBytes(data)) {
      this.#fail("snapshotWhole", `server ${server} has stored a snapshot at ${index} that nobody made`);
    }
  }

  stateHash({ server, index, hash }: WorldEventOf<"stateHash">): void {
    const known = this.#stateHashes.get(index) ?? hash;
    this.#stateHashes.set(index, known);
    if (known !== hash) this.#fail("stateEqual", `server ${server} has another state at ${index} than others`);
  }
}

/** Cheap, and different where servers answer differently. */
function hashResults(results: Results): number {
  let hash = results === null ? 1 : 2;
  for (const result of results ?? []) {
    const value = result === null ? -1 : typeof result === "number" ? result : result[1] * 1000 + result[0].length;
    hash = (Math.imul(hash, 31) + value) | 0;
  }
  return hash;
}
