import { InvalidArgumentError } from "../../runtime/index.js";

/** Groups have numbers; storage, routes and labels need names. */
export function groupName(id: number): string {
  return `group-${id}`;
}

/** The id of a group by its name. */
export function groupIdOf(name: string): number {
  return Number(name.slice(name.indexOf("-") + 1));
}

export function checkGroupId(id: unknown): void {
  if (Number.isSafeInteger(id) && (id as number) >= 0) return;
  throw new InvalidArgumentError(`the id of a group must be a whole number, 0 or more, not ${String(id)}`);
}
