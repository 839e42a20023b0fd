/**
 * Which server a Clerk asks next. It goes round by round: in each, every server is asked at most once, so that two
 * servers whose hints name each other can neither hold the Clerk nor hide a third one.
 */
export class Route {
  /** Position of the end to ask. */
  target = 0;
  /** The number of the server behind each end, once it has answered. */
  readonly #serverAt: (number | undefined)[];
  /** The round in which each end was last asked. */
  readonly #asked: number[];
  #round = 1;

  constructor(ends: number) {
    this.#serverAt = new Array<undefined>(ends).fill(undefined);
    this.#asked = new Array<number>(ends).fill(0);
  }

  /** The end at `target` turned out to lead to `server`. */
  learn(server: number): void {
    this.#serverAt[this.target] = server;
  }

  /** A new request: everybody may be asked again. */
  begin(): void {
    this.#round++;
  }

  /**
   * The server at `target` was of no use, and believes that server `hint` leads: moves `target` on. Returns whether
   * everybody has been asked, so that it is time to pause.
   */
  moveOn(hint: number | null): boolean {
    const ends = this.#asked.length;
    const hinted = hint === null ? -1 : this.#serverAt.indexOf(hint);
    this.#asked[this.target] = this.#round;
    if (hinted >= 0 && this.#asked[hinted] !== this.#round) {
      this.target = hinted;
      return false;
    }
    for (let i = 1; i < ends; i++) {
      const position = (this.target + i) % ends;
      if (this.#asked[position] === this.#round) continue;
      this.target = position;
      return false;
    }
    this.#round++;
    this.target = hinted >= 0 ? hinted : (this.target + 1) % ends;
    return true;
  }
}
