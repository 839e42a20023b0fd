import type { Clock, Random } from "../../runtime/index.js";
import type { DiskOperation } from "../index.js";
import type { DiskPlan } from "./types.js";

/** No operation takes longer, however slow the disk is: what is slower than that is a disk that hangs. */
const MOST_MS = 500;

/** How long each operation of one disk takes. Operations that are under way at once end in any order. */
export class DiskTiming {
  /** 1: as planned. */
  factor = 1;
  /** Until then no operation that begins comes to its end. */
  hungUntil = 0;
  /** A healed disk is never slow: Raft promises progress only where elections last longer than what a vote takes (§5.6). */
  isCalm = false;
  readonly #plan: DiskPlan;
  readonly #clock: Clock;
  readonly #random: Random;

  constructor(plan: DiskPlan, clock: Clock, random: Random) {
    this.#plan = plan;
    this.#clock = clock;
    this.#random = random;
  }

  next(operation: DiskOperation): number {
    const left = this.hungUntil - this.#clock.now();
    const ms = Math.min(MOST_MS, this.#usual(operation) * this.factor);
    return left > 0 ? left + ms : ms;
  }

  #usual(operation: DiskOperation): number {
    const { writeMs, syncMs, slowMs, slowRate } = this.#plan;
    // Names and reads come from memory.
    if (operation === "names" || operation === "read") return 0;
    if (operation === "write" && writeMs[1] === 0) return 0;
    const [luck, place] = [this.#random.next(), this.#random.next()];
    const [min, max] = operation === "write" ? writeMs : luck < slowRate && !this.isCalm ? slowMs : syncMs;
    return min + place * (max - min);
  }
}
