export * from "./types.js";
export type { WorldEvent, WorldEventOf, WorldEventType, WorldEvents, WorldObserver } from "./observer.js";
export { MARKS, type Mark } from "./marks.js";
export { drawPlan } from "./plan.js";
export { FAULT_KINDS } from "./plan-faults.js";
export { RULES, type Rule } from "./rules.js";
export { runPlan, runSeed, type RunOptions } from "./run.js";
export { testOfPlan } from "./test-text.js";
export { keepGuard } from "../index.js";
