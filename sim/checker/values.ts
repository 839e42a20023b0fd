/** Id of "the key is absent". */
export const ABSENT = 0;
/** Id of every value that nothing in the history can tell from any other: all of them behave alike. */
export const DEAD = 1;

const ROOT = 0;
const FIRST_POSITION = 2;

/** How many leading characters `a` and `b` share. Compares in blocks, as the texts of an append workload are long. */
function commonLength(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  let at = 0;
  for (const block of [65_536, 1_024, 32]) {
    while (at + block <= length && a.substring(at, at + block) === b.substring(at, at + block)) at += block;
  }
  while (at < length && a.charCodeAt(at) === b.charCodeAt(at)) at++;
  return at;
}

/**
 * The values that a key can hold, as small numbers.
 *
 * Only what somebody observes matters, so a value is a position in the radix tree of the observed texts: appending walks
 * down, "can become" is "lies above", and every value outside the tree is DEAD, for ever until it is overwritten. No
 * value is ever concatenated, and equal values have equal ids, however they came about.
 *
 * First every observed text is added, then the tree is frozen, then values are located.
 */
export class ValueTree {
  /** Node n is the edge that leads to it: characters [#end[#parent[n]], #end[n]) of #text[n]. */
  readonly #text: string[] = [""];
  readonly #end: number[] = [0];
  readonly #parent: number[] = [ROOT];
  /** From a node and the next character to the child: key node * 65536 + character. */
  readonly #child = new Map<number, number>();
  /** Subtree of node n = the nodes m with #enter[n] <= #enter[m] < #leave[n]. Known once frozen. */
  #enter: Int32Array = new Int32Array(0);
  #leave: Int32Array = new Int32Array(0);
  /** Where the last walk from the root ended; the next text often shares most of it. */
  #lastText = "";
  #lastNode = ROOT;
  /** Position of an id: `depth` characters down, on the edge of (or at) `node`. */
  readonly #node: number[] = [ROOT, ROOT];
  readonly #depth: number[] = [0, 0];
  readonly #ids = new Map<number, number>();
  #depthLimit = 1;

  /** Adds a text that somebody observes. */
  add(text: string): void {
    const matched = this.#descend(text);
    if (matched === text.length) return;
    let node = this.#lastNode;
    if (matched < (this.#end[node] as number)) node = this.#split(node, matched);
    const leaf = this.#text.length;
    this.#text.push(text);
    this.#end.push(text.length);
    this.#parent.push(node);
    this.#child.set(node * 65_536 + text.charCodeAt(matched), leaf);
    this.#lastNode = leaf;
    this.#lastText = text;
    this.#depthLimit = Math.max(this.#depthLimit, text.length + 1);
  }

  /** Ends the building: numbers the nodes so that `canBecome` is two comparisons. */
  freeze(): void {
    const count = this.#text.length;
    const firstChild = new Int32Array(count);
    const sibling = new Int32Array(count);
    for (let node = 1; node < count; node++) {
      const parent = this.#parent[node] as number;
      sibling[node] = firstChild[parent] as number;
      firstChild[parent] = node;
    }
    this.#enter = new Int32Array(count);
    this.#leave = new Int32Array(count);
    let clock = 1;
    let node = ROOT;
    for (;;) {
      const child = firstChild[node] as number;
      if (child !== 0) {
        firstChild[node] = sibling[child] as number;
        node = child;
        this.#enter[node] = clock++;
      } else {
        this.#leave[node] = clock;
        if (node === ROOT) return;
        node = this.#parent[node] as number;
      }
    }
  }

  /** The id of a value; DEAD where it is no prefix of anything observed. */
  locate(value: string | null): number {
    if (value === null) return ABSENT;
    return this.#descend(value) === value.length ? this.#intern(this.#lastNode, value.length) : DEAD;
  }

  /** The id of value + piece; an absent key counts as the empty text. */
  append(value: number, piece: string): number {
    if (value === DEAD) return DEAD;
    let node = this.#node[value] as number;
    let depth = this.#depth[value] as number;
    let text = this.#text[node] as string;
    let end = this.#end[node] as number;
    for (let at = 0; at < piece.length; at++) {
      const code = piece.charCodeAt(at);
      if (depth < end) {
        if (text.charCodeAt(depth) !== code) return DEAD;
      } else {
        const child = this.#child.get(node * 65_536 + code);
        if (child === undefined) return DEAD;
        node = child;
        text = this.#text[node] as string;
        end = this.#end[node] as number;
      }
      depth++;
    }
    return this.#intern(node, depth);
  }

  /** Whether appending to `from` can give `to`: it is a prefix of it, or equal. Nothing but itself becomes ABSENT. */
  canBecome(from: number, to: number): boolean {
    if (from === to) return true;
    if (from === DEAD || to < FIRST_POSITION) return false;
    if (from === ABSENT) return true;
    const above = this.#node[from] as number;
    const enter = this.#enter[this.#node[to] as number] as number;
    return (
      (this.#depth[from] as number) <= (this.#depth[to] as number) &&
      (this.#enter[above] as number) <= enter &&
      enter < (this.#leave[above] as number)
    );
  }

  /** Walks down as far as `text` goes; returns how many characters matched and leaves the node in #lastNode. */
  #descend(text: string): number {
    let depth = commonLength(this.#lastText, text);
    let node = depth === 0 ? ROOT : this.#lastNode;
    while (node !== ROOT && (this.#end[this.#parent[node] as number] as number) >= depth) {
      node = this.#parent[node] as number;
    }
    for (;;) {
      const end = this.#end[node] as number;
      if (depth < end) {
        const label = (this.#text[node] as string).substring(depth, end);
        depth += commonLength(label, text.substring(depth, end));
        if (depth < end) break;
      }
      const child = depth === text.length ? undefined : this.#child.get(node * 65_536 + text.charCodeAt(depth));
      if (child === undefined) break;
      node = child;
    }
    this.#lastNode = node;
    this.#lastText = text.substring(0, depth);
    return depth;
  }

  /** Cuts the edge of `lower` at `depth`; returns the new node there. `lower` keeps its number. */
  #split(lower: number, depth: number): number {
    const upper = this.#text.length;
    const parent = this.#parent[lower] as number;
    const text = this.#text[lower] as string;
    this.#text.push(text);
    this.#end.push(depth);
    this.#parent.push(parent);
    this.#parent[lower] = upper;
    this.#child.set(parent * 65_536 + text.charCodeAt(this.#end[parent] as number), upper);
    this.#child.set(upper * 65_536 + text.charCodeAt(depth), lower);
    return upper;
  }

  #intern(node: number, depth: number): number {
    const key = node * this.#depthLimit + depth;
    let id = this.#ids.get(key);
    if (id === undefined) {
      id = this.#node.length;
      this.#ids.set(key, id);
      this.#node.push(node);
      this.#depth.push(depth);
    }
    return id;
  }
}
