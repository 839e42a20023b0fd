import { InvalidArgumentError } from "../runtime/index.js";

/**
 * Seeds that failed once, a line each: the seed, then what it showed. Empty lines and what follows a # do not count.
 * @throws InvalidArgumentError naming the line
 */
export function parseSeedList(text: string): number[] {
  const seeds: number[] = [];
  for (const [i, line] of text.split("\n").entries()) {
    const words = line.replace(/#.*/, "").trim();
    if (words === "") continue;
    const [first = ""] = words.split(/\s/);
    const seed = Number(first);
    if (!/^\d+$/.test(first) || !Number.isSafeInteger(seed)) {
      throw new InvalidArgumentError(`line ${i + 1} must begin with a seed, a whole number, not "${first}"`);
    }
    if (words === first) throw new InvalidArgumentError(`line ${i + 1}: say what seed ${seed} showed`);
    seeds.push(seed);
  }
  return seeds;
}
