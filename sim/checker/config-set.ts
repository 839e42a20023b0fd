/**
 * The configurations that a search has seen and found hopeless, by a 64-bit key given as two 32-bit halves.
 *
 * What has to be the same for two configurations to be worth the same is in the key. What can only be better or worse
 * stands beside it: which optional steps are used up (fewer are better) and how far writes are covered (further is
 * better). Whatever a configuration can reach, one that is as good or better can reach too.
 */
export class ConfigSet {
  /** Open addressing, three numbers a slot: both halves of the key, and where its first record is. At most 3/4 full. */
  #slots = new Int32Array(3 * 256);
  #mask = 255;
  #size = 0;
  /** Records: where the next one of the same key is (0: none), the coverage, the words of the used steps. */
  #records = new Int32Array(1024);
  #end = 1;
  readonly #words: number;

  /** `words`: how many numbers the set of used optional steps takes, one bit a step. */
  constructor(words: number) {
    this.#words = words;
  }

  /** Adds a configuration; false where one as good or better is known. */
  add(high: number, low: number, covered: number, used: Int32Array): boolean {
    if (this.#size * 4 > this.#mask * 3) this.#growSlots();
    const slot = this.#find(high, low);
    let record = this.#slots[slot + 2] as number;
    if (record === 0) this.#size++;
    for (; record !== 0; record = this.#records[record] as number) {
      const order = this.#compare(record, covered, used);
      if (order === KNOWN_IS_AS_GOOD) return false;
      if (order === NEW_IS_BETTER) {
        this.#write(record, covered, used);
        return true;
      }
    }
    if (this.#end + 2 + this.#words > this.#records.length) {
      const records = new Int32Array(this.#records.length * 2 + this.#words);
      records.set(this.#records);
      this.#records = records;
    }
    this.#records[this.#end] = this.#slots[slot + 2] as number;
    this.#write(this.#end, covered, used);
    this.#slots[slot] = high;
    this.#slots[slot + 1] = low;
    this.#slots[slot + 2] = this.#end;
    this.#end += 2 + this.#words;
    return true;
  }

  #write(record: number, covered: number, used: Int32Array): void {
    this.#records[record + 1] = covered;
    for (let w = 0; w < this.#words; w++) this.#records[record + 2 + w] = used[w] as number;
  }

  #compare(record: number, covered: number, used: Int32Array): number {
    const known = this.#records[record + 1] as number;
    let knownIsAsGood = known >= covered;
    let newIsAsGood = covered >= known;
    for (let w = 0; w < this.#words && (knownIsAsGood || newIsAsGood); w++) {
      const old = this.#records[record + 2 + w] as number;
      const now = used[w] as number;
      if ((old & ~now) !== 0) knownIsAsGood = false;
      if ((now & ~old) !== 0) newIsAsGood = false;
    }
    return knownIsAsGood ? KNOWN_IS_AS_GOOD : newIsAsGood ? NEW_IS_BETTER : INCOMPARABLE;
  }

  /** The slot of a key, or the empty one where it belongs. */
  #find(high: number, low: number): number {
    for (let slot = (low ^ (low >>> 15)) & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const at = slot * 3;
      if (this.#slots[at + 2] === 0 || (this.#slots[at] === high && this.#slots[at + 1] === low)) return at;
    }
  }

  #growSlots(): void {
    const old = this.#slots;
    this.#slots = new Int32Array(old.length * 2);
    this.#mask = this.#mask * 2 + 1;
    for (let at = 0; at < old.length; at += 3) {
      if (old[at + 2] === 0) continue;
      const slot = this.#find(old[at] as number, old[at + 1] as number);
      this.#slots.set(old.subarray(at, at + 3), slot);
    }
  }
}

const KNOWN_IS_AS_GOOD = 0;
const NEW_IS_BETTER = 1;
const INCOMPARABLE = 2;
