import type { Random } from "../../runtime/index.js";

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/** A command that nobody has proposed before: 53 random bits. It takes nine bytes on the wire, as the labs' do in gob. */
export function randomCommand(random: Random): number {
  return random.int(0, Number.MAX_SAFE_INTEGER - 1);
}

export function randomText(random: Random, length: number): string {
  let text = "";
  for (let i = 0; i < length; i++) text += ALPHABET[random.int(0, ALPHABET.length - 1)];
  return text;
}

/** True with probability `p`. */
export function chance(random: Random, p: number): boolean {
  return random.next() < p;
}
