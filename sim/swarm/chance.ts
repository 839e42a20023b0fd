import type { Random } from "../../runtime/index.js";

export const pick = <T>(random: Random, list: readonly T[]): T => list[random.int(0, list.length - 1)] as T;

export const chance = (random: Random, rate: number): boolean => random.next() < rate;

/** The numbers from 0 to `count` - 1 in any order. */
export function shuffled(random: Random, count: number): number[] {
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = random.int(0, i);
    [order[i], order[j]] = [order[j] as number, order[i] as number];
  }
  return order;
}
