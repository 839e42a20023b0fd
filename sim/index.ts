export { realRuntime, SeededRandom } from "../runtime/index.js";
export type { CallOptions, Clock, Random, Runtime, TimerHandle } from "../runtime/index.js";
export { SimulationDeadlock, SimulationTimeout, simulate } from "./simulate.js";
export type { Pace, SimReport, SimRuntime, SimulateOptions } from "./simulate.js";
export { SimulationGuardError } from "./guard.js";
export * from "./history.js";
export * from "./checker/index.js";
export * from "./disk/index.js";
