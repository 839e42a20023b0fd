import { KvraftError } from "../runtime/index.js";

/** A setting is wrong, missing or unknown. `field` names it; the message says what is allowed. Code `CONFIG`. */
export class ConfigError extends KvraftError {
  readonly field: string;

  constructor(field: string, message: string) {
    super("CONFIG", message);
    this.field = field;
  }
}

/** Checks a value, and returns it as what it should be. `field` is for the error. @throws ConfigError */
export type Check<T> = (value: unknown, field: string) => T;

const MAX_SHOWN_LENGTH = 60;

export function mustBe(field: string, expected: string, value: unknown): ConfigError {
  const shown = value === undefined ? "missing" : (JSON.stringify(value) ?? String(value));
  const found = shown.length > MAX_SHOWN_LENGTH ? `${shown.slice(0, MAX_SHOWN_LENGTH)}...` : shown;
  const message =
    value === undefined ? `${field} is missing; it must be ${expected}` : `${field} must be ${expected}, not ${found}`;
  return new ConfigError(field, message);
}

export function whole(least: number, most: number, unit = ""): Check<number> {
  return (value, field) => {
    if (Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most) return value as number;
    throw mustBe(field, `a whole number ${unit && `of ${unit} `}from ${least} to ${most}`, value);
  };
}

export const yesOrNo: Check<boolean> = (value, field) => {
  if (typeof value === "boolean") return value;
  throw mustBe(field, "true or false", value);
};

export const text: Check<string> = (value, field) => {
  if (typeof value === "string" && value !== "") return value;
  throw mustBe(field, "a string that is not empty", value);
};

const MAX_NAME_LENGTH = 64;

/** Names of groups and clusters: they go into paths, routes and labels. */
export const name: Check<string> = (value, field) => {
  if (typeof value === "string" && value.length <= MAX_NAME_LENGTH && /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(value))
    return value;
  throw mustBe(field, `a name of 1 to ${MAX_NAME_LENGTH} letters, digits, ".", "_" and "-"`, value);
};

export function oneOf<T extends string>(allowed: readonly T[]): Check<T> {
  return (value, field) => {
    if (allowed.includes(value as T)) return value as T;
    throw mustBe(field, `one of ${allowed.map((item) => `"${item}"`).join(", ")}`, value);
  };
}

export function listOf<T>(item: Check<T>, what: string): Check<T[]> {
  return (value, field) => {
    if (!Array.isArray(value)) throw mustBe(field, `a list of ${what}`, value);
    return value.map((each, i) => item(each, `${field}[${i}]`));
  };
}

type Checked<C extends Readonly<Record<string, Check<unknown>>>> = { -readonly [N in keyof C]?: ReturnType<C[N]> };

/** An object with some of these fields and no others; what is undefined counts as absent. */
export function object<C extends Readonly<Record<string, Check<unknown>>>>(fields: C): Check<Checked<C>> {
  return (value, field) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw mustBe(field, `an object with ${Object.keys(fields).join(", ")}`, value);
    }
    return checkFields(fields, value, field === "" ? "" : `${field}.`);
  };
}

export function checkFields<C extends Readonly<Record<string, Check<unknown>>>>(
  fields: C,
  values: object,
  prefix: string,
): Checked<C> {
  const result: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(values)) {
    if (!Object.hasOwn(fields, key)) throw unknownField(`${prefix}${key}`, key, Object.keys(fields));
    if (value !== undefined) result[key] = (fields[key] as Check<unknown>)(value, `${prefix}${key}`);
  }
  return result as Checked<C>;
}

export function required<T>(value: T | undefined, field: string, expected: string): T {
  if (value === undefined) throw mustBe(field, expected, undefined);
  return value;
}

function unknownField(field: string, key: string, known: readonly string[]): ConfigError {
  const near = nearest(key, known);
  const hint = near === undefined ? `known are ${known.join(", ")}` : `did you mean ${near}?`;
  return new ConfigError(field, `unknown setting ${field}; ${hint}`);
}

/** The known name that `typed` most likely stands for; undefined where none is near. */
export function nearest(typed: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  // Two letters in the wrong order make a distance of 2.
  let bestDistance = Math.floor(typed.length / 3) + 2;
  for (const candidate of known) {
    const distance = editDistance(plain(typed), plain(candidate));
    if (distance >= bestDistance) continue;
    best = candidate;
    bestDistance = distance;
  }
  return best;
}

const plain = (key: string): string => key.toLowerCase().replace(/[-_]/g, "");

/** Levenshtein: how many letters must be put in, left out or changed. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] as number) + 1, (next[j - 1] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}
