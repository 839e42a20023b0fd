export { judgePlan } from "./judge.js";
export { Progress } from "./progress.js";
export { readPlan } from "./read-plan.js";
export { parseSeedList } from "./seed-list.js";
export { shrinkPlan, type Shrunk, type ShrinkOptions } from "./shrink.js";
export { makeFolder, sweep, writePage, writePlan, type SweepOptions, type SweepReport } from "./sweep.js";
export { describePlan, describeStop, replayCommand } from "./words.js";
