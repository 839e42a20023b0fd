import { InvalidArgumentError } from "../runtime/index.js";
import { ENGINES, type EngineName } from "../sim/swarm/index.js";

/**
 * Seeds that failed once on an engine, a line each: the engine, unless it is Raft, the seed, then what it showed. Empty
 * lines and what follows a # do not count.
 * @throws InvalidArgumentError naming the line
 */
export function parseSeedList(text: string, engine: EngineName = "raft"): number[] {
  const seeds: number[] = [];
  for (const [i, line] of text.split("\n").entries()) {
    const all = line.replace(/#.*/, "").trim();
    if (all === "") continue;
    const [name = ""] = all.split(/\s/);
    const isNamed = name in ENGINES;
    const words = isNamed ? all.slice(name.length).trim() : all;
    const [first = ""] = words.split(/\s/);
    const seed = Number(first);
    if (!/^\d+$/.test(first) || !Number.isSafeInteger(seed)) {
      throw new InvalidArgumentError(`line ${i + 1} must begin with a seed, a whole number, not "${first}"`);
    }
    if (words === first) throw new InvalidArgumentError(`line ${i + 1}: say what seed ${seed} showed`);
    if ((isNamed ? name : "raft") === engine) seeds.push(seed);
  }
  return seeds;
}
