import type { Outcome, Plan } from "./types.js";

/** A test file that runs `plan` and expects no rule to break; its place is test/swarm/. */
export function testOfPlan(plan: Plan, name: string, outcome: Pick<Outcome, "violation" | "hash">): string {
  const { violation, hash } = outcome;
  const finding = violation === null ? "It broke no rule." : `It broke "${violation.rule}": ${violation.message}`;
  return [
    'import { expect, test } from "vitest";',
    "",
    'import { runPlan, type Plan } from "../../sim/swarm/index.js";',
    "",
    ...`${finding}\nHash of that run: ${hash}.`.split("\n").map((line) => `// ${line}`.trimEnd()),
    `const plan: Plan = ${JSON.stringify(plan, null, 2)};`,
    "",
    `test(${JSON.stringify(name)}, async () => {`,
    "  const { violation } = await runPlan(plan);",
    "  expect(violation).toBeNull();",
    "});",
    "",
  ].join("\n");
}
