/**
 * Doubly linked lists over the numbers below `size`, each number in at most one list. A number that was unlinked can be
 * put back where it was, provided that everything unlinked after it is back already: that is how the search backtracks.
 */
export class LinkedLists {
  readonly next: Int32Array;
  readonly #prev: Int32Array;

  /** List k begins and ends at number size + k. */
  constructor(size: number, lists: number) {
    this.next = new Int32Array(size + lists);
    this.#prev = new Int32Array(size + lists);
    for (let head = size; head < size + lists; head++) this.next[head] = this.#prev[head] = head;
  }

  append(head: number, i: number): void {
    const last = this.#prev[head] as number;
    this.next[last] = i;
    this.#prev[i] = last;
    this.next[i] = head;
    this.#prev[head] = i;
  }

  unlink(i: number): void {
    const before = this.#prev[i] as number;
    const after = this.next[i] as number;
    this.next[before] = after;
    this.#prev[after] = before;
  }

  relink(i: number): void {
    this.next[this.#prev[i] as number] = i;
    this.#prev[this.next[i] as number] = i;
  }
}
