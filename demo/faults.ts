/** What the nemesis can do. The first three break servers and links, the others spoil the weather on the network. */
export const FAULT_KINDS = ["partition", "oneway", "crash", "loss", "reorder"] as const;

export type FaultKind = (typeof FAULT_KINDS)[number];

/** One fault that was injected. */
export interface Fault {
  readonly kind: FaultKind;
  /** In words: "partition S0 S3 | S1 S2 S4". */
  readonly text: string;
  readonly fromMs: number;
  /** Null while it is on. */
  untilMs: number | null;
  /** From when its recovery counts: its beginning, or, where it left no majority, the moment there was one again. */
  recoverableMs: number;
  /** From then to the answer to the first operation that was begun later. Null as long as there is none. */
  recoveryMs: number | null;
}
