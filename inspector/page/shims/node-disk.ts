/** A page has no disk; the servers of a simulation have simulated ones. */
export function nodeDisk(): never {
  throw new Error("a page has no disk");
}
